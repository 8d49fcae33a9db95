// The rule `manual` on a real Postgres: what the sources report is kept until a person picks one.
#include "subscriber/io/conflict_pick.h"

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "subscriber/io/conflict_log.h"
#include "subscriber/io/table_rules.h"
#include "tests/testing/centre.h"

namespace pmoves {
namespace {

class ConflictPickTest : public CentreTest {
 protected:
  void SetUp() override {
    CentreTest::SetUp();
    Execute("ALTER TABLE jobs ADD COLUMN seen integer");
    PgOptions options;
    options.dsn = server_->Dsn();
    auto person = PgConnection::Connect(options);
    ASSERT_THAT(person, IsOk());
    person_ = *std::move(person);
    now_ = Execute("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint").Int(0, 0);
    Use(Manual());
  }
  // The rule is in force.
  void Use(const TablePolicy& policy) {
    Configure(policy);
    ASSERT_THAT(InitCentralSchema(*connection_, config_.tables), IsOk());
    TableRules::Ports ports;
    ports.stopping = [] { return false; };
    ports.tell = [](const TargetTable&, const std::string&) {};
    ASSERT_THAT(TableRules(*connection_, config_).CarryOut(ports), IsOkAndHolds(0));
  }
  static TablePolicy Manual(DeletePolicy on_delete = DeletePolicy::kLastWriteWins) {
    TablePolicy policy;
    policy.row.kind = RuleKind::kManual;
    policy.on_delete = on_delete;
    return policy;
  }
  // Minutes from now, as a version.
  int64_t At(int minutes) const { return (now_ + minutes * 60000) << 16; }
  static Sent SendSeen(const std::string& source, int64_t hlc, const std::string& status,
                       int seen) {
    return {source, "INSERT",
            absl::StrFormat(R"("data":[{"id":1,"status":"%s","output":"big","seen":%d}])", status,
                            seen),
            hlc};
  }
  int64_t Newest() { return Execute("SELECT max(id) FROM pmoves_sync.conflict_log").Int(0, 0); }
  absl::StatusOr<int64_t> PickOf(const std::string& source, const std::string& note = "") {
    return PickSibling(*connection_, config_, {Newest(), source, note});
  }
  int64_t Open() { return Count("pmoves_sync.conflict_log WHERE state = 'open'"); }
  std::string Text(const std::string& sql) { return Execute(sql).String(0, 0); }
  std::string Seen() { return Text("SELECT COALESCE(max(seen)::text, 'none') FROM jobs"); }

  std::unique_ptr<PgConnection> person_;
  int64_t now_ = 0;
};

TEST_F(ConflictPickTest, WhatIsPickedIsShownAsTheCentresAndAllConflictsOfTheRowAreResolved) {
  ASSERT_THAT(Apply({SendInsert(kA, At(-9), 1, "a"), SendInsert(kA, At(-9) + 1, 2, "a")}), IsOk());
  ASSERT_THAT(Apply({SendInsert(kB, At(-8), 1, "b"), SendInsert(kC, At(-7), 2, "c")}), IsOk());
  ASSERT_THAT(Apply({SendInsert(kC, At(-6), 1, "c")}), IsOk());
  EXPECT_EQ(Rows(), "1:c@jetson-03 2:c@jetson-03");
  EXPECT_EQ(Open(), 3);
  EXPECT_THAT(PickOf(kA, "it ran there"), IsOkAndHolds(2));
  EXPECT_EQ(Rows(), "1:a@central 2:c@jetson-03");
  EXPECT_EQ(Text("SELECT output FROM jobs WHERE id = 1"), "big of a");
  EXPECT_EQ(Open(), 1) << "the other row's";
  EXPECT_EQ(Count("pmoves_sync.conflict_log"), 3) << "a pick is no conflict";
  EXPECT_EQ(Text("SELECT DISTINCT resolution_note FROM pmoves_sync.conflict_log WHERE state = "
                 "'resolved' AND resolved_at IS NOT NULL"),
            "picked jetson-01: it ran there");
  auto shown = ConflictLogStore(*connection_).Show(Newest());
  ASSERT_THAT(shown, IsOk());
  ASSERT_EQ(shown->siblings.size(), 4u);
  EXPECT_EQ(shown->siblings[0].source, "central");
  EXPECT_EQ(shown->siblings[1].source, kC);
  EXPECT_NE(shown->siblings[3].image.find(R"("status": "a")"), std::string::npos);
  // Another one may be picked after all.
  EXPECT_THAT(PickOf(kB), IsOkAndHolds(0));
  EXPECT_EQ(Rows(), "1:b@central 2:c@jetson-03");
}

TEST_F(ConflictPickTest, StampsOfSiblingsAreReadable) {
  const int64_t version = (int64_t{1795341600123} << 16) + 7;
  ASSERT_THAT(Apply({SendInsert(kA, version - 1, 1, "a"), SendInsert(kB, version, 1, "b")}),
              IsOk());
  auto shown = ConflictLogStore(*connection_).Show(Newest());
  ASSERT_THAT(shown, IsOk());
  ASSERT_EQ(shown->siblings.size(), 2u);
  EXPECT_EQ(shown->siblings[0].stamp, "2026-11-22T10:00:00.123Z+7");
}

TEST_F(ConflictPickTest, ALaterChangeOpensTheQuestionAgainAndAnOlderOneToo) {
  for (const bool late_first : {true, false}) {
    Execute("TRUNCATE pmoves_sync.register, pmoves_sync.conflict_log");
    Empty();
    ASSERT_THAT(Apply({SendInsert(kA, At(-9), 1, "a"), SendInsert(kB, At(-8), 1, "b")}), IsOk());
    ASSERT_THAT(PickOf(kA), IsOk());
    const Sent late = SendInsert(kC, At(-5), 1, "late");
    const Sent later = SendInsert(kB, At(5), 1, "later");
    ASSERT_THAT(Apply({late_first ? late : later}), IsOk());
    EXPECT_EQ(Rows(), late_first ? "1:a@central" : "1:later@jetson-02");
    EXPECT_EQ(Open(), 1);
    ASSERT_THAT(Apply({late_first ? later : late}), IsOk());
    EXPECT_EQ(Rows(), "1:later@jetson-02");
    EXPECT_EQ(Open(), 2);
  }
}

TEST_F(ConflictPickTest, APickStandsWhenEverythingIsDeliveredAgain) {
  const std::vector<Sent> history = {SendInsert(kA, At(-9), 1, "a"), SendInsert(kB, At(-8), 1, "b"),
                                     SendInsert(kA, At(-7), 1, "a2"), SendDelete(kC, At(-6), 1)};
  for (const Sent& sent : history) ASSERT_THAT(Apply({sent}), IsOk());
  EXPECT_EQ(Rows(), "") << "C deleted it last";
  ASSERT_THAT(PickOf(kB), IsOk());
  for (const Sent& sent : history) ASSERT_THAT(Apply({sent}), IsOk());
  ASSERT_THAT(Apply(history), IsOk());
  EXPECT_EQ(Rows(), "1:b@central");
  EXPECT_EQ(Open(), 0);
}

TEST_F(ConflictPickTest, AClockThatIsAheadDoesNotTakeBackWhatWasPicked) {
  ASSERT_THAT(Apply({SendInsert(kA, At(-9), 1, "a"), SendInsert(kB, At(60), 1, "ahead")}), IsOk());
  ASSERT_THAT(PickOf(kA), IsOk());
  EXPECT_EQ(Rows(), "1:a@central");
  ASSERT_THAT(Apply({SendInsert(kC, At(59), 1, "c")}), IsOk());
  EXPECT_EQ(Rows(), "1:a@central");
}

TEST_F(ConflictPickTest, ColumnsWithRulesOfTheirOwnAreNotPicked) {
  TablePolicy policy = Manual();
  policy.columns = {{{"seen"}, {.kind = RuleKind::kGreatest}}};
  Use(policy);
  ASSERT_THAT(Apply({SendSeen(kA, At(-9), "a", 5), SendSeen(kB, At(-8), "b", 9)}), IsOk());
  ASSERT_THAT(PickOf(kA), IsOk());
  EXPECT_EQ(Rows(), "1:a@central");
  EXPECT_EQ(Seen(), "9");
  EXPECT_EQ(Text("SELECT image ? 'seen' FROM pmoves_sync.register WHERE source = 'central'"), "f");
  ASSERT_THAT(Apply({SendSeen(kB, At(5), "b", 3)}), IsOk());
  EXPECT_EQ(Seen(), "5") << "the centre has said nothing of it";
  // What a person has said of it stays.
  ASSERT_THAT(person_->Execute("UPDATE jobs SET seen = 20"), IsOk());
  ASSERT_THAT(PickOf(kA), IsOk());
  ASSERT_THAT(Apply({SendSeen(kB, At(6), "b", 4)}), IsOk());
  EXPECT_EQ(Seen(), "20");
}

TEST_F(ConflictPickTest, ALastWriteOfOneColumnIsNotMadeNewerByAPick) {
  TablePolicy policy = Manual();
  policy.columns = {{{"seen"}, {.kind = RuleKind::kLastWriteWins}}};
  Use(policy);
  ASSERT_THAT(Apply({SendSeen(kA, At(-9), "a", 1), SendSeen(kB, At(-8), "b", 2)}), IsOk());
  ASSERT_THAT(person_->Execute("UPDATE jobs SET seen = 7"), IsOk());
  ASSERT_THAT(Apply({SendSeen(kB, At(5), "b", 3)}), IsOk());
  EXPECT_EQ(Seen(), "3");
  ASSERT_THAT(PickOf(kA), IsOk());
  EXPECT_EQ(Rows(), "1:a@central");
  EXPECT_EQ(Seen(), "3") << "B gave it a value after the centre did";
}

TEST_F(ConflictPickTest, WhatTheSourceDoesNotReportStaysAsItIsShown) {
  ASSERT_THAT(Apply({SendInsert(kA, At(-9), 1, "a"), SendSeen(kB, At(-8), "b", 2)}), IsOk());
  ASSERT_THAT(PickOf(kA), IsOk());
  EXPECT_EQ(Rows(), "1:a@central");
  EXPECT_EQ(Seen(), "2");
}

TEST_F(ConflictPickTest, WhatAPersonWritesAtTheSameTimeIsNotLost) {
  TablePolicy policy = Manual();
  policy.columns = {{{"output"}, {.kind = RuleKind::kLastWriteWins}}};
  Use(policy);
  ASSERT_THAT(Apply({SendInsert(kA, At(-9), 1, "a"), SendSeen(kB, At(-8), "b", 2)}), IsOk());
  ASSERT_THAT(person_->Execute("BEGIN; UPDATE jobs SET seen = 7, output = 'mine'"), IsOk());
  const std::string pid = Text("SELECT pg_backend_pid()");
  std::thread picks([this] { EXPECT_THAT(PickOf(kA), IsOk()); });
  // It waits for the person.
  bool waits = false;
  for (int i = 0; i < 100000 && !waits; ++i) {
    auto waiting = person_->Execute("SELECT 1 FROM pg_locks WHERE NOT granted AND pid = " + pid);
    waits = waiting.ok() && waiting->size() > 0;
  }
  EXPECT_TRUE(waits);
  EXPECT_THAT(person_->Commit(), IsOk());
  picks.join();
  EXPECT_EQ(Rows(), "1:a@central");
  EXPECT_EQ(Seen(), "7");
  EXPECT_EQ(Text("SELECT output FROM jobs"), "mine");
}

TEST_F(ConflictPickTest, ADeleteCanBePickedAndARowThatIsGone) {
  ASSERT_THAT(Apply({SendInsert(kA, At(-9), 1, "a"), SendInsert(kB, At(-8), 1, "b")}), IsOk());
  ASSERT_THAT(Apply({SendDelete(kB, At(-7), 1)}), IsOk());
  EXPECT_EQ(Rows(), "");
  ASSERT_THAT(PickOf(kA), IsOk());
  EXPECT_EQ(Rows(), "1:a@central");
  ASSERT_THAT(PickOf(kB), IsOk());
  EXPECT_EQ(Rows(), "");
  ASSERT_THAT(Apply({SendInsert(kC, At(-1), 1, "late")}), IsOk());
  EXPECT_EQ(Rows(), "");
  EXPECT_EQ(Open(), 1);
  ASSERT_THAT(PickOf(kC), IsOk());
  EXPECT_EQ(Rows(), "1:late@central");
}

TEST_F(ConflictPickTest, WhatThePolicyForDeletesForbidsIsSaidAndNothingIsChanged) {
  for (const DeletePolicy on_delete : {DeletePolicy::kOwnOnly, DeletePolicy::kDeleteWins}) {
    Execute("TRUNCATE pmoves_sync.register, pmoves_sync.conflict_log");
    Empty();
    Use(Manual(on_delete));
    ASSERT_THAT(Apply({SendInsert(kA, At(-9), 1, "a"), SendInsert(kB, At(-8), 1, "b")}), IsOk());
    ASSERT_THAT(Apply({SendDelete(kB, At(-7), 1)}), IsOk());
    const bool own_only = on_delete == DeletePolicy::kOwnOnly;
    const std::string rows = own_only ? "1:a@jetson-01" : "";
    EXPECT_EQ(Rows(), rows);
    const int64_t open = Open();
    EXPECT_THAT(PickOf(own_only ? kB : kA), StatusIs(absl::StatusCode::kFailedPrecondition));
    EXPECT_EQ(Rows(), rows);
    EXPECT_EQ(Open(), open);
    EXPECT_EQ(Count("pmoves_sync.register WHERE source = 'central'"), 0);
  }
}

TEST_F(ConflictPickTest, ASoftDeleteIsAReportLikeAnyOther) {
  Execute("ALTER TABLE jobs ADD COLUMN gone_at timestamptz");
  TablePolicy policy = Manual(DeletePolicy::kSoft);
  policy.soft_delete_column = "gone_at";
  Use(policy);
  ASSERT_THAT(Apply({SendInsert(kA, At(-9), 1, "a"), SendInsert(kB, At(-8), 1, "b")}), IsOk());
  ASSERT_THAT(Apply({SendDelete(kA, At(-7), 1), SendDelete(kC, At(-6), 1)}), IsOk());
  ASSERT_THAT(Apply({SendInsert(kB, At(-5), 1, "b2")}), IsOk());
  ASSERT_THAT(PickOf(kA), IsOk());
  EXPECT_EQ(Text("SELECT status || ' ' || (gone_at IS NOT NULL) FROM jobs"), "a true");
  EXPECT_THAT(PickOf(kC), StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST_F(ConflictPickTest, AConflictThatOpenedMeanwhileIsLookedAtFirst) {
  ASSERT_THAT(Apply({SendInsert(kA, At(-9), 1, "a"), SendInsert(kB, At(-8), 1, "b")}), IsOk());
  const int64_t first = Newest();
  ASSERT_THAT(Apply({SendInsert(kC, At(-7), 1, "c")}), IsOk());
  EXPECT_THAT(PickSibling(*connection_, config_, {first, kA, ""}),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_EQ(Rows(), "1:c@jetson-03");
  EXPECT_THAT(PickOf(kA), IsOkAndHolds(2));
}

TEST_F(ConflictPickTest, WhatCannotBePickedIsRefused) {
  EXPECT_THAT(PickSibling(*connection_, config_, {99, kA, ""}),
              StatusIs(absl::StatusCode::kNotFound));
  ASSERT_THAT(Apply({SendInsert(kA, At(-9), 1, "a"), SendInsert(kB, At(-8), 1, "b")}), IsOk());
  EXPECT_THAT(PickOf(kC), StatusIs(absl::StatusCode::kNotFound));
  // A row that a constraint refuses.
  Execute("ALTER TABLE jobs ADD CHECK (status <> 'a')  NOT VALID");
  EXPECT_FALSE(PickOf(kA).ok());
  EXPECT_EQ(Open(), 1);
  EXPECT_EQ(Rows(), "1:b@jetson-02");
  // A rule that is configured and not yet in force; one that decides by itself.
  TablePolicy policy = Manual();
  policy.truncate = TruncatePolicy::kIgnore;
  Configure(policy);
  EXPECT_THAT(PickOf(kA), StatusIs(absl::StatusCode::kFailedPrecondition));
  policy.row.kind = RuleKind::kFirstWriteWins;
  Use(policy);
  EXPECT_THAT(PickOf(kA), StatusIs(absl::StatusCode::kFailedPrecondition));
  config_.tables.clear();
  EXPECT_THAT(PickOf(kA), StatusIs(absl::StatusCode::kNotFound));
}

}  // namespace
}  // namespace pmoves
