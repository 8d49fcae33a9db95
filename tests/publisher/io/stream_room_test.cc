#include "publisher/io/stream_room.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/status/status.h"

namespace pmoves {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

StreamInfo Info(uint64_t bytes, int64_t max_bytes) {
  StreamInfo info;
  info.name = "SYNC_jetson-01";
  info.bytes = bytes;
  info.max_bytes = max_bytes;
  return info;
}

FullStream Full(size_t open_bytes, bool unfinished_tail = false) {
  FullStream full;
  full.source = "jetson-01";
  full.configured_max_bytes = 2 << 20;
  full.refusal = absl::ResourceExhaustedError("maximum bytes exceeded (error 10077)");
  full.open_transaction_bytes = open_bytes;
  full.unfinished_tail = unfinished_tail;
  return full;
}

TEST(StreamRoomTest, ATransactionThatTakesAllOfTheStreamIsNamedWithTheCommand) {
  EXPECT_THAT(WhyFull(Full(2000000), Info(2090000, 2 << 20)),
              AllOf(HasSubstr("SYNC_jetson-01 is full: it holds 2090000 bytes of at most 2097152"),
                    HasSubstr("larger than the stream can hold: 2000000 bytes"),
                    HasSubstr("stream resize jetson-01 --max-bytes 8MiB")));
}

TEST(StreamRoomTest, OtherwiseTheSubscriberIsBehind) {
  EXPECT_THAT(WhyFull(Full(1000), Info(2090000, 2 << 20)),
              AllOf(HasSubstr("is the subscriber running"), Not(HasSubstr("larger than"))));
}

TEST(StreamRoomTest, ABeginningThatFillsTheStreamIsSaid) {
  EXPECT_THAT(WhyFull(Full(0, true), Info(2090000, 2 << 20)),
              AllOf(HasSubstr("interrupted"), HasSubstr("stream resize")));
}

TEST(StreamRoomTest, AServerWithoutRoomIsNotTheStreamsFault) {
  EXPECT_THAT(WhyFull(Full(1000), Info(5000, int64_t{8} << 30)),
              AllOf(HasSubstr("error 10077"), HasSubstr("server or account is used up")));
}

TEST(StreamRoomTest, AnotherLimitThanTheConfiguredOneIsSaid) {
  EXPECT_EQ(SizeDifference(Info(0, 2 << 20), 2 << 20), "");
  EXPECT_THAT(SizeDifference(Info(0, 2 << 20), 64 << 20),
              AllOf(HasSubstr("stream.max_bytes is 64MiB here"), HasSubstr("may hold 2MiB")));
  EXPECT_THAT(SizeDifference(Info(0, -1), 64 << 20), HasSubstr("whatever its server"));
  EXPECT_THAT(WhyFull(Full(2000000), absl::UnavailableError("away")), HasSubstr("10077"));
}

}  // namespace
}  // namespace pmoves
