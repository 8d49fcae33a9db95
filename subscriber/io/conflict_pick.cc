#include "subscriber/io/conflict_pick.h"

#include <algorithm>

#include "absl/strings/str_format.h"
#include "common/base/status.h"
#include "subscriber/core/central_sql.h"
#include "subscriber/core/pick_sql.h"
#include "subscriber/core/register_sql.h"
#include "subscriber/io/central_schema.h"
#include "subscriber/io/pg_catalog.h"

namespace pmoves {
namespace {

// The row that a conflict is about.
struct Contested {
  std::string schema, table, key;
};

absl::StatusOr<Contested> RowOf(PgConnection& connection, int64_t conflict) {
  ASSIGN_OR_RETURN(
      const PgRows rows,
      connection.Execute("SELECT schema_name, table_name, key::text FROM pmoves_sync.conflict_log "
                         "WHERE id = $1::bigint",
                         {PgParam(std::to_string(conflict))}));
  if (rows.size() == 0)
    return absl::NotFoundError(absl::StrFormat("there is no conflict %d", conflict));
  return Contested{rows.String(0, 0), rows.String(0, 1), rows.String(0, 2)};
}

absl::StatusOr<TargetTable*> TableOf(TargetCatalog& catalog, const SubscriberConfig& config,
                                     const Contested& row) {
  const auto found =
      std::find_if(config.tables.begin(), config.tables.end(), [&](const TableConfig& table) {
        return table.schema == row.schema && table.table == row.table;
      });
  if (found == config.tables.end()) {
    return absl::NotFoundError(
        absl::StrFormat("table %s.%s is not configured in `tables`", row.schema, row.table));
  }
  const RuleInfo& rule = InfoOf(found->policy.row.kind);
  if (rule.kind != RuleKind::kManual || !UsesRegisters(found->policy)) {
    return absl::FailedPreconditionError(absl::StrFormat(
        "%s.%s is under '%s', which decides by itself; a pick belongs to the rule 'manual'",
        row.schema, row.table, rule.name));
  }
  catalog.RequireRules();
  return catalog.Find(found->SourceSchema(), found->SourceTable());
}

absl::Status RequireNewest(PgConnection& connection, const Contested& row, int64_t conflict) {
  ASSIGN_OR_RETURN(const PgRows newer,
                   connection.Execute("SELECT max(id) FROM pmoves_sync.conflict_log WHERE "
                                      "schema_name = $1 AND table_name = $2 AND key = $3::jsonb "
                                      "AND state = 'open' AND dead_letter_id IS NULL AND id > "
                                      "$4::bigint",
                                      {PgParam(row.schema), PgParam(row.table), PgParam(row.key),
                                       PgParam(std::to_string(conflict))}));
  if (newer.IsNull(0, 0)) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrFormat(
      "conflict %d of the same row is newer; look at that one first", newer.Int(0, 0)));
}

// Whether the source's latest report is a delete.
absl::StatusOr<bool> Deleted(PgConnection& connection, const TargetTable& table,
                             const std::string& key, const std::string& source) {
  ASSIGN_OR_RETURN(const PgRows report,
                   connection.Execute("SELECT deleted FROM pmoves_sync.register WHERE relation = "
                                      "$1 AND key = $2 AND source = $3",
                                      {PgParam(table.Name()), PgParam(key), PgParam(source)}));
  if (report.size() == 0) {
    return absl::NotFoundError(
        absl::StrFormat("source %s has not reported this row; `conflicts show` lists those that "
                        "have",
                        source));
  }
  return report.Bool(0, 0);
}

absl::Status Write(PgConnection& connection, const TargetTable& table, const std::string& key,
                   const std::string& source) {
  ASSIGN_OR_RETURN(const bool deleted, Deleted(connection, table, key, source));
  if (deleted && table.policy.on_delete == DeletePolicy::kSoft) {
    return absl::FailedPreconditionError(absl::StrFormat(
        "source %s has only ever deleted this row, there is nothing of it to show", source));
  }
  // The version shall be that of a write in the centre, the row is written as by a worker.
  auto set = [&](const char* value) {
    return connection.Execute(absl::StrFormat("SET LOCAL %s = %s", kApplyingSetting, value))
        .status();
  };
  RETURN_IF_ERROR(set("off"));
  ASSIGN_OR_RETURN(const PgRows reported,
                   connection.Execute(deleted ? PickDelete(table) : PickReport(table),
                                      {PgParam(key), PgParam(source)}));
  RETURN_IF_ERROR(set("on"));
  if (reported.affected() != 1)
    return absl::AbortedError("somebody writes this row in the centre; look at it again");
  RETURN_IF_ERROR(connection.Execute(TouchPicked(table), {PgParam(key)}).status());
  RETURN_IF_ERROR(connection.Execute(Recompute(table)).status());
  ASSIGN_OR_RETURN(const PgRows shown, connection.Execute(PickedSource(table), {PgParam(key)}));
  if (deleted ? shown.size() == 0 : shown.size() == 1 && shown.Text(0, 0) == kCentralSource)
    return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrFormat("the policy for deletes of %s %s, whatever is picked", table.Name(),
                      deleted ? "keeps the row while another source reports it"
                              : "takes the row while another source's latest report is a delete"));
}

absl::StatusOr<int64_t> Settle(PgConnection& connection, const Contested& row, const Pick& pick) {
  std::string note = "picked " + pick.source;
  if (!pick.note.empty()) note += ": " + pick.note;
  ASSIGN_OR_RETURN(const PgRows settled,
                   connection.Execute(
                       "UPDATE pmoves_sync.conflict_log SET state = 'resolved', resolved_at = "
                       "now(), resolution_note = $4 WHERE schema_name = $1 AND table_name = $2 "
                       "AND key = $3::jsonb AND state = 'open' AND dead_letter_id IS NULL",
                       {PgParam(row.schema), PgParam(row.table), PgParam(row.key), PgParam(note)}));
  return settled.affected();
}

absl::StatusOr<int64_t> PickInTransaction(PgConnection& connection, const TargetTable& table,
                                          const Contested& row, const Pick& pick) {
  RETURN_IF_ERROR(connection.Execute(LockTable(table)).status());
  RETURN_IF_ERROR(connection.Execute(LockPickedRow(table), {PgParam(row.key)}).status());
  RETURN_IF_ERROR(connection.Execute(LockReportsOfPicked(table), {PgParam(row.key)}).status());
  RETURN_IF_ERROR(RequireNewest(connection, row, pick.conflict));
  RETURN_IF_ERROR(Write(connection, table, row.key, pick.source));
  RETURN_IF_ERROR(RequireUnaltered(connection, {&table}));
  return Settle(connection, row, pick);
}

}  // namespace

absl::StatusOr<int64_t> PickSibling(PgConnection& connection, const SubscriberConfig& config,
                                    const Pick& pick) {
  ASSIGN_OR_RETURN(const Contested row, RowOf(connection, pick.conflict));
  TargetCatalog catalog(connection, config.tables);
  ASSIGN_OR_RETURN(TargetTable* const table, TableOf(catalog, config, row));
  RETURN_IF_ERROR(connection.Execute(CreateTouched()).status());
  RETURN_IF_ERROR(connection.Execute("BEGIN").status());
  absl::StatusOr<int64_t> settled = PickInTransaction(connection, *table, row, pick);
  if (!settled.ok()) {
    connection.Rollback();
    return settled.status();
  }
  RETURN_IF_ERROR(connection.Commit());
  return settled;
}

}  // namespace pmoves
