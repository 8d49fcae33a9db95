// What follows when something in the centre is locked. See worker.h.
//
// A batch holds transactions of many sources, and one of them may need a table or a row that
// somebody holds for long. Then the sources that have changes of that table get batches of their
// own, cut in halves until the transaction that must wait is alone. Its source waits, the others go
// on, and its own order is kept.
#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "common/base/reaction.h"
#include "common/base/status.h"
#include "common/io/log.h"
#include "subscriber/batch_outcome.h"
#include "subscriber/worker.h"

namespace pmoves {
namespace {

constexpr const char kLockNotAvailable[] = "55P03";
// What usually passes by itself is tried again so many times before anybody must wait for it.
constexpr int kAttempts = 2;
// A source that waits may hold the others of its worker up for so long at each try.
constexpr absl::Duration kFirstBusyWait = absl::Milliseconds(200);
constexpr absl::Duration kLongestBusyWait = absl::Seconds(1);
constexpr absl::Duration kFirstPause = absl::Seconds(1);
constexpr absl::Duration kLongestPause = absl::Seconds(10);
// A source with so many transactions in one batch of its own is like any other.
constexpr int64_t kEnough = 64;

}  // namespace

bool Worker::IsBusy(const absl::Status& status, int attempt) {
  const std::string sql_state = SqlStateOf(status);
  if (sql_state == kLockNotAvailable) return true;
  return attempt >= kAttempts &&
         (sql_state == "40001" || sql_state == "40P01" || sql_state == "57014");
}

absl::Status Worker::StepAside(const absl::Status& status) {
  shared_.metrics.batch_retries.Increment();
  const TargetTable* const table = target_->failed_at();
  if (pending_.progress.size() == 1) {
    auto& [owned, progress] = *pending_.progress.begin();
    if (progress.transactions <= 1) {
      HoldBusy(*owned, status, table);
    } else {
      owned->alone = std::max<int64_t>(progress.transactions / 2, 1);
    }
    return Rebuild();
  }
  LogLimited(LogLevel::kWarn, "batch.busy", LoggableMessage(status),
             {{"worker", index_},
              {"sqlstate", SqlStateOf(status)},
              {"table", table == nullptr ? "" : table->Name()}});
  std::set<std::string> about;
  for (const Change& change : pending_.set.changes) {
    if (change.table == table) about.insert(*change.source);
  }
  for (auto& [owned, progress] : pending_.progress) {
    if (!about.empty() && about.count(owned->source) == 0) continue;
    owned->alone = std::max<int64_t>(progress.transactions, 1);
  }
  return Rebuild();
}

void Worker::HoldBusy(Owned& owned, const absl::Status& status, const TargetTable* table) {
  owned.alone = 1;
  owned.busy_pause = std::clamp(owned.busy_pause * 2, kFirstPause, kLongestPause);
  const std::string what = table == nullptr ? "a table of pmoves_sync" : table->Name();
  const bool lock = SqlStateOf(status) == kLockNotAvailable;
  std::string reason =
      lock ? absl::StrFormat("waits for a lock on %s", what)
           : absl::StrFormat("cannot write %s: %s", what, ReactionTo(status).advice);
  if (table != nullptr) reason += HolderOf(*table);
  LogLimited(LogLevel::kWarn, "source.busy", reason,
             {{"source", owned.source}, {"sqlstate", SqlStateOf(status)}, {"table", what}});
  owned.waiting = reason;
  shared_.fleet.Update(owned.source,
                       [&](SourceState& state) { state.waiting = std::move(reason); });
  ResetSource(owned, owned.busy_pause);
}

// Who holds locks on the table now, the strongest and oldest first: for people.
std::string Worker::HolderOf(const TargetTable& table) {
  const auto rows = connection_->Execute(absl::StrFormat(
      "SELECT l.pid, l.mode, COALESCE(a.application_name, ''), COALESCE(a.state, ''), "
      "COALESCE(extract(epoch FROM clock_timestamp() - a.xact_start), 0)::bigint FROM "
      "pg_catalog.pg_locks l LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid WHERE "
      "l.locktype = 'relation' AND l.relation = %d AND l.granted AND l.mode <> 'AccessShareLock' "
      "AND l.pid IS DISTINCT FROM pg_catalog.pg_backend_pid() AND l.database = (SELECT oid FROM "
      "pg_catalog.pg_database WHERE datname = pg_catalog.current_database()) ORDER BY l.mode NOT "
      "IN ('AccessExclusiveLock', 'ExclusiveLock', 'ShareRowExclusiveLock', 'ShareLock'), "
      "a.xact_start LIMIT 1",
      table.oid));
  if (!rows.ok() || rows->size() == 0) return "";
  if (rows->IsNull(0, 0)) {
    return absl::StrFormat(": a prepared transaction holds %s", rows->Text(0, 1));
  }
  return absl::StrFormat(
      ": pid %d (%s, %s, its transaction is %d s old) holds %s; end it with "
      "SELECT pg_terminate_backend(%d)",
      rows->Int(0, 0), rows->Text(0, 2), rows->Text(0, 3), rows->Int(0, 4), rows->Text(0, 1),
      rows->Int(0, 0));
}

void Worker::NoteWritten(Owned& owned) {
  owned.waiting.clear();
  owned.busy_pause = absl::ZeroDuration();
  if (owned.alone == 0) return;
  owned.alone *= 2;
  if (owned.alone > kEnough) owned.alone = 0;
}

bool Worker::PassesAlone(const Owned& owned) const {
  return owned.alone == 0 || pending_.progress.empty();
}

bool Worker::HasItsShare(Owned& owned) {
  if (owned.alone == 0) return false;
  pending_.busy_wait = std::clamp(owned.busy_pause / 10, kFirstBusyWait, kLongestBusyWait);
  return ProgressOf(owned).transactions >= owned.alone;
}

absl::Status Worker::BeginBatch() {
  RETURN_IF_ERROR(target_->Begin());
  if (pending_.check_deferred) target_->CheckDeferred();
  if (pending_.busy_wait == absl::ZeroDuration()) return absl::OkStatus();
  const absl::Duration wait = std::min(pending_.busy_wait, shared_.config.postgres.lock_timeout);
  return connection_
      ->Execute(absl::StrFormat("SET LOCAL lock_timeout = %d", absl::ToInt64Milliseconds(wait)))
      .status();
}

}  // namespace pmoves
