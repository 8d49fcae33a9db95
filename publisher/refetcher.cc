#include "publisher/refetcher.h"

#include <iterator>
#include <optional>
#include <utility>

#include "absl/strings/str_format.h"
#include "common/base/status.h"
#include "common/io/log.h"
#include "publisher/core/wal_source.h"
#include "publisher/io/key_lookup.h"

namespace pmoves {
namespace {

constexpr absl::Duration kMarkInterval = absl::Milliseconds(50);
// How long the reason of a failure is the answer to further requests for the table.
constexpr absl::Duration kTroubleTime = absl::Seconds(30);
// The same of a lock that was not given.
constexpr absl::Duration kLockedTime = absl::Seconds(2);
// Of 2 ms and a round trip each; then the rows wait for another mark.
constexpr int kVisibleAttempts = 250;
constexpr char kMarkSql[] =
    "BEGIN READ WRITE; SET LOCAL synchronous_commit = off; SELECT pg_logical_emit_message(true, "
    "'%s', %s); COMMIT";

// What may be told of a failure: the server's messages of data errors quote the key.
absl::Status Tellable(const absl::Status& why) {
  if (SqlStateOf(why).substr(0, 2) != "22") return why;
  return absl::InvalidArgumentError("a value of the key does not fit the column on the edge");
}

std::string TableOf(const proto::RefetchRequest& row) {
  return absl::StrFormat("%s.%s", row.schema, row.table);
}

}  // namespace

absl::Status Refetcher::Turn(absl::Time now) {
  now_ = now;
  for (const AskedRow& asked : parts_.feed.Take()) Answer(asked, Accept(asked.row));
  if (now < mark_due_) return absl::OkStatus();
  const std::string content = queue_.Mark();
  if (content.empty()) return absl::OkStatus();
  mark_due_ = now + kMarkInterval;
  return WriteMark(content);
}

absl::Status Refetcher::Accept(const proto::RefetchRequest& row) {
  RETURN_IF_ERROR(TroubleOf(row));
  const Relation* const relation = parts_.catalog.Find(row.schema, row.table);
  if (relation == nullptr) {
    return absl::NotFoundError(
        absl::StrFormat("table %s is not captured on this edge", TableOf(row)));
  }
  RETURN_IF_ERROR(CheckKey(row, *relation));
  if (queue_.Offer(row)) return absl::OkStatus();
  return absl::ResourceExhaustedError("too many rows are asked for; ask again");
}

void Refetcher::Answer(const AskedRow& asked, const absl::Status& outcome) {
  if (absl::IsResourceExhausted(outcome)) {
    parts_.metrics.refetch_dropped.Increment();
    return;  // no answer: the centre asks again without counting it
  }
  (outcome.ok() ? parts_.metrics.refetch_accepted : parts_.metrics.refetch_refused).Increment();
  if (!outcome.ok()) {
    LogLimited(LogLevel::kWarn, "refetch.refused", MessageOf(outcome),
               {{"table", TableOf(asked.row)}});
  }
  if (asked.reply.empty()) return;
  (void)parts_.nats.Publish(
      asked.reply, proto::EncodeRefetchAnswer({asked.row, outcome.ok(), MessageOf(outcome)}));
}

absl::Status Refetcher::WriteMark(const std::string& content) {
  const absl::Status status = parts_.connection
                                  .Execute(absl::StrFormat(kMarkSql, parts_.message_prefix,
                                                           parts_.connection.QuoteLiteral(content)))
                                  .status();
  if (status.ok()) return status;
  queue_.GiveUpMark();
  if (!parts_.connection.IsOpen()) return status;
  parts_.connection.Rollback();
  // Read-only, a standby: nothing can be marked here.
  for (const proto::RefetchRequest& row : queue_.TakeAll()) NoteTrouble(row, status);
  return absl::OkStatus();
}

absl::Status Refetcher::TakeMark(std::string_view content, MessagePlan* plan) {
  std::vector<proto::RefetchRequest> rows = queue_.TakeMarked(content);
  if (rows.empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(const bool visible, AllVisible());
  size_t bytes = 0;
  size_t next = 0;
  while (visible && next < rows.size() && bytes < kBytesPerMark) {
    ASSIGN_OR_RETURN(const size_t size, SendRow(rows[next], plan));
    bytes += size;
    ++next;
  }
  queue_.PutBack({std::make_move_iterator(rows.begin() + static_cast<ptrdiff_t>(next)),
                  std::make_move_iterator(rows.end())});
  return absl::OkStatus();
}

// Whether this session sees every transaction that came out of the WAL so far.
absl::StatusOr<bool> Refetcher::AllVisible() {
  for (int attempt = 0; attempt < kVisibleAttempts; ++attempt) {
    ASSIGN_OR_RETURN(const PgRows rows, parts_.connection.Execute("SELECT pg_current_snapshot()"));
    ASSIGN_OR_RETURN(const bool visible, recent_.AllVisibleIn(rows.Text(0, 0)));
    if (visible) return true;
    RETURN_IF_ERROR(parts_.connection.Execute("SELECT pg_sleep(0.002)").status());
  }
  return false;
}

absl::Status Refetcher::AwaitVisible() {
  ASSIGN_OR_RETURN(const bool visible, AllVisible());
  if (visible) return absl::OkStatus();
  return absl::UnavailableError(
      "a transaction that came out of the WAL is not visible yet, so what it says of a new table "
      "cannot be interpreted: the edge database waits for a synchronous standby "
      "(synchronous_standby_names). Trying again");
}

// The bytes of the row that was sent; 0: none.
absl::StatusOr<size_t> Refetcher::SendRow(const proto::RefetchRequest& row, MessagePlan* plan) {
  const Relation* const relation = parts_.catalog.Find(row.schema, row.table);
  if (relation == nullptr) {
    RETURN_IF_ERROR(parts_.catalog.status());
    return 0;
  }
  if (!TroubleOf(row).ok()) return 0;  // each try may wait for a lock
  absl::StatusOr<std::optional<ReadRow>> read = reader_.Read(row, *relation);
  if (!read.ok()) {
    if (!parts_.connection.IsOpen()) return read.status();
    NoteTrouble(row, read.status());
    if (absl::IsFailedPrecondition(read.status())) parts_.catalog.Refresh();
    return 0;
  }
  if (!read->has_value()) {
    // Its delete is in the WAL before the mark, and settles the question.
    parts_.metrics.refetch_gone.Increment();
    return 0;
  }
  WalChange change;
  change.action = WalAction::kSnapshot;
  change.schema = row.schema;
  change.table = row.table;
  change.columns = (*read)->Columns();
  plan->Add(change, *relation);
  parts_.metrics.refetch_rows.Increment();
  return (*read)->bytes;
}

absl::Status Refetcher::TroubleOf(const proto::RefetchRequest& row) const {
  const auto trouble = troubles_.find(TableOf(row));
  const bool known = trouble != troubles_.end() && now_ < trouble->second.until;
  return known ? trouble->second.why : absl::OkStatus();
}

void Refetcher::NoteTrouble(const proto::RefetchRequest& row, const absl::Status& why) {
  parts_.metrics.refetch_failed.Increment();
  const absl::Status told = Tellable(why);
  LogLimited(LogLevel::kWarn, "refetch.failed", MessageOf(told), {{"table", TableOf(row)}});
  if (absl::IsInvalidArgument(told)) return;  // of this row, not of its table
  if (troubles_.size() >= RefetchQueue::kMostRows) troubles_.clear();
  troubles_[TableOf(row)] = {told, now_ + (IsLockedOrSlow(why) ? kLockedTime : kTroubleTime)};
}

}  // namespace pmoves
