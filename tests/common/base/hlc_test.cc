#include "common/base/hlc.h"

#include <cstdint>
#include <limits>

#include "gtest/gtest.h"

namespace pmoves {
namespace {

constexpr int64_t kMs = 1795339541029;

TEST(HlcTest, TakesTheTimeOfTheCommitWhenThatIsLater) {
  const Hlc first = Hlc{}.Next(kMs * 1000 + 291);
  EXPECT_EQ(first.Milliseconds(), kMs);
  EXPECT_EQ(first.value, kMs << 16);
}

TEST(HlcTest, TicksByOneInsideAMillisecond) {
  const Hlc first = Hlc{}.Next(kMs * 1000);
  const Hlc second = first.Next(kMs * 1000 + 999);
  EXPECT_EQ(second.value, first.value + 1);
}

TEST(HlcTest, GoesOnRisingWhenTheClockStepsBack) {
  const Hlc before = Hlc{}.Next(kMs * 1000);
  Hlc hlc = before;
  for (int i = 1; i <= 3; ++i) {
    hlc = hlc.Next(0);
    EXPECT_EQ(hlc.value, before.value + i);
  }
}

TEST(HlcTest, CarriesIntoTheMillisecondsWhenTheCounterIsFull) {
  const Hlc full{(kMs << 16) + 0xFFFF};
  EXPECT_EQ(full.Next(kMs * 1000).Milliseconds(), kMs + 1);
}

TEST(HlcTest, TimesBefore1970CountAs1970) {
  EXPECT_EQ(Hlc{}.Next(-1).value, 1);
  EXPECT_EQ(Hlc{}.Next(std::numeric_limits<int64_t>::min()).value, 1);
}

TEST(HlcTest, TimesBeyondTheLastMillisecondAreClampedAndStayPositive) {
  const Hlc last = Hlc{}.Next(std::numeric_limits<int64_t>::max());
  EXPECT_GT(last.value, 0);
  EXPECT_GT(last.Next(std::numeric_limits<int64_t>::max()), last);
}

}  // namespace
}  // namespace pmoves
