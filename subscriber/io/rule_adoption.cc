#include "subscriber/io/rule_adoption.h"

#include <memory>
#include <string>

#include "absl/strings/str_format.h"
#include "common/base/status.h"
#include "common/io/log.h"
#include "subscriber/core/register_sql.h"
#include "subscriber/io/central_schema.h"
#include "subscriber/io/pg_catalog.h"

namespace pmoves {
namespace {

absl::Status Carry(PgConnection& connection, const TargetTable& table, bool registers) {
  const std::string relation = table.Name();
  RETURN_IF_ERROR(connection
                      .Execute(absl::StrFormat(
                          "SET LOCAL statement_timeout = 0; SET LOCAL enable_hashjoin = on; SET "
                          "LOCAL enable_seqscan = on; SELECT pg_advisory_xact_lock(%d, %d)",
                          kTableLockClass, static_cast<int32_t>(table.oid)))
                      .status());
  // Another process may have been faster.
  ASSIGN_OR_RETURN(const PgRows known,
                   connection.Execute("SELECT 1 FROM pmoves_sync.table_rule WHERE relation = $1 "
                                      "AND uses_registers = $2::boolean",
                                      {PgParam(relation), PgParam(registers ? "t" : "f")}));
  if (known.size() > 0) return absl::OkStatus();
  int64_t rows = 0;
  if (registers) {
    RETURN_IF_ERROR(connection.Execute(CreateTouched()).status());
    ASSIGN_OR_RETURN(const PgRows adopted, connection.Execute(AdoptRows(table)));
    rows = adopted.affected();
  } else {
    ASSIGN_OR_RETURN(const PgRows dropped,
                     connection.Execute("DELETE FROM pmoves_sync.register WHERE relation = $1",
                                        {PgParam(relation)}));
    rows = dropped.affected();
  }
  RETURN_IF_ERROR(connection
                      .Execute("INSERT INTO pmoves_sync.table_rule AS r (relation, version, "
                               "uses_registers) VALUES ($1, 1, $2::boolean) ON CONFLICT (relation) "
                               "DO UPDATE SET version = r.version + 1, uses_registers = "
                               "EXCLUDED.uses_registers, changed_at = now()",
                               {PgParam(relation), PgParam(registers ? "t" : "f")})
                      .status());
  if (rows > 0) {
    LogInfo("rule.changed",
            registers ? "rows that were there became registers of the source that wrote them last"
                      : "the rule needs no registers any more; rows stay as they are shown",
            {{"table", relation}, {"rows", rows}});
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status AdoptRules(PgConnection& connection, const std::vector<TableConfig>& tables) {
  TargetCatalog catalog(connection, tables);
  for (const TableConfig& config : tables) {
    auto table = catalog.Read(config);
    if (table.status().code() == absl::StatusCode::kFailedPrecondition) continue;
    RETURN_IF_ERROR(table.status());
    RETURN_IF_ERROR(connection.Execute("BEGIN").status());
    absl::Status status = Carry(connection, **table, UsesRegisters(config.policy));
    if (status.ok()) {
      status = connection.Commit();
    } else {
      connection.Rollback();
    }
    RETURN_IF_ERROR(status);
  }
  return absl::OkStatus();
}

}  // namespace pmoves
