#include "subscriber/io/letter_retry.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_format.h"
#include "common/base/reaction.h"
#include "common/base/status.h"
#include "common/io/steady_time.h"
#include "proto/message_codec.h"
#include "subscriber/core/dead_letter.h"
#include "subscriber/core/letter_meeting.h"

namespace pmoves {
namespace {

// One transaction of `retry --all`: workers wait for rows and letters that it has touched.
constexpr size_t kMostInTransaction = 500;
constexpr absl::Duration kLongestTransaction = absl::Seconds(1);

// A transaction is made anew so often while somebody alters its tables.
constexpr int kMostAltered = 3;

constexpr const char kUnreadable[] =
    "this message cannot become a change (see its reason); discard it when it has been looked into";

const char* ResolutionOf(RetryOutcome outcome) {
  switch (outcome) {
    case RetryOutcome::kApplied:
      return "applied";
    case RetryOutcome::kSuperseded:
      return "superseded by a newer version";
    case RetryOutcome::kLeftOut:
      break;
  }
  return "left out: the policy of the table does not carry it out";
}

}  // namespace

std::string_view Describe(RetryOutcome outcome) { return ResolutionOf(outcome); }

LetterRetry::LetterRetry(PgConnection& connection, const SubscriberConfig& config)
    : connection_(connection),
      book_(connection),
      catalog_(connection, config.tables),
      target_(connection) {
  catalog_.RequireRules();
}

absl::StatusOr<RetryResult> LetterRetry::One(int64_t id) {
  asked_for_ = true;
  std::vector<RetryResult> results;
  ASSIGN_OR_RETURN(const size_t done, Some(std::span(&id, 1), false, &results));
  (void)done;
  return results.front();
}

absl::Status LetterRetry::All(std::span<const int64_t> ids,
                              const std::function<void(std::span<const RetryResult>)>& report) {
  asked_for_ = false;
  while (!ids.empty()) {
    std::vector<RetryResult> results;
    ASSIGN_OR_RETURN(size_t done, Some(ids, false, &results));
    if (done == 0) {  // refused at the commit: which of them it was shows when they are checked
      ASSIGN_OR_RETURN(done, Some(ids, true, &results));
    }
    report(results);
    ids = ids.subspan(done);
  }
  return absl::OkStatus();
}

// In one transaction. Those that were tried; 0: the commit was refused, nothing is changed.
absl::StatusOr<size_t> LetterRetry::Some(std::span<const int64_t> ids, bool alone,
                                         std::vector<RetryResult>* results) {
  results->clear();
  const SteadyTime end = SteadyIn(kLongestTransaction);
  RETURN_IF_ERROR(target_.Begin());
  if (alone || ids.size() == 1) target_.CheckDeferred();
  const size_t most = std::min(ids.size(), kMostInTransaction);
  for (size_t i = 0; i < most && (i == 0 || SteadyNow() < end); ++i) {
    ASSIGN_OR_RETURN(RetryResult result, InSavepoint(ids[i]));
    results->push_back(std::move(result));
  }
  absl::Status status = target_.RequireUnaltered();
  if (IsAltered(status) && altered_++ < kMostAltered) {
    target_.Rollback();
    catalog_.Invalidate();
    return Some(ids, alone, results);
  }
  if (status.ok()) status = target_.Commit();
  altered_ = 0;
  if (status.ok()) return results->size();
  target_.Rollback();
  if (!connection_.IsOpen()) return status;
  if (!alone && ids.size() > 1) return size_t{0};
  // Only what the letters were refused with is left to say.
  for (RetryResult& result : *results) {
    if (result.status.ok()) result.status = status;
    RETURN_IF_ERROR(NoteFailure(result.id, result.status));
  }
  return results->size();
}

absl::StatusOr<RetryResult> LetterRetry::InSavepoint(int64_t id) {
  RETURN_IF_ERROR(connection_.Execute("SAVEPOINT letter").status());
  const absl::StatusOr<RetryOutcome> outcome = Try(id);
  if (outcome.ok()) {
    RETURN_IF_ERROR(connection_.Execute("RELEASE SAVEPOINT letter").status());
    return RetryResult{id, absl::OkStatus(), *outcome};
  }
  if (!connection_.IsOpen()) return outcome.status();
  RETURN_IF_ERROR(
      connection_.Execute("ROLLBACK TO SAVEPOINT letter; RELEASE SAVEPOINT letter").status());
  target_.SavepointRolledBack();
  RETURN_IF_ERROR(NoteFailure(id, outcome.status()));
  return RetryResult{id, outcome.status(), RetryOutcome::kApplied};
}

absl::Status LetterRetry::NoteFailure(int64_t id, const absl::Status& why) {
  // A row that is missing is asked for anew.
  const char* const ask = absl::IsNotFound(why) ? "t" : "f";
  return connection_
      .Execute(
          "UPDATE pmoves_sync.dead_letter SET message = $2, sqlstate = $3, refetch_attempts = 0, "
          "refetch_at = CASE WHEN $4::boolean AND key IS NOT NULL THEN clock_timestamp() ELSE "
          "refetch_at END WHERE id = $1::bigint AND state = 'open'",
          {PgParam(std::to_string(id)), PgParam(MessageOf(why)), PgParam(SqlStateOf(why)),
           PgParam(ask)})
      .status();
}

// Looks after the merge, so it cannot miss what was collected before.
absl::StatusOr<bool> LetterRetry::IsTooLate(const TargetTable& table, const ChangeSet& set) {
  Hlc lowest{std::numeric_limits<int64_t>::max()};
  for (const Change& change : set.changes) lowest = std::min(lowest, change.hlc);
  ASSIGN_OR_RETURN(
      const PgRows rows,
      connection_.Execute("SELECT EXISTS (SELECT 1 FROM pmoves_sync.collection WHERE "
                          "relation = $1 AND horizon > $2::bigint)",
                          {PgParam(table.Name()), PgParam(std::to_string(lowest.value))}));
  return rows.Bool(0, 0);
}

// A change that relies on what earlier ones brought must not pass them.
absl::Status LetterRetry::RequireOldest(const ChangeSet& set, int64_t id) {
  for (const Change& change : set.changes) {
    const LetterMeeting meeting = MeetingOf(change);
    const bool joins = meeting == LetterMeeting::kJoins;
    if (!joins && meeting != LetterMeeting::kFolds) continue;
    LetterRow row = LetterRowOf(set, change);
    ASSIGN_OR_RETURN(int64_t older, book_.OlderThan(row, id, joins));
    if (older == 0 && joins && change.kind == ChangeKind::kMove) {
      row.key = OldKeyText(set, change);
      ASSIGN_OR_RETURN(older, book_.OlderThan(row, id, joins));
    }
    if (older == 0) continue;
    return absl::InvalidArgumentError(absl::StrFormat(
        "dead letter %d is an earlier change of the same row, or of a message that may hold it: "
        "retry or discard that one first",
        older));
  }
  return absl::OkStatus();
}

absl::Status LetterRetry::SettleOthers(const ChangeSet& set) {
  for (const Change& change : set.changes) {
    if (MeetingOf(change) != LetterMeeting::kSettles) continue;
    const LetterRow row = LetterRowOf(set, change);
    RETURN_IF_ERROR(change.kind == ChangeKind::kTruncate ? book_.SupersedeTable(row).status()
                                                         : book_.Supersede(row).status());
    if (change.kind != ChangeKind::kMove) continue;
    const Change old = OldKeyOf(change);
    if (MeetingOf(old) != LetterMeeting::kSettles) continue;
    RETURN_IF_ERROR(book_.Supersede(LetterRowOf(set, old)).status());
  }
  return absl::OkStatus();
}

absl::StatusOr<RetryOutcome> LetterRetry::Try(int64_t id) {
  ASSIGN_OR_RETURN(const StoredLetter letter, book_.Lock(id));
  if (letter.payload.empty() || letter.reason == "forged")
    return absl::InvalidArgumentError(kUnreadable);
  proto::BodyReader reader;
  proto::Body body;
  std::string bytes = letter.payload;
  RETURN_IF_ERROR(reader.Read(&bytes, &body));
  ASSIGN_OR_RETURN(TargetTable* const table, catalog_.Find(body.schema, body.table));
  if (!table->Allows(letter.source)) {
    return absl::InvalidArgumentError(
        absl::StrFormat("source %s may not write %s", letter.source, table->Name()));
  }
  ChangeSet set;
  RETURN_IF_ERROR(AppendLetter(letter, &letter.source, table, &decoder_, &set));
  RETURN_IF_ERROR(RequireOldest(set, id));
  RETURN_IF_ERROR(target_.ApplyInSavepoint(&set, 0, set.changes.size()));
  const RetryOutcome outcome = target_.planned() == 0                  ? RetryOutcome::kLeftOut
                               : target_.hidden() >= target_.planned() ? RetryOutcome::kSuperseded
                                                                       : RetryOutcome::kApplied;
  RETURN_IF_ERROR(SettleOthers(set));
  if (!asked_for_) {
    ASSIGN_OR_RETURN(const bool too_late, IsTooLate(*table, set));
    if (too_late) return ComesTooLate(*table);
  }
  RETURN_IF_ERROR(
      connection_
          .Execute(Settling("UPDATE pmoves_sync.dead_letter SET state = 'retried', resolved_at = "
                            "now(), resolution = $2 WHERE id = $1::bigint"),
                   {PgParam(std::to_string(id)), PgParam(ResolutionOf(outcome))})
          .status());
  return outcome;
}

}  // namespace pmoves
