// What a TRUNCATE of one source does to the rows of all, on a real Postgres.
#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/testing/centre.h"

namespace pmoves {
namespace {

class TruncateTest : public CentreTest {
 protected:
  void Policy(TruncatePolicy truncate) {
    TablePolicy policy;
    policy.truncate = truncate;
    Configure(policy);
  }
};

TEST_F(TruncateTest, AllBuriesAlsoKeysThatTheCentreNeverSaw) {
  Policy(TruncatePolicy::kAll);
  ASSERT_THAT(Apply({SendInsert(kA, 1, 1, "a"), SendTruncate(kA, 500)}), IsOk());
  ASSERT_THAT(Apply({SendInsert(kB, 20, 1, "late"), SendInsert(kB, 21, 2, "late"),
                     SendInsert(kB, 600, 3, "later")}),
              IsOk());
  EXPECT_EQ(Rows(), "3:later@jetson-02");
  ASSERT_THAT(Apply({SendInserts(kC, 10, 100, 100, "late")}), IsOk());  // by a stage
  EXPECT_EQ(Rows(), "3:later@jetson-02");
  ASSERT_THAT(Apply({SendInserts(kC, 1000, 100, 2, "later")}), IsOk());
  EXPECT_EQ(Rows(), "3:later@jetson-02 100:later@jetson-03 101:later@jetson-03");
  EXPECT_EQ(Count("pmoves_sync.tombstone"), 0);
}

TEST_F(TruncateTest, AnUpdateBelowTheFloorIsHiddenNotMissing) {
  Policy(TruncatePolicy::kAll);
  ASSERT_THAT(Apply({SendTruncate(kA, 50)}), IsOk());
  ASSERT_THAT(Apply({SendPartial(kB, 20, 1, "late")}), IsOk());
  EXPECT_THAT(Apply({SendPartial(kB, 60, 1, "later")}), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(TruncateTest, TheFloorOnlyRises) {
  Policy(TruncatePolicy::kAll);
  ASSERT_THAT(Apply({SendTruncate(kA, 50)}), IsOk());
  ASSERT_THAT(Apply({SendInsert(kB, 50, 1, "same stamp, other source")}), IsOk());
  EXPECT_EQ(Rows(), "1:same stamp, other source@jetson-02");
  ASSERT_THAT(Apply({SendTruncate(kB, 40)}), IsOk());
  EXPECT_EQ(Execute("SELECT version || ' ' || source FROM pmoves_sync.truncate_floor").String(0, 0),
            "50 jetson-01");
}

TEST_F(TruncateTest, QuarantineIsOwnRowsWhenAnOperatorRetriesIt) {
  Policy(TruncatePolicy::kQuarantine);
  ASSERT_THAT(Apply({SendInsert(kA, 1, 1, "a"), SendInsert(kB, 2, 2, "b")}), IsOk());
  ASSERT_THAT(Apply({SendTruncate(kA, 50)}), IsOk());
  EXPECT_EQ(Rows(), "2:b@jetson-02");
}

// The row that leaves and the other's have one stamp: the source decides, as everywhere.
TEST_F(TruncateTest, OwnRowsBuriesNothingThatWouldHaveWon) {
  Policy(TruncatePolicy::kOwnRows);
  ASSERT_THAT(Apply({SendInsert(kB, 17, 1, "b"), SendTruncate(kB, 20)}), IsOk());
  ASSERT_THAT(Apply({SendInsert(kA, 17, 1, "a")}), IsOk());
  EXPECT_EQ(Rows(), "");
  ASSERT_THAT(Apply({SendInsert(kC, 17, 1, "c")}), IsOk());
  EXPECT_EQ(Rows(), "1:c@jetson-03");
}

// Promise C1: each source's changes in its order, otherwise anyhow, in any batches.
TEST_F(TruncateTest, AnyArrivalAndAnyCutsGiveOneFinalState) {
  for (const TruncatePolicy policy : {TruncatePolicy::kAll, TruncatePolicy::kOwnRows}) {
    Policy(policy);
    for (uint32_t seed = 1; seed <= 20; ++seed) {
      SCOPED_TRACE(seed);
      std::mt19937 random(seed);
      std::vector<std::vector<Sent>> histories;
      for (const std::string& source : {kA, kB, kC}) {
        std::vector<Sent>& history = histories.emplace_back();
        int64_t hlc = 0;
        for (int i = 0; i < 4; ++i) {
          hlc += 1 + static_cast<int64_t>(random() % 8);
          const int id = 1 + static_cast<int>(random() % 3);
          const uint32_t what = random() % 8;
          const std::string status = absl::StrFormat("%c%d", source.back(), i);
          if (what < 2) {
            history.push_back(SendTruncate(source, hlc));
          } else if (what < 3) {
            history.push_back(SendDelete(source, hlc, id));
          } else if (what < 4) {
            history.push_back(SendInserts(source, hlc, 1, 60, status));
            hlc += 60;
          } else {
            history.push_back(SendInsert(source, hlc, id, status));
          }
        }
      }
      std::string first;
      for (int arrival = 0; arrival < 8; ++arrival) {
        Empty();
        std::vector<size_t> next(histories.size());
        std::vector<size_t> turns;
        for (size_t source = 0; source < histories.size(); ++source) {
          turns.insert(turns.end(), histories[source].size(), source);
        }
        std::shuffle(turns.begin(), turns.end(), random);
        std::vector<Sent> batch;
        for (const size_t source : turns) {
          batch.push_back(histories[source][next[source]++]);
          if (random() % 3 != 0) continue;
          ASSERT_THAT(Apply(batch), IsOk());
          batch.clear();
        }
        ASSERT_THAT(Apply(batch), IsOk());
        if (arrival == 0) first = Rows();
        ASSERT_EQ(Rows(), first);
      }
    }
  }
}

}  // namespace
}  // namespace pmoves
