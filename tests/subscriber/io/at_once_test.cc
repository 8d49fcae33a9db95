// A small batch in one round trip, on a real Postgres: what it leaves is what the long way leaves,
// and whatever stands in its way, it leaves nothing.
#include <gtest/gtest.h>

#include <string>

#include "tests/testing/centre.h"

namespace pmoves {
namespace {

class AtOnceTest : public CentreTest {
 protected:
  void SetUp() override {
    CentreTest::SetUp();
    ASSERT_THAT(Apply({SendInsert(kA, 10, 1, "a")}), IsOk());  // the table and its writer are known
  }
  bool AtOnce(const std::vector<Sent>& batch) {
    const auto done = ApplyAtOnce(batch);
    EXPECT_THAT(done, IsOk());
    return done.ok() && *done;
  }
  // Nothing of it stays, and the session goes on.
  void ExpectLeftAlone(const std::vector<Sent>& batch) {
    const std::string rows = Rows();
    const std::string positions = Positions();
    EXPECT_FALSE(AtOnce(batch));
    EXPECT_EQ(Rows(), rows);
    EXPECT_EQ(Positions(), positions);
    EXPECT_EQ(connection_->transaction_status(), PQTRANS_IDLE);
  }
  std::string Positions() {
    return Execute(
               "SELECT COALESCE(string_agg(format('%s@%s', source, position), ' ' ORDER BY "
               "source), "
               "'') FROM pmoves_sync.source_position")
        .String(0, 0);
  }
};

TEST_F(AtOnceTest, RowsTombstonesAndPositionsAreCommitted) {
  ASSERT_TRUE(AtOnce({SendInsert(kA, 20, 2, "new"), SendUpdate(kA, 21, 1, "changed")}));
  EXPECT_EQ(Rows(), "1:changed@jetson-01 2:new@jetson-01");
  EXPECT_EQ(Positions(), "jetson-01@0/2");
  ASSERT_TRUE(AtOnce({SendDelete(kA, 30, 1)}));
  EXPECT_EQ(Rows(), "2:new@jetson-01");
  EXPECT_EQ(Count("pmoves_sync.tombstone"), 1);
  EXPECT_EQ(Positions(), "jetson-01@0/3");
  EXPECT_EQ(connection_->transaction_status(), PQTRANS_IDLE);
}

TEST_F(AtOnceTest, ChangesThatLoseAreCountedAndLogged) {
  ASSERT_THAT(Apply({SendInsert(kB, 15, 3, "b")}), IsOk());
  ASSERT_TRUE(AtOnce({SendUpdate(kB, 25, 1, "newer")}));
  ASSERT_TRUE(AtOnce({SendUpdate(kA, 20, 1, "older")}));
  EXPECT_EQ(Rows(), "1:newer@jetson-02 3:b@jetson-02");
  EXPECT_EQ(target_->hidden(), 1);
  EXPECT_FALSE(target_->conflicts().empty());
  EXPECT_EQ(Count("pmoves_sync.conflict_log"), 2);
}

// Else nobody would know that it writes the table.
TEST_F(AtOnceTest, AFirstChangeOfASourceGoesTheLongWay) {
  ASSERT_THAT(Apply({SendInsert(kB, 20, 2, "b")}), IsOk());
  Claim(kC);
  ExpectLeftAlone({SendInsert(kC, 30, 3, "c")});
  ASSERT_THAT(Apply({SendInsert(kC, 30, 3, "c")}), IsOk());
  EXPECT_EQ(Count("pmoves_sync.table_source"), 3);
  EXPECT_TRUE(AtOnce({SendUpdate(kC, 40, 3, "again")}));
}

TEST_F(AtOnceTest, SeveralSourcesMoveTogetherOrNotAtAll) {
  ASSERT_THAT(Apply({SendInsert(kB, 15, 3, "b")}), IsOk());
  ASSERT_TRUE(AtOnce({SendUpdate(kA, 20, 1, "a2"), SendUpdate(kB, 21, 3, "b2")}));
  EXPECT_EQ(Rows(), "1:a2@jetson-01 3:b2@jetson-02");
  EXPECT_EQ(Positions(), "jetson-01@0/2 jetson-02@0/2");
  Execute("UPDATE pmoves_sync.source_position SET position = '0/7' WHERE source = 'jetson-02'");
  ExpectLeftAlone({SendUpdate(kA, 30, 1, "a3"), SendUpdate(kB, 31, 3, "b3")});
}

TEST_F(AtOnceTest, APositionAloneMoves) {
  ChangeSet nothing;
  SourceProgress moved;
  moved.source = kA;
  moved.old_position = Lsn{1};
  moved.position = Lsn{5};
  moved.clocks = {{"", Hlc{77}}};
  const auto done = target_->ApplyAtOnce(&nothing, {moved});
  ASSERT_THAT(done, IsOk());
  EXPECT_TRUE(*done);
  EXPECT_EQ(Positions(), "jetson-01@0/5");
  EXPECT_EQ(Execute("SELECT hlc FROM pmoves_sync.source_clock").Int(0, 0), 77);
}

// Whoever was alone when this session looked last is no longer: his conflicts are looked for.
TEST_F(AtOnceTest, AnotherWriterWhoCameSinceIsNoticed) {
  Execute("INSERT INTO pmoves_sync.table_source (relation, source) VALUES ('public.jobs', 'else')");
  ExpectLeftAlone({SendUpdate(kA, 20, 1, "changed")});
  ASSERT_THAT(Apply({SendUpdate(kA, 20, 1, "changed")}), IsOk());
  EXPECT_TRUE(AtOnce({SendUpdate(kA, 21, 1, "again")}));
}

TEST_F(AtOnceTest, APositionThatSomebodyMovedFences) {
  Execute("UPDATE pmoves_sync.source_position SET position = '0/7'");
  ExpectLeftAlone({SendUpdate(kA, 20, 1, "changed")});
  EXPECT_THAT(Apply({SendUpdate(kA, 20, 1, "changed")}), StatusIs(absl::StatusCode::kAborted));
}

TEST_F(AtOnceTest, WhatTheCollectorHasForgottenComesTooLate) {
  Execute("INSERT INTO pmoves_sync.collection (relation, horizon) VALUES ('public.jobs', 100)");
  ExpectLeftAlone({SendUpdate(kA, 99, 1, "late")});
  EXPECT_TRUE(IsTooLate(Apply({SendUpdate(kA, 99, 1, "late")})));
  EXPECT_TRUE(AtOnce({SendUpdate(kA, 100, 1, "in time")}));
}

// Old versions are nothing special in a table of which nothing was forgotten.
TEST_F(AtOnceTest, AHorizonIsThatOfItsTable) {
  Execute("CREATE TABLE archive (LIKE jobs INCLUDING ALL)");
  config_.tables.push_back(config_.tables[0]);
  config_.tables.back().table = "archive";
  ASSERT_THAT(InitCentralSchema(*connection_, config_.tables), IsOk());
  Configure(FirstPolicy());
  auto archived = [](int64_t hlc, int id) {
    Sent sent = SendInsert(kA, hlc, id, "old");
    sent.table = "archive";
    return sent;
  };
  ASSERT_THAT(Apply({archived(1, 1)}), IsOk());
  Execute("INSERT INTO pmoves_sync.collection (relation, horizon) VALUES ('public.jobs', 100)");
  EXPECT_TRUE(AtOnce({archived(2, 2), SendUpdate(kA, 100, 1, "in time")}));
  ExpectLeftAlone({archived(101, 3), SendUpdate(kA, 99, 1, "late")});
}

TEST_F(AtOnceTest, ARowThatIsRefusedTakesTheBatchWithIt) {
  Execute("ALTER TABLE jobs ADD CHECK (status <> 'bad')");
  ExpectLeftAlone({SendInsert(kA, 20, 2, "good"), SendInsert(kA, 21, 3, "bad")});
  EXPECT_TRUE(AtOnce({SendInsert(kA, 20, 2, "good")}));
}

TEST_F(AtOnceTest, ACommitThatIsRefusedTakesTheBatchWithIt) {
  Execute(
      "ALTER TABLE jobs ADD CONSTRAINT one_of_each UNIQUE (status) DEFERRABLE INITIALLY DEFERRED");
  ExpectLeftAlone({SendInsert(kA, 20, 2, "a")});
  EXPECT_TRUE(AtOnce({SendInsert(kA, 20, 2, "b")}));
}

TEST_F(AtOnceTest, WhatNeedsAnAnswerInBetweenGoesTheLongWay) {
  ExpectLeftAlone({SendPartial(kA, 20, 1, "partial")});
  ExpectLeftAlone({SendMove(kA, 20, 1, 2)});
  ExpectLeftAlone({SendTruncate(kA, 20)});
  ExpectLeftAlone({SendInserts(kA, 20, 100, 41, "many")});
}

// The answer that is lost may have been "committed": the caller reads the position.
TEST_F(AtOnceTest, ALostConnectionLeavesTheOutcomeUnknown) {
  auto other = PgConnection::Connect(TargetSessionOptions(config_, "other"));
  ASSERT_THAT(other, IsOk());
  ASSERT_TRUE(AtOnce({SendUpdate(kA, 15, 1, "prepared")}));
  const std::string pid = Execute("SELECT pg_backend_pid()").String(0, 0);
  ASSERT_THAT((*other)->Execute("SELECT pg_terminate_backend(" + pid + ", 10000)"), IsOk());
  EXPECT_THAT(ApplyAtOnce({SendUpdate(kA, 20, 1, "changed")}),
              StatusIs(absl::StatusCode::kUnknown));
  EXPECT_FALSE(connection_->IsOpen());
}

// Another session holds the table: an error that passes is not taken for a row's.
TEST_F(AtOnceTest, ALockThatIsNotGrantedInTimeIsTriedAgain) {
  auto other = PgConnection::Connect(TargetSessionOptions(config_, "other"));
  ASSERT_THAT(other, IsOk());
  ASSERT_THAT((*other)->Execute("BEGIN; LOCK TABLE jobs"), IsOk());
  Execute("SET lock_timeout = '50ms'");
  const auto done = ApplyAtOnce({SendUpdate(kA, 20, 1, "changed")});
  EXPECT_EQ(SqlStateOf(done.status()), "55P03");
  EXPECT_EQ(connection_->transaction_status(), PQTRANS_IDLE);
  ASSERT_THAT((*other)->Execute("ROLLBACK"), IsOk());
  EXPECT_TRUE(AtOnce({SendUpdate(kA, 20, 1, "changed")}));
}

}  // namespace
}  // namespace pmoves
