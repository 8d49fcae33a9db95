#include "publisher/status.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"

namespace pmoves {
namespace {

using ::testing::HasSubstr;

PublisherStatus Streaming() {
  PublisherStatus status;
  status.source = "jetson-01";
  status.mode = "dual-write";
  status.state = "streaming";
  status.source_connected = status.nats_connected = true;
  status.epoch = 1;
  status.published = Lsn{100};
  status.slot.exists = true;
  status.slot.wal_status = "reserved";
  status.slot.wal_end = Lsn{150};
  status.slot.safe_bytes = int64_t{3} << 30;
  status.slot.headroom_hours = 12.5;
  return status;
}

TEST(StatusTest, LagIsWhatTheStreamDoesNotHoldYet) {
  EXPECT_THAT(StatusJson(Streaming(), 0), HasSubstr("\"lag_bytes\":50"));
  EXPECT_THAT(HeartbeatJson(Streaming(), 0), HasSubstr("\"wal_lag_bytes\":50"));
}

TEST(StatusTest, AReasonWithQuotesStaysJson) {
  PublisherStatus status = Streaming();
  status.reason = "slot \"x\"\nis gone";
  EXPECT_THAT(StatusText(StatusJson(status, 0)), IsOk());
}

TEST(StatusTest, ThePageShowsHowLongTheSlotWillLast) {
  ASSERT_OK_AND_ASSIGN(std::string page, StatusText(StatusJson(Streaming(), 0)));
  EXPECT_THAT(page, HasSubstr("streaming"));
  EXPECT_THAT(page, HasSubstr("about 12.5 h"));
}

TEST(StatusTest, AnAnswerThatIsNoJsonIsAnError) { EXPECT_FALSE(StatusText("<html>").ok()); }

TEST(StatusTest, ReadyOnlyWhenBothSidesAreConnectedAndNothingIsRefused) {
  EXPECT_EQ(NotReady(Streaming()), "");
  PublisherStatus offline = Streaming();
  offline.nats_connected = false;
  EXPECT_THAT(NotReady(offline), HasSubstr("nats"));
  PublisherStatus blocked = Streaming();
  blocked.state = "blocked";
  blocked.reason = "a clone";
  EXPECT_THAT(NotReady(blocked), HasSubstr("a clone"));
  PublisherStatus standalone = Streaming();
  standalone.state = "standalone";
  standalone.nats_connected = false;
  EXPECT_EQ(NotReady(standalone), "");
}

}  // namespace
}  // namespace pmoves
