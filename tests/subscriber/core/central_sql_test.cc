// Golden test: the trigger functions that stamp and keep what is written in the centre itself, in
// central_sql.golden beside this file. After a wanted change run the test with
// PMOVES_WRITE_GOLDEN=1 and read the difference as you would read code. That they do what they say
// is tested on a real Postgres (tests/subscriber/io/central_writes_test.cc).
#include "subscriber/core/central_sql.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <set>
#include <sstream>

#include "subscriber/core/merge_sql.h"
#include "subscriber/core/pick_sql.h"
#include "tests/testing/target_tables.h"

namespace pmoves {
namespace {

TargetTable OddTable() {
  TargetTable table;
  table.schema = "Odd \"schema\"";
  table.table = "it's";
  table.columns = {{.name = "tenant",
                    .type = "citext",
                    .type_oid = 90001,
                    .key_text = TargetColumn::KeyText::kCitext},
                   {.name = "No",
                    .type = "numeric(12,2)",
                    .type_oid = 1700,
                    .key_text = TargetColumn::KeyText::kNumeric}};
  table.key = {1, 0};
  return table;
}

// Columns with rules of their own, of each sort.
TargetTable TasksTable() {
  TargetTable table = JobsTable();
  table.table = "tasks";
  table.columns.push_back({.name = "worker", .type = "text", .type_oid = kTextTypeOid});
  table.columns.push_back({.name = "parts", .type = "integer", .type_oid = kIntOid});
  table.columns.push_back({.name = "run", .type = "integer", .type_oid = kIntOid});
  table.columns.push_back({.name = "phase", .type = "text", .type_oid = kTextTypeOid});
  table.columns.push_back({.name = "doc", .type = "jsonb", .type_oid = 3802});
  table.policy.columns = {
      {{"status", "worker"}, {.kind = RuleKind::kValuePriority, .values = {"running"}}},
      {{"parts"}, {.kind = RuleKind::kSumOfSources}},
      {{"phase"},
       {.kind = RuleKind::kValuePriority,
        .values = {"done"},
        .scope = ValueScope::kEpoch,
        .epoch_column = "run"}},
      {{"doc"}, {.kind = RuleKind::kJsonMerge}}};
  return table;
}

std::string Functions() {
  std::ostringstream out;
  auto text = [&out](const char* name, const std::string& sql) {
    out << "-- " << name << "\n" << sql << ";\n\n";
  };
  const TargetTable jobs = JobsTable();
  text("jobs: function", CreateCentralFunction(jobs, {{"datestyle", "ISO"}}));
  for (const CentralTrigger& trigger : CentralTriggers(jobs))
    text(trigger.name.c_str(), trigger.create);
  text("jobs: settle", SettleBuried(jobs));

  TargetTable emptied = JobsTable();
  emptied.policy.truncate = TruncatePolicy::kAll;
  text("truncate takes all: body", CentralFunctionBody(emptied));
  text("truncate takes all: settle", SettleBuried(emptied));

  TargetTable audit = JobsTable();
  audit.policy.row.kind = RuleKind::kAppendOnly;
  text("append-only: body", CentralFunctionBody(audit));

  text("own: body", CentralFunctionBody(OwnJobsTable()));
  TargetTable soft = OwnJobsTable();
  soft.policy.on_delete = DeletePolicy::kSoft;
  soft.policy.soft_delete_column = "output";
  text("own, soft: body", CentralFunctionBody(soft));
  text("own: settle", SettleBuried(OwnJobsTable()));
  text("odd: body", CentralFunctionBody(OddTable()));

  TargetTable kept = JobsTable();
  kept.policy.row.kind = RuleKind::kKeepCentral;
  text("registers: body", CentralFunctionBody(kept));
  kept.policy.truncate = TruncatePolicy::kAll;
  kept.policy.on_delete = DeletePolicy::kSoft;
  kept.policy.soft_delete_column = "output";
  text("registers, soft, truncate takes all: body", CentralFunctionBody(kept));
  text("registers, rules of columns: body", CentralFunctionBody(TasksTable()));
  TargetTable by_column = JobsTable();
  by_column.policy.granularity = Granularity::kColumn;
  by_column.policy.on_delete = DeletePolicy::kSoft;
  by_column.policy.soft_delete_column = "output";
  text("registers, per column, soft: body", CentralFunctionBody(by_column));
  text("odd: settle", SettleBuried(OddTable()));

  text("pick: report", PickReport(TasksTable()));
  text("pick: delete", PickDelete(TasksTable()));
  text("pick: touch", TouchPicked(TasksTable()));
  text("pick: source", PickedSource(OddTable()));
  return out.str();
}

TEST(CentralSqlTest, FunctionsAreThoseOfTheGoldenFile) {
  const std::string got = Functions();
  if (std::getenv("PMOVES_WRITE_GOLDEN") != nullptr) std::ofstream(PMOVES_GOLDEN_FILE) << got;
  std::ifstream file(PMOVES_GOLDEN_FILE);
  std::ostringstream want;
  want << file.rdbuf();
  EXPECT_EQ(got, want.str());
}

TEST(CentralSqlTest, EveryTableHasAFunctionOfItsOwn) {
  std::set<std::string> names;
  TargetTable table = JobsTable();
  for (const auto& [schema, name] : {std::pair("a.b", "c"), std::pair("a", "b.c"),
                                     std::pair("public", "jobs"), std::pair("public", "Jobs")}) {
    table.schema = schema;
    table.table = name;
    EXPECT_TRUE(names.insert(CentralFunctionName(table)).second) << schema << " " << name;
    EXPECT_LE(CentralFunctionName(table).size(), 63u);
  }
}

}  // namespace
}  // namespace pmoves
