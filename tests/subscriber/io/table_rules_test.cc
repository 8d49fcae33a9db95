// Changing the rule of a table that has rows, on a real Postgres.
#include <string>

#include "gtest/gtest.h"
#include "subscriber/core/policy_text.h"
#include "subscriber/io/central_triggers.h"
#include "tests/subscriber/io/table_rules_fixture.h"

namespace pmoves {
namespace {

TEST_F(TableRulesTest, IsRecordedOnceAndNothingIsDoneWhileItIsTheSame) {
  ASSERT_THAT(StartWith(TablePolicy()), IsOk());
  EXPECT_EQ(Rule(), "1 conflict: last-write-wins");
  EXPECT_EQ(told_.size(), 1u);
  ASSERT_THAT(StartWith(TablePolicy()), IsOk());
  EXPECT_EQ(Rule(), "1 conflict: last-write-wins");
  EXPECT_EQ(told_.size(), 0u);
}

TEST_F(TableRulesTest, RowsBecomeTheReportsOfTheirSourceAndTombstonesDeletes) {
  ASSERT_THAT(StartWith(TablePolicy()), IsOk());
  ASSERT_THAT(Apply({SendInserts(kA, 1000, 1, 3000, "a"), SendInsert(kB, 9000, 1, "b"),
                     SendInsert(kB, 9001, 2, "b"), SendDelete(kB, 9002, 3000)}),
              IsOk());
  ASSERT_THAT(StartWith(RowRule(RuleKind::kSourcePriority, {kA})), IsOk());
  EXPECT_EQ(Rule(), R"(2 conflict: source-priority, priority: ["jetson-01"])");
  EXPECT_EQ(Count("jobs"), 2999);
  EXPECT_EQ(Count("pmoves_sync.register WHERE NOT deleted"), 2999);
  EXPECT_EQ(Count("pmoves_sync.register WHERE deleted"), 1);
  // What A said of 1 and 2 had been replaced; of 3 it is still known.
  ASSERT_THAT(Apply({SendInsert(kB, 9010, 3, "b"), SendInsert(kA, 9010, 1, "again"),
                     SendInsert(kB, 9011, 2, "b")}),
              IsOk());
  EXPECT_EQ(
      Execute("SELECT string_agg(status, ' ' ORDER BY id) FROM jobs WHERE id < 4").String(0, 0),
      "again b a");
  // The deleted key stays dead under an older change.
  Execute("DELETE FROM pmoves_sync.tombstone");
  ASSERT_THAT(Apply({SendInsert("jetson-03", 5000, 3000, "late")}), IsOk());
  EXPECT_EQ(Count("jobs WHERE id = 3000"), 0);
}

TEST_F(TableRulesTest, RowsAreComputedAgainFromTheReports) {
  ASSERT_THAT(StartWith(RowRule(RuleKind::kSourcePriority, {kA})), IsOk());
  ASSERT_THAT(Apply({SendInserts(kA, 1000, 1, 2500, "a"), SendInserts(kB, 1000, 1, 2500, "b")}),
              IsOk());
  EXPECT_EQ(Count("jobs WHERE status = 'a'"), 2500);
  Execute("TRUNCATE pmoves_sync.conflict_log");
  ASSERT_THAT(StartWith(RowRule(RuleKind::kSourcePriority, {kB})), IsOk());
  EXPECT_EQ(Count("jobs WHERE status = 'b'"), 2500);
  EXPECT_EQ(Count("pmoves_sync.conflict_log"), 0) << "these are no new conflicts";
  EXPECT_EQ(Rule().substr(0, 2), "2 ");
}

TEST_F(TableRulesTest, RowsStayWhenTheReportsAreGivenUpAndWhatIsGoneStaysGone) {
  ASSERT_THAT(StartWith(RowRule(RuleKind::kSourcePriority, {kA})), IsOk());
  ASSERT_THAT(Apply({SendInsert(kA, 10, 1, "a"), SendInsert(kB, 20, 1, "b"),
                     SendInsert(kA, 30, 2, "a"), SendDelete(kA, 31, 2)}),
              IsOk());
  ASSERT_THAT(StartWith(TablePolicy()), IsOk());
  EXPECT_EQ(Statuses(), "1:a");
  EXPECT_EQ(Count("pmoves_sync.register"), 0);
  ASSERT_THAT(Apply({SendInsert("jetson-03", 15, 1, "late"), SendInsert("jetson-03", 25, 2, "late"),
                     SendInsert("jetson-03", 26, 3, "c")}),
              IsOk());
  EXPECT_EQ(Statuses(), "1:a 3:c");
  ASSERT_THAT(StartWith(RowRule(RuleKind::kKeepCentral)), IsOk());
  EXPECT_EQ(Rule(), "3 conflict: keep-central");
  EXPECT_EQ(Statuses(), "1:a 3:c");
  EXPECT_EQ(Count("pmoves_sync.register"), 3);
}

// Reports from before a rule that keeps more than images.
TEST_F(TableRulesTest, WhatTheNewRuleKeepsIsMadeFromTheLatestReports) {
  Execute("ALTER TABLE jobs ADD COLUMN doc jsonb");
  ASSERT_THAT(StartWith(RowRule(RuleKind::kFirstWriteWins)), IsOk());
  auto row = [](const char* status, const char* member) {
    return absl::StrFormat(R"("data":[{"id":1,"status":"%s","doc":"{\"%s\": 1}"}])", status,
                           member);
  };
  ASSERT_THAT(Apply({{kA, "INSERT", row("a", "x"), 10}, {kB, "INSERT", row("b", "y"), 20}}),
              IsOk());
  TablePolicy policy;
  policy.columns = {
      {{"status"},
       {.kind = RuleKind::kValuePriority, .values = {"a"}, .scope = ValueScope::kAbsorbing}},
      {{"doc"}, {.kind = RuleKind::kJsonMerge}}};
  ASSERT_THAT(StartWith(policy), IsOk());
  const std::string look = "SELECT status || ' ' || doc::text FROM jobs";
  EXPECT_EQ(Execute(look).String(0, 0), R"(a {"x": 1, "y": 1})");
  policy = TablePolicy();
  policy.granularity = Granularity::kColumn;
  ASSERT_THAT(StartWith(policy), IsOk());
  EXPECT_EQ(Execute(look).String(0, 0), R"(b {"y": 1})");
  ASSERT_THAT(Apply({{kA, "UPDATE", row("a2", "x"), 30}}), IsOk());
  EXPECT_EQ(Execute(look).String(0, 0), R"(a2 {"y": 1})") << "A gave doc no other value";
}

TEST_F(TableRulesTest, StrongestValuesAreRankedAnewByTheRuleThatComes) {
  Execute("ALTER TABLE jobs ADD COLUMN run integer");
  TablePolicy policy;
  policy.columns = {{{"status"},
                     {.kind = RuleKind::kValuePriority,
                      .values = {"running", "done"},
                      .scope = ValueScope::kAbsorbing}}};
  ASSERT_THAT(StartWith(policy), IsOk());
  auto row = [](const char* status, int run) {
    return absl::StrFormat(R"("data":[{"id":1,"status":"%s","run":%d}])", status, run);
  };
  ASSERT_THAT(Apply({{kA, "INSERT", row("running", 1), 10}}), IsOk());
  ASSERT_THAT(Apply({{kA, "UPDATE", row("done", 2), 20}, {kB, "INSERT", row("new", 2), 30}}),
              IsOk());
  EXPECT_EQ(Statuses(), "1:running");
  policy.columns[0].rule.values = {"done", "running"};
  ASSERT_THAT(StartWith(policy), IsOk());
  EXPECT_EQ(Statuses(), "1:done");
  policy.columns[0].rule.values = {"new", "running"};
  policy.columns[0].rule.scope = ValueScope::kEpoch;
  policy.columns[0].rule.epoch_column = "run";
  ASSERT_THAT(StartWith(policy), IsOk());
  EXPECT_EQ(Statuses(), "1:new");
}

TEST_F(TableRulesTest, WaitsWhileAnotherProcessAppliesByTheRuleOfBefore) {
  ASSERT_THAT(StartWith(TablePolicy()), IsOk());
  auto other = PgConnection::Connect(TargetSessionOptions(config_, "other process"));
  ASSERT_THAT(other, IsOk());
  ASSERT_THAT((*other)->Execute(
                  absl::StrFormat("SELECT pg_advisory_lock_shared(%d, 7)", kInstanceLockClass)),
              IsOk());
  EXPECT_THAT(StartWith(RowRule(RuleKind::kKeepCentral)),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_EQ(Rule(), "1 conflict: last-write-wins");
  ASSERT_THAT(StartWith(TablePolicy()), IsOk());
  other->reset();
  // Its session ends a moment after its connection.
  absl::Status status = absl::UnknownError("not tried");
  for (int i = 0; i < 1000 && !status.ok(); ++i)
    status = StartWith(RowRule(RuleKind::kKeepCentral));
  EXPECT_THAT(status, IsOk());
}

TEST_F(TableRulesTest, WaitsWhileAnotherProcessHoldsASource) {
  ASSERT_THAT(StartWith(TablePolicy()), IsOk());
  auto other = PgConnection::Connect(TargetSessionOptions(config_, "other process"));
  ASSERT_THAT(other, IsOk());
  // Its coordinator is gone, a worker goes on.
  const std::string lock = absl::StrFormat("(%d, 7)", kSourceLockClass);
  ASSERT_THAT((*other)->Execute("SELECT pg_advisory_lock" + lock), IsOk());
  TablePolicy ignoring;
  ignoring.on_delete = DeletePolicy::kIgnore;
  for (const TablePolicy& policy : {RowRule(RuleKind::kKeepCentral), ignoring}) {
    EXPECT_THAT(StartWith(policy), StatusIs(absl::StatusCode::kFailedPrecondition));
    EXPECT_EQ(Rule(), "1 conflict: last-write-wins");
  }
  ASSERT_THAT((*other)->Execute("SELECT pg_advisory_unlock" + lock), IsOk());
  EXPECT_THAT(StartWith(ignoring), IsOk());
}

TEST_F(TableRulesTest, NoWorkerAppliesByRowVersionBeforeTheChangeToIt) {
  ASSERT_THAT(StartWith(RowRule(RuleKind::kKeepCentral)), IsOk());
  TablePolicy ignoring;
  ignoring.on_delete = DeletePolicy::kIgnore;
  for (const TablePolicy& policy : {TablePolicy(), ignoring}) {
    Configure(policy);
    EXPECT_THAT(Ask(), StatusIs(absl::StatusCode::kFailedPrecondition));
    ASSERT_THAT(StartWith(policy), IsOk());
    EXPECT_THAT(Ask(), IsOk());
  }
}

TEST_F(TableRulesTest, ANewTableByRowVersionIsAppliedToAtOnceAndRecorded) {
  EXPECT_THAT(Ask(), IsOk());
  EXPECT_EQ(Rule(), "1 conflict: last-write-wins");
  EXPECT_THAT(TableRules(*connection_, config_).CouldCarryOut(), IsOkAndHolds(false));
  ASSERT_THAT(StartWith(TablePolicy()), IsOk());
  EXPECT_EQ(told_.size(), 0u);
}

TEST_F(TableRulesTest, WhatWasBegunIsEndedAlsoWhenTheRuleIsTurnedBack) {
  const TablePolicy before = RowRule(RuleKind::kSourcePriority, {kA});
  ASSERT_THAT(StartWith(before), IsOk());
  ASSERT_THAT(Apply({SendInserts(kA, 1000, 1, 1500, "a"), SendInserts(kB, 1000, 1, 1500, "b")}),
              IsOk());
  steps_ = 1;  // the rows are taken over, then one piece of two
  EXPECT_THAT(StartWith(RowRule(RuleKind::kSourcePriority, {kB})),
              StatusIs(absl::StatusCode::kCancelled));
  EXPECT_GT(Count("jobs WHERE status = 'b'"), 0);
  EXPECT_GT(Count("jobs WHERE status = 'a'"), 0);
  steps_ = 1000;
  ASSERT_THAT(StartWith(before), IsOk());
  EXPECT_EQ(Count("jobs WHERE status = 'a'"), 1500);
  ASSERT_THAT(StartWith(before), IsOk());
  EXPECT_EQ(told_.size(), 0u);
}

TEST_F(TableRulesTest, WhatACrashLeavesHalfDoneIsEndedByTheNextStart) {
  ASSERT_THAT(StartWith(RowRule(RuleKind::kSourcePriority, {kA})), IsOk());
  ASSERT_THAT(Apply({SendInserts(kA, 1000, 1, 1500, "a"), SendInserts(kB, 1000, 1, 1500, "b"),
                     SendInsert(kA, 2000, 9000, "a"), SendDelete(kA, 2001, 9000)}),
              IsOk());
  steps_ = 0;  // one piece of the registers is gone
  EXPECT_THAT(StartWith(TablePolicy()), StatusIs(absl::StatusCode::kCancelled));
  EXPECT_EQ(Count("pmoves_sync.register"), 1001);
  EXPECT_EQ(Rule().substr(0, 2), "1 ") << "not yet";
  EXPECT_THAT(Ask(), StatusIs(absl::StatusCode::kFailedPrecondition));
  steps_ = 1000;
  ASSERT_THAT(StartWith(TablePolicy()), IsOk());
  EXPECT_EQ(Count("pmoves_sync.register"), 0);
  EXPECT_EQ(Count("jobs WHERE status = 'a'"), 1500);
  EXPECT_EQ(Count("pmoves_sync.tombstone WHERE version = 2001"), 1);
  EXPECT_EQ(Rule(), "2 conflict: last-write-wins");

  steps_ = 0;  // one piece of the rows is taken over, no key computed
  EXPECT_THAT(StartWith(RowRule(RuleKind::kManual)), StatusIs(absl::StatusCode::kCancelled));
  EXPECT_THAT(Ask(), StatusIs(absl::StatusCode::kFailedPrecondition));
  steps_ = 1000;
  ASSERT_THAT(StartWith(RowRule(RuleKind::kManual)), IsOk());
  EXPECT_EQ(Count("pmoves_sync.register WHERE NOT deleted"), 1500);
  EXPECT_EQ(Count("pmoves_sync.register WHERE deleted"), 1);
  EXPECT_EQ(Rule(), "3 conflict: manual");
  EXPECT_THAT(Ask(), IsOk());
}

TEST_F(TableRulesTest, ATableThatAnEarlierVersionRecordedIsLookedAtOnce) {
  const TablePolicy policy = RowRule(RuleKind::kSourcePriority, {kA});
  Execute(
      "INSERT INTO pmoves_sync.table_rule (relation, version, uses_registers) VALUES "
      "('public.jobs', 7, true)");
  Configure(policy);
  ASSERT_THAT(Apply({SendInsert(kA, 10, 1, "a"), SendInsert(kB, 20, 1, "b")}), IsOk());
  Execute("UPDATE jobs SET status = 'b'");  // as a rule of before may have left it
  ASSERT_THAT(StartWith(policy), IsOk());
  EXPECT_EQ(Statuses(), "1:a");
  EXPECT_EQ(Rule(), R"(8 conflict: source-priority, priority: ["jetson-01"])");
  ASSERT_THAT(StartWith(policy), IsOk());
  EXPECT_EQ(told_.size(), 0u);
}

TEST_F(TableRulesTest, ATableThatCannotBeMergedIsLeftOutAndComesUnderItsRuleWhenItCan) {
  ASSERT_THAT(Apply({SendInsert(kA, 10, 1, "a")}), IsOk());
  Execute("ALTER TABLE jobs DROP CONSTRAINT jobs_pkey");
  ASSERT_THAT(StartWith(RowRule(RuleKind::kSourcePriority, {kA})), IsOk());
  EXPECT_EQ(left_out_, 1);
  TableRules rules(*connection_, config_);
  EXPECT_THAT(rules.CouldCarryOut(), IsOkAndHolds(false));
  Execute("ALTER TABLE jobs ADD PRIMARY KEY (id)");
  EXPECT_THAT(rules.CouldCarryOut(), IsOkAndHolds(true));
  EXPECT_THAT(Ask(), StatusIs(absl::StatusCode::kFailedPrecondition)) << "no worker may begin";
  ASSERT_THAT(StartWith(RowRule(RuleKind::kSourcePriority, {kA})), IsOk());
  EXPECT_EQ(left_out_, 0);
  EXPECT_THAT(rules.CouldCarryOut(), IsOkAndHolds(false));
  EXPECT_THAT(Ask(), IsOk());
  EXPECT_EQ(Count("pmoves_sync.register"), 1);
}

TEST_F(TableRulesTest, AnotherClockGoesOnAboveTheVersionsOfTheOneBefore) {
  ASSERT_THAT(StartWith(TablePolicy()), IsOk());
  ASSERT_THAT(Apply({SendInsert(kA, 500, 1, "a"), SendInsert(kB, 700, 2, "b")}), IsOk());
  const std::string clocks =
      "SELECT COALESCE(string_agg(source || ' ' || relation || ' ' || hlc, ', ' ORDER BY source, "
      "relation), '') FROM pmoves_sync.source_clock";
  Execute("ALTER TABLE jobs ADD COLUMN updated_at timestamptz");
  TablePolicy policy;
  policy.version = VersionSource::kColumn;
  policy.version_column = "updated_at";
  ASSERT_THAT(StartWith(policy), IsOk());
  EXPECT_EQ(Execute(clocks).String(0, 0), "jetson-01 public.jobs 500, jetson-02 public.jobs 700");
  Execute("UPDATE pmoves_sync.source_clock SET hlc = 900 WHERE source = 'jetson-01'");
  ASSERT_THAT(StartWith(TablePolicy()), IsOk());
  EXPECT_EQ(Execute("SELECT string_agg(source || ' ' || hlc, ', ' ORDER BY source) FROM "
                    "pmoves_sync.source_position")
                .String(0, 0),
            "jetson-01 900, jetson-02 700");
  // As an earlier version recorded it.
  Execute("UPDATE pmoves_sync.table_rule SET policy = '', clock = ''");
  policy.version = VersionSource::kArrival;
  ASSERT_THAT(StartWith(policy), IsOk());
  EXPECT_EQ(Execute(clocks + " WHERE relation = ''").String(0, 0),
            "jetson-01  900, jetson-02  700");
  ASSERT_THAT(StartWith(TablePolicy()), IsOk());
  // Nothing is raised while the clock is the same.
  policy = TablePolicy();
  policy.on_delete = DeletePolicy::kIgnore;
  Execute("DELETE FROM pmoves_sync.source_clock");
  ASSERT_THAT(StartWith(policy), IsOk());
  EXPECT_EQ(Execute(clocks).String(0, 0), "");
}

TEST_F(TableRulesTest, WhatWasTruncatedStaysGoneWhenTruncatesTakeAllRowsNoMore) {
  for (const bool registers : {true, false}) {
    Execute("TRUNCATE pmoves_sync.register, pmoves_sync.table_rule");
    Empty();
    TablePolicy all = RowRule(RuleKind::kSourcePriority, {kA});
    all.truncate = TruncatePolicy::kAll;
    ASSERT_THAT(StartWith(all), IsOk());
    ASSERT_THAT(Apply({SendInsert(kA, 10, 1, "a"), SendInsert(kA, 11, 2, "a"),
                       SendInsert(kB, 12, 2, "b"), SendTruncate(kB, 20)}),
                IsOk());
    ASSERT_THAT(Apply({SendInsert(kA, 30, 3, "a")}), IsOk());
    EXPECT_EQ(Statuses(), "3:a");
    ASSERT_THAT(StartWith(registers ? RowRule(RuleKind::kSourcePriority, {kA}) : TablePolicy()),
                IsOk());
    EXPECT_EQ(Statuses(), "3:a");
    EXPECT_EQ(Count("pmoves_sync.truncate_floor"), 0);
    if (!registers) {
      ASSERT_THAT(Apply({SendInsert("jetson-03", 15, 2, "late")}), IsOk());
      EXPECT_EQ(Statuses(), "3:a");
    }
    // Whoever reports it anew is shown.
    ASSERT_THAT(Apply({SendInsert(kA, 40, 2, "again")}), IsOk());
    EXPECT_EQ(Statuses(), "2:again 3:a");
    ASSERT_THAT(StartWith(RowRule(RuleKind::kSourcePriority, {kB})), IsOk());
    EXPECT_EQ(Statuses(), "2:again 3:a");
  }
}

TEST_F(TableRulesTest, AFloorThatAnEarlierVersionLeftBehindBuriesNothing) {
  ASSERT_THAT(StartWith(RowRule(RuleKind::kSourcePriority, {kA})), IsOk());
  ASSERT_THAT(Apply({SendInsert(kA, 10, 1, "a")}), IsOk());
  Execute("INSERT INTO pmoves_sync.truncate_floor VALUES ('public.jobs', 20, 'jetson-02')");
  ASSERT_THAT(StartWith(RowRule(RuleKind::kSourcePriority, {kB})), IsOk());
  EXPECT_EQ(Statuses(), "1:a");
}

TEST_F(TableRulesTest, OneProcessAtATimeLooksAtTheRules) {
  auto other = PgConnection::Connect(TargetSessionOptions(config_, "other process"));
  ASSERT_THAT(other, IsOk());
  const std::string lock = absl::StrFormat("pg_advisory_lock(%d, 0)", kRuleLockClass);
  ASSERT_THAT((*other)->Execute("SELECT " + lock), IsOk());
  EXPECT_THAT(StartWith(TablePolicy()), StatusIs(absl::StatusCode::kUnavailable));
  ASSERT_THAT(
      (*other)->Execute(absl::StrFormat("SELECT pg_advisory_unlock(%d, 0)", kRuleLockClass)),
      IsOk());
  EXPECT_THAT(StartWith(TablePolicy()), IsOk());
}

TEST_F(TableRulesTest, TheTriggersFollowTheRule) {
  ASSERT_THAT(StartWith(RowRule(RuleKind::kKeepCentral)), IsOk());
  auto table = catalog_->Find("public", "jobs");
  ASSERT_THAT(table, IsOk());
  auto state = LookAtCentralTriggers(*connection_, **table);
  ASSERT_THAT(state, IsOk());
  EXPECT_EQ(*state, CentralTriggerState::kCurrent);
}

TEST_F(TableRulesTest, TheLogSaysWhichVersionOfTheRuleDecided) {
  ASSERT_THAT(StartWith(TablePolicy()), IsOk());
  ASSERT_THAT(Apply({SendInsert(kA, 10, 1, "a")}), IsOk());
  ASSERT_THAT(Apply({SendInsert(kB, 20, 1, "b")}), IsOk());
  ASSERT_THAT(StartWith(RowRule(RuleKind::kSourcePriority, {kA})), IsOk());
  ASSERT_THAT(Apply({SendInsert(kA, 30, 1, "a2")}), IsOk());
  EXPECT_EQ(Execute("SELECT string_agg(rule || ' ' || rule_version, ', ' ORDER BY id) FROM "
                    "pmoves_sync.conflict_log")
                .String(0, 0),
            "last-write-wins 1, source-priority 2");
}

}  // namespace
}  // namespace pmoves
