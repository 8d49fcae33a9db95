// Tables whose conflict policy needs registers: the same path as other tables with other
// statements, and at the end one that computes the touched rows. See pg_target.h and
// register_sql.h.
#include <set>

#include "common/base/check.h"
#include "common/base/status.h"
#include "subscriber/core/move_sql.h"
#include "subscriber/core/register_sql.h"
#include "subscriber/io/pg_target.h"

namespace pmoves {
namespace {

constexpr const char kTouched[] = "pmoves_touched";

}  // namespace

RowStatement PgTarget::RegisterStatementOf(StatementKind kind, const TargetTable& table,
                                           const Shape* shape, const std::string& stage) {
  switch (kind) {
    case StatementKind::kUpsert:
      return RegisterRow(table, *shape);
    case StatementKind::kDelete:
      return RegisterDelete(table, *shape);
    case StatementKind::kPartial:
      return RegisterPartial(table, *shape);
    case StatementKind::kMove:
      return RegisterMove(table, *shape);
    case StatementKind::kMoveInPlace:
    case StatementKind::kMoveInPlaceWhole:
      return RegisterMoveInPlace(table, *shape);
    case StatementKind::kWhyUntouched:
      return RegisterWhyUntouched(table);
    case StatementKind::kTruncate:
      return RegisterTruncate(table);
    case StatementKind::kStageUpsert:
      return {RegisterFromStage(table, *shape, stage), {}};
    case StatementKind::kStageDelete:
      return {RegisterDeleteFromStage(table, *shape, stage), {}};
    case StatementKind::kRecompute:
      return {Recompute(table), {}};
    default:
      break;  // has no counterpart with registers
  }
  PMOVES_CHECK(false);
  return {};
}

absl::Status PgTarget::BeginTouching() {
  const std::pair<const TargetTable*, int> key{nullptr, 0};
  if (stages_.find(key) == stages_.end()) {
    RETURN_IF_ERROR(connection_.Execute(CreateTouched()).status());
    stages_[key] = kTouched;
    new_stages_.insert(kTouched);
  }
  if (touched_dirty_) {
    RETURN_IF_ERROR(connection_.Execute("TRUNCATE pg_temp.pmoves_touched").status());
  }
  touched_dirty_ = true;
  return absl::OkStatus();
}

absl::Status PgTarget::RecomputeTouched(const ChangeSet& set, size_t begin, size_t end) {
  std::set<const TargetTable*> tables;
  for (size_t i = begin; i < end; ++i) {
    if (UsesRegisters(set.changes[i].table->policy)) tables.insert(set.changes[i].table);
  }
  for (const TargetTable* table : tables) {
    at_ = table;
    RETURN_IF_ERROR(RecomputeTable(*table));
  }
  return absl::OkStatus();
}

absl::Status PgTarget::RecomputeTable(const TargetTable& table) {
  ASSIGN_OR_RETURN(const std::string name, Prepare(StatementKind::kRecompute, table, nullptr));
  binder_.Clear();
  ASSIGN_OR_RETURN(const PgRows logged, RunPrepared(name));
  CountConflicts(table, logged);
  return absl::OkStatus();
}

absl::Status PgTarget::RecomputeBeforeMove(const TargetTable& table) {
  RETURN_IF_ERROR(RecomputeTable(table));
  return connection_
      .Execute("DELETE FROM pg_temp.pmoves_touched WHERE relation = $1", {PgParam(table.Name())})
      .status();
}

}  // namespace pmoves
