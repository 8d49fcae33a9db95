#include "subscriber/io/pg_target.h"

#include <algorithm>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "common/base/check.h"
#include "common/base/status.h"
#include "common/base/time_text.h"
#include "subscriber/core/central_sql.h"
#include "subscriber/core/conflict_log_sql.h"
#include "subscriber/core/move_sql.h"
#include "subscriber/io/central_schema.h"

namespace pmoves {
namespace {

// Every way into the centre comes by here, or by FitsAtOnce.
absl::Status RequireExact(const ChangeSet& set, size_t begin, size_t end) {
  for (size_t i = begin; i < end; ++i) {
    const Change& change = set.changes[i];
    if (change.inexact >= 0) return HoldsInexactly(*change.table, change.inexact);
  }
  return absl::OkStatus();
}

}  // namespace

PgOptions TargetSessionOptions(const SubscriberConfig& config,
                               const std::string& application_name) {
  PgOptions options;
  options.dsn = config.postgres.dsn;
  options.password = config.postgres.password;
  options.application_name = application_name;
  auto set = [&options](const char* name, std::string value) {
    options.settings.emplace_back(name, std::move(value));
  };
  set("statement_timeout",
      std::to_string(absl::ToInt64Milliseconds(config.postgres.statement_timeout)));
  set("lock_timeout", std::to_string(absl::ToInt64Milliseconds(config.postgres.lock_timeout)));
  set("synchronous_commit", config.postgres.synchronous_commit ? "on" : "off");
  set("row_security", "off");  // an error instead of silently missing rows
  // Plans are made once, perhaps while a table (or the tombstones) was still small: they must find
  // rows by index all the same, or a later large batch compares every row with every other.
  for (const char* slow : {"enable_hashjoin", "enable_mergejoin", "enable_seqscan",
                           "enable_bitmapscan", "enable_material"}) {
    set(slow, "off");
  }
  set("jit", "off");
  set("plan_cache_mode", "force_generic_plan");
  set("temp_buffers", "32MB");
  set(kApplyingSetting, "on");
  return options;
}

absl::Status SetReplicationRole(PgConnection& connection, const SubscriberConfig& config) {
  if (config.postgres.triggers) return absl::OkStatus();
  absl::Status status = connection.Execute("SET session_replication_role = replica").status();
  if (SqlStateOf(status) != "42501") return status;
  return absl::FailedPreconditionError(
      "this role may not set session_replication_role: GRANT SET ON PARAMETER "
      "session_replication_role TO it, or set postgres.triggers: true");
}

absl::Status PgTarget::Begin() {
  ForgetTransaction();
  connection_.Begin();
  return absl::OkStatus();
}

void PgTarget::ForgetTransaction() {
  at_ = nullptr;
  check_deferred_ = false;
  touched_dirty_ = false;
  lowest_.clear();
  relied_on_.clear();
  conflicts_.clear();
  sent_.clear();
  facts_.clear();
  new_writers_.clear();
  locks_.clear();
  new_stages_.clear();
  dirty_stages_.clear();
  for (const std::string& name : orphans_) (void)connection_.Execute("DEALLOCATE " + name);
  orphans_.clear();
}

absl::Status PgTarget::Commit() {
  absl::Status status = connection_.Commit();
  if (status.ok()) {
    writers_.merge(new_writers_);
  } else {
    ForgetUncommittedStages();
  }
  new_writers_.clear();
  new_stages_.clear();
  dirty_stages_.clear();
  locks_.clear();
  return status;
}

void PgTarget::Rollback() {
  connection_.Rollback();
  ForgetUncommittedStages();
  dirty_stages_.clear();
  locks_.clear();
}

void PgTarget::ForgetUncommittedStages() {
  for (auto it = stages_.begin(); it != stages_.end();) {
    if (new_stages_.count(it->second) == 0) {
      ++it;
      continue;
    }
    // Prepared statements outlive the rollback, and some of this shape name the stage that does
    // not.
    for (auto prepared = prepared_.begin(); prepared != prepared_.end();) {
      const auto& [table, kind, shape] = prepared->first;
      if (std::pair(table, shape) != it->first) {
        ++prepared;
        continue;
      }
      orphans_.push_back(prepared->second);
      prepared = prepared_.erase(prepared);
    }
    it = stages_.erase(it);
  }
  new_stages_.clear();
}

void PgTarget::ForgetStatements() {
  for (const auto& [key, name] : prepared_) (void)connection_.Execute("DEALLOCATE " + name);
  for (const auto& [key, stage] : stages_)
    (void)connection_.Execute("DROP TABLE IF EXISTS pg_temp." + stage);
  prepared_.clear();
  stages_.clear();
  direct_.clear();
}

void PgTarget::RenewStages(absl::Duration age) {
  if (SteadyUntil(stages_since_) > -age) return;
  stages_since_ = SteadyNow();
  if (stages_.empty()) return;
  ForgetStatements();
}

absl::Status PgTarget::Apply(ChangeSet* set, size_t begin, size_t end) {
  hidden_ = 0;
  planned_ = 0;
  if (begin == end) return absl::OkStatus();
  NoteTables(*set, begin, end);
  RETURN_IF_ERROR(RequireExact(*set, begin, end));
  RETURN_IF_ERROR(LockTables(*set, begin, end));
  NoteVersions(*set, begin, end);
  const bool registers =
      std::any_of(set->changes.begin() + static_cast<ptrdiff_t>(begin),
                  set->changes.begin() + static_cast<ptrdiff_t>(end),
                  [](const Change& change) { return UsesRegisters(change.table->policy); });
  if (registers) RETURN_IF_ERROR(BeginTouching());
  for (const MergeStep& step : PlanMerge(set, begin, end)) {
    for (const EffectGroup& group : step) planned_ += static_cast<int64_t>(group.effects.size());
    RETURN_IF_ERROR(RunStep(*set, step));
  }
  if (registers) RETURN_IF_ERROR(RecomputeTouched(*set, begin, end));
  RETURN_IF_ERROR(CheckUnseen(*set, begin, end));
  at_ = nullptr;
  return absl::OkStatus();
}

absl::Status PgTarget::ApplyInSavepoint(ChangeSet* set, size_t begin, size_t end) {
  NoteTables(*set, begin, end);
  RETURN_IF_ERROR(RequireExact(*set, begin, end));  // costs no round trip
  RETURN_IF_ERROR(connection_.Execute("SAVEPOINT piece").status());
  absl::Status status = Apply(set, begin, end);
  // Rolled back to where it was, or what follows would be checked statement by statement.
  if (status.ok() && check_deferred_) {
    status = connection_
                 .Execute(
                     "SAVEPOINT checked; SET CONSTRAINTS ALL IMMEDIATE; ROLLBACK TO SAVEPOINT "
                     "checked; RELEASE SAVEPOINT checked")
                 .status();
  }
  if (status.ok()) return connection_.Execute("RELEASE SAVEPOINT piece").status();
  if (!connection_.IsOpen()) return status;
  RETURN_IF_ERROR(
      connection_.Execute("ROLLBACK TO SAVEPOINT piece; RELEASE SAVEPOINT piece").status());
  SavepointRolledBack();
  return status;
}

void PgTarget::SavepointRolledBack() {
  ForgetUncommittedStages();
  new_writers_.clear();
  locks_.clear();  // those taken inside are released; taking one again is harmless
}

// First of all: what a table looks like decides also which changes are refused.
void PgTarget::NoteTables(const ChangeSet& set, size_t begin, size_t end) {
  const TargetTable* last = nullptr;
  for (size_t i = begin; i < end; ++i) {
    if (set.changes[i].table == last) continue;
    last = set.changes[i].table;
    relied_on_.insert(last);
  }
}

void PgTarget::NoteVersions(const ChangeSet& set, size_t begin, size_t end) {
  const TargetTable* last = nullptr;
  Hlc* lowest = nullptr;
  for (size_t i = begin; i < end; ++i) {
    const Change& change = set.changes[i];
    if (change.table != last) {
      last = change.table;
      lowest = &lowest_.try_emplace(last, change.hlc).first->second;
    }
    *lowest = std::min(*lowest, change.hlc);
  }
}

absl::Status PgTarget::RunStep(const ChangeSet& set, const MergeStep& step) {
  std::vector<const EffectGroup*> small;
  for (const EffectGroup& group : step) {
    at_ = group.table;
    // What this transaction buries must stay dead in its later steps.
    if (group.kind != ChangeKind::kWhole && group.kind != ChangeKind::kPartial)
      facts_.at(group.table->oid).buried = true;
    if (group.kind == ChangeKind::kTruncate) {
      RETURN_IF_ERROR(RunTruncate(group.effects.front()));
    } else if (group.kind == ChangeKind::kMove) {
      RETURN_IF_ERROR(RunMove(set, group.effects.front()));
    } else if (group.kind == ChangeKind::kPartial || group.effects.size() <= kRowPathLimit) {
      small.push_back(&group);
    } else {
      RETURN_IF_ERROR(RunStaged(set, group));
    }
  }
  return small.empty() ? absl::OkStatus() : RunRows(set, small);
}

absl::Status PgTarget::RunStaged(const ChangeSet& set, const EffectGroup& group) {
  const bool registers = UsesRegisters(group.table->policy);
  StatementKind kind =
      group.kind == ChangeKind::kDelete ? StatementKind::kStageDelete : StatementKind::kStageUpsert;
  // Nobody else can make a tombstone while this transaction holds the table's lock.
  if (group.kind != ChangeKind::kDelete && !registers && !facts_.at(group.table->oid).buried)
    kind = StatementKind::kStageUpsertNoTombstones;
  if (group.fresh && kind == StatementKind::kStageUpsertNoTombstones) {
    ASSIGN_OR_RETURN(const bool done, CopyDirectly(set, group));
    if (done) return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const std::string stage, Stage(*group.table, *group.shape));
  if (!dirty_stages_.insert(stage).second) {
    RETURN_IF_ERROR(connection_.Execute("TRUNCATE pg_temp." + stage).status());
  }
  RETURN_IF_ERROR(CopyEffects(CopyRows(set, group), CopyIntoStage(stage), true));
  if (LogsConflicts(group)) RETURN_IF_ERROR(LogStaged(group, stage));
  ASSIGN_OR_RETURN(const std::string name, Prepare(kind, *group.table, group.shape, stage));
  binder_.Clear();
  ASSIGN_OR_RETURN(const PgRows rows, RunPrepared(name));
  hidden_ += static_cast<int64_t>(group.effects.size()) - rows.affected();
  return absl::OkStatus();
}

absl::StatusOr<std::string> PgTarget::Stage(const TargetTable& table, const Shape& shape) {
  auto found = stages_.find({&table, shape.id});
  if (found != stages_.end()) return found->second;
  const std::string stage = absl::StrFormat("pmoves_stage_%d", ++next_name_);
  RETURN_IF_ERROR(connection_.Execute(CreateStage(table, shape, stage)).status());
  stages_[{&table, shape.id}] = stage;
  new_stages_.insert(stage);
  return stage;
}

RowStatement PgTarget::StatementOf(StatementKind kind, const TargetTable& table, const Shape* shape,
                                   const std::string& stage) {
  switch (kind) {
    case StatementKind::kUpsert:
      return UpsertRow(table, *shape);
    case StatementKind::kDelete:
      return DeleteRow(table, *shape);
    case StatementKind::kPartial:
      return PartialRow(table, *shape);
    case StatementKind::kMove:
      return MoveRow(table, *shape);
    case StatementKind::kMoveInPlace:
      return MoveInPlace(table, *shape, false);
    case StatementKind::kMoveInPlaceWhole:
      return MoveInPlace(table, *shape, true);
    case StatementKind::kWhyUntouched:
      return WhyUntouched(table);
    case StatementKind::kTruncate:
      return table.policy.truncate == TruncatePolicy::kAll ? TruncateAll(table)
                                                           : TruncateOwnRows(table);
    case StatementKind::kStageUpsert:
      return {UpsertFromStage(table, *shape, stage, Tombstones::kSome), {}};
    case StatementKind::kStageUpsertNoTombstones:
      return {UpsertFromStage(table, *shape, stage, Tombstones::kNone), {}};
    case StatementKind::kStageDelete:
      return {DeleteFromStage(table, *shape, stage), {}};
    case StatementKind::kLogInsert:
      return LogBeforeRow(table, *shape, false, true);
    case StatementKind::kLogUpdate:
      return LogBeforeRow(table, *shape, false, false);
    case StatementKind::kLogDelete:
      return LogBeforeRow(table, *shape, true, false);
    case StatementKind::kLogStageInsert:
      return {LogBeforeStage(table, *shape, stage, false, true), {}};
    case StatementKind::kLogStageUpdate:
      return {LogBeforeStage(table, *shape, stage, false, false), {}};
    case StatementKind::kLogStageDelete:
      return {LogBeforeStage(table, *shape, stage, true, false), {}};
    case StatementKind::kRecompute:
      break;
  }
  PMOVES_CHECK(false);
  return {};
}

absl::StatusOr<std::string> PgTarget::Prepare(StatementKind kind, const TargetTable& table,
                                              const Shape* shape, const std::string& stage) {
  const StatementKey key{&table, kind, shape == nullptr ? 0 : shape->id};
  auto found = prepared_.find(key);
  if (found != prepared_.end()) return found->second;
  const RowStatement statement = UsesRegisters(table.policy)
                                     ? RegisterStatementOf(kind, table, shape, stage)
                                     : StatementOf(kind, table, shape, stage);
  const std::string name = absl::StrFormat("pmoves_%d", ++next_name_);
  PgResultPtr result(PQprepare(connection_.raw(), name.c_str(), statement.sql.c_str(),
                               static_cast<int>(statement.parameter_types.size()),
                               statement.parameter_types.data()));
  if (PQresultStatus(result.get()) != PGRES_COMMAND_OK) return connection_.ErrorOf(result.get());
  prepared_[key] = name;
  return name;
}

absl::StatusOr<PgRows> PgTarget::RunPrepared(const std::string& name) {
  PgResultPtr result(PQexecPrepared(connection_.raw(), name.c_str(), binder_.size(),
                                    binder_.Pointers(), nullptr, nullptr, 0));
  const ExecStatusType status = PQresultStatus(result.get());
  if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
    return connection_.ErrorOf(result.get());
  return PgRows(std::move(result));
}

absl::Status PgTarget::RunTruncate(const Effect& effect) {
  const TargetTable& table = *effect.change->table;
  ASSIGN_OR_RETURN(const std::string name, Prepare(StatementKind::kTruncate, table, nullptr));
  binder_.Clear();
  binder_.AddVersion(*effect.change);
  return RunPrepared(name).status();
}

absl::Status PgTarget::RequireHidden(const ChangeSet& set, const Effect& effect) {
  const Change& change = *effect.change;
  ASSIGN_OR_RETURN(const std::string name,
                   Prepare(StatementKind::kWhyUntouched, *change.table, nullptr));
  binder_.Clear();
  binder_.AddKey(set, *effect.shape, effect.first_value);
  binder_.Add(*change.source);
  binder_.Add(std::to_string(change.hlc.value));
  ASSIGN_OR_RETURN(const PgRows rows, RunPrepared(name));
  const std::string reason = rows.String(0, 0);
  if (reason == "hidden") {
    ++hidden_;
    return absl::OkStatus();
  }
  return NeedsWholeRow(reason == kUpdateMissing ? kUpdateMissing : kUpdateIncomplete,
                       *change.table);
}

absl::Status PgTarget::AddDeadLetters(const std::vector<DeadLetter>& letters) {
  for (const DeadLetter& letter : letters) {
    const StorableLetter texts = StorableOf(letter);
    const std::string payload(texts.payload);
    const std::string hex =
        texts.payload_is_text
            ? ""
            : "\\x" + absl::BytesToHexString(absl::string_view(payload.data(), payload.size()));
    const std::string numbers[] = {std::to_string(letter.epoch), std::to_string(letter.chunk),
                                   std::to_string(letter.row), std::to_string(letter.hlc.value),
                                   std::to_string(letter.sequence)};
    const std::string committed = FormatRfc3339(texts.commit_us.value_or(0));
    const std::string stored = FormatRfc3339(texts.stored_us.value_or(0));
    const std::string position = letter.position.ToString();
    const std::string identity = letter.Identity();
    RETURN_IF_ERROR(
        connection_
            .Execute("INSERT INTO pmoves_sync.dead_letter (source, kind, epoch, position, chunk, "
                     "row_index, schema_name, table_name, operation, hlc, "
                     "committed_at, stream_sequence, subject, reason, sqlstate, message, payload, "
                     "raw, identity, stored_at, key, refetch_at) VALUES ($1, $2, $3, $4, $5, $6, "
                     "$7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, CASE "
                     "WHEN $22::boolean THEN clock_timestamp() END) ON CONFLICT (identity) DO "
                     "NOTHING",
                     {PgParam(letter.source),
                      PgParam(letter.whole_message ? "message" : "row"),
                      PgParam(numbers[0]),
                      PgParam(position),
                      PgParam(numbers[1]),
                      PgParam(numbers[2]),
                      PgParam(texts.schema),
                      PgParam(texts.table),
                      PgParam(letter.operation),
                      PgParam(numbers[3]),
                      texts.commit_us.has_value() ? PgParam(committed) : PgParam(),
                      PgParam(numbers[4]),
                      PgParam(texts.subject),
                      PgParam(letter.reason),
                      PgParam(letter.sql_state),
                      PgParam(texts.message),
                      texts.payload_is_text ? PgParam(payload) : PgParam(),
                      texts.payload_is_text ? PgParam() : PgParam(hex),
                      PgParam(identity),
                      texts.stored_us.has_value() ? PgParam(stored) : PgParam(),
                      texts.key.empty() ? PgParam() : PgParam(texts.key),
                      PgParam(letter.WantsRow() ? "t" : "f")})
            .status());
  }
  return absl::OkStatus();
}

}  // namespace pmoves
