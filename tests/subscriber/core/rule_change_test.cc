// What a changed rule does, the text that rules are compared by, and the statements of a change in
// rule_change.golden beside this file (PMOVES_WRITE_GOLDEN=1 writes it). That they do what they say
// is tested on a real Postgres (tests/subscriber/io/table_rules_test.cc).
#include "subscriber/core/rule_change.h"

#include <gtest/gtest.h>

#include "subscriber/core/policy_text.h"
#include "tests/testing/golden.h"
#include "tests/testing/target_tables.h"

namespace pmoves {
namespace {

TablePolicy Registers() {
  TablePolicy policy;
  policy.on_delete = DeletePolicy::kOwnOnly;
  return policy;
}

TEST(RuleChangeTest, FollowsFromWhatMadeTheRows) {
  const TablePolicy by_row;
  const TablePolicy by_registers = Registers();
  TablePolicy other = by_registers;
  other.row.kind = RuleKind::kKeepCentral;
  auto recorded = [](const TablePolicy& policy, bool unfinished = false) {
    return RecordedRule{3, PolicyText(policy), UsesRegisters(policy), unfinished};
  };
  EXPECT_EQ(ChangeOf(std::nullopt, by_row), RuleChange::kRecord);
  EXPECT_EQ(ChangeOf(std::nullopt, by_registers), RuleChange::kAdopt);
  EXPECT_EQ(ChangeOf(recorded(by_row), by_row), RuleChange::kNone);
  EXPECT_EQ(ChangeOf(recorded(by_row), by_registers), RuleChange::kAdopt);
  EXPECT_EQ(ChangeOf(recorded(by_registers), other), RuleChange::kRecompute);
  EXPECT_EQ(ChangeOf(recorded(by_registers), by_row), RuleChange::kForget);
  EXPECT_EQ(ChangeOf(recorded(by_registers, true), by_registers), RuleChange::kRecompute);
  EXPECT_EQ(ChangeOf(recorded(by_row, true), by_row), RuleChange::kForget);
  TablePolicy ignoring;
  ignoring.on_delete = DeletePolicy::kIgnore;
  EXPECT_EQ(ChangeOf(recorded(by_row), ignoring), RuleChange::kRecord);
}

TEST(RuleChangeTest, KnowsWhetherATruncateOfAllRowsMayHaveBuriedReports) {
  TablePolicy policy;
  EXPECT_FALSE(BuriesAll({1, PolicyText(policy), false}));
  EXPECT_TRUE(BuriesAll({1, PolicyText(policy), false, true}));
  EXPECT_TRUE(BuriesAll({1, "", false}));
  policy.truncate = TruncatePolicy::kAll;
  EXPECT_TRUE(BuriesAll({1, PolicyText(policy), false}));
}

TEST(RuleChangeTest, KnowsWhenVersionsComeFromAnotherClock) {
  TablePolicy policy;
  policy.version = VersionSource::kColumn;
  EXPECT_FALSE(ChangesClock(std::nullopt, policy));
  RecordedRule recorded;
  EXPECT_TRUE(ChangesClock(recorded, policy)) << "it is not known";
  recorded.clock = "column";
  EXPECT_FALSE(ChangesClock(recorded, policy)) << "another column has the same clock";
  recorded.clock = "commit";
  EXPECT_TRUE(ChangesClock(recorded, policy));
  recorded.clock = "arrival";
  EXPECT_TRUE(ChangesClock(recorded, policy));
}

TEST(PolicyTextTest, SaysWhatDecidesRowsAndNothingElse) {
  TablePolicy policy;
  EXPECT_EQ(PolicyText(policy), "conflict: last-write-wins");
  policy.log = ConflictLog::kAll;
  policy.max_future = absl::Hours(1);
  policy.identity = Identity::kShared;
  policy.allow_divergence = true;
  EXPECT_EQ(PolicyText(policy), "conflict: last-write-wins");
  policy.row = {.kind = RuleKind::kSourcePriority, .priority = {"central", "jetson-01"}};
  policy.columns = {{{"status", "worker"}, {.kind = RuleKind::kValuePriority, .values = {"a\"b"}}},
                    {{"n"},
                     {.kind = RuleKind::kValuePriority,
                      .values = {"1"},
                      .scope = ValueScope::kEpoch,
                      .epoch_column = "run"}}};
  policy.version = VersionSource::kColumn;
  policy.version_column = "updated_at";
  policy.on_delete = DeletePolicy::kSoft;
  policy.soft_delete_column = "gone_at";
  policy.truncate = TruncatePolicy::kAll;
  EXPECT_EQ(PolicyText(policy),
            R"(conflict: source-priority, priority: ["central", "jetson-01"], columns: {"n": )"
            R"({conflict: value-priority, values: ["1"], scope: epoch, epoch_column: "run"}, )"
            R"("status": {conflict: value-priority, values: ["a\"b"], group: ["worker"]}}, )"
            R"(version: "column:updated_at", delete: soft, soft_delete_column: "gone_at", )"
            R"(truncate: all)");
}

TEST(PolicyTextTest, DoesNotDependOnTheOrderOfColumns) {
  TablePolicy policy;
  policy.columns = {{{"a"}, {.kind = RuleKind::kGreatest}}, {{"b"}, {.kind = RuleKind::kLeast}}};
  TablePolicy turned;
  turned.columns = {policy.columns[1], policy.columns[0]};
  EXPECT_EQ(PolicyText(policy), PolicyText(turned));
}

Golden Statements() {
  Golden golden;
  TargetTable jobs = JobsTable();
  jobs.policy.columns = {
      {{"status"}, {.kind = RuleKind::kLastWriteWins}},
      {{"output"},
       {.kind = RuleKind::kValuePriority, .values = {"done"}, .scope = ValueScope::kAbsorbing}}};
  golden.Text("touch next registers", TouchNextRegisters(jobs, 1000).sql);
  golden.Text("touch next tombstones", TouchNextTombstones(jobs, 1000).sql);
  golden.Text("adopt rows", AdoptRows(jobs).sql);
  golden.Text("adopt tombstones", AdoptTombstones(jobs));
  golden.Text("lock touched rows", LockTouchedRows(jobs));
  golden.Text("complete registers", CompleteRegisters(jobs));
  golden.Text("forget registers", ForgetRegisters(jobs));
  golden.Text("forget the floor", ForgetFloor(jobs));
  golden.Text("raise the commit clock", RaiseClocks(jobs, "column"));
  jobs.policy.version = VersionSource::kColumn;
  golden.Text("raise the clock of a column", RaiseClocks(jobs, "commit"));
  jobs.policy.version = VersionSource::kArrival;
  golden.Text("raise the clock of arrivals", RaiseClocks(jobs, "column"));
  return golden;
}

TEST(RuleChangeTest, StatementsAreThoseOfTheGoldenFile) {
  Statements().ExpectSameAs(PMOVES_GOLDEN_FILE);
}

}  // namespace
}  // namespace pmoves
