// What the collector forgets, and that nothing comes back by it, on a real Postgres.
#include "subscriber/io/collector.h"

#include <algorithm>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "subscriber/core/conflict_log_sql.h"
#include "subscriber/core/merge_sql.h"
#include "tests/testing/collecting_centre.h"

namespace pmoves {
namespace {

class CollectorTest : public CollectingTest {
 protected:
  int64_t Collect() override {
    Collector collector(*other_, config_.tables, absl::Hours(1));
    return Forgotten(collector);
  }
  void FallSilent(const std::string& source) {
    Execute(
        "UPDATE pmoves_sync.source_position SET applied_at = now() - interval '2 hours' WHERE "
        "source = '" +
        source + "'; DELETE FROM pmoves_sync.sync_status WHERE service_name = '" + source + "'");
  }
};

TEST_F(CollectorTest, ForgetsWhatEverySourceHasPassed) {
  DeleteAndPass();
  EXPECT_EQ(Collect(), 1);
  EXPECT_EQ(Count("pmoves_sync.tombstone"), 0);
  EXPECT_EQ(Horizon(), 21);
  EXPECT_EQ(Collect(), 0);
  EXPECT_EQ(Horizon(), 21);
}

TEST_F(CollectorTest, TheSlowestSourceHoldsItBack) {
  ASSERT_THAT(Apply({SendInsert(kB, 15, 8, "b")}), IsOk());
  ASSERT_THAT(Apply({SendInsert(kA, 10, 1, "a"), SendDelete(kA, 20, 1)}), IsOk());
  ASSERT_THAT(Apply({SendInsert(kA, 100, 7, "a")}), IsOk());
  EXPECT_EQ(Collect(), 0);
  ASSERT_THAT(Apply({SendInsert(kB, 16, 1, "late")}), IsOk());  // rightly buried
  EXPECT_EQ(Rows(), "7:a@jetson-01 8:b@jetson-02");
  ASSERT_THAT(Apply({SendInsert(kB, 50, 9, "b")}), IsOk());
  EXPECT_EQ(Collect(), 1);
}

TEST_F(CollectorTest, ASourceThatOnlySendsHeartbeatsHoldsItBackAndASilentOneDoesNot) {
  DeleteAndPass();
  Hear(kC);
  EXPECT_EQ(Collect(), 0);
  FallSilent(kC);
  EXPECT_EQ(Collect(), 1);
}

TEST_F(CollectorTest, NobodyHeardOfMeansThatNothingIsForgotten) {
  DeleteAndPass();
  FallSilent(kA);
  FallSilent(kB);
  EXPECT_EQ(Collect(), 0);
}

TEST_F(CollectorTest, ASourceThatMayNotWriteTheTableIsNotWaitedFor) {
  DeleteAndPass();
  Hear(kC);
  config_.tables[0].sources = {kA, kB};
  EXPECT_EQ(Collect(), 1);
}

TEST_F(CollectorTest, WhatIsYoungerThanTheRetentionStays) {
  const int64_t now_ms = Execute("SELECT (extract(epoch FROM now()) * 1000)::bigint").Int(0, 0);
  const auto ago = [now_ms](int64_t minutes) { return (now_ms - minutes * 60000) << 16; };
  ASSERT_THAT(Apply({SendInsert(kA, ago(90), 1, "a"), SendDelete(kA, ago(80), 1),
                     SendInsert(kA, ago(50), 2, "a"), SendDelete(kA, ago(40), 2),
                     SendInsert(kA, ago(1), 3, "a")}),
              IsOk());
  EXPECT_EQ(Collect(), 1);
  EXPECT_EQ(Horizon(), ago(80) + 1);
}

TEST_F(CollectorTest, AnOpenDeadLetterHoldsItBackForAsLongAsASource) {
  DeleteAndPass();
  Execute(
      "INSERT INTO pmoves_sync.dead_letter (source, kind, schema_name, table_name, hlc, reason, "
      "identity) VALUES ('jetson-01', 'row', 'public', 'jobs', 15, 'constraint', 'x'), "
      "('jetson-01', 'row', 'public', 'jobs', 1, 'too_late', 'y'), "
      "('jetson-01', 'row', 'public', 'other', 1, 'constraint', 'z')");
  EXPECT_EQ(Collect(), 0);
  Execute("UPDATE pmoves_sync.dead_letter SET created_at = now() - interval '2 hours'");
  EXPECT_EQ(Collect(), 1);
}

TEST_F(CollectorTest, AVersionColumnHasAHorizonOfItsOwn) {
  DeleteAndPass();
  config_.tables[0].policy.version = VersionSource::kColumn;
  EXPECT_EQ(Collect(), 0);
  Execute("INSERT INTO pmoves_sync.source_clock VALUES ('jetson-01', 'public.jobs', 50)");
  EXPECT_EQ(Collect(), 0);
  Execute("INSERT INTO pmoves_sync.source_clock VALUES ('jetson-02', 'public.jobs', 20)");
  EXPECT_EQ(Collect(), 0);
  Execute("UPDATE pmoves_sync.source_clock SET hlc = 21");
  EXPECT_EQ(Collect(), 1);
}

TEST_F(CollectorTest, WhatComesTooLateIsRefusedAndWhatDoesNotIsApplied) {
  DeleteAndPass();
  ASSERT_EQ(Collect(), 1);
  ExpectLateIsRefused({SendInsert(kC, 15, 1, "late"), SendInsert(kC, 20, 1, "late"),
                       SendInserts(kC, 15, 100, 100, "late"), SendDelete(kC, 15, 7)});
}

// The collector comes between the merge of an old change and its commit, and before the merge.
TEST_F(CollectorTest, ARaceWithTheCollectorBringsNothingBack) {
  DeleteAndPass();
  between_ = [this] { EXPECT_EQ(Collect(), 1); };
  EXPECT_TRUE(IsTooLate(Apply({SendInsert(kC, 15, 1, "late")})));
  between_ = nullptr;
  EXPECT_EQ(Rows(), "7:a@jetson-01 8:b@jetson-02");

  ASSERT_THAT(Apply({SendDelete(kA, 110, 7)}), IsOk());
  ASSERT_THAT(Apply({SendInsert(kA, 200, 9, "a"), SendInsert(kB, 200, 8, "b")}), IsOk());
  ASSERT_THAT(target_->Begin(), IsOk());
  EXPECT_EQ(Collect(), 1);
  EXPECT_TRUE(IsTooLate(ApplyOpen({SendInsert(kC, 105, 7, "late")})));
  target_->Rollback();
  EXPECT_EQ(Rows(), "8:b@jetson-02 9:a@jetson-01");
}

// Collected after every batch, or never: the same rows, and nobody who is waited for is too late.
TEST_F(CollectorTest, TheFinalRowsAreThoseWithoutCollection) {
  int64_t forgotten = 0;
  for (uint32_t seed = 1; seed <= 30; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    std::vector<std::vector<Sent>> histories;
    std::vector<size_t> turns;
    for (const std::string& source : {kA, kB, kC}) {
      std::vector<Sent>& history = histories.emplace_back();
      int64_t hlc = 0;
      for (int i = 0; i < 8; ++i) {
        hlc += 1 + static_cast<int64_t>(random() % 8);
        const int id = 1 + static_cast<int>(random() % 3);
        const std::string status = absl::StrFormat("%c%d", source.back(), i);
        history.push_back(random() % 2 == 0 ? SendDelete(source, hlc, id)
                                            : SendInsert(source, hlc, id, status));
        turns.push_back(histories.size() - 1);
      }
    }
    std::shuffle(turns.begin(), turns.end(), random);
    std::vector<std::string> ends;
    for (const bool collecting : {false, true}) {
      Empty();
      for (const std::string& source : {kA, kB, kC}) Hear(source);
      std::vector<size_t> next(histories.size());
      for (const size_t source : turns) {
        ASSERT_THAT(Apply({histories[source][next[source]++]}), IsOk());
        if (collecting) forgotten += Collect();
      }
      ends.push_back(Rows());
    }
    EXPECT_EQ(ends[1], ends[0]);
  }
  EXPECT_GT(forgotten, 30);
}

// Statements are planned once, perhaps while there is no tombstone yet. Found by version, those of
// a late source would be looked for among all that is newer.
TEST_F(CollectorTest, APlanFromBeforeTheFirstTombstoneFindsThemByKey) {
  const auto table = catalog_->Find("public", "jobs");
  ASSERT_THAT(table, IsOk());
  const Shape& shape = (*table)->Intern({0, 1, 2});
  Execute("SET plan_cache_mode = force_generic_plan");
  const char* types = "(integer, text, text, text, timestamptz, bigint)";
  Execute(absl::StrFormat("PREPARE write %s AS %s", types, UpsertRow(**table, shape).sql));
  Execute(absl::StrFormat("PREPARE log %s AS %s", types,
                          LogBeforeRow(**table, shape, false, true).sql));
  for (const char* statement : {"write", "log"}) {
    const PgRows plan = Execute(absl::StrFormat(
        "EXPLAIN EXECUTE %s (1, 'a', 'b', 'jetson-01', '2026-11-22', 5)", statement));
    std::string text;
    for (int i = 0; i < plan.size(); ++i) text += plan.String(i, 0) + "\n";
    EXPECT_NE(text.find("tombstone_pkey"), std::string::npos) << text;
  }
}

TEST_F(CollectorTest, TheLagIsThatOfTheSlowestSourceHeardOf) {
  Collector collector(*other_, config_.tables, absl::Hours(1));
  ASSERT_THAT(collector.Look().status(), IsOk());
  EXPECT_FALSE(collector.Look()->lag.has_value());
  const int64_t now_ms = Execute("SELECT (extract(epoch FROM now()) * 1000)::bigint").Int(0, 0);
  ASSERT_THAT(Apply({SendInsert(kA, (now_ms - 60000) << 16, 1, "a"),
                     SendInsert(kB, (now_ms - 600000) << 16, 2, "b")}),
              IsOk());
  const absl::Duration lag = collector.Look()->lag.value_or(absl::ZeroDuration());
  EXPECT_GE(lag, absl::Minutes(10));
  EXPECT_LT(lag, absl::Minutes(11));
}

}  // namespace
}  // namespace pmoves
