// What stands in the way of a change of rule: rows that do not fit, people who write meanwhile,
// locks.
#include <string>
#include <thread>

#include "gtest/gtest.h"
#include "tests/subscriber/io/table_rules_fixture.h"

namespace pmoves {
namespace {

TEST_F(TableRulesTest, ARowThatTheRuleCannotMakeWaitsAndTheOthersAreMade) {
  ASSERT_THAT(StartWith(RowRule(RuleKind::kSourcePriority, {kA})), IsOk());
  ASSERT_THAT(Apply({SendInserts(kA, 1000, 1, 20, "a"), SendInserts(kB, 1000, 1, 20, "b"),
                     SendInsert(kB, 2000, 7, "bad")}),
              IsOk());
  Execute("ALTER TABLE jobs ADD CHECK (status <> 'bad')");
  ASSERT_THAT(StartWith(RowRule(RuleKind::kSourcePriority, {kB})), IsOk());
  EXPECT_EQ(Count("jobs WHERE status = 'b'"), 19);
  EXPECT_EQ(Execute("SELECT string_agg(key, ' ') FROM pmoves_sync.recompute_queue").String(0, 0),
            R"(["7"])");
}

TEST_F(TableRulesTest, AJsonValueThatIsNoObjectIsTakenOverAndHasNoMembers) {
  Execute("ALTER TABLE jobs ADD COLUMN doc jsonb");
  ASSERT_THAT(StartWith(TablePolicy()), IsOk());
  auto row = [](int id, const char* doc) {
    return absl::StrFormat(R"("data":[{"id":%d,"status":"a","doc":"%s"}])", id, doc);
  };
  ASSERT_THAT(Apply({{kA, "INSERT", row(1, "[]"), 10},
                     {kA, "INSERT", row(2, "null"), 11},
                     {kA, "INSERT", row(3, R"({\"x\": 1})"), 12}}),
              IsOk());
  TablePolicy policy;
  policy.columns = {{{"doc"}, {.kind = RuleKind::kJsonMerge}}};
  ASSERT_THAT(StartWith(policy), IsOk());
  const std::string docs = "SELECT string_agg(doc::text, ' ' ORDER BY id) FROM jobs";
  EXPECT_EQ(Execute(docs).String(0, 0), R"([] null {"x": 1})");
  ASSERT_THAT(Apply({{kB, "INSERT", row(1, R"({\"y\": 2})"), 20},
                     {kB, "INSERT", row(2, "[]"), 21},
                     {kB, "INSERT", row(3, "[]"), 22},
                     {kA, "UPDATE", row(3, R"({\"x\": 1, \"z\": 3})"), 30}}),
              IsOk());
  EXPECT_EQ(Execute(docs).String(0, 0), R"({"y": 2} {} {"x": 1, "z": 3})");
  policy.truncate = TruncatePolicy::kIgnore;
  ASSERT_THAT(StartWith(policy), IsOk());
  EXPECT_EQ(Execute(docs).String(0, 0), R"({"y": 2} {} {"x": 1, "z": 3})");
}

TEST_F(TableRulesTest, ARowThatCannotBeTakenOverStaysAndTheOthersAreTakenOver) {
  ASSERT_THAT(StartWith(TablePolicy()), IsOk());
  ASSERT_THAT(Apply({SendInserts(kA, 1000, 1, 3000, "a")}), IsOk());
  Execute(R"(ALTER TABLE pmoves_sync.register ADD CHECK (key <> '["1234"]'))");
  ASSERT_THAT(StartWith(RowRule(RuleKind::kSourcePriority, {kA})), IsOk());
  EXPECT_EQ(Count("pmoves_sync.register"), 2999);
  EXPECT_EQ(Count("jobs"), 3000);
  EXPECT_EQ(told_.size(), 2u);
}

TEST_F(TableRulesTest, WhatKeepsATableFromItsRuleIsSaidWithTheTable) {
  ASSERT_THAT(StartWith(TablePolicy()), IsOk());
  Execute("ALTER TABLE pmoves_sync.register DROP COLUMN committed_at");
  const absl::Status status = StartWith(RowRule(RuleKind::kKeepCentral));
  EXPECT_EQ(SqlStateOf(status), "42703");
  EXPECT_NE(MessageOf(status).find("public.jobs"), std::string::npos) << status;
}

TEST_F(TableRulesTest, WhatPeopleWroteWhileAChangeWasBegunIsKeptWhenItIsTurnedBack) {
  const TablePolicy before = RowRule(RuleKind::kKeepCentral);
  ASSERT_THAT(StartWith(before), IsOk());
  ASSERT_THAT(Apply({SendInserts(kA, 1000, 1, 1500, "a")}), IsOk());
  steps_ = 0;  // one piece of the registers is gone, as text in order: 1 and 2, not 8 and 9
  EXPECT_THAT(StartWith(TablePolicy()), StatusIs(absl::StatusCode::kCancelled));
  steps_ = 1000;
  ASSERT_THAT(person_->Execute("UPDATE jobs SET status = 'mine' WHERE id IN (1, 9); DELETE FROM "
                               "jobs WHERE id IN (2, 8)"),
              IsOk());
  ASSERT_THAT(StartWith(before), IsOk());
  EXPECT_EQ(Execute("SELECT string_agg(id::text, ' ' ORDER BY id) FROM jobs WHERE status = 'mine'")
                .String(0, 0),
            "1 9");
  EXPECT_EQ(Count("jobs"), 1498);
  EXPECT_EQ(Count("jobs WHERE id IN (2, 8)"), 0);
}

TEST_F(TableRulesTest, InitLeavesTheTriggersToTheStartThatChangesTheRule) {
  const TablePolicy before = RowRule(RuleKind::kKeepCentral);
  ASSERT_THAT(StartWith(before), IsOk());
  ASSERT_THAT(Apply({SendInsert(kA, 10, 1, "a")}), IsOk());
  Configure(TablePolicy());
  ASSERT_THAT(InitCentralSchema(*connection_, config_.tables), IsOk());
  ASSERT_THAT(person_->Execute("UPDATE jobs SET status = 'mine'"), IsOk());
  EXPECT_EQ(Count("pmoves_sync.register WHERE source = 'central'"), 1) << "by the rule in force";
  // Configured back without a start: nothing is due, the triggers are as they were.
  ASSERT_THAT(StartWith(before), IsOk());
  EXPECT_EQ(told_.size(), 0u);
  ASSERT_THAT(StartWith(TablePolicy()), IsOk());
  ASSERT_THAT(person_->Execute("DELETE FROM jobs"), IsOk());
  EXPECT_EQ(Count("pmoves_sync.tombstone"), 1);
}

TEST_F(TableRulesTest, APieceThatADeadlockEndedIsTriedAgainAndNotTheWholeChange) {
  ASSERT_THAT(StartWith(RowRule(RuleKind::kSourcePriority, {kA})), IsOk());
  ASSERT_THAT(Apply({SendInserts(kA, 1000, 1, 2500, "a"), SendInserts(kB, 1000, 1, 2500, "b")}),
              IsOk());
  Execute(
      "CREATE SEQUENCE writes; CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN "
      "IF nextval('writes') IN (1500, 1600) THEN RAISE 'no' USING ERRCODE = '40P01'; END IF; "
      "RETURN NEW; END$$; CREATE TRIGGER fail BEFORE UPDATE ON jobs FOR EACH ROW EXECUTE FUNCTION "
      "fail(); ALTER TABLE jobs ENABLE ALWAYS TRIGGER fail");
  const absl::Status status = StartWith(RowRule(RuleKind::kSourcePriority, {kB}));
  const int64_t writes = Execute("SELECT last_value FROM writes").Int(0, 0);
  Execute("DROP FUNCTION fail CASCADE; DROP SEQUENCE writes");
  ASSERT_THAT(status, IsOk());
  EXPECT_EQ(Count("jobs WHERE status = 'b'"), 2500);
  EXPECT_EQ(writes, 1000 + 500 + 100 + 1500) << "the first piece was written once";
  EXPECT_EQ(told_.size(), 3u);
}

TEST_F(TableRulesTest, WritesThatBeganUnderTheTriggersOfBeforeAreSeen) {
  ASSERT_THAT(StartWith(TablePolicy()), IsOk());
  ASSERT_THAT(Apply({SendInsert(kA, 10, 1, "a")}), IsOk());
  ASSERT_THAT(person_->Execute("BEGIN; INSERT INTO jobs VALUES (2, 'mine')"), IsOk());
  on_told_ = [this](const std::string& what) {
    if (what.find("tried again") == std::string::npos) return;
    EXPECT_THAT(person_->Commit(), IsOk());
    on_told_ = nullptr;
  };
  ASSERT_THAT(StartWith(RowRule(RuleKind::kKeepCentral)), IsOk());
  EXPECT_EQ(Count("pmoves_sync.register"), 2);
  EXPECT_EQ(Statuses(), "1:a 2:mine");
}

TEST_F(TableRulesTest, RowsAreNotTakenOverWhileTheTriggersAreNotTheRules) {
  ASSERT_THAT(StartWith(TablePolicy()), IsOk());
  Execute("ALTER TABLE jobs DISABLE TRIGGER pmoves_sync_write");
  EXPECT_THAT(StartWith(RowRule(RuleKind::kKeepCentral)),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_EQ(Rule(), "1 conflict: last-write-wins");
  ASSERT_THAT(InitCentralSchema(*connection_, config_.tables), IsOk());
  EXPECT_THAT(StartWith(RowRule(RuleKind::kKeepCentral)), IsOk());
}

TEST_F(TableRulesTest, ADeleteThatCannotBeTakenOverIsPassedBy) {
  ASSERT_THAT(StartWith(TablePolicy()), IsOk());
  ASSERT_THAT(Apply({SendInserts(kA, 1000, 1, 5, "a"), SendDelete(kA, 2000, 2),
                     SendDelete(kA, 2001, 3), SendDelete(kA, 2002, 4)}),
              IsOk());
  Execute(R"(ALTER TABLE pmoves_sync.register ADD CHECK (key <> '["3"]'))");
  ASSERT_THAT(StartWith(RowRule(RuleKind::kKeepCentral)), IsOk());
  EXPECT_EQ(Count("pmoves_sync.register WHERE deleted"), 2);
}

TEST_F(TableRulesTest, APieceLocksRowsBeforeReportsAsPeopleDo) {
  ASSERT_THAT(StartWith(RowRule(RuleKind::kSourcePriority, {kA})), IsOk());
  ASSERT_THAT(Apply({SendInsert(kA, 10, 1, "a"), SendInsert(kB, 20, 1, "b")}), IsOk());
  // Holds the row, as a person's write does before its trigger gets to the reports.
  ASSERT_THAT(person_->Execute("BEGIN; SELECT 1 FROM jobs FOR UPDATE"), IsOk());
  const std::string pid = Execute("SELECT pg_backend_pid()").String(0, 0);
  TablePolicy policy;
  policy.granularity = Granularity::kColumn;
  std::thread start([this, policy] { EXPECT_THAT(StartWith(policy), IsOk()); });
  bool waits = false;
  for (int i = 0; i < 100000 && !waits; ++i) {
    auto waiting = person_->Execute("SELECT 1 FROM pg_locks WHERE NOT granted AND pid = " + pid);
    waits = waiting.ok() && waiting->size() > 0;
  }
  EXPECT_TRUE(waits);
  EXPECT_THAT(person_->Execute("SELECT 1 FROM pmoves_sync.register FOR UPDATE NOWAIT"), IsOk());
  person_->Rollback();
  start.join();
  EXPECT_EQ(Statuses(), "1:b");
}

}  // namespace
}  // namespace pmoves
