// Golden test: the trigger functions that stamp and keep what is written in the centre itself, in
// central_sql.golden beside this file. After a wanted change run the test with
// PMOVES_WRITE_GOLDEN=1 and read the difference as you would read code. That they do what they say
// is tested on a real Postgres (tests/subscriber/io/central_writes_test.cc).
#include "subscriber/core/central_sql.h"

#include <gtest/gtest.h>

#include <set>

#include "subscriber/core/merge_sql.h"
#include "subscriber/core/pick_sql.h"
#include "tests/testing/golden.h"
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

Golden Functions() {
  Golden golden;
  const TargetTable jobs = JobsTable();
  golden.Text("jobs: function", CreateCentralFunction(jobs, {{"datestyle", "ISO"}}));
  for (const CentralTrigger& trigger : CentralTriggers(jobs))
    golden.Text(trigger.name.c_str(), trigger.create);
  golden.Text("jobs: settle", SettleBuried(jobs));

  TargetTable emptied = JobsTable();
  emptied.policy.truncate = TruncatePolicy::kAll;
  golden.Text("truncate takes all: body", CentralFunctionBody(emptied));
  golden.Text("truncate takes all: settle", SettleBuried(emptied));

  TargetTable audit = JobsTable();
  audit.policy.row.kind = RuleKind::kAppendOnly;
  golden.Text("append-only: body", CentralFunctionBody(audit));

  golden.Text("own: body", CentralFunctionBody(OwnJobsTable()));
  TargetTable soft = OwnJobsTable();
  soft.policy.on_delete = DeletePolicy::kSoft;
  soft.policy.soft_delete_column = "output";
  golden.Text("own, soft: body", CentralFunctionBody(soft));
  golden.Text("own: settle", SettleBuried(OwnJobsTable()));
  golden.Text("odd: body", CentralFunctionBody(OddTable()));

  TargetTable kept = JobsTable();
  kept.policy.row.kind = RuleKind::kKeepCentral;
  golden.Text("registers: body", CentralFunctionBody(kept));
  kept.policy.truncate = TruncatePolicy::kAll;
  kept.policy.on_delete = DeletePolicy::kSoft;
  kept.policy.soft_delete_column = "output";
  golden.Text("registers, soft, truncate takes all: body", CentralFunctionBody(kept));
  golden.Text("registers, rules of columns: body", CentralFunctionBody(TasksTable()));
  TargetTable by_column = JobsTable();
  by_column.policy.granularity = Granularity::kColumn;
  by_column.policy.on_delete = DeletePolicy::kSoft;
  by_column.policy.soft_delete_column = "output";
  golden.Text("registers, per column, soft: body", CentralFunctionBody(by_column));
  golden.Text("odd: settle", SettleBuried(OddTable()));

  golden.Text("pick: report", PickReport(TasksTable()));
  golden.Text("pick: delete", PickDelete(TasksTable()));
  golden.Text("pick: touch", TouchPicked(TasksTable()));
  golden.Text("pick: source", PickedSource(OddTable()));
  return golden;
}

TEST(CentralSqlTest, FunctionsAreThoseOfTheGoldenFile) {
  Functions().ExpectSameAs(PMOVES_GOLDEN_FILE);
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
