#include "tests/subscriber/conflicts/centre.h"

#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "common/base/status.h"
#include "subscriber/core/merge_sql.h"
#include "subscriber/core/policy_text.h"
#include "subscriber/core/rule_sql.h"
#include "subscriber/io/central_schema.h"
#include "subscriber/io/collector.h"
#include "subscriber/io/expression_check.h"
#include "subscriber/io/pg_catalog.h"

namespace pmoves::conflicts {
namespace {

constexpr const char kDatabase[] = "centre";

}  // namespace

absl::StatusOr<std::unique_ptr<Centre>> Centre::Start(const std::vector<RuleCase>& cases) {
  std::unique_ptr<Centre> centre(new Centre());
  ASSIGN_OR_RETURN(centre->server_, PostgresServer::Start());
  PgOptions options;
  options.dsn = centre->server_->Dsn();
  ASSIGN_OR_RETURN(auto admin, PgConnection::Connect(options));
  // A collation that looks past the dash of a-z: the tie-break must not.
  RETURN_IF_ERROR(
      admin
          ->Execute(absl::StrFormat("CREATE DATABASE %s TEMPLATE template0 LOCALE_PROVIDER icu "
                                    "ICU_LOCALE 'en-u-ka-shifted' LOCALE 'C.UTF-8'",
                                    kDatabase))
          .status());
  centre->config_.postgres.dsn = centre->server_->Dsn(kDatabase);
  for (const RuleCase& rule : cases) {
    TableConfig table;
    table.schema = "public";
    table.table = rule.name;
    table.policy = rule.policy;
    centre->config_.tables.push_back(table);
  }
  options.dsn = centre->config_.postgres.dsn;
  options.settings = PinnedTextSettings();
  ASSIGN_OR_RETURN(centre->connection_, PgConnection::Connect(options));
  RETURN_IF_ERROR(centre->connection_->Execute("SET search_path = public").status());
  RETURN_IF_ERROR(centre->CreateTables(cases));
  for (size_t i = 0; i < kWorkers; ++i) {
    ASSIGN_OR_RETURN(centre->workers_.emplace_back(), Applier::Connect(centre->config_));
  }
  return centre;
}

absl::Status Centre::CreateTables(const std::vector<RuleCase>& cases) {
  RETURN_IF_ERROR(connection_->Execute("CREATE EXTENSION citext").status());
  std::string columns;
  for (const ColumnInfo& column : Columns())
    absl::StrAppendFormat(&columns, ", %s %s", column.name, column.type);
  for (const RuleCase& rule : cases) {
    const char* id = rule.citext ? "citext" : "numeric";
    const std::string key = rule.policy.identity == Identity::kPerSource
                                ? absl::StrFormat(
                                      "_source text COLLATE \"C\" NOT NULL, id %s, "
                                      "PRIMARY KEY (_source, id)",
                                      id)
                                : absl::StrFormat("id %s PRIMARY KEY", id);
    RETURN_IF_ERROR(
        connection_
            ->Execute(absl::StrFormat("CREATE TABLE public.%s (%s%s)", rule.name, key, columns))
            .status());
  }
  RETURN_IF_ERROR(InitCentralSchema(*connection_, config_.tables).status());
  RETURN_IF_ERROR(AdmitExpressions());
  // Emptying a table is dear for an empty one, deleting from it for one that was large.
  ASSIGN_OR_RETURN(
      const PgRows tables,
      connection_->Execute("SELECT string_agg(CASE WHEN relname IN ('register', 'tombstone', "
                           "'conflict_log') THEN 'TRUNCATE ' ELSE 'DELETE FROM ' END || "
                           "'pmoves_sync.' || quote_ident(relname), '; ') FROM pg_class WHERE "
                           "relnamespace = 'pmoves_sync'::regnamespace AND relkind IN ('r', 'p') "
                           "AND NOT relispartition AND relname <> 'rule_check'"));
  clear_schema_ = tables.String(0, 0);
  return absl::OkStatus();
}

absl::Status Centre::AdmitExpressions() {
  TargetCatalog catalog(*connection_, config_.tables);
  ExpressionCheck check(*connection_, 1);
  std::set<std::string> admitted;
  for (const TableConfig& config : config_.tables) {
    ASSIGN_OR_RETURN(const auto table, catalog.Read(config));
    for (const ColumnRule& entry : config.policy.columns) {
      if (entry.rule.kind != RuleKind::kExpression) continue;
      const int index = table->Find(entry.columns.front());
      const TargetColumn& column = table->columns[static_cast<size_t>(index)];
      if (!admitted.insert(ExpressionName(entry.rule, column)).second) continue;
      ASSIGN_OR_RETURN(const auto laws, check.Check(column, entry.rule, false));
      for (const LawResult& law : laws) {
        if (!law.broken.empty()) return absl::InternalError(law.broken);
      }
    }
  }
  return absl::OkStatus();
}

absl::Status Centre::Clear(const RuleCase& rule) {
  std::string sql = absl::StrFormat(
      "TRUNCATE public.%s; %s; INSERT INTO pmoves_sync.source_position (source, epoch) VALUES ",
      rule.name, clear_schema_);
  for (size_t i = 0; i < Sources().size(); ++i)
    absl::StrAppendFormat(&sql, "%s('%s', 1)", i == 0 ? "" : ", ", Sources()[i]);
  RETURN_IF_ERROR(connection_->Execute(sql).status());
  return ReadPositions();
}

absl::Status Centre::ForgetPositions() {
  RETURN_IF_ERROR(
      connection_->Execute("UPDATE pmoves_sync.source_position SET position = '0/0'").status());
  return ReadPositions();
}

absl::Status Centre::Collect(const RuleCase& rule, const std::vector<int64_t>& lowest_to_come) {
  // A case has keys of its own and uses versions anew, so a source's clock is not what it was told.
  std::string sql = absl::StrFormat(
      "INSERT INTO pmoves_sync.table_rule (relation, version, uses_registers, policy) VALUES "
      "('public.%s', 1, true, %s) ON CONFLICT DO NOTHING",
      rule.name, SqlLiteral(PolicyText(rule.policy)));
  for (size_t i = 0; i < Sources().size(); ++i) {
    absl::StrAppendFormat(
        &sql,
        "; UPDATE pmoves_sync.source_position SET hlc = %d, applied_at = now() WHERE source = '%s'",
        lowest_to_come[i] - 1, Sources()[i]);
  }
  RETURN_IF_ERROR(connection_->Execute(sql).status());
  std::vector<TableConfig> tables;
  for (const TableConfig& table : config_.tables) {
    if (table.table == rule.name) tables.push_back(table);
  }
  Collector collector(*connection_, tables, absl::Hours(1));
  return collector.Collect().status();
}

absl::Status Centre::ReadPositions() {
  for (auto& worker : workers_) RETURN_IF_ERROR(worker->ReadPositions());
  return absl::OkStatus();
}

absl::StatusOr<std::map<RowKey, ModelRow>> Centre::Read(const RuleCase& rule) {
  std::string items = rule.citext ? "substr(id::text, 2)" : "trim_scale(id)";
  items += ", _source, _sync_version";
  for (const ColumnInfo& column : Columns()) {
    if (std::string_view(column.type) == "timestamptz") {
      absl::StrAppendFormat(&items, ", (extract(epoch FROM %s) * 1000000)::bigint", column.name);
    } else {
      absl::StrAppendFormat(&items, ", %s", column.name);
    }
  }
  ASSIGN_OR_RETURN(const PgRows rows,
                   connection_->Execute("SELECT " + items + " FROM public." + rule.name));
  std::map<RowKey, ModelRow> found;
  for (int i = 0; i < rows.size(); ++i) {
    ModelRow row;
    row.source = rows.String(i, 1);
    row.version = rows.Int(i, 2);
    for (int column = 0; column < kColumns; ++column) {
      if (!rows.IsNull(i, 3 + column))
        row.image[static_cast<size_t>(column)] = rows.String(i, 3 + column);
    }
    const bool owned = rule.policy.identity == Identity::kPerSource;
    if (!found.emplace(RowKey(rows.Int(i, 0), owned ? row.source : ""), row).second)
      return absl::InternalError("a key is in the table twice");
  }
  return found;
}

}  // namespace pmoves::conflicts
