#include "subscriber/io/pg_preflight.h"

#include "absl/strings/str_format.h"
#include "common/base/status.h"
#include "subscriber/core/merge_sql.h"
#include "subscriber/core/policy_text.h"
#include "subscriber/io/central_triggers.h"
#include "subscriber/io/pg_catalog.h"
#include "subscriber/io/table_rules.h"
#include "subscriber/io/unique_indexes.h"

namespace pmoves {
namespace {

using Grade = CheckLine::Grade;

void Ask(PgConnection& connection, const std::string& sql, std::initializer_list<PgParam> params,
         const char* what, const std::string& fix, std::vector<CheckLine>* lines) {
  auto rows = connection.Execute(sql, params);
  if (!rows.ok()) {
    lines->push_back(
        {Grade::kFail, absl::StrFormat("%s: %s", what, MessageOf(rows.status())), fix});
  } else if (rows->size() == 1 && rows->Bool(0, 0)) {
    lines->push_back({Grade::kPass, what, ""});
  } else {
    lines->push_back({Grade::kFail, absl::StrFormat("not so: %s", what), fix});
  }
}

void CheckFit(TargetCatalog& catalog, const TargetTable& table, std::vector<CheckLine>* lines) {
  auto misfits = catalog.Misfits(table);
  if (!misfits.ok()) misfits = {MessageOf(misfits.status())};
  for (const std::string& misfit : *misfits) {
    lines->push_back({Grade::kFail, absl::StrFormat("table %s: %s", table.Name(), misfit),
                      "its sources wait until configuration and table fit"});
  }
  if (!misfits->empty()) return;
  lines->push_back(
      {Grade::kPass, absl::StrFormat("table %s fits its configuration", table.Name()), ""});
  const auto expressions = catalog.LookAtExpressions(table);
  if (!expressions.ok()) return;
  for (const std::string& divergence : expressions->divergences) {
    lines->push_back({Grade::kWarn, absl::StrFormat("table %s: %s", table.Name(), divergence),
                      "admitted by allow_divergence: true"});
  }
}

void CheckRule(PgConnection& connection, const SubscriberConfig& config, const TableConfig& table,
               std::vector<CheckLine>* lines) {
  const std::string name = table.schema + "." + table.table;
  const auto state = TableRules(connection, config).Look(table);
  if (!state.ok()) {
    lines->push_back({Grade::kFail,
                      absl::StrFormat("rule of %s: %s", name, MessageOf(state.status())),
                      "pmoves-sync-subscriber init"});
    return;
  }
  const std::string policy = PolicyText(table.policy);
  if (state->change == RuleChange::kNone) {
    lines->push_back({Grade::kPass,
                      absl::StrFormat("%s is under rule %d, since %s: %s", name,
                                      state->recorded->version, state->changed_at, policy),
                      ""});
    return;
  }
  const std::string begins =
      absl::StrFormat("at the next start %s comes under rule %d: %s: %s", name,
                      state->recorded.has_value() ? state->recorded->version + 1 : 1, policy,
                      Describe(state->change));
  const bool known = state->recorded.has_value() && !state->recorded->policy.empty();
  lines->push_back(
      {!known || state->change == RuleChange::kRecord ? Grade::kPass : Grade::kWarn, begins,
       known ? absl::StrFormat("if that is not wanted, configure the rule of before: %s",
                               state->recorded->policy)
             : ""});
}

void CheckTriggers(PgConnection& connection, const TableConfig& config, const TargetTable& table,
                   std::vector<CheckLine>* lines) {
  const auto rule = TableRules::LookAt(connection, config);
  const bool changes = rule.ok() && rule->recorded.has_value() && rule->change != RuleChange::kNone;
  const auto state = LookAtCentralTriggers(connection, table);
  if (!state.ok()) {
    lines->push_back({Grade::kFail, MessageOf(state.status()), "pmoves-sync-subscriber init"});
  } else if (changes && *state == CentralTriggerState::kOutdated) {
    lines->push_back(
        {Grade::kPass,
         absl::StrFormat("the triggers of %s that stamp writes in the centre are of the rule of "
                         "before; the next start changes them with it",
                         table.Name()),
         ""});
  } else if (*state == CentralTriggerState::kCurrent) {
    lines->push_back({Grade::kPass,
                      absl::StrFormat("writes in the centre of %s count as those of source %s",
                                      table.Name(), kCentralSource),
                      ""});
  } else {
    const std::string what =
        *state == CentralTriggerState::kMissing
            ? absl::StrFormat(
                  "%s lacks the triggers that stamp writes in the centre, or they are "
                  "disabled: such writes lose against any change of a source",
                  table.Name())
            : absl::StrFormat(
                  "the triggers of %s that stamp writes in the centre were made for "
                  "other columns or another rule",
                  table.Name());
    lines->push_back({Grade::kWarn, what, "pmoves-sync-subscriber init"});
  }
}

void CheckFixedColumns(const TargetTable& table, std::vector<CheckLine>* lines) {
  for (size_t i = 0; i < table.columns.size(); ++i) {
    const TargetColumn& column = table.columns[i];
    if (!IsFixed(table, static_cast<int>(i)) || table.mapping.skip.count(column.name) > 0) continue;
    lines->push_back(
        {Grade::kWarn,
         absl::StrFormat(
             "column \"%s\" of %s is GENERATED ALWAYS AS IDENTITY, which PostgreSQL does "
             "not update: a change that gives a row another value there is set aside",
             column.name, table.Name()),
         absl::StrFormat("ALTER TABLE %s ALTER COLUMN %s SET GENERATED BY DEFAULT", SqlTable(table),
                         SqlIdentifier(column.name))});
  }
}

// Whatever changes or leaves out rows on their way into the table: what stands there is not what
// the source has, and nothing tells.
void CheckMeddlers(PgConnection& connection, const SubscriberConfig& config,
                   const TargetTable& table, std::vector<CheckLine>* lines) {
  const std::string oid = std::to_string(table.oid);
  // tgtype: 1 per row, 2 BEFORE.
  const auto rows = connection.Execute(
      "SELECT 'trigger', t.tgname, 'TRIGGER' FROM pg_trigger t JOIN pg_proc f ON f.oid = t.tgfoid "
      "WHERE t.tgrelid = $1::oid AND NOT t.tgisinternal AND t.tgtype & 3 = 3 AND f.pronamespace <> "
      "'pmoves_sync'::regnamespace AND (t.tgenabled IN ('A', 'R') OR (t.tgenabled = 'O' AND "
      "$2::boolean)) UNION ALL SELECT 'rule', r.rulename, 'RULE' FROM pg_rewrite r WHERE "
      "r.ev_class = $1::oid AND r.ev_type <> '1' AND (r.ev_enabled IN ('A', 'R') OR (r.ev_enabled "
      "= 'O' AND $2::boolean)) ORDER BY 1, 2",
      {PgParam(oid), PgParam(config.postgres.triggers ? "t" : "f")});
  if (!rows.ok()) {
    lines->push_back({Grade::kFail, MessageOf(rows.status()), "see the message"});
    return;
  }
  for (int i = 0; i < rows->size(); ++i) {
    lines->push_back(
        {Grade::kWarn,
         absl::StrFormat("%s %s of %s runs for applied rows and can change them or leave them out: "
                         "the table need not be equal to its sources then",
                         rows->Text(i, 0), rows->Text(i, 1), table.Name()),
         absl::StrFormat("if that is not meant, ALTER TABLE %s DISABLE %s %s", SqlTable(table),
                         rows->Text(i, 2), SqlIdentifier(rows->Text(i, 1)))});
  }
}

// Sources do not see each other's rows, so two of them can take one value that is unique here.
void CheckUnique(PgConnection& connection, const SubscriberConfig& config, const TargetTable& table,
                 std::vector<CheckLine>* lines) {
  auto indexes = SecondaryUniqueIndexes(connection, table.oid);
  if (!indexes.ok()) {
    lines->push_back(
        {Grade::kFail,
         absl::StrFormat("unique indexes of %s: %s", table.Name(), MessageOf(indexes.status())),
         "see the message"});
    return;
  }
  for (const UniqueIndex& index : *indexes) {
    if (index.has_source || table.sources.size() == 1) continue;
    if (index.deferrable && !index.checks_replica && !config.postgres.triggers) {
      lines->push_back(
          {Grade::kFail,
           absl::StrFormat("constraint %s of %s is deferrable, and PostgreSQL checks that by a "
                           "trigger, which does not fire for applied rows: two rows with one value "
                           "would go in unseen",
                           index.name, table.Name()),
           absl::StrFormat("as a superuser ALTER TABLE %s ENABLE ALWAYS TRIGGER %s; or make it NOT "
                           "DEFERRABLE, or set postgres.triggers: true",
                           SqlTable(table), SqlIdentifier(index.trigger))});
      continue;
    }
    lines->push_back(
        {Grade::kWarn,
         absl::StrFormat("several sources may give rows of %s one value that %s keeps unique; the "
                         "later one is set aside (unique_conflict)",
                         table.Name(), index.name),
         index.deferrable
             ? "add _source to it, if the sources' values need not differ"
             : "add _source to it, if the sources' values need not differ; where values change "
               "hands within a transaction of a source, make it DEFERRABLE INITIALLY DEFERRED (and "
               "look at `check` again)"});
  }
}

void CheckTables(PgConnection& connection, const SubscriberConfig& config,
                 std::vector<CheckLine>* lines) {
  TargetCatalog catalog(connection, config.tables);
  for (const TableConfig& table : config.tables) {
    const std::string name = table.schema + "." + table.table;
    auto found = catalog.Read(table);
    if (!found.ok()) {
      lines->push_back(
          {Grade::kFail, MessageOf(found.status()), "its sources wait until this is mended"});
      continue;
    }
    lines->push_back(
        {Grade::kPass, absl::StrFormat("table %s can be merged by its primary key", name), ""});
    CheckFit(catalog, **found, lines);
    CheckRule(connection, config, table, lines);
    CheckTriggers(connection, table, **found, lines);
    CheckUnique(connection, config, **found, lines);
    CheckFixedColumns(**found, lines);
    CheckMeddlers(connection, config, **found, lines);
    const std::string oid = std::to_string((*found)->oid);
    Ask(connection, "SELECT has_table_privilege($1::oid, 'SELECT, INSERT, UPDATE, DELETE')",
        {PgParam(oid)}, ("privileges on " + name).c_str(),
        absl::StrFormat("GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO the role", name), lines);
    if (!config.postgres.triggers) continue;
    auto rows = connection.Execute(
        "SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND conrelid = $1::oid AND NOT "
        "condeferrable",
        {PgParam(oid)});
    if (rows.ok() && rows->Int(0, 0) > 0) {
      lines->push_back(
          {Grade::kWarn,
           absl::StrFormat(
               "%s has foreign keys that are not deferrable, and postgres.triggers is true", name),
           "ALTER TABLE ... ALTER CONSTRAINT ... DEFERRABLE INITIALLY DEFERRED: rows of a batch "
           "are merged table by table"});
    }
  }
}

}  // namespace

std::vector<CheckLine> CheckUniqueIndexes(PgConnection& connection,
                                          const SubscriberConfig& config) {
  std::vector<CheckLine> lines;
  TargetCatalog catalog(connection, config.tables);
  for (const TableConfig& table : config.tables) {
    if (auto found = catalog.Read(table); found.ok())
      CheckUnique(connection, config, **found, &lines);
  }
  return lines;
}

std::vector<CheckLine> CheckExpressions(PgConnection& connection, const SubscriberConfig& config) {
  std::vector<CheckLine> lines;
  TargetCatalog catalog(connection, config.tables);
  for (const TableConfig& config_table : config.tables) {
    const auto table = catalog.Read(config_table);
    if (!table.ok()) continue;
    const auto expressions = catalog.LookAtExpressions(**table);
    if (!expressions.ok()) continue;
    for (const std::string& misfit : expressions->misfits) {
      lines.push_back({Grade::kWarn, absl::StrFormat("table %s: %s", (*table)->Name(), misfit),
                       "until then its sources wait"});
    }
  }
  return lines;
}

std::vector<CheckLine> CheckCentre(PgConnection& connection, const SubscriberConfig& config) {
  std::vector<CheckLine> lines;
  Ask(connection, "SELECT NOT pg_is_in_recovery()", {}, "the centre is a primary",
      "point postgres.dsn at the primary", &lines);
  Ask(connection, "SELECT current_setting('server_encoding') = 'UTF8'", {},
      "the centre's encoding is UTF8", "use a database with ENCODING 'UTF8'", &lines);
  Ask(connection, "SELECT current_setting('server_version_num')::int >= 130000", {},
      "the centre is PostgreSQL 13 or later", "upgrade the server", &lines);
  if (!config.postgres.triggers) {
    auto set = connection.Execute("BEGIN; SET LOCAL session_replication_role = replica; COMMIT");
    if (set.ok()) {
      lines.push_back(
          {Grade::kPass,
           "this role may apply as a replica (user triggers and foreign keys do not fire)", ""});
    } else {
      connection.Rollback();
      lines.push_back({Grade::kFail, "this role may not set session_replication_role",
                       "GRANT SET ON PARAMETER session_replication_role TO the role (PostgreSQL "
                       "15), or postgres.triggers: true"});
    }
  }
  Ask(connection,
      "SELECT to_regclass('pmoves_sync.source_position') IS NOT NULL AND "
      "to_regclass('pmoves_sync.dead_letter') IS NOT NULL AND "
      "to_regclass('pmoves_sync.source_clock') IS NOT NULL AND "
      "to_regclass('pmoves_sync.subscriber') IS NOT NULL AND "
      "to_regclass('pmoves_sync.collection') IS NOT NULL AND "
      "to_regclass('pmoves_sync.recompute_queue') IS NOT NULL AND "
      "to_regclass('pmoves_sync.table_rule') IS NOT NULL AND "
      "to_regclass('pmoves_sync.rule_check') IS NOT NULL",
      {}, "schema pmoves_sync exists and is of this version", "pmoves-sync-subscriber init",
      &lines);
  CheckTables(connection, config, &lines);
  return lines;
}

}  // namespace pmoves
