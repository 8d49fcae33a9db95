// Golden test: one statement per conflict rule and delete policy, in register_sql.golden beside
// this file. After a wanted change run the test with PMOVES_WRITE_GOLDEN=1 and read the difference
// as you would read code. That the statements do what they say is tested on a real Postgres
// (tests/subscriber/conflicts).
#include "subscriber/core/register_sql.h"

#include <gtest/gtest.h>

#include "subscriber/core/json_sql.h"
#include "subscriber/core/rule_sql.h"
#include "subscriber/core/unique_sql.h"
#include "tests/testing/golden.h"

namespace pmoves {
namespace {

TargetTable Tasks() {
  TargetTable table;
  table.oid = 7;
  table.schema = "public";
  table.table = "tasks";
  table.columns = {
      {.name = "id", .type = "uuid", .type_oid = 2950},
      {.name = "status", .type = "text", .type_oid = 25, .default_sql = "'new'::text"},
      {.name = "n", .type = "integer", .type_identity = "pg_catalog.int4 -1", .type_oid = 23},
      {.name = "tags", .type = "text[]", .type_oid = 1009},
      {.name = "doc", .type = "jsonb", .type_oid = 3802, .base_type = "jsonb"}};
  table.key = {0};
  return table;
}

TargetTable With(RuleKind kind, std::vector<std::string> columns, Rule rule = {}) {
  TargetTable table = Tasks();
  rule.kind = kind;
  if (columns.empty()) {
    table.policy.row = rule;
  } else {
    table.policy.columns = {{std::move(columns), rule}};
  }
  return table;
}

Golden Statements() {
  Golden golden;
  golden.Text("touched", CreateTouched());

  TargetTable plain = With(RuleKind::kFirstWriteWins, {});
  const Shape& all = plain.Intern({0, 1, 2, 3, 4});
  const Shape& some = plain.Intern({0, 1});
  const Shape& key = plain.Intern({0});
  golden.Text("report from stage", RegisterFromStage(plain, all, "pmoves_stage_1"));
  golden.Text("report row", RegisterRow(plain, all).sql);
  golden.Text("delete from stage", RegisterDeleteFromStage(plain, key, "pmoves_stage_1"));
  golden.Text("delete row", RegisterDelete(plain, key).sql);
  golden.Text("partial row", RegisterPartial(plain, some).sql);
  golden.Text("move row", RegisterMove(plain, some).sql);
  golden.Text("why untouched", RegisterWhyUntouched(plain).sql);
  golden.Text("truncate own rows", RegisterTruncate(plain).sql);
  golden.Text("first-write-wins", Recompute(plain));
  plain.policy.truncate = TruncatePolicy::kAll;
  golden.Text("truncate all", RegisterTruncate(plain).sql);
  golden.Text("below the floor", Recompute(plain));

  TargetTable by_column = Tasks();
  by_column.policy.granularity = Granularity::kColumn;
  golden.Text("last-write-wins per column: report row",
              RegisterRow(by_column, by_column.Intern({0, 1})).sql);
  golden.Text("last-write-wins per column", Recompute(by_column));
  golden.Text("last-write-wins per group",
              Recompute(With(RuleKind::kLastWriteWins, {"status", "n"})));
  golden.Text("source-priority",
              Recompute(With(RuleKind::kSourcePriority, {}, {.priority = {"b", "a"}})));
  golden.Text("value-priority, source",
              Recompute(With(RuleKind::kValuePriority, {"status", "n"}, {.values = {"running"}})));
  TargetTable epoch =
      With(RuleKind::kValuePriority, {"status"},
           {.values = {"running"}, .scope = ValueScope::kEpoch, .epoch_column = "n"});
  golden.Text("value-priority, epoch: report row", RegisterRow(epoch, epoch.Intern({0, 1, 2})).sql);
  golden.Text("value-priority, epoch", Recompute(epoch));
  golden.Text("greatest", Recompute(With(RuleKind::kGreatest, {"n"})));
  golden.Text("least", Recompute(With(RuleKind::kLeast, {"n"})));
  golden.Text("sum-of-sources", Recompute(With(RuleKind::kSumOfSources, {"n"})));
  golden.Text("set-union", Recompute(With(RuleKind::kSetUnion, {"tags"})));
  golden.Text("set-union of json", Recompute(With(RuleKind::kSetUnion, {"doc"})));
  TargetTable json = With(RuleKind::kJsonMerge, {"doc"});
  golden.Text("json-merge: report row", RegisterRow(json, json.Intern({0, 4})).sql);
  golden.Text("json-merge", Recompute(json));
  golden.Text("keep-central", Recompute(With(RuleKind::kKeepCentral, {})));
  golden.Text("manual", Recompute(With(RuleKind::kManual, {})));
  golden.Text("expression",
              Recompute(With(RuleKind::kExpression, {"n"}, {.expression = "GREATEST(a, b)"})));

  golden.Text("rows to be", RowsToBe(With(RuleKind::kGreatest, {"n"}), 10));
  golden.Text(
      "find blocking",
      FindBlocking(Tasks(),
                   {{.name = "tasks_name", .expressions = {"lower(status)"}, .predicate = "n > 0"},
                    {.name = "tasks_both", .expressions = {"status", "n"}, .nulls_equal = true}},
                   {{"twice", "(n * 2)"}}));

  TargetTable deletes = Tasks();
  for (const auto& [name, policy] : {std::pair("delete-wins", DeletePolicy::kDeleteWins),
                                     std::pair("update-wins", DeletePolicy::kUpdateWins),
                                     std::pair("own-only", DeletePolicy::kOwnOnly)}) {
    deletes.policy.on_delete = policy;
    golden.Text(name, Recompute(deletes));
  }
  deletes.policy.on_delete = DeletePolicy::kSoft;
  deletes.policy.soft_delete_column = "status";
  golden.Text("soft: delete row", RegisterDelete(deletes, deletes.Intern({0})).sql);
  return golden;
}

TEST(RegisterSqlTest, StatementsAreThoseOfTheGoldenFile) {
  Statements().ExpectSameAs(PMOVES_GOLDEN_FILE);
}

// AllRules is indexed by RuleKind.
TEST(RegisterSqlTest, EveryRuleStandsAtItsPlace) {
  for (size_t i = 0; i < AllRules().size(); ++i)
    EXPECT_EQ(static_cast<size_t>(AllRules()[i].kind), i) << AllRules()[i].name;
}

int Count(const std::string& text, const std::string& what) {
  int count = 0;
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++count;
  return count;
}

// A table of more columns than a function of Postgres takes arguments: an image is made of arrays.
TEST(RegisterSqlTest, ImagesOfWideTablesAreMadeOfArrays) {
  TargetTable wide = With(RuleKind::kFirstWriteWins, {});
  std::vector<int> columns = {0};
  for (int i = 0; i < 120; ++i) {
    columns.push_back(static_cast<int>(wide.columns.size()));
    wide.columns.push_back({.name = "c" + std::to_string(i), .type = "text", .type_oid = 25});
  }
  const std::string sql = RegisterRow(wide, wide.Intern(columns)).sql;
  EXPECT_EQ(Count(sql, "jsonb_build_object("), 0);
  EXPECT_EQ(Count(sql, "jsonb_object("), 1);
}

TEST(RegisterSqlTest, ObjectsOfManyPairsAreMadeInPieces) {
  const std::vector<std::string> pairs(120, JsonPair("name", "1"));
  EXPECT_EQ(Count(JsonObject(pairs), "jsonb_build_object("), 3);
}

}  // namespace
}  // namespace pmoves
