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

}  // namespace
}  // namespace pmoves
