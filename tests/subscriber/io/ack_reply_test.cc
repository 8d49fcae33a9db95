#include "subscriber/io/ack_reply.h"

#include <ostream>
#include <string>

#include "gtest/gtest.h"

namespace pmoves {
namespace {

struct Case {
  const char* name;
  std::string subject;
  bool valid;
};

class AckReplyTest : public ::testing::TestWithParam<Case> {};

TEST_P(AckReplyTest, IsReadInBothFormsAndNothingElse) {
  AckReply reply;
  EXPECT_EQ(ParseAckReply(GetParam().subject, &reply), GetParam().valid);
  if (!GetParam().valid) return;
  const AckReply want{.stream = "SYNC_a",
                      .consumer = "sync-x-7",
                      .delivered = 1,
                      .stream_sequence = 18446744073709551615u,
                      .consumer_sequence = 3,
                      .stored_ns = 1700000000123456789,
                      .pending = 4};
  EXPECT_EQ(reply, want);
}

const std::string kTail = "SYNC_a.sync-x-7.1.18446744073709551615.3.1700000000123456789.4";

INSTANTIATE_TEST_SUITE_P(
    Replies, AckReplyTest,
    ::testing::Values(
        Case{"Old", "$JS.ACK." + kTail, true},
        Case{"NewWithoutDomain", "$JS.ACK._.AbCdEf." + kTail, true},
        Case{"NewWithDomain", "$JS.ACK.edge-1.AbCdEf." + kTail, true},
        Case{"NewWithMore", "$JS.ACK.edge-1.AbCdEf." + kTail + ".r4nd0m", true},
        Case{"OneTokenMore", "$JS.ACK.x." + kTail, false},
        Case{"OneTokenLess", "$JS.ACK.SYNC_a.sync-x-7.1.2.3.4", false},
        Case{"OtherPrefix", "$JS.NAK." + kTail, false}, Case{"Empty", "", false},
        Case{"OnlyPrefix", "$JS.ACK.", false}, Case{"OnlyDots", "$JS.ACK.......", false},
        Case{"NoConsumer", "$JS.ACK.SYNC_a..1.2.3.4.5", false},
        Case{"SequenceNotANumber", "$JS.ACK.SYNC_a.c.1.2x.3.4.5", false},
        Case{"NegativeSequence", "$JS.ACK.SYNC_a.c.1.-2.3.4.5", false},
        Case{"TooLargeANumber", "$JS.ACK.SYNC_a.c.1.18446744073709551616.3.4.5", false},
        Case{"TooManyTokens", "$JS.ACK." + kTail + ".1.2.3.4.5.6.7.8.9.10.11.12", false}),
    [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace pmoves
