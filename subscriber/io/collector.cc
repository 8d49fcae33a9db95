#include "subscriber/io/collector.h"

#include <algorithm>
#include <string>

#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "common/base/status.h"
#include "subscriber/core/collect_sql.h"
#include "subscriber/core/merge_sql.h"
#include "subscriber/io/central_schema.h"

namespace pmoves {
namespace {

// Other tables wait meanwhile; this one is looked at again a minute later.
constexpr absl::Duration kLockWait = absl::Seconds(2);
constexpr const char kLockNotAvailable[] = "55P03";

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
  TargetCatalog catalog(connection_, tables_);
  catalog.RequireRules();
  for (const TableConfig& table : tables_) {
    ASSIGN_OR_RETURN(const int64_t forgotten, CollectTombstones(table));
    all.forgotten += forgotten;
    all.more = all.more || forgotten >= kBatch;
    if (!ForgetsRegisters(table.policy)) continue;
    auto found = catalog.Find(table.SourceSchema(), table.SourceTable());
    if (absl::IsFailedPrecondition(found.status())) continue;  // nobody merges it now
    RETURN_IF_ERROR(found.status());
    RETURN_IF_ERROR(CollectRegisters(**found, table, &all));
  }
  return all;
}

// A table that has registers now may have had tombstones before.
absl::StatusOr<int64_t> Collector::CollectTombstones(const TableConfig& table) {
  ASSIGN_OR_RETURN(const PgRows rows, connection_.Execute(ForgetTombstones(table, retention_)));
  return rows.affected();
}

absl::Status Collector::CollectRegisters(const TargetTable& table, const TableConfig& config,
                                         Collected* all) {
  const std::string bound =
      absl::StrFormat("%s, %s", ActiveSources(retention_), Bound(config, retention_));
  const std::string after = swept_[table.Name()];
  ASSIGN_OR_RETURN(const PgRows next,
                   connection_.Execute(NextGraves(table, bound, kGraves), {PgParam(after)}));
  const bool last_piece = next.Int(0, 0) < kGraves;
  const std::string last = next.IsNull(0, 1) ? std::string() : next.String(0, 1);
  if (next.Bool(0, 2)) {
    const auto forgotten = ForgetRegisters(table, ForgetGraves(table, bound), after, last);
    if (SqlStateOf(forgotten.status()) == kLockNotAvailable || IsAltered(forgotten.status()))
      return absl::OkStatus();
    RETURN_IF_ERROR(forgotten.status());
    all->forgotten += *forgotten;
    all->more = all->more || (!last_piece && *forgotten > 0);
  }
  swept_[table.Name()] = last_piece ? std::string() : last;
  return absl::OkStatus();
}

absl::StatusOr<int64_t> Collector::ForgetRegisters(const TargetTable& table,
                                                   const std::string& statement,
                                                   const std::string& after,
                                                   const std::string& last) {
  absl::Status status =
      connection_
          .Execute(absl::StrFormat("BEGIN; SET LOCAL lock_timeout = %d; %s",
                                   absl::ToInt64Milliseconds(kLockWait), LockTable(table)))
          .status();
  int64_t forgotten = 0;
  if (status.ok()) {
    const auto rows = connection_.Execute(statement, {PgParam(after), PgParam(last)});
    status = rows.status();
    if (rows.ok()) forgotten = rows->affected();
  }
  if (status.ok()) status = RequireUnaltered(connection_, {&table});
  if (status.ok()) status = connection_.Commit();
  if (status.ok()) return forgotten;
  if (connection_.IsOpen()) connection_.Rollback();
  return status;
}

absl::StatusOr<Collector::Horizon> Collector::Look() {
  ASSIGN_OR_RETURN(
      const PgRows rows,
      connection_.Execute(absl::StrFormat(
          "WITH %s SELECT (SELECT COALESCE(sum(GREATEST(reltuples, 0)), 0)::bigint FROM pg_class "
          "WHERE oid IN ('pmoves_sync.tombstone'::regclass, "
          "to_regclass('pmoves_sync.register_grave'))), (extract(epoch FROM now()) * 1000)::bigint "
          "- "
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
