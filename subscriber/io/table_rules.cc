#include "subscriber/io/table_rules.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "common/base/reaction.h"
#include "common/base/status.h"
#include "common/io/steady_time.h"
#include "subscriber/core/central_sql.h"
#include "subscriber/core/merge_sql.h"
#include "subscriber/core/policy_text.h"
#include "subscriber/core/register_sql.h"
#include "subscriber/io/central_schema.h"
#include "subscriber/io/central_triggers.h"
#include "subscriber/io/pg_catalog.h"

namespace pmoves {
namespace {

constexpr absl::Duration kTellEvery = absl::Seconds(10);
constexpr int kTidRangeScans = 140000;  // the server that can read a range of pages alone
// An older one reads all pages for each range: more are refused there.
constexpr int64_t kOldPages = 50000;
// A piece that a lock or a lack of resources stopped is tried so often before the change is begun
// anew, each time after a longer pause.
constexpr int kTries = 20;
constexpr absl::Duration kRetryPause = absl::Milliseconds(100);
constexpr absl::Duration kLockWait = absl::Seconds(1);

// Says how far it is, now and then.
class Progress {
 public:
  Progress(const TargetTable& table, const TableRules::Ports& ports)
      : table_(table), ports_(ports) {}

  absl::Status Step(const std::string& done) {
    if (ports_.stopping()) return absl::CancelledError("stopping");
    if (MonotonicTime() < next_) return absl::OkStatus();
    next_ = MonotonicTime() + kTellEvery;
    ports_.tell(table_, done);
    return absl::OkStatus();
  }

 private:
  const TargetTable& table_;
  const TableRules::Ports& ports_;
  absl::Time next_ = MonotonicTime() + kTellEvery;
};

// Says which table it was; the values of its rows stay out.
absl::Status Named(const absl::Status& status, const TargetTable& table) {
  const std::string state = SqlStateOf(status);
  if (state.empty()) return status;
  return WithSqlState(
      absl::Status(status.code(),
                   absl::StrFormat("the rule of %s: %s", table.Name(), LoggableMessage(status))),
      state);
}

}  // namespace

absl::StatusOr<TableRules::State> TableRules::LookAt(PgConnection& connection,
                                                     const TableConfig& table) {
  ASSIGN_OR_RETURN(
      const PgRows rows,
      connection.Execute(
          "SELECT version, policy, uses_registers, unfinished, clock, to_char(changed_at "
          "AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') FROM "
          "pmoves_sync.table_rule WHERE relation = $1",
          {PgParam(table.schema + "." + table.table)}));
  State state;
  if (rows.size() == 1) {
    state.recorded = {rows.Int(0, 0), rows.String(0, 1), rows.Bool(0, 2), rows.Bool(0, 3),
                      rows.String(0, 4)};
    state.changed_at = rows.String(0, 5);
  }
  state.change = ChangeOf(state.recorded, table.policy);
  return state;
}

absl::StatusOr<int> TableRules::CarryOut(const Ports& ports) {
  ASSIGN_OR_RETURN(const PgRows locked, connection_.Execute(absl::StrFormat(
                                            "SELECT pg_try_advisory_lock(%d, 0)", kRuleLockClass)));
  if (!locked.Bool(0, 0)) {
    return absl::UnavailableError(
        "another subscriber process is looking at the rules of the tables; waiting for it");
  }
  int left_out = 0;
  const absl::Status status = CarryOutAll(ports, &left_out);
  if (!connection_.IsOpen()) return status;
  connection_.Rollback();
  RETURN_IF_ERROR(
      connection_.Execute(absl::StrFormat("SELECT pg_advisory_unlock(%d, 0)", kRuleLockClass))
          .status());
  RETURN_IF_ERROR(status);
  return left_out;
}

absl::Status TableRules::CarryOutAll(const Ports& ports, int* left_out) {
  TargetCatalog catalog(connection_, config_.tables);
  for (const TableConfig& config : config_.tables) {
    auto table = catalog.Find(config.SourceSchema(), config.SourceTable());
    if (absl::IsFailedPrecondition(table.status())) {
      ++*left_out;
      continue;
    }
    RETURN_IF_ERROR(table.status());
    RETURN_IF_ERROR(Named(CarryOut(**table, config, ports), **table));
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> TableRules::CouldCarryOut() {
  TargetCatalog catalog(connection_, config_.tables);
  for (const TableConfig& config : config_.tables) {
    ASSIGN_OR_RETURN(const State state, Look(config));
    if (state.change == RuleChange::kNone) continue;
    auto table = catalog.Find(config.SourceSchema(), config.SourceTable());
    if (table.ok()) return true;
    if (!absl::IsFailedPrecondition(table.status())) return table.status();
  }
  return false;
}

// The triggers follow when the other processes are gone, which would meet what they leave.
absl::Status TableRules::CarryOut(const TargetTable& table, const TableConfig& config,
                                  const Ports& ports) {
  ASSIGN_OR_RETURN(const State state, Look(config));
  const bool changes = state.change != RuleChange::kNone &&
                       (state.recorded.has_value() || state.change != RuleChange::kRecord);
  if (changes) {
    RETURN_IF_ERROR(RequirePieces(table, state.change));
    RETURN_IF_ERROR(RequireAlone(table));
  }
  // An earlier version left it behind; the triggers may make one from here on.
  if (changes && state.recorded.has_value() && !BuriesAll(*state.recorded))
    RETURN_IF_ERROR(connection_.Execute(ForgetFloor(table)).status());
  RETURN_IF_ERROR(RefreshTriggers(table, state.change, ports));
  if (state.change == RuleChange::kNone) return absl::OkStatus();
  const int64_t version = state.recorded.has_value() ? state.recorded->version + 1 : 1;
  ports.tell(table, absl::StrFormat("rule %d: %s: %s", version, PolicyText(config.policy),
                                    Describe(state.change)));
  if (ChangesClock(state.recorded, config.policy)) {
    RETURN_IF_ERROR(connection_.Execute(RaiseClocks(table, state.recorded->clock)).status());
  }
  return Change(table, state.change, ports);
}

absl::Status TableRules::RefreshTriggers(const TargetTable& table, RuleChange change,
                                         const Ports& ports) {
  ASSIGN_OR_RETURN(const CentralTriggerState state, LookAtCentralTriggers(connection_, table));
  if (state == CentralTriggerState::kCurrent) return absl::OkStatus();
  absl::Status status = absl::FailedPreconditionError(
      "they are missing or disabled, run `pmoves-sync-subscriber init`");
  if (state == CentralTriggerState::kOutdated) {
    RETURN_IF_ERROR(connection_.Execute("BEGIN").status());
    status = InstallCentralTriggers(connection_, table);
    // With them: what people write from here on is not of the rule of before any more.
    if (status.ok() && change != RuleChange::kNone && change != RuleChange::kRecord)
      status = Record(table, true);
    if (status.ok()) return connection_.Commit();
    if (!connection_.IsOpen()) return status;
    connection_.Rollback();
    status = absl::FailedPreconditionError(absl::StrFormat(
        "they are of other columns or another rule, and this role cannot replace them (%s): ALTER "
        "FUNCTION pmoves_sync.%s() OWNER TO it, with CREATE on schema pmoves_sync",
        LoggableMessage(status), CentralFunctionName(table)));
  }
  const std::string what = absl::StrFormat(
      "writes in the centre do not count as they should: triggers: %s", LoggableMessage(status));
  if (change == RuleChange::kAdopt || change == RuleChange::kForget) {
    return absl::FailedPreconditionError(
        absl::StrFormat("the rule of %s cannot change: %s", table.Name(), what));
  }
  ports.tell(table, what);
  return absl::OkStatus();
}

absl::Status TableRules::RequireAlone(const TargetTable& table) {
  ASSIGN_OR_RETURN(
      const PgRows others,
      connection_.Execute(absl::StrFormat(
          "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND database = "
          "(SELECT oid FROM pg_database WHERE datname = current_database()) AND classid::bigint IN "
          "(%d, %d) AND pid <> pg_backend_pid()",
          kInstanceLockClass, kSourceLockClass)));
  if (others.Int(0, 0) == 0) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrFormat(
      "the rule of %s changes, and another subscriber process is running by the rule of before; "
      "this one waits until that is stopped",
      table.Name()));
}

absl::Status TableRules::Change(const TargetTable& table, RuleChange change, const Ports& ports) {
  if (change != RuleChange::kRecord) RETURN_IF_ERROR(Record(table, true));
  RETURN_IF_ERROR(connection_.Execute(CreateTouched()).status());
  if (change != RuleChange::kRecord) RETURN_IF_ERROR(AwaitWriters(table, ports));
  switch (change) {
    case RuleChange::kNone:
    case RuleChange::kRecord:
      break;
    case RuleChange::kAdopt:
      RETURN_IF_ERROR(Adopt(table, ports));
      break;
    case RuleChange::kRecompute:
      RETURN_IF_ERROR(Adopt(table, ports));
      RETURN_IF_ERROR(RecomputeAll(table, ports));
      break;
    case RuleChange::kForget:
      RETURN_IF_ERROR(AllPieces(table, &TouchNextRegisters, {ForgetRegisters(table)}, ports));
      break;
  }
  return Record(table, false);
}

// Who writes meanwhile began under the triggers of before: the pieces would not see it.
absl::Status TableRules::AwaitWriters(const TargetTable& table, const Ports& ports) {
  return Retried(table, ports, [&]() -> absl::Status {
    RETURN_IF_ERROR(
        connection_
            .Execute(absl::StrFormat("BEGIN; SET LOCAL lock_timeout = %d; LOCK TABLE "
                                     "%s IN SHARE ROW EXCLUSIVE MODE",
                                     absl::ToInt64Milliseconds(kLockWait), SqlTable(table)))
            .status());
    return connection_.Commit();
  });
}

// What fails is rolled back.
absl::Status TableRules::Retried(const TargetTable& table, const Ports& ports,
                                 const std::function<absl::Status()>& piece) {
  for (int tries = 1;; ++tries) {
    const absl::Status status = piece();
    if (status.ok() || !connection_.IsOpen()) return status;
    connection_.Rollback();
    if (ReactionTo(status).reaction != Reaction::kRetry || tries == kTries) return status;
    ports.tell(table, absl::StrFormat("tried again: %s", LoggableMessage(status)));
    for (int pause = 0; pause < tries; ++pause) {
      if (ports.stopping()) return absl::CancelledError("stopping");
      absl::SleepFor(kRetryPause);
    }
  }
}

// Unfinished: only marked, so that the version counts changes and not attempts.
absl::Status TableRules::Record(const TargetTable& table, bool unfinished) {
  const std::string relation = table.Name();
  if (unfinished) {
    return connection_
        .Execute(
            "INSERT INTO pmoves_sync.table_rule (relation, version, policy, uses_registers, "
            "unfinished) VALUES ($1, 0, '', false, true) ON CONFLICT (relation) DO UPDATE SET "
            "unfinished = true",
            {PgParam(relation)})
        .status();
  }
  const std::string policy = PolicyText(table.policy);
  const std::string clock = ClockName(table.policy);
  // One statement: what the floor has buried is deleted by now.
  const std::string floor = table.policy.truncate == TruncatePolicy::kAll
                                ? std::string()
                                : absl::StrFormat("WITH floor AS (%s) ", ForgetFloor(table));
  return connection_
      .Execute(
          absl::StrFormat(
              "%sINSERT INTO pmoves_sync.table_rule AS r (relation, version, policy, "
              "uses_registers, clock) VALUES ($1, 1, $2, $3, $4) ON CONFLICT (relation) DO UPDATE "
              "SET version = r.version + 1, policy = EXCLUDED.policy, uses_registers = "
              "EXCLUDED.uses_registers, clock = EXCLUDED.clock, unfinished = false, changed_at = "
              "now()",
              floor),
          {PgParam(relation), PgParam(policy), PgParam(UsesRegisters(table.policy) ? "t" : "f"),
           PgParam(clock)})
      .status();
}

absl::Status TableRules::BeginPiece(const TargetTable& table) {
  return connection_
      .Execute(absl::StrFormat("BEGIN; SET LOCAL statement_timeout = 0; %s", LockTable(table)))
      .status();
}

absl::StatusOr<int64_t> TableRules::Pages(const TargetTable& table) {
  ASSIGN_OR_RETURN(
      const PgRows size,
      connection_.Execute("SELECT max(pg_relation_size(r.relid)) / "
                          "current_setting('block_size')::bigint + 1 FROM (SELECT $1::regclass AS "
                          "relid UNION SELECT relid FROM pg_partition_tree($1::regclass)) r",
                          {PgParam(std::to_string(table.oid))}));
  return size.Int(0, 0);
}

absl::Status TableRules::RequirePieces(const TargetTable& table, RuleChange change) {
  if (connection_.server_version() >= kTidRangeScans ||
      (change != RuleChange::kAdopt && change != RuleChange::kRecompute)) {
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const int64_t pages, Pages(table));
  if (pages <= kOldPages) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrFormat("the rule of %s cannot change: before PostgreSQL 14 the rows of at most %d "
                      "pages can be taken over, it has %d. Upgrade the centre, or configure the "
                      "rule of before",
                      table.Name(), kOldPages, pages));
}

absl::Status TableRules::Adopt(const TargetTable& table, const Ports& ports) {
  ASSIGN_OR_RETURN(const int64_t pages, Pages(table));
  Progress progress(table, ports);
  for (int64_t page = 0; page < pages; page += kPages) {
    RETURN_IF_ERROR(AdoptPages(table, page, page + kPages, ports));
    RETURN_IF_ERROR(progress.Step(absl::StrFormat("its rows are taken over, page %d of %d",
                                                  std::min(page + kPages, pages), pages)));
  }
  return AllPieces(table, &TouchNextTombstones, {AdoptTombstones(table)}, ports);
}

absl::Status TableRules::AdoptRange(const TargetTable& table, const std::string& first,
                                    const std::string& last, const Ports& ports) {
  return Retried(table, ports, [&]() -> absl::Status {
    RETURN_IF_ERROR(BeginPiece(table));
    RETURN_IF_ERROR(
        connection_.Execute(AdoptRows(table).sql, {PgParam(first), PgParam(last)}).status());
    return connection_.Commit();
  });
}

// Halves what cannot be taken over, down to single pages and to the rows of those.
absl::Status TableRules::AdoptPages(const TargetTable& table, int64_t first, int64_t last,
                                    const Ports& ports) {
  std::vector<std::pair<int64_t, int64_t>> ranges = {{first, last}};
  while (!ranges.empty()) {
    const auto [begin, end] = ranges.back();
    ranges.pop_back();
    const absl::Status status =
        AdoptRange(table, absl::StrFormat("(%d,0)", begin), absl::StrFormat("(%d,0)", end), ports);
    if (status.ok()) continue;
    if (!connection_.IsOpen()) return status;
    if (ReactionTo(status).reaction != Reaction::kSplit) return status;
    if (ports.stopping()) return absl::CancelledError("stopping");
    if (end - begin > 1) {
      const int64_t middle = begin + (end - begin) / 2;
      ranges.emplace_back(middle, end);
      ranges.emplace_back(begin, middle);
    } else {
      RETURN_IF_ERROR(AdoptPage(table, begin, ports));
    }
  }
  return absl::OkStatus();
}

absl::Status TableRules::AdoptPage(const TargetTable& table, int64_t page, const Ports& ports) {
  const std::string behind = absl::StrFormat("(%d,0)", page + 1);
  ASSIGN_OR_RETURN(
      const PgRows tids,
      connection_.Execute(absl::StrFormat("SELECT DISTINCT t.ctid FROM %s t WHERE t.ctid >= "
                                          "'(%d,0)' AND t.ctid < $1::tid ORDER BY t.ctid",
                                          SqlTable(table), page),
                          {PgParam(behind)}));
  for (int i = 0; i < tids.size(); ++i) {
    const std::string tid = tids.String(i, 0);
    const absl::Status status =
        AdoptRange(table, tid, i + 1 < tids.size() ? tids.String(i + 1, 0) : behind, ports);
    if (status.ok()) continue;
    if (!connection_.IsOpen()) return status;
    if (ReactionTo(status).reaction != Reaction::kSplit) return status;
    ports.tell(table, absl::StrFormat("the row at ctid %s cannot be taken over, it stays as it is "
                                      "until a source reports it: %s",
                                      tid, LoggableMessage(status)));
  }
  return absl::OkStatus();
}

absl::Status TableRules::RecomputeAll(const TargetTable& table, const Ports& ports) {
  return AllPieces(table, &TouchNextRegisters,
                   {LockTouchedRows(table), CompleteRegisters(table), Recompute(table)}, ports);
}

absl::StatusOr<std::optional<std::string>> TableRules::Piece(
    const TargetTable& table, Touch touch, const std::string& after, int limit,
    const std::vector<std::string>& statements) {
  RETURN_IF_ERROR(BeginPiece(table));
  ASSIGN_OR_RETURN(const PgRows last,
                   connection_.Execute(touch(table, limit).sql, {PgParam(after)}));
  if (last.size() == 0) {
    connection_.Rollback();
    return std::nullopt;
  }
  for (const std::string& statement : statements)
    RETURN_IF_ERROR(connection_.Execute(statement).status());
  RETURN_IF_ERROR(connection_.Commit());
  return last.String(0, 0);
}

absl::Status TableRules::AllPieces(const TargetTable& table, Touch touch,
                                   const std::vector<std::string>& statements, const Ports& ports) {
  Progress progress(table, ports);
  std::string after;
  int64_t pieces = 0;
  int singles = 0;  // keys to take one by one, because one of them cannot be written
  while (true) {
    const int limit = singles > 0 ? 1 : kKeys;
    std::optional<std::string> last;
    const absl::Status status = Retried(table, ports, [&] {
      auto piece = Piece(table, touch, after, limit, statements);
      if (piece.ok()) last = *piece;
      return piece.status();
    });
    if (status.ok()) {
      if (!last.has_value()) return absl::OkStatus();
      after = *std::move(last);
    } else {
      if (!connection_.IsOpen()) return status;
      const Reaction reaction = ReactionTo(status).reaction;
      if (reaction == Reaction::kSplit && limit > 1) {
        singles = kKeys;
        continue;
      }
      if (reaction != Reaction::kSplit) return status;
      ASSIGN_OR_RETURN(last, PutOff(table, touch, after));
      if (!last.has_value()) return absl::OkStatus();
      after = *std::move(last);
      ports.tell(table, absl::StrFormat("a row cannot be made by the rule and is tried again each "
                                        "minute: %s",
                                        LoggableMessage(status)));
    }
    if (singles > 0) --singles;
    pieces += limit;
    RETURN_IF_ERROR(progress.Step(absl::StrFormat("about %d keys are done", pieces)));
  }
}

// The key behind `after`, which now waits in the queue.
absl::StatusOr<std::optional<std::string>> TableRules::PutOff(const TargetTable& table, Touch touch,
                                                              const std::string& after) {
  RETURN_IF_ERROR(connection_.Execute("BEGIN").status());
  const auto next = connection_.Execute(touch(table, 1).sql, {PgParam(after)});
  connection_.Rollback();
  RETURN_IF_ERROR(next.status());
  if (next->size() == 0) return std::nullopt;
  const std::string relation = table.Name();
  const std::string key = next->String(0, 0);
  RETURN_IF_ERROR(connection_
                      .Execute("INSERT INTO pmoves_sync.recompute_queue (relation, key, source) "
                               "VALUES ($1, $2, '')",
                               {PgParam(relation), PgParam(key)})
                      .status());
  return key;
}

}  // namespace pmoves
