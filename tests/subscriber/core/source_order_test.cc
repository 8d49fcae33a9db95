// The reader's rule as a table: state, message -> verdict. And the promise that matters: whatever
// is delivered, each transaction is taken once, in order.
#include "subscriber/core/source_order.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace pmoves {
namespace {

proto::Envelope Message(uint32_t epoch, uint64_t previous, uint64_t position, uint32_t chunk,
                        bool last) {
  proto::Envelope envelope;
  envelope.epoch = epoch;
  envelope.previous = Lsn{previous};
  envelope.position = Lsn{position};
  envelope.chunk = chunk;
  envelope.last = last;
  return envelope;
}

struct Case {
  const char* name;
  uint32_t epoch;
  uint64_t applied;
  proto::Envelope message;
  Verdict want;
};

class Judgement : public testing::TestWithParam<Case> {};

TEST_P(Judgement, IsThatOfTheProtocol) {
  const Case& c = GetParam();
  EXPECT_EQ(SourceOrder(c.epoch, Lsn{c.applied}).Judge(c.message), c.want);
}

INSTANTIATE_TEST_SUITE_P(
    ReadersRule, Judgement,
    testing::Values(
        Case{"NextTransaction", 1, 100, Message(1, 100, 120, 0, true), Verdict::kStart},
        Case{"LinkedFurtherBackAfterALostTail", 1, 100, Message(1, 80, 120, 0, true),
             Verdict::kStart},
        Case{"SamePositionIsApplied", 1, 100, Message(1, 80, 100, 0, true), Verdict::kDuplicate},
        Case{"OlderPositionIsApplied", 1, 100, Message(1, 0, 50, 0, true), Verdict::kDuplicate},
        Case{"GroupAcrossTheAppliedPosition", 1, 100, Message(1, 90, 130, 0, true),
             Verdict::kStart},
        Case{"MissingStretch", 1, 100, Message(1, 110, 120, 0, true), Verdict::kGap},
        Case{"ChunkWithoutItsStart", 1, 100, Message(1, 100, 120, 3, false), Verdict::kGap},
        Case{"OlderEpoch", 2, 100, Message(1, 100, 120, 0, true), Verdict::kStale},
        Case{"NewEpochOpens", 1, 100, Message(2, 0, 20, 0, true), Verdict::kStart},
        Case{"NewEpochWithoutItsFirstMessage", 1, 100, Message(2, 10, 20, 0, true),
             Verdict::kForeignEpoch},
        Case{"FirstMessageEver", 0, 0, Message(1, 0, 20, 0, true), Verdict::kStart},
        Case{"FirstMessageOfALaterEpoch", 0, 0, Message(7, 0, 20, 0, true), Verdict::kStart},
        Case{"MiddleOfAnEpochNeverSeen", 0, 0, Message(1, 10, 20, 0, true),
             Verdict::kForeignEpoch}),
    [](const auto& test) { return test.param.name; });

TEST(SourceOrderTest, ChunksMustFollowOneAnother) {
  SourceOrder order(1, Lsn{100});
  order.Take(Message(1, 100, 120, 0, false));
  EXPECT_TRUE(order.in_transaction());
  EXPECT_EQ(order.Judge(Message(1, 100, 120, 2, false)), Verdict::kGap);
  EXPECT_EQ(order.Judge(Message(1, 100, 120, 1, true)), Verdict::kContinue);
  order.Take(Message(1, 100, 120, 1, true));
  EXPECT_EQ(order.applied(), Lsn{120});
  EXPECT_FALSE(order.in_transaction());
}

TEST(SourceOrderTest, AHalfReceivedTransactionIsSentAnewFromItsFirstChunk) {
  SourceOrder order(1, Lsn{100});
  order.Take(Message(1, 100, 120, 0, false));
  order.Take(Message(1, 100, 120, 1, false));
  EXPECT_EQ(order.Judge(Message(1, 100, 120, 0, false)), Verdict::kStart);
  order.Take(Message(1, 100, 120, 0, false));
  EXPECT_EQ(order.Judge(Message(1, 100, 120, 2, false)), Verdict::kGap);
  EXPECT_EQ(order.Judge(Message(1, 100, 120, 1, false)), Verdict::kContinue);
}

TEST(SourceOrderTest, ChunksOfANewEpochsFirstTransactionContinueIt) {
  SourceOrder order(1, Lsn{100});
  order.Take(Message(2, 0, 20, 0, false));
  EXPECT_EQ(order.epoch(), 1u);
  EXPECT_EQ(order.Judge(Message(2, 0, 20, 1, true)), Verdict::kContinue);
  order.Take(Message(2, 0, 20, 1, true));
  EXPECT_EQ(order.epoch(), 2u);
  EXPECT_EQ(order.applied(), Lsn{20});
}

// Any redelivery, loss, repetition: what is taken as complete is a run of the source's transactions
// without hole or repetition.
TEST(SourceOrderTest, WhateverIsDeliveredTransactionsAreTakenOnceAndInOrder) {
  std::vector<proto::Envelope> sent;
  for (uint64_t t = 1; t <= 30; ++t) {
    const uint32_t chunks = t % 3 == 0 ? 3 : 1;
    for (uint32_t chunk = 0; chunk < chunks; ++chunk)
      sent.push_back(Message(1, (t - 1) * 10, t * 10, chunk, chunk + 1 == chunks));
  }
  for (uint32_t seed = 1; seed <= 500; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    SourceOrder order(1, Lsn{0});
    uint64_t complete = 0;
    for (int step = 0; step < 400; ++step) {
      const proto::Envelope& message = sent[random() % sent.size()];
      const Verdict verdict = order.Judge(message);
      if (verdict != Verdict::kStart && verdict != Verdict::kContinue) continue;
      order.Take(message);
      if (!message.last) continue;
      ASSERT_EQ(message.position.value, complete + 10);
      complete += 10;
    }
    EXPECT_EQ(order.applied().value, complete);
  }
}

}  // namespace
}  // namespace pmoves
