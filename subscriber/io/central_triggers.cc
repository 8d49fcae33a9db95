#include "subscriber/io/central_triggers.h"

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "common/base/status.h"
#include "subscriber/core/central_sql.h"
#include "subscriber/core/merge_sql.h"

namespace pmoves {
namespace {

// Those that call the table's function and are not disabled.
absl::StatusOr<std::set<std::string>> Present(PgConnection& connection, const TargetTable& table) {
  ASSIGN_OR_RETURN(const PgRows rows,
                   connection.Execute(
                       "SELECT t.tgname FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid "
                       "WHERE t.tgrelid = $1::oid AND t.tgenabled IN ('O', 'A') AND "
                       "p.pronamespace = to_regnamespace('pmoves_sync') AND p.proname = $2",
                       {PgParam(std::to_string(table.oid)), PgParam(CentralFunctionName(table))}));
  std::set<std::string> names;
  for (int i = 0; i < rows.size(); ++i) names.insert(rows.String(i, 0));
  return names;
}

}  // namespace

absl::StatusOr<CentralTriggerState> LookAtCentralTriggers(PgConnection& connection,
                                                          const TargetTable& table) {
  ASSIGN_OR_RETURN(const std::set<std::string> present, Present(connection, table));
  for (const CentralTrigger& trigger : CentralTriggers(table)) {
    if (present.count(trigger.name) == 0) return CentralTriggerState::kMissing;
  }
  const std::string body = CentralFunctionBody(table);
  ASSIGN_OR_RETURN(const PgRows same,
                   connection.Execute("SELECT prosrc = $2 FROM pg_proc WHERE proname = $1 AND "
                                      "pronamespace = to_regnamespace('pmoves_sync')",
                                      {PgParam(CentralFunctionName(table)), PgParam(body)}));
  return same.size() == 1 && same.Bool(0, 0) ? CentralTriggerState::kCurrent
                                             : CentralTriggerState::kOutdated;
}

absl::Status InstallCentralTriggers(PgConnection& connection, const TargetTable& table) {
  // Keys and images must be the text that a worker makes of the same values, whatever the writer's
  // session has set.
  RETURN_IF_ERROR(connection.Execute(CreateCentralFunction(table, PinnedTextSettings())).status());
  ASSIGN_OR_RETURN(const std::set<std::string> present, Present(connection, table));
  for (const CentralTrigger& trigger : CentralTriggers(table)) {
    if (present.count(trigger.name) > 0) continue;
    RETURN_IF_ERROR(connection
                        .Execute(absl::StrFormat("DROP TRIGGER IF EXISTS %s ON %s; %s",
                                                 trigger.name, SqlTable(table), trigger.create))
                        .status());
  }
  return connection
      .Execute(absl::StrFormat(
          "COMMENT ON FUNCTION pmoves_sync.%s() IS %s", SqlIdentifier(CentralFunctionName(table)),
          SqlLiteral(absl::StrFormat("Writes of people and services in %s.", table.Name()))))
      .status();
}

}  // namespace pmoves
