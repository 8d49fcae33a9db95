// What tables[].conflict and its companions become, and what an operator reads when they do not fit
// together, word for word: the messages are part of the interface.
#include <map>
#include <string>
#include <vector>

#include "common/io/service_names.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "subscriber/config.h"
#include "tests/testing/status_matchers.h"

namespace pmoves {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;
using Environment = std::map<std::string, std::string>;

constexpr char kHead[] =
    "version: 1\n"
    "postgres: {dsn: a}\n"
    "nats: {url: 'nats://h'}\n";

struct Loaded {
  std::unique_ptr<ConfigSource> source;
  SubscriberConfig config;

  // "value | origin"
  std::string Show(const std::string& key) const {
    for (const Setting& setting : source->settings()) {
      if (setting.key == key) return setting.value + " | " + setting.origin;
    }
    return "absent";
  }
  const TablePolicy& policy() const { return config.tables.at(0).policy; }
};

Loaded Load(const std::string& rest, const Environment& environment = {}) {
  auto source = ConfigSource::Parse("f.yaml", kHead + rest, environment);
  EXPECT_THAT(source, IsOk());
  absl::StatusOr<SubscriberConfig> config = LoadSubscriberConfig(source->get());
  EXPECT_THAT(config, IsOk());
  return {*std::move(source), config.ok() ? *std::move(config) : SubscriberConfig()};
}

// From line 4 on: one table with these options.
std::string Table(const std::string& options) {
  return "tables:\n  - table: jobs\n    " + options + "\n";
}

TEST(ConfigConflicts, ATableThatSaysNothingHasTheDefaults) {
  const Loaded loaded = Load("tables: [jobs]\n");
  EXPECT_EQ(loaded.policy(), TablePolicy());
  EXPECT_EQ(loaded.config.conflicts.log_retention, absl::Hours(720));
  EXPECT_EQ(loaded.Show("conflicts.tombstone_retention"), "30d | default");
  EXPECT_EQ(loaded.Show("tables[0].delete"), "last-write-wins | default");
  EXPECT_EQ(loaded.Show("tables[0].identity"), "undeclared | default");
}

TEST(ConfigConflicts, EveryOptionOfATableIsRead) {
  const Loaded loaded =
      Load(Table("conflict: source-priority\n"
                 "    priority: [central, jetson-01]\n"
                 "    version: column:updated_at\n"
                 "    max_future: 5m\n"
                 "    delete: soft\n"
                 "    soft_delete_column: deleted_at\n"
                 "    truncate: quarantine\n"
                 "    identity: shared\n"
                 "    log: all\n"
                 "    allow_divergence: true\n"));
  TablePolicy want;
  want.row.kind = RuleKind::kSourcePriority;
  want.row.priority = {"central", "jetson-01"};
  want.version = VersionSource::kColumn;
  want.version_column = "updated_at";
  want.max_future = absl::Minutes(5);
  want.on_delete = DeletePolicy::kSoft;
  want.soft_delete_column = "deleted_at";
  want.truncate = TruncatePolicy::kQuarantine;
  want.identity = Identity::kShared;
  want.log = ConflictLog::kAll;
  want.allow_divergence = true;
  EXPECT_EQ(loaded.policy(), want);
  EXPECT_EQ(loaded.Show("tables[0].version"), "column:updated_at | f.yaml:8");
  EXPECT_EQ(loaded.Show("tables[0].priority"), "central, jetson-01 | f.yaml:7");
}

TEST(ConfigConflicts, ColumnsHaveRulesOfTheirOwn) {
  const Loaded loaded =
      Load(Table("granularity: column\n"
                 "    version: arrival\n"
                 "    columns:\n"
                 "      status: {conflict: value-priority, values: [running, queued], scope: epoch,"
                 " epoch_column: run_no, group: [worker_id, started_at]}\n"
                 "      last_seen_at: {conflict: greatest}\n"
                 "      parts: {conflict: expression, expression: 'GREATEST(a, b)'}\n"
                 "      owner: {conflict: source-priority, priority: [jetson-02]}\n"));
  const TablePolicy& policy = loaded.policy();
  EXPECT_EQ(policy.granularity, Granularity::kColumn);
  EXPECT_EQ(policy.version, VersionSource::kArrival);
  ASSERT_EQ(policy.columns.size(), 4u);
  EXPECT_THAT(policy.columns[0].columns, ElementsAre("last_seen_at"));
  EXPECT_EQ(policy.columns[0].rule.kind, RuleKind::kGreatest);
  EXPECT_THAT(policy.columns[1].rule.priority, ElementsAre("jetson-02"));
  EXPECT_EQ(policy.columns[2].rule.expression, "GREATEST(a, b)");
  const ColumnRule& status = policy.columns[3];
  EXPECT_THAT(status.columns, ElementsAre("status", "worker_id", "started_at"));
  EXPECT_EQ(status.rule.kind, RuleKind::kValuePriority);
  EXPECT_THAT(status.rule.values, ElementsAre("running", "queued"));
  EXPECT_EQ(status.rule.scope, ValueScope::kEpoch);
  EXPECT_EQ(status.rule.epoch_column, "run_no");
  EXPECT_EQ(loaded.Show("tables[0].columns.status.values"), "running, queued | f.yaml:9");
}

TEST(ConfigConflicts, AScopeThatAValueCannotLeaveIsRemarkedUpon) {
  const Loaded loaded =
      Load(Table("columns:\n"
                 "      a: {conflict: value-priority, values: [x], scope: absorbing}\n"
                 "      b: {conflict: value-priority, values: [x], scope: epoch, epoch_column: n}\n"
                 "      c: {conflict: value-priority, values: [x], scope: source}\n"));
  EXPECT_EQ(loaded.Show("tables[0].columns.a.scope"),
            "absorbing | f.yaml:7 (a value of 'values' can never leave again, whoever reports "
            "another)");
  EXPECT_EQ(loaded.Show("tables[0].columns.b.scope"),
            "epoch | f.yaml:8 (a value of 'values' can never leave before epoch_column rises)");
  EXPECT_EQ(loaded.Show("tables[0].columns.c.scope"), "source | f.yaml:9");
}

TEST(ConfigConflicts, TheSectionSetsTheDefaultsOfAllTables) {
  const Loaded loaded = Load(
      "conflicts: {max_future: 10s, log: off, log_retention: 1d12h, letter_retention: 7d, "
      "tombstone_retention: 90d}\n"
      "tables:\n  - jobs\n  - {table: tasks, max_future: 0, log: all}\n");
  EXPECT_EQ(loaded.policy().max_future, absl::Seconds(10));
  EXPECT_EQ(loaded.policy().log, ConflictLog::kOff);
  EXPECT_EQ(loaded.config.tables[1].policy.max_future, absl::ZeroDuration());
  EXPECT_EQ(loaded.config.tables[1].policy.log, ConflictLog::kAll);
  EXPECT_EQ(loaded.config.conflicts.log_retention, absl::Hours(36));
  EXPECT_EQ(loaded.config.conflicts.letter_retention, absl::Hours(24 * 7));
  EXPECT_EQ(loaded.config.conflicts.tombstone_retention, absl::Hours(24 * 90));
}

TEST(ConfigConflicts, TheRuleOfTheServicesIsTheDefaultOfTables) {
  const Environment environment = {{"CONFLICT_RESOLUTION", "keep-central"},
                                   {"SYNC_TABLES", "jobs"}};
  const Loaded file = Load("tables:\n  - jobs\n  - {table: tasks, conflict: manual}\n",
                           {{"CONFLICT_RESOLUTION", "keep-central"}});
  EXPECT_EQ(file.policy().row.kind, RuleKind::kKeepCentral);
  EXPECT_EQ(file.config.tables[1].policy.row.kind, RuleKind::kManual);
  EXPECT_EQ(file.Show("tables[0].conflict"), "keep-central | env CONFLICT_RESOLUTION");
  EXPECT_EQ(Load("", environment).policy().row.kind, RuleKind::kKeepCentral);
}

TEST(ConfigConflicts, TheServicesCanNameEveryRowRuleThatNeedsNothingElse) {
  std::vector<std::string> rules;
  for (const RuleInfo& rule : AllRules()) {
    if (rule.per_row && rule.needs.empty()) rules.emplace_back(rule.name);
  }
  EXPECT_EQ(ConflictResolutions(), rules);
}

TEST(ConfigConflicts, RulesStandInTheOrderOfTheirKind) {
  for (size_t i = 0; i < AllRules().size(); ++i) {
    EXPECT_EQ(AllRules()[i].kind, static_cast<RuleKind>(i)) << AllRules()[i].name;
  }
}

TEST(ConfigConflicts, AppendOnlyIgnoresDeletesByItself) {
  EXPECT_EQ(Load(Table("conflict: append-only")).policy().on_delete, DeletePolicy::kIgnore);
  EXPECT_EQ(
      Load("tables: [{table: jobs, conflict: append-only, delete: ignore}]\n").policy().on_delete,
      DeletePolicy::kIgnore);
  const Environment environment = {{"CONFLICT_RESOLUTION", "append-only"}};
  EXPECT_EQ(Load("tables: [jobs]\n", environment).policy().on_delete, DeletePolicy::kIgnore);
  EXPECT_EQ(Load(Table("conflict: last-write-wins"), environment).policy().on_delete,
            DeletePolicy::kLastWriteWins);
}

TEST(ConfigMapping, NamesOfTheSourceBecomeNamesOfTheCentre) {
  const Loaded loaded =
      Load(Table("from: edge.tasks\n"
                 "    rename: {old_name: new_name, \"Odd.One\": odd}\n"
                 "    skip: [secret_note]\n"
                 "    constants: {site: \"berlin\", level: 3}\n"));
  const TableConfig& table = loaded.config.tables[0];
  EXPECT_EQ(table.SourceSchema() + "." + table.SourceTable(), "edge.tasks");
  EXPECT_EQ(table.schema + "." + table.table, "public.jobs");
  EXPECT_THAT(table.mapping.rename,
              ElementsAre(Pair("Odd.One", "odd"), Pair("old_name", "new_name")));
  EXPECT_THAT(table.mapping.skip, ElementsAre("secret_note"));
  EXPECT_THAT(table.mapping.constants, ElementsAre(Pair("level", "3"), Pair("site", "berlin")));
  EXPECT_EQ(loaded.Show("tables[0].rename.old_name"), "new_name | f.yaml:7");
  EXPECT_EQ(Load("tables: [jobs]\n").config.tables[0].SourceTable(), "jobs");
}

TEST(ConfigMapping, TwoTablesMayChangeTheirNames) {
  EXPECT_EQ(Load("tables: [{table: a, from: b}, {table: b, from: a}]\n").config.tables.size(), 2u);
}

struct Case {
  const char* name;
  std::string yaml;  // behind the head, from line 4 on
  std::string message;
  Environment environment = {};
};

void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

class ConflictMistake : public ::testing::TestWithParam<Case> {};

TEST_P(ConflictMistake, IsExplained) {
  const Case& c = GetParam();
  auto source = ConfigSource::Parse("f.yaml", kHead + c.yaml, c.environment);
  ASSERT_THAT(source, IsOk());
  EXPECT_THAT(LoadSubscriberConfig(source->get()),
              StatusIs(absl::StatusCode::kInvalidArgument, c.message));
}

// tables[0].columns.status, all in line 6.
std::string Status(const std::string& options) {
  return Table("columns: {status: {" + options + "}}");
}

const char kAt[] = "f.yaml:6: tables[0].";
const char kStatus[] = "f.yaml:6: tables[0].columns.status.";

INSTANTIATE_TEST_SUITE_P(
    Rules, ConflictMistake,
    ::testing::ValuesIn(std::vector<Case>{
        {"rule_with_a_slip", Table("conflict: last_write_wins"),
         std::string(kAt) +
             "conflict: 'last_write_wins' is not allowed; one of last-write-wins, "
             "first-write-wins, source-priority, append-only, keep-central, manual; did you mean "
             "'last-write-wins'?"},
        {"column_rule_at_a_row", Table("conflict: greatest"),
         std::string(kAt) +
             "conflict: 'greatest' is not allowed; one of last-write-wins, first-write-wins, "
             "source-priority, append-only, keep-central, manual; it is a rule for a column: "
             "columns.<name>.conflict"},
        {"row_rule_at_a_column", Status("conflict: append-only"),
         std::string(kStatus) +
             "conflict: 'append-only' is not allowed; one of last-write-wins, first-write-wins, "
             "source-priority, value-priority, greatest, least, sum-of-sources, set-union, "
             "json-merge, keep-central, expression; it is a rule for whole rows: "
             "tables[].conflict"},
        {"column_without_rule", Status("group: [a]"),
         "f.yaml: tables[0].columns.status.conflict: missing"},
        {"column_that_is_a_text", Table("columns: {status: greatest}"),
         std::string(kAt) + "columns.status: must be a mapping (key: value), found a text"},
        {"unknown_option_of_a_column", Status("conflict: greatest, vlues: [a]"),
         std::string(kStatus) + "vlues: unknown key; did you mean 'values'?"},
        {"option_of_a_column_at_a_row", Table("values: [running]"),
         std::string(kAt) + "values: is an option of a column: columns.<name>.values"},
        {"priority_needed", Table("conflict: source-priority"),
         std::string(kAt) +
             "conflict: 'source-priority' needs 'priority', for example priority: [central, "
             "jetson-01]"},
        {"priority_empty", "tables: [{table: jobs, conflict: source-priority, priority: []}]\n",
         "f.yaml:4: tables[0].priority: is empty; 'source-priority' needs it"},
        {"priority_of_another_rule", Table("priority: [jetson-01]"),
         std::string(kAt) +
             "priority: belongs to 'source-priority'; 'last-write-wins' does not use it"},
        {"priority_of_nobody",
         "tables: [{table: jobs, conflict: source-priority, priority: [Jetson]}]\n",
         "f.yaml:4: tables[0].priority: 'Jetson' is not a source name; allowed: 1 to 32 of a-z, "
         "0-9 and -, not - first"},
        {"priority_of_an_unexpected_source",
         "sources: [jetson-01, jetson-02]\n"
         "tables: [{table: jobs, conflict: source-priority, priority: [central, jetson-2]}]\n",
         "f.yaml:5: tables[0].priority: 'jetson-2' is not a source that may write this table: "
         "central, jetson-01, jetson-02"},
        {"priority_of_a_source_of_other_tables",
         "sources: [a, b]\n"
         "tables: [{table: jobs, sources: [a], conflict: source-priority, priority: [b]}]\n",
         "f.yaml:5: tables[0].priority: 'b' is not a source that may write this table: central, a"},
        {"priority_twice", "tables: [{table: j, conflict: source-priority, priority: [a, a]}]\n",
         "f.yaml:4: tables[0].priority: 'a' is listed twice"},
        {"values_needed", Status("conflict: value-priority"),
         std::string(kStatus) +
             "conflict: 'value-priority' needs 'values', for example values: [running]"},
        {"values_of_another_rule", Status("conflict: greatest, values: [a]"),
         std::string(kStatus) + "values: belongs to 'value-priority'; 'greatest' does not use it"},
        {"values_twice", Status("conflict: value-priority, values: [a, b, a]"),
         std::string(kStatus) + "values: 'a' is listed twice"},
        {"expression_needed", Status("conflict: expression"),
         std::string(kStatus) +
             "conflict: 'expression' needs 'expression', for example expression: \"GREATEST(a, "
             "b)\""},
        {"expression_empty", Status("conflict: expression, expression: ''"),
         std::string(kStatus) + "expression: is empty; 'expression' needs it"},
        {"expression_of_two_parts", Status("conflict: expression, expression: 'a, b'"),
         std::string(kStatus) + "expression: has a ',' at its top: it must be one expression"},
        {"epoch_without_column", Status("conflict: value-priority, values: [a], scope: epoch"),
         std::string(kStatus) +
             "scope: 'epoch' needs 'epoch_column', for example epoch_column: run_no"},
        {"epoch_column_without_epoch",
         Status("conflict: value-priority, values: [a], epoch_column: run_no"),
         std::string(kStatus) + "epoch_column: belongs to scope: epoch"},
        {"epoch_column_is_the_column",
         Status("conflict: value-priority, values: [a], scope: epoch, epoch_column: status"),
         std::string(kStatus) + "epoch_column: 'status' is the column itself"},
        {"unknown_scope", Status("conflict: value-priority, values: [a], scope: sources"),
         std::string(kStatus) +
             "scope: 'sources' is not allowed; one of source, epoch, absorbing; did you mean "
             "'source'?"},
        {"column_of_ours", Table("columns: {_source: {conflict: greatest}}"),
         std::string(kAt) + "columns._source: '_source' is written by the subscriber itself"},
        {"column_in_two_groups",
         Table("columns:\n      a: {conflict: greatest, group: [x]}\n"
               "      b: {conflict: least, group: [x]}"),
         "f.yaml:8: tables[0].columns.b.group: 'x' is in the group of 'a'"},
        {"column_with_an_entry_in_a_group",
         Table("columns:\n      a: {conflict: greatest, group: [b]}\n      b: {conflict: least}"),
         "f.yaml:7: tables[0].columns.a.group: 'b' has an entry of its own in 'columns'"},
        {"column_in_its_own_group", Status("conflict: greatest, group: [status]"),
         std::string(kStatus) + "group: 'status' is the column itself"},
        {"column_twice_in_a_group", Status("conflict: greatest, group: [a, a]"),
         std::string(kStatus) + "group: 'a' is listed twice"},
        {"group_of_a_sum", Status("conflict: sum-of-sources, group: [a]"),
         std::string(kStatus) +
             "group: 'sum-of-sources' makes one value of several reports, so no other column can "
             "move with it"},
    }),
    [](const auto& made) { return std::string(made.param.name); });

INSTANTIATE_TEST_SUITE_P(
    Policies, ConflictMistake,
    ::testing::ValuesIn(std::vector<Case>{
        {"retention_without_unit", "conflicts: {log_retention: 30}\ntables: [jobs]\n",
         "f.yaml:4: conflicts.log_retention: '30' has no unit; write for example 30s (units: ms, "
         "s, m, h, d)"},
        {"retention_out_of_range", "conflicts: {tombstone_retention: 1m}\ntables: [jobs]\n",
         "f.yaml:4: conflicts.tombstone_retention: 1m is out of range; allowed 1h to 3650d"},
        {"log_that_is_a_boolean", Table("log: true"),
         std::string(kAt) + "log: 'true' is not allowed; one of off, lossy, all"},
        {"max_future_out_of_range", Table("max_future: 2d"),
         std::string(kAt) + "max_future: 2d is out of range; allowed 0s to 24h"},
        {"unknown_version", Table("version: comit"),
         std::string(kAt) +
             "version: 'comit' is not allowed; one of commit, arrival, column:NAME; did you mean "
             "'commit'?"},
        {"version_of_no_column", Table("version: 'column:'"),
         std::string(kAt) + "version: the name of a column is empty"},
        {"unknown_granularity", Table("granularity: columns"),
         std::string(kAt) +
             "granularity: 'columns' is not allowed; one of row, column; did you mean 'column'?"},
        {"column_versions_of_another_rule",
         "tables: [{table: jobs, conflict: manual, granularity: column}]\n",
         "f.yaml:4: tables[0].granularity: 'column' belongs to 'last-write-wins'; 'manual' takes "
         "whole rows"},
        {"manual_without_a_log", "tables: [{table: jobs, conflict: manual, log: 'off'}]\n",
         "f.yaml:4: tables[0].log: 'manual' needs conflicts to be logged, a person picks by them; "
         "allowed: log: lossy, all"},
        {"unknown_delete", Table("delete: delete_wins"),
         std::string(kAt) +
             "delete: 'delete_wins' is not allowed; one of last-write-wins, delete-wins, "
             "update-wins, own-only, soft, ignore; did you mean 'delete-wins'?"},
        {"soft_needs_its_column", Table("delete: soft"),
         std::string(kAt) +
             "delete: 'soft' needs 'soft_delete_column', for example soft_delete_column: "
             "deleted_at"},
        {"soft_column_without_soft", Table("soft_delete_column: deleted_at"),
         std::string(kAt) + "soft_delete_column: belongs to delete: soft"},
        {"soft_column_with_a_rule",
         "tables: [{table: jobs, delete: soft, soft_delete_column: gone,\n"
         "          columns: {a: {conflict: greatest, group: [gone]}}}]\n",
         "f.yaml:4: tables[0].soft_delete_column: 'gone' gets the time of the delete, so 'columns' "
         "cannot give it a rule"},
        {"append_only_with_columns",
         "tables: [{table: jobs, conflict: append-only, columns: {a: {conflict: greatest}}}]\n",
         "f.yaml:4: tables[0].columns: 'append-only' keeps the first row of a key as it came; its "
         "columns have no rules of their own"},
        {"append_only_with_deletes",
         "tables: [{table: jobs, conflict: append-only, delete: last-write-wins}]\n",
         "f.yaml:4: tables[0].delete: 'append-only' ignores deletes; leave this out, or write "
         "ignore"},
        {"append_only_with_column_versions",
         "tables: [{table: jobs, conflict: append-only, granularity: column}]\n",
         "f.yaml:4: tables[0].granularity: 'column' belongs to 'last-write-wins'; 'append-only' "
         "takes whole rows"},
        {"unknown_identity", Table("identity: per_source"),
         std::string(kAt) +
             "identity: 'per_source' is not allowed; one of undeclared, shared, per-source; did "
             "you mean 'per-source'?"},
        {"own_rows_under_a_rule_for_many",
         "tables: [{table: jobs, identity: per-source, conflict: keep-central}]\n",
         "f.yaml:4: tables[0].conflict: with identity: per-source nobody else writes such a row, "
         "so 'keep-central' has nothing to decide; allowed: last-write-wins, append-only"},
        {"own_rows_under_the_rule_of_the_services",
         "tables: [{table: jobs, identity: per-source}]\n",
         "f.yaml:4: tables[0].identity: with identity: per-source nobody else writes such a row, "
         "so 'manual' has nothing to decide; allowed: last-write-wins, append-only",
         {{"CONFLICT_RESOLUTION", "manual"}}},
        {"own_rows_with_columns",
         "tables: [{table: jobs, identity: per-source, columns: {a: {conflict: greatest}}}]\n",
         "f.yaml:4: tables[0].columns: with identity: per-source nobody else writes such a row, so "
         "its columns need no rules"},
        {"own_rows_with_column_versions",
         "tables: [{table: jobs, identity: per-source, granularity: column}]\n",
         "f.yaml:4: tables[0].granularity: with identity: per-source nobody else writes such a "
         "row, so its columns need no versions of their own"},
        {"own_rows_and_deletes_of_others",
         "tables: [{table: jobs, identity: per-source, delete: own-only}]\n",
         "f.yaml:4: tables[0].delete: with identity: per-source nobody else writes such a row, so "
         "a delete meets no other report; allowed: last-write-wins, soft, ignore"},
        {"central_as_a_source", "sources: [central]\ntables: [jobs]\n",
         "f.yaml:4: sources: 'central' is reserved for rows that are written in the centre; call "
         "the source otherwise"},
        {"central_as_a_source_of_a_table", Table("sources: [central]"),
         std::string(kAt) +
             "sources: 'central' is reserved for rows that are written in the centre; call the "
             "source otherwise"},
    }),
    [](const auto& made) { return std::string(made.param.name); });

INSTANTIATE_TEST_SUITE_P(
    Mapping, ConflictMistake,
    ::testing::ValuesIn(std::vector<Case>{
        {"from_a_whole_schema", Table("from: 'edge.*'"),
         std::string(kAt) +
             "from: 'edge.*' names a whole schema; the subscriber needs each table by name"},
        {"from_what_another_takes", "tables:\n  - jobs\n  - {table: tasks, from: public.jobs}\n",
         "f.yaml:6: tables[1].from: what sources call 'public.jobs' goes to 'public.jobs' already"},
        {"table_that_another_takes", "tables:\n  - {table: tasks, from: jobs}\n  - jobs\n",
         "f.yaml:6: tables[1].table: what sources call 'public.jobs' goes to 'public.tasks' "
         "already"},
        {"rename_to_one_name", Table("rename: {a: c, b: c}"),
         std::string(kAt) + "rename.b: 'c' is also the new name of 'a'"},
        {"rename_of_a_skipped_column", "tables: [{table: jobs, skip: [a], rename: {a: b}}]\n",
         "f.yaml:4: tables[0].rename.a: 'a' is in 'skip'"},
        {"rename_to_ours", Table("rename: {a: _sync_version}"),
         std::string(kAt) + "rename.a: '_sync_version' is written by the subscriber itself"},
        {"rename_to_nothing", Table("rename: {a: }"),
         std::string(kAt) + "rename.a: must be a single value, found nothing\n" + kAt +
             "rename.a: the name of a column is empty"},
        {"rename_as_a_list", Table("rename: [a]"),
         std::string(kAt) + "rename: must be a mapping (key: value), found a list"},
        {"rename_twice", Table("rename: {a: b, a: c}"),
         std::string(kAt) + "rename.a: duplicate key; first set in line 6"},
        {"skip_twice", Table("skip: [a, a]"), std::string(kAt) + "skip: 'a' is listed twice"},
        {"constant_of_a_renamed_column",
         "tables: [{table: j, rename: {a: b}, constants: {b: 1}}]\n",
         "f.yaml:4: tables[0].constants.b: 'b' is also the new name of 'a'"},
        {"constant_of_ours", Table("constants: {_source: x}"),
         std::string(kAt) + "constants._source: '_source' is written by the subscriber itself"},
    }),
    [](const auto& made) { return std::string(made.param.name); });

}  // namespace
}  // namespace pmoves
