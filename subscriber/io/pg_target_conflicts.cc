// Facts about a table that hold while its lock is held, and the log of conflicts of tables that are
// merged by row version. See pg_target.h and conflict_log_sql.h.
#include <set>
#include <utility>

#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "common/base/status.h"
#include "subscriber/core/conflict_log_sql.h"
#include "subscriber/core/sql_array.h"
#include "subscriber/io/central_schema.h"
#include "subscriber/io/pg_target.h"

namespace pmoves {
namespace {

// Of the tables of an array, in its order: may one of its rows be buried, has more than one source
// ever written it.
constexpr const char kFacts[] =
    "SELECT EXISTS (SELECT 1 FROM pmoves_sync.tombstone t WHERE t.relation = r.name) OR EXISTS "
    "(SELECT 1 FROM pmoves_sync.truncate_floor f WHERE f.relation = r.name), (SELECT count(*) > 1 "
    "FROM pmoves_sync.table_source s WHERE s.relation = r.name) FROM unnest($1) WITH ORDINALITY "
    "AS r(name, place) ORDER BY r.place";

// A row that is computed from registers must see those of every other worker; one that is compared
// with others, their rows.
bool NeedsExclusive(const Change& change) {
  return (change.kind != ChangeKind::kWhole && change.kind != ChangeKind::kPartial) ||
         UsesRegisters(change.table->policy) || !change.table->unseen.empty();
}

}  // namespace

absl::Status PgTarget::PrepareLocks() {
  constexpr const char kTable[] = "integer, integer";
  RETURN_IF_ERROR(connection_.PrepareOnce("pmoves_lock", kTable,
                                          "SELECT pg_catalog.pg_advisory_xact_lock($1, $2)"));
  RETURN_IF_ERROR(connection_.PrepareOnce(
      "pmoves_lock_shared", kTable, "SELECT pg_catalog.pg_advisory_xact_lock_shared($1, $2)"));
  return connection_.PrepareOnce("pmoves_facts", "text[]", kFacts);
}

// One lock per table, in the order of their oids so that two workers cannot wait for one another.
// The first change of a source to a table takes it exclusively: whoever shares the lock can rely on
// the list of the table's writers.
std::map<uint32_t, PgTarget::Wanted> PgTarget::WantedLocks(const ChangeSet& set, size_t begin,
                                                           size_t end) const {
  std::map<uint32_t, Wanted> wanted;
  const Change* last = nullptr;
  for (size_t i = begin; i < end; ++i) {
    const Change& change = set.changes[i];
    if (last != nullptr && change.table == last->table && change.kind == last->kind &&
        change.source == last->source)
      continue;
    last = &change;
    Wanted& want = wanted[change.table->oid];
    want.table = change.table;
    want.exclusive = want.exclusive || NeedsExclusive(change);
    const std::pair writer(change.table->oid, *change.source);
    if (writers_.count(writer) + new_writers_.count(writer) == 0) {
      want.exclusive = true;
      want.new_writers.insert(*change.source);
    }
  }
  return wanted;
}

absl::Status PgTarget::LockTables(const ChangeSet& set, size_t begin, size_t end) {
  const std::map<uint32_t, Wanted> wanted = WantedLocks(set, begin, end);
  std::string sql;
  std::vector<std::string> writers;
  std::vector<std::string> relations;
  for (const auto& [oid, want] : wanted) {
    const std::string relation = SqlLiteral(want.table->Name());
    for (const std::string& source : want.new_writers) {
      writers.push_back(absl::StrFormat("(%s, %s)", relation, SqlLiteral(source)));
      new_writers_.emplace(oid, source);
    }
    relations.push_back(want.table->Name());
    auto held = locks_.find(oid);
    if (held != locks_.end() && (held->second || !want.exclusive)) continue;
    sql += absl::StrFormat("EXECUTE pmoves_lock%s(%d, %d); ", want.exclusive ? "" : "_shared",
                           kTableLockClass, static_cast<int32_t>(oid));
    locks_[oid] = want.exclusive;
  }
  // One round trip; each statement sees what was committed before it began.
  if (!writers.empty()) {
    sql += absl::StrFormat(
        "INSERT INTO pmoves_sync.table_source (relation, source) VALUES %s ON CONFLICT DO "
        "NOTHING; ",
        absl::StrJoin(writers, ", "));
  }
  RETURN_IF_ERROR(PrepareLocks());
  sql += absl::StrFormat("EXECUTE pmoves_facts(%s)", TextArray(relations));
  ASSIGN_OR_RETURN(const PgRows rows, connection_.Execute(sql));
  int row = 0;
  for (const auto& [oid, want] : wanted) {
    known_[oid] = facts_[oid] = {rows.Bool(row, 0), rows.Bool(row, 1)};
    ++row;
  }
  return absl::OkStatus();
}

bool PgTarget::LogsConflicts(const EffectGroup& group) const {
  return group.kind != ChangeKind::kMove && group.kind != ChangeKind::kTruncate &&
         LogsConflicts(*group.table);
}

bool PgTarget::LogsConflicts(const TargetTable& table) const {
  return table.policy.log != ConflictLog::kOff && table.policy.identity != Identity::kPerSource &&
         !UsesRegisters(table.policy) && facts_.at(table.oid).shared;
}

PgTarget::StatementKind PgTarget::LogKind(const EffectGroup& group, bool staged) {
  if (group.kind == ChangeKind::kDelete)
    return staged ? StatementKind::kLogStageDelete : StatementKind::kLogDelete;
  if (group.fresh) return staged ? StatementKind::kLogStageInsert : StatementKind::kLogInsert;
  return staged ? StatementKind::kLogStageUpdate : StatementKind::kLogUpdate;
}

absl::Status PgTarget::LogStaged(const EffectGroup& group, const std::string& stage) {
  ASSIGN_OR_RETURN(const std::string name,
                   Prepare(LogKind(group, true), *group.table, group.shape, stage));
  binder_.Clear();
  ASSIGN_OR_RETURN(const PgRows logged, RunPrepared(name));
  CountConflicts(*group.table, logged);
  return absl::OkStatus();
}

void PgTarget::CountConflicts(const TargetTable& table, const PgRows& logged) {
  for (int i = 0; i < logged.size(); ++i) {
    conflicts_[{DisplayTable(table.schema, table.table), logged.String(i, 0),
                logged.String(i, 1)}] += logged.Int(i, 2);
  }
}

}  // namespace pmoves
