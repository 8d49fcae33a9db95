#include "subscriber/io/collector.h"

#include <algorithm>
#include <string>

#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "common/base/status.h"
#include "subscriber/core/merge_sql.h"

namespace pmoves {
namespace {

// The sources that are waited for, with the state of their commit clock.
std::string ActiveSources(absl::Duration retention) {
  return absl::StrFormat(
      "active AS (SELECT p.source, p.hlc FROM pmoves_sync.source_position p WHERE "
      "GREATEST(p.applied_at, (SELECT max(s.last_seen_at) FROM pmoves_sync.sync_status s WHERE "
      "s.service_name = p.source)) > now() - interval '%d ms')",
      absl::ToInt64Milliseconds(retention));
}

// The state of the clock that gives the table's versions, of an active source as a.
std::string ClockOf(const TableConfig& table) {
  if (table.policy.version == VersionSource::kCommit) return "a.hlc";
  const std::string relation = table.policy.version == VersionSource::kArrival
                                   ? std::string()
                                   : table.schema + "." + table.table;
  return absl::StrFormat(
      "COALESCE((SELECT c.hlc FROM pmoves_sync.source_clock c WHERE c.source = a.source AND "
      "c.relation = %s), 0)",
      SqlLiteral(relation));
}

// Rows that were set aside keep their version. Whole messages only have one by commit.
std::string OldestLetter(const TableConfig& table, absl::Duration retention) {
  return absl::StrFormat(
      "SELECT min(l.hlc) FROM pmoves_sync.dead_letter l WHERE l.state = 'open' AND l.schema_name = "
      "%s AND l.table_name = %s AND l.reason <> 'too_late' AND l.created_at > now() - interval '%d "
      "ms'%s",
      SqlLiteral(table.SourceSchema()), SqlLiteral(table.SourceTable()),
      absl::ToInt64Milliseconds(retention),
      table.policy.version == VersionSource::kCommit ? "" : " AND l.kind = 'row'");
}

// One row, version: everything below may be forgotten. None while there is nobody to ask.
std::string Bound(const TableConfig& table, absl::Duration retention) {
  std::string may_write = "true";
  if (!table.sources.empty()) {
    std::vector<std::string> names;
    for (const std::string& source : table.sources) names.push_back(SqlLiteral(source));
    may_write = absl::StrFormat("a.source IN (%s)", absl::StrJoin(names, ", "));
  }
  // LEAST leaves out what is null.
  return absl::StrFormat(
      "bound AS (SELECT LEAST(min(%s), (extract(epoch FROM now() - interval '%d ms') * "
      "1000)::bigint << 16, (%s)) AS version FROM active a WHERE %s HAVING count(*) > 0)",
      ClockOf(table), absl::ToInt64Milliseconds(retention), OldestLetter(table, retention),
      may_write);
}

// Deletes and remembers in one statement: who sees the deletion sees the horizon. `version + 0` is
// what the index tombstone_age has.
std::string ForgetTombstones(const TableConfig& table, absl::Duration retention) {
  const std::string relation = SqlLiteral(table.schema + "." + table.table);
  return absl::StrFormat(
      "WITH %s, %s, old AS (SELECT d.key, d.version FROM pmoves_sync.tombstone d WHERE d.relation "
      "= %s AND d.version + 0 < (SELECT version FROM bound) ORDER BY d.version + 0 LIMIT %d FOR "
      "UPDATE SKIP LOCKED), horizon AS (INSERT INTO pmoves_sync.collection AS c (relation, "
      "horizon) "
      "SELECT %s, max(version) + 1 FROM old HAVING count(*) > 0 ON CONFLICT (relation) DO UPDATE "
      "SET horizon = GREATEST(c.horizon, EXCLUDED.horizon), collected_at = now()) DELETE FROM "
      "pmoves_sync.tombstone d USING old WHERE d.relation = %s AND d.key = old.key",
      ActiveSources(retention), Bound(table, retention), relation, Collector::kBatch, relation,
      relation);
}

}  // namespace

absl::StatusOr<Collector::Collected> Collector::Collect() {
  Collected all;
  for (const TableConfig& table : tables_) {
    ASSIGN_OR_RETURN(const int64_t forgotten, CollectTable(table));
    all.forgotten += forgotten;
    all.more = all.more || forgotten >= kBatch;
  }
  return all;
}

absl::StatusOr<int64_t> Collector::CollectTable(const TableConfig& table) {
  if (UsesRegisters(table.policy)) return 0;  // deletes are registers there, not tombstones
  ASSIGN_OR_RETURN(const PgRows rows, connection_.Execute(ForgetTombstones(table, retention_)));
  return rows.affected();
}

absl::StatusOr<Collector::Horizon> Collector::Look() {
  ASSIGN_OR_RETURN(
      const PgRows rows,
      connection_.Execute(absl::StrFormat(
          "WITH %s SELECT (SELECT GREATEST(reltuples, 0)::bigint FROM pg_class WHERE oid = "
          "'pmoves_sync.tombstone'::regclass), (extract(epoch FROM now()) * 1000)::bigint - "
          "(min(hlc) >> 16) FROM active",
          ActiveSources(retention_))));
  Horizon horizon;
  horizon.tombstones = rows.Int(0, 0);
  if (!rows.IsNull(0, 1)) {
    horizon.lag = std::max(absl::ZeroDuration(), absl::Milliseconds(rows.Int(0, 1)));
  }
  return horizon;
}

}  // namespace pmoves
