// Golden test: one statement per conflict rule and delete policy, in register_sql.golden beside
// this file. After a wanted change run the test with PMOVES_WRITE_GOLDEN=1 and read the difference
// as you would read code. That the statements do what they say is tested on a real Postgres
// (tests/subscriber/conflicts).
#include "subscriber/core/register_sql.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "subscriber/core/json_sql.h"
#include "subscriber/core/rule_sql.h"
#include "subscriber/core/unique_sql.h"

namespace pmoves {
namespace {

TargetTable Tasks() {
  TargetTable table;
  table.oid = 7;
  table.schema = "public";
  table.table = "tasks";
  table.columns = {{.name = "id", .type = "uuid", .type_oid = 2950},
                   {.name = "status", .type = "text", .type_oid = 25, .default_sql = "'new'::text"},
                   {.name = "n", .type = "integer", .type_oid = 23},
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

std::string Statements() {
  std::ostringstream out;
  auto text = [&out](const char* name, const std::string& sql) {
    out << "-- " << name << "\n" << sql << ";\n\n";
  };
  text("touched", CreateTouched());

  TargetTable plain = With(RuleKind::kFirstWriteWins, {});
  const Shape& all = plain.Intern({0, 1, 2, 3, 4});
  const Shape& some = plain.Intern({0, 1});
  const Shape& key = plain.Intern({0});
  text("report from stage", RegisterFromStage(plain, all, "pmoves_stage_1"));
  text("report row", RegisterRow(plain, all).sql);
  text("delete from stage", RegisterDeleteFromStage(plain, key, "pmoves_stage_1"));
  text("delete row", RegisterDelete(plain, key).sql);
  text("partial row", RegisterPartial(plain, some).sql);
  text("move row", RegisterMove(plain, some).sql);
  text("why untouched", RegisterWhyUntouched(plain).sql);
  text("truncate own rows", RegisterTruncate(plain).sql);
  text("first-write-wins", Recompute(plain));
  plain.policy.truncate = TruncatePolicy::kAll;
  text("truncate all", RegisterTruncate(plain).sql);
  text("below the floor", Recompute(plain));

  TargetTable by_column = Tasks();
  by_column.policy.granularity = Granularity::kColumn;
  text("last-write-wins per column: report row",
       RegisterRow(by_column, by_column.Intern({0, 1})).sql);
  text("last-write-wins per column", Recompute(by_column));
  text("last-write-wins per group", Recompute(With(RuleKind::kLastWriteWins, {"status", "n"})));
  text("source-priority", Recompute(With(RuleKind::kSourcePriority, {}, {.priority = {"b", "a"}})));
  text("value-priority, source",
       Recompute(With(RuleKind::kValuePriority, {"status", "n"}, {.values = {"running"}})));
  TargetTable epoch =
      With(RuleKind::kValuePriority, {"status"},
           {.values = {"running"}, .scope = ValueScope::kEpoch, .epoch_column = "n"});
  text("value-priority, epoch: report row", RegisterRow(epoch, epoch.Intern({0, 1, 2})).sql);
  text("value-priority, epoch", Recompute(epoch));
  text("greatest", Recompute(With(RuleKind::kGreatest, {"n"})));
  text("least", Recompute(With(RuleKind::kLeast, {"n"})));
  text("sum-of-sources", Recompute(With(RuleKind::kSumOfSources, {"n"})));
  text("set-union", Recompute(With(RuleKind::kSetUnion, {"tags"})));
  text("set-union of json", Recompute(With(RuleKind::kSetUnion, {"doc"})));
  TargetTable json = With(RuleKind::kJsonMerge, {"doc"});
  text("json-merge: report row", RegisterRow(json, json.Intern({0, 4})).sql);
  text("json-merge", Recompute(json));
  text("keep-central", Recompute(With(RuleKind::kKeepCentral, {})));
  text("manual", Recompute(With(RuleKind::kManual, {})));
  text("expression",
       Recompute(With(RuleKind::kExpression, {"n"}, {.expression = "GREATEST(a, b)"})));

  text("rows to be", RowsToBe(With(RuleKind::kGreatest, {"n"}), 10));
  text("find blocking",
       FindBlocking(Tasks(),
                    {{.name = "tasks_name", .expressions = {"lower(status)"}, .predicate = "n > 0"},
                     {.name = "tasks_both", .expressions = {"status", "n"}, .nulls_equal = true}},
                    {{"twice", "(n * 2)"}}));

  TargetTable deletes = Tasks();
  for (const auto& [name, policy] : {std::pair("delete-wins", DeletePolicy::kDeleteWins),
                                     std::pair("update-wins", DeletePolicy::kUpdateWins),
                                     std::pair("own-only", DeletePolicy::kOwnOnly)}) {
    deletes.policy.on_delete = policy;
    text(name, Recompute(deletes));
  }
  deletes.policy.on_delete = DeletePolicy::kSoft;
  deletes.policy.soft_delete_column = "status";
  text("soft: delete row", RegisterDelete(deletes, deletes.Intern({0})).sql);
  return out.str();
}

TEST(RegisterSqlTest, StatementsAreThoseOfTheGoldenFile) {
  const std::string got = Statements();
  if (std::getenv("PMOVES_WRITE_GOLDEN") != nullptr) std::ofstream(PMOVES_GOLDEN_FILE) << got;
  std::ifstream file(PMOVES_GOLDEN_FILE);
  std::ostringstream want;
  want << file.rdbuf();
  EXPECT_EQ(got, want.str());
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
