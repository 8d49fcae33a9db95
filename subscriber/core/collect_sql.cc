#include "subscriber/core/collect_sql.h"

#include <algorithm>

#include "absl/strings/str_format.h"
#include "subscriber/core/merge_sql.h"

namespace pmoves {
namespace {

bool HasPeaks(const TablePolicy& policy) {
  return std::any_of(policy.columns.begin(), policy.columns.end(), [](const ColumnRule& column) {
    return column.rule.kind == RuleKind::kValuePriority && column.rule.scope != ValueScope::kSource;
  });
}

std::string GravesBehind(const TargetTable& table) {
  return absl::StrFormat(
      "SELECT DISTINCT g.key FROM pmoves_sync.register g WHERE g.relation = %s AND g.deleted AND "
      "g.key > $1",
      SqlLiteral(table.Name()));
}

// Of key k nothing is left but deletes below the bound (a bound that is not there has nothing below
// it), no write of the centre waits to be looked at (one without a key is about all of them), and
// the row is not shown.
std::string IsGone(const TargetTable& table) {
  const std::string relation = SqlLiteral(table.Name());
  return absl::StrFormat(
      "NOT EXISTS (SELECT 1 FROM pmoves_sync.register g WHERE g.relation = %s AND g.key = k.key "
      "AND (g.deleted AND g.version < (SELECT version FROM bound)) IS NOT TRUE) AND k.key NOT IN "
      "(SELECT q.key FROM pmoves_sync.recompute_queue q WHERE q.relation = %s) AND NOT EXISTS "
      "(SELECT 1 FROM %s t WHERE %s)",
      relation, relation, SqlTable(table), KeyFromText(table, "t", "k"));
}

}  // namespace

bool ForgetsRegisters(const TablePolicy& policy) {
  if (!UsesRegisters(policy) || HasPeaks(policy)) return false;
  // A person picks among the reports, those that are deletes, too.
  if (policy.row.kind == RuleKind::kManual) return false;
  switch (policy.on_delete) {
    case DeletePolicy::kDeleteWins:
      return false;
    case DeletePolicy::kUpdateWins:
      return policy.row.kind == RuleKind::kLastWriteWins && policy.columns.empty() &&
             policy.granularity == Granularity::kRow;
    case DeletePolicy::kLastWriteWins:
    case DeletePolicy::kOwnOnly:
    case DeletePolicy::kSoft:
    case DeletePolicy::kIgnore:
      break;
  }
  return true;
}

std::string NextGraves(const TargetTable& table, const std::string& bound, int limit) {
  return absl::StrFormat(
      "WITH %s, k AS MATERIALIZED (%s ORDER BY g.key LIMIT %d) SELECT (SELECT count(*) FROM k), "
      "(SELECT max(key) FROM k), EXISTS (SELECT 1 FROM k WHERE %s)",
      bound, GravesBehind(table), limit, IsGone(table));
}

// People write registers without the table's lock. A key of which one is locked, or has changed
// since the snapshot, stays; one that gets a register meanwhile is as one that gets it afterwards.
std::string ForgetGraves(const TargetTable& table, const std::string& bound) {
  const std::string relation = SqlLiteral(table.Name());
  return absl::StrFormat(
      "WITH %s, k AS MATERIALIZED (%s AND g.key <= $2), gone AS MATERIALIZED (SELECT k.key, "
      "(SELECT count(*) FROM pmoves_sync.register a WHERE a.relation = %s AND a.key = k.key) AS "
      "graves FROM k WHERE %s), held AS MATERIALIZED (SELECT g.key, g.source, g.version, "
      "gone.graves FROM gone JOIN pmoves_sync.register g ON g.relation = %s AND g.key = gone.key "
      "WHERE g.deleted FOR UPDATE OF g SKIP LOCKED), whole AS MATERIALIZED (SELECT h.key, "
      "h.source, h.version FROM (SELECT key, source, version, graves, count(*) OVER (PARTITION BY "
      "key) AS found, max(version) OVER (PARTITION BY key) AS newest FROM held) h WHERE h.found = "
      "h.graves AND h.newest < (SELECT version FROM bound)), horizon AS (INSERT INTO "
      "pmoves_sync.collection AS c (relation, horizon) SELECT %s, max(version) + 1 FROM whole "
      "HAVING count(*) > 0 ON CONFLICT (relation) DO UPDATE SET horizon = GREATEST(c.horizon, "
      "EXCLUDED.horizon), collected_at = now()) DELETE FROM pmoves_sync.register g USING whole "
      "WHERE g.relation = %s AND g.key = whole.key AND g.source = whole.source",
      bound, GravesBehind(table), relation, IsGone(table), relation, relation, relation);
}

}  // namespace pmoves
