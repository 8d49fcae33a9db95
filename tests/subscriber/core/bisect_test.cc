// Goal: every good change is written exactly once and every bad one is named, whatever the mix.
// Method: a target that refuses ranges holding a bad index.
#include "subscriber/core/bisect.h"

#include <gtest/gtest.h>

#include <set>
#include <vector>

#include "tests/testing/status_matchers.h"

namespace pmoves {
namespace {

struct Target {
  std::set<size_t> bad;
  std::vector<size_t> written;
  std::vector<size_t> set_aside;
  int tries = 0;

  absl::Status Run(size_t count) {
    BisectCallbacks callbacks;
    callbacks.try_range = [this](size_t begin, size_t end) {
      ++tries;
      for (size_t i = begin; i < end; ++i) {
        if (bad.count(i) > 0) return absl::InvalidArgumentError("bad");
      }
      for (size_t i = begin; i < end; ++i) written.push_back(i);
      return absl::OkStatus();
    };
    callbacks.splits_on = [](const absl::Status& status) {
      return status.code() == absl::StatusCode::kInvalidArgument;
    };
    callbacks.set_aside = [this](size_t index, const absl::Status&) {
      set_aside.push_back(index);
      return absl::OkStatus();
    };
    return Bisect(0, count, callbacks);
  }
};

TEST(BisectTest, GoodOnesAreWrittenOnceInOrderAndBadOnesAreNamed) {
  for (uint32_t mask = 0; mask < 1u << 9; ++mask) {
    Target target;
    std::vector<size_t> good;
    for (size_t i = 0; i < 9; ++i) {
      if ((mask >> i & 1) != 0)
        target.bad.insert(i);
      else
        good.push_back(i);
    }
    EXPECT_THAT(target.Run(9), IsOk());
    EXPECT_EQ(target.written, good);
    EXPECT_EQ(target.set_aside, std::vector<size_t>(target.bad.begin(), target.bad.end()));
  }
}

TEST(BisectTest, OneBadChangeInAThousandCostsFewTries) {
  Target target;
  target.bad = {777};
  EXPECT_THAT(target.Run(1000), IsOk());
  EXPECT_LE(target.tries, 24);
}

TEST(BisectTest, AnErrorThatIsNotTheChangesFaultEndsTheSearch) {
  BisectCallbacks callbacks;
  callbacks.try_range = [](size_t, size_t) { return absl::UnavailableError("gone"); };
  callbacks.splits_on = [](const absl::Status& status) {
    return status.code() == absl::StatusCode::kInvalidArgument;
  };
  callbacks.set_aside = [](size_t, const absl::Status&) { return absl::OkStatus(); };
  EXPECT_THAT(Bisect(0, 10, callbacks), StatusIs(absl::StatusCode::kUnavailable));
}

TEST(BisectTest, NothingToDoIsFine) {
  Target target;
  EXPECT_THAT(target.Run(0), IsOk());
  EXPECT_EQ(target.tries, 0);
}

// Values that change hands in one transaction are right only together.
TEST(BisectTest, ARangeIsCutBetweenTransactionsWhereItCanBe) {
  const std::string one = "jetson-01";
  const std::string two = "jetson-02";
  ChangeSet set;
  auto add = [&set](const std::string& source, uint64_t position, int changes) {
    for (int i = 0; i < changes; ++i) {
      Change& change = set.changes.emplace_back();
      change.source = &source;
      change.position = Lsn{position};
    }
  };
  add(one, 10, 2);
  add(two, 10, 6);
  add(two, 20, 1);
  EXPECT_EQ(CutBetweenTransactions(set, 0, 9), 2u);
  EXPECT_EQ(CutBetweenTransactions(set, 1, 9), 2u);  // 8 is as near
  EXPECT_EQ(CutBetweenTransactions(set, 2, 9), 8u);
  EXPECT_EQ(CutBetweenTransactions(set, 2, 8), 5u);  // one transaction: its middle
  EXPECT_EQ(CutBetweenTransactions(set, 0, 2), 1u);
  EXPECT_EQ(CutBetweenTransactions(set, 1, 3), 2u);
}

}  // namespace
}  // namespace pmoves
