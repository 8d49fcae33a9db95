// What the centre's table cannot do for its configuration, as operators read it.
#include "subscriber/core/policy_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

namespace pmoves {
namespace {

using ::testing::ElementsAreArray;

// A column of each kind that the rules tell apart.
TargetTable Table() {
  const auto column = [](const char* name, const char* type, const char* base, char category,
                         bool orderable = true) {
    TargetColumn made;
    made.name = name;
    made.type = type;
    made.base_type = base;
    made.category = category;
    made.orderable = orderable;
    return made;
  };
  TargetTable table;
  table.schema = "public";
  table.table = "jobs";
  table.columns = {column("id", "integer", "int4", 'N'),
                   column("status", "text", "text", 'S'),
                   column("parts", "numeric(8,2)", "numeric", 'N'),
                   column("spent", "interval", "interval", 'T'),
                   column("owner", "oid", "oid", 'N'),
                   column("tags", "text[]", "_text", 'A'),
                   column("points", "point[]", "_point", 'A', false),
                   column("meta", "jsonb", "jsonb", 'U'),
                   column("raw", "json", "json", 'U', false),
                   column("updated_at", "stamp", "timestamptz", 'D'),
                   column("day", "date", "date", 'D'),
                   column("run_no", "bigint", "int8", 'N'),
                   column("total", "numeric", "numeric", 'N')};
  table.columns.back().generated = true;
  table.key = {0};
  return table;
}

struct Case {
  const char* name;
  std::function<void(TargetTable*)> configure;
  std::vector<std::string> problems;
};

void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

class PolicyCheck : public ::testing::TestWithParam<Case> {};

TEST_P(PolicyCheck, TellsWhatDoesNotFit) {
  TargetTable table = Table();
  GetParam().configure(&table);
  EXPECT_THAT(CheckPolicy(table), ElementsAreArray(GetParam().problems));
}

std::function<void(TargetTable*)> Columns(std::vector<std::string> columns, RuleKind kind) {
  return [=](TargetTable* table) {
    ColumnRule& entry = table->policy.columns.emplace_back();
    entry.columns = columns;
    entry.rule.kind = kind;
  };
}

std::function<void(TargetTable*)> Version(const std::string& column) {
  return [=](TargetTable* table) {
    table->policy.version = VersionSource::kColumn;
    table->policy.version_column = column;
  };
}

std::function<void(TargetTable*)> Soft(const std::string& column) {
  return [=](TargetTable* table) {
    table->policy.on_delete = DeletePolicy::kSoft;
    table->policy.soft_delete_column = column;
  };
}

std::function<void(TargetTable*)> Epoch(const std::string& column) {
  return [=](TargetTable* table) {
    Columns({"status"}, RuleKind::kValuePriority)(table);
    Rule& rule = table->policy.columns.back().rule;
    rule.values = {"running"};
    rule.scope = ValueScope::kEpoch;
    rule.epoch_column = column;
  };
}

INSTANTIATE_TEST_SUITE_P(
    Rules, PolicyCheck,
    ::testing::ValuesIn(std::vector<Case>{
        {"nothing_said", [](TargetTable*) {}, {}},
        {"unknown_column",
         Columns({"staus"}, RuleKind::kGreatest),
         {"columns.staus: public.jobs has no column \"staus\" in the centre"}},
        {"unknown_column_of_a_group",
         Columns({"status", "worker", "day"}, RuleKind::kGreatest),
         {"columns.status.group: public.jobs has no column \"worker\" in the centre"}},
        {"key_column",
         Columns({"id"}, RuleKind::kLastWriteWins),
         {"columns.id: \"id\" is in the primary key, which says which row it is; there is nothing "
          "to choose"}},
        {"key_column_of_a_group",
         Columns({"status", "id"}, RuleKind::kLastWriteWins),
         {"columns.status.group: \"id\" is in the primary key, which says which row it is; there "
          "is nothing to choose"}},
        {"generated_column",
         Columns({"total"}, RuleKind::kGreatest),
         {"columns.total: \"total\" is computed by the centre, nothing writes it"}},
        {"greatest_of_text", Columns({"status"}, RuleKind::kGreatest), {}},
        {"greatest_of_json",
         Columns({"raw"}, RuleKind::kGreatest),
         {"columns.raw.conflict: 'greatest' needs a type with an order, \"raw\" is json"}},
        {"least_of_points",
         Columns({"points"}, RuleKind::kLeast),
         {"columns.points.conflict: 'least' needs a type with an order, \"points\" is point[]"}},
        {"sum_of_numbers", Columns({"parts"}, RuleKind::kSumOfSources), {}},
        {"sum_of_intervals", Columns({"spent"}, RuleKind::kSumOfSources), {}},
        {"sum_of_text",
         Columns({"status"}, RuleKind::kSumOfSources),
         {"columns.status.conflict: 'sum-of-sources' needs a number or an interval, \"status\" is "
          "text"}},
        {"sum_of_numbers_that_are_names",
         Columns({"owner"}, RuleKind::kSumOfSources),
         {"columns.owner.conflict: 'sum-of-sources' needs a number or an interval, \"owner\" is "
          "oid"}},
        {"union_of_an_array", Columns({"tags"}, RuleKind::kSetUnion), {}},
        {"union_of_json", Columns({"raw"}, RuleKind::kSetUnion), {}},
        {"union_of_points",
         Columns({"points"}, RuleKind::kSetUnion),
         {"columns.points.conflict: 'set-union' needs json, jsonb or an array of a type with an "
          "order, \"points\" is point[]"}},
        {"union_of_text",
         Columns({"status"}, RuleKind::kSetUnion),
         {"columns.status.conflict: 'set-union' needs json, jsonb or an array of a type with an "
          "order, \"status\" is text"}},
        {"merge_of_jsonb", Columns({"meta"}, RuleKind::kJsonMerge), {}},
        {"merge_of_an_array",
         Columns({"tags"}, RuleKind::kJsonMerge),
         {"columns.tags.conflict: 'json-merge' needs json or jsonb, \"tags\" is text[]"}},
        {"epoch", Epoch("run_no"), {}},
        {"epoch_that_is_a_day",
         Epoch("day"),
         {"columns.status.epoch_column: \"day\" must be a number, it is date"}},
        {"epoch_that_is_not_there",
         Epoch("run"),
         {"columns.status.epoch_column: public.jobs has no column \"run\" in the centre"}},
    }),
    [](const auto& made) { return std::string(made.param.name); });

constexpr char kNotTheirs[] =
    "version: \"run_no\" does not come from the sources (constants, skip, or computed by the "
    "centre), so it says nothing about their rows";

INSTANTIATE_TEST_SUITE_P(
    Policies, PolicyCheck,
    ::testing::ValuesIn(std::vector<Case>{
        {"version_of_a_domain_over_timestamps", Version("updated_at"), {}},
        {"version_of_milliseconds", Version("run_no"), {}},
        {"version_of_a_day",
         Version("day"),
         {"version: \"day\" must be a timestamp, or an integer (milliseconds since 1970); it is "
          "date"}},
        {"version_that_is_not_there",
         Version("changed"),
         {"version: public.jobs has no column \"changed\" in the centre"}},
        {"version_that_is_a_constant",
         [](TargetTable* table) {
           Version("run_no")(table);
           table->mapping.constants["run_no"] = "1";
         },
         {kNotTheirs}},
        {"version_that_is_skipped",
         [](TargetTable* table) {
           Version("run_no")(table);
           table->mapping.skip = {"run_no"};
         },
         {kNotTheirs}},
        {"version_in_place_of_a_skipped_column",
         [](TargetTable* table) {
           Version("run_no")(table);
           table->mapping.skip = {"run_no"};
           table->mapping.rename = {{"round", "run_no"}};
         },
         {}},
        {"version_that_is_computed",
         [](TargetTable* table) {
           Version("run_no")(table);
           table->columns[11].generated = true;
         },
         {kNotTheirs}},
        {"soft_delete", Soft("updated_at"), {}},
        {"soft_delete_by_number",
         Soft("run_no"),
         {"soft_delete_column: \"run_no\" must be a timestamp, it is bigint"}},
        {"soft_delete_that_is_not_there",
         Soft("deleted_at"),
         {"soft_delete_column: public.jobs has no column \"deleted_at\" in the centre"}},
        {"mapping",
         [](TargetTable* table) {
           table->mapping.rename = {{"state", "status"}, {"nr", "id"}};
           table->mapping.skip = {"id", "secret"};
           table->mapping.constants = {{"day", "2026-11-22"}};
         },
         {}},
        {"rename_to_nowhere",
         [](TargetTable* table) {
           table->mapping.rename = {{"state", "sttaus"}};
         },
         {"rename.state: public.jobs has no column \"sttaus\" in the centre"}},
        {"skipped_key",
         [](TargetTable* table) { table->mapping.skip = {"id"}; },
         {"skip: \"id\" is in the primary key of public.jobs, rows cannot do without it"}},
        {"constants_nowhere_and_where_they_cannot_be",
         [](TargetTable* table) {
           table->mapping.constants = {{"id", "1"}, {"site", "x"}, {"total", "3"}};
         },
         {"constants.id: \"id\" is in the primary key, which says which row it is; there is "
          "nothing to choose",
          "constants.site: public.jobs has no column \"site\" in the centre",
          "constants.total: \"total\" is computed by the centre, nothing writes it"}},
        {"several_at_once",
         [](TargetTable* table) {
           Columns({"a"}, RuleKind::kGreatest)(table);
           Version("b")(table);
         },
         {"columns.a: public.jobs has no column \"a\" in the centre",
          "version: public.jobs has no column \"b\" in the centre"}},
    }),
    [](const auto& made) { return std::string(made.param.name); });

}  // namespace
}  // namespace pmoves
