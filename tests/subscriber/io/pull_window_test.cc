#include "subscriber/io/pull_window.h"

#include <optional>
#include <random>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace pmoves {
namespace {

using ::testing::Optional;

constexpr int64_t kSecond = int64_t{1000} * 1000 * 1000;

constexpr int64_t kMany = 1000000;  // messages at the server

PullWindow::Options SmallOptions() {
  return {.messages = 10, .bytes = 1000, .expires_ns = 30 * kSecond, .silence_ns = 15 * kSecond};
}

PullRequest Request(uint64_t number, int messages, int64_t bytes) {
  return {.number = number, .messages = messages, .bytes = bytes};
}

TEST(PullWindowTest, AnIdleStreamHasOneRequestOpen) {
  PullWindow window(SmallOptions());
  EXPECT_THAT(window.Next(0), Optional(Request(1, 10, 1000)));
  EXPECT_EQ(window.Next(0), std::nullopt);
}

TEST(PullWindowTest, TheFirstMessageCallsForASecondRequest) {
  PullWindow window(SmallOptions());
  window.Next(0);
  window.Received(50, kMany, 1);
  EXPECT_THAT(window.Next(1), Optional(Request(2, 10, 1000)));
  EXPECT_EQ(window.Next(1), std::nullopt);
}

TEST(PullWindowTest, OnlyWhatWasTakenMakesRoom) {
  PullWindow window(SmallOptions());
  window.Next(0);
  for (int i = 0; i < 10; ++i) {
    window.Received(10, kMany, 1);
    window.Next(1);
  }
  window.Received(10, kMany, 1);
  EXPECT_EQ(window.open_requests(), 1u);
  EXPECT_EQ(window.Next(1), std::nullopt) << "received is not taken";
  for (int i = 0; i < 4; ++i) window.Taken(10);
  EXPECT_EQ(window.Next(1), std::nullopt) << "less than half a request";
  window.Taken(10);
  EXPECT_THAT(window.Next(1), Optional(Request(3, 5, 950)));
}

TEST(PullWindowTest, BytesMakeRoomLikeMessages) {
  PullWindow window(SmallOptions());
  window.Next(0);
  window.Received(900, kMany, 1);
  EXPECT_THAT(window.Next(1), Optional(Request(2, 10, 1000)));
  window.EndedBySize(1);
  window.Received(900, kMany, 1);
  EXPECT_EQ(window.Next(1), std::nullopt);
  window.Taken(900);
  EXPECT_THAT(window.Next(1), Optional(Request(3, 10, 1000)));
}

TEST(PullWindowTest, AMessageLargerThanAFreshRequestIsFetchedAlone) {
  PullWindow window(SmallOptions());
  window.Next(0);
  window.EndedBySize(1);
  EXPECT_THAT(window.Next(1), Optional(Request(2, 1, 0)));
  EXPECT_EQ(window.Next(1), std::nullopt);
  window.Received(50000, kMany, 2);
  EXPECT_EQ(window.Next(2), std::nullopt) << "the large one fills the window until it is taken";
  window.Taken(50000);
  EXPECT_THAT(window.Next(2), Optional(Request(3, 10, 1000)));
}

TEST(PullWindowTest, AnEndedRequestIsRenewed) {
  PullWindow window(SmallOptions());
  window.Next(0);
  window.Ended(1, 30 * kSecond);
  EXPECT_THAT(window.Next(30 * kSecond), Optional(Request(2, 10, 1000)));
}

TEST(PullWindowTest, ARequestThatEndsAtOnceIsNotRenewedAtOnce) {
  PullWindow window(SmallOptions());
  window.Next(0);
  window.Ended(1, 5);
  EXPECT_EQ(window.Next(6), std::nullopt);
  EXPECT_THAT(window.Next(2 * kSecond), Optional(Request(2, 10, 1000)));
  window.Refused(2, 7 * kSecond);
  EXPECT_EQ(window.Next(6 * kSecond), std::nullopt);
  EXPECT_THAT(window.Next(7 * kSecond), Optional(Request(3, 10, 1000)));
}

TEST(PullWindowTest, AServerThatDoesNotTellIsAskedAgainWhenTheTimeIsOver) {
  PullWindow window(SmallOptions());
  window.Next(0);
  window.Expire(29 * kSecond);
  EXPECT_EQ(window.Next(29 * kSecond), std::nullopt);
  window.Expire(30 * kSecond);
  EXPECT_THAT(window.Next(30 * kSecond), Optional(Request(2, 10, 1000)));
}

TEST(PullWindowTest, SilenceCountsOnlyWhileARequestIsOpen) {
  PullWindow window(SmallOptions());
  EXPECT_FALSE(window.IsSilent(100 * kSecond));
  window.Next(100 * kSecond);
  EXPECT_FALSE(window.IsSilent(115 * kSecond));
  EXPECT_TRUE(window.IsSilent(116 * kSecond));
  window.Heard(116 * kSecond);
  EXPECT_FALSE(window.IsSilent(120 * kSecond));
}

TEST(PullWindowTest, UnknownRequestNumbersChangeNothing) {
  PullWindow window(SmallOptions());
  window.Next(0);
  window.Ended(77, 1);
  window.EndedBySize(77);
  EXPECT_EQ(window.open_requests(), 1u);
  EXPECT_EQ(window.Next(1), std::nullopt);
}

// A server that serves in order, with messages of random sizes and a caller of random pace:
// everything arrives, within the bound.
TEST(PullWindowTest, EverythingMovesWithinTheBound) {
  for (uint32_t seed = 1; seed <= 50; ++seed) {
    std::minstd_rand random(seed);
    PullWindow window(SmallOptions());
    std::deque<PullRequest> server;
    std::deque<int64_t> queue;
    int64_t size = 0;
    int64_t largest = 0;
    int taken = 0;
    const auto ask = [&] {
      while (auto request = window.Next(1)) server.push_back(*request);
    };
    for (int step = 0; taken < 2000; ++step) {
      ASSERT_LT(step, 200000) << "stuck, seed " << seed;
      ask();
      if (random() % 2 == 0 && !server.empty()) {
        if (size == 0) size = random() % 10 == 0 ? 1 + random() % 5000 : 1 + random() % 200;
        PullRequest& front = server.front();
        const bool limited = front.bytes > 0;
        if (limited && size > front.bytes) {
          const uint64_t number = front.number;
          server.pop_front();
          window.EndedBySize(number);
          continue;
        }
        if (limited) front.bytes -= size;
        if (--front.messages == 0 || (limited && front.bytes == 0)) server.pop_front();
        window.Received(size, kMany, 1);
        queue.push_back(size);
        largest = std::max(largest, size);
        size = 0;
      } else if (!queue.empty()) {
        window.Taken(queue.front());
        queue.pop_front();
        ++taken;
      }
      ASSERT_LE(queue.size(), 20u);
      ASSERT_LE(window.queued_bytes(), 2000 + largest);
    }
  }
}

// Streams that share a memory: see PullRoom.

PullRoom Little(int64_t spare) { return {.spare = spare, .probe_messages = 2, .probe_bytes = 100}; }

TEST(PullWindowTest, AStreamOfWhichNothingIsKnownAsksForLittle) {
  PullWindow window(SmallOptions());
  EXPECT_THAT(window.Next(0, Little(1 << 20)), Optional(Request(1, 2, 100)));
  EXPECT_FALSE(window.starved());
}

TEST(PullWindowTest, AStreamWithABacklogAsksForWhatIsThereAndNotForMore) {
  PullWindow window(SmallOptions());
  window.Next(0, Little(1 << 20));
  window.Received(10, 6, 1);
  EXPECT_THAT(window.Next(1, Little(1 << 20)), Optional(Request(2, 5, 1000))) << "one is asked for";
}

TEST(PullWindowTest, WithoutRoomAStreamGoesOnByLittleOnceItHasNothing) {
  PullWindow window(SmallOptions());
  window.Next(0, Little(0));
  window.Received(10, kMany, 1);
  window.Received(10, kMany, 1);
  EXPECT_EQ(window.Next(1, Little(0)), std::nullopt);
  EXPECT_TRUE(window.starved());
  window.Taken(10);
  window.Taken(10);
  EXPECT_THAT(window.Next(2, Little(0)), Optional(Request(2, 2, 100)));
  EXPECT_TRUE(window.starved()) << "and waits for room";
  EXPECT_EQ(window.cost(), 100 + 2 * PullWindow::kMessageCost);
}

TEST(PullWindowTest, AMessageLargerThanAProbeWaitsForRoomAndIsFetched) {
  PullWindow window(SmallOptions());
  window.Next(0, Little(0));
  window.EndedBySize(1);
  EXPECT_EQ(window.Next(1, Little(0)), std::nullopt);
  EXPECT_TRUE(window.starved());
  EXPECT_THAT(window.Next(2, Little(1 << 20)), Optional(Request(2, 1, 1000)));
  window.EndedBySize(2);
  EXPECT_EQ(window.Next(3, Little(1000)), std::nullopt);
  EXPECT_THAT(window.Next(4, Little(2 << 20)), Optional(Request(3, 1, 0))) << "of any size";
  window.Received(5000, 0, 5);
  window.Taken(5000);
  EXPECT_THAT(window.Next(6, Little(1 << 20)), Optional(Request(4, 2, 100)));
}

}  // namespace
}  // namespace pmoves
