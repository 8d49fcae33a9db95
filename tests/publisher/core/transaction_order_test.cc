#include "publisher/core/transaction_order.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"

namespace pmoves {
namespace {

using ::testing::HasSubstr;
using Verdict = TransactionOrder::Verdict;

TEST(TransactionOrderTest, EmptyEpochPublishesTheFirstTransaction) {
  TransactionOrder order(Lsn{0});
  EXPECT_THAT(order.Begin(Lsn{1}), IsOkAndHolds(Verdict::kPublish));
  EXPECT_TRUE(order.in_transaction());
  EXPECT_THAT(order.Commit(Lsn{1}), IsOk());
  EXPECT_FALSE(order.in_transaction());
  EXPECT_EQ(order.last_seen(), Lsn{1});
}

TEST(TransactionOrderTest, WhatTheStreamHasIsSkippedAndTheRestIsPublished) {
  struct Case {
    uint64_t position;
    Verdict want;
  };
  TransactionOrder order(Lsn{30});
  for (const Case& c :
       {Case{10, Verdict::kSkip}, Case{29, Verdict::kSkip}, Case{30, Verdict::kSkip},
        Case{31, Verdict::kPublish}, Case{99, Verdict::kPublish}}) {
    EXPECT_THAT(order.Begin(Lsn{c.position}), IsOkAndHolds(c.want)) << c.position;
    EXPECT_THAT(order.Commit(Lsn{c.position}), IsOk());
    EXPECT_EQ(order.last_seen(), Lsn{c.position});
  }
  EXPECT_EQ(order.tail(), Lsn{30});
}

TEST(TransactionOrderTest, LastSeenMovesOnlyAtTheCommit) {
  TransactionOrder order(Lsn{0});
  ASSERT_THAT(order.Begin(Lsn{5}), IsOk());
  EXPECT_EQ(order.last_seen(), Lsn{0});
}

TEST(TransactionOrderTest, BeginInsideATransactionIsRefused) {
  TransactionOrder order(Lsn{0});
  ASSERT_THAT(order.Begin(Lsn{5}), IsOk());
  EXPECT_THAT(order.Begin(Lsn{6}),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("0/6 begins inside")));
}

TEST(TransactionOrderTest, PositionsThatDoNotRiseAreRefused) {
  for (const uint64_t next : {5, 4, 0}) {
    TransactionOrder order(Lsn{2});
    ASSERT_THAT(order.Begin(Lsn{5}), IsOk());
    ASSERT_THAT(order.Commit(Lsn{5}), IsOk());
    EXPECT_THAT(order.Begin(Lsn{next}),
                StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("went back")))
        << next;
    EXPECT_FALSE(order.in_transaction());
  }
}

TEST(TransactionOrderTest, PositionsMustRiseAlsoAmongTheSkippedOnes) {
  TransactionOrder order(Lsn{100});
  ASSERT_THAT(order.Begin(Lsn{50}), IsOk());
  ASSERT_THAT(order.Commit(Lsn{50}), IsOk());
  EXPECT_THAT(order.Begin(Lsn{40}), StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST(TransactionOrderTest, NoPositionIsRefused) {
  TransactionOrder order(Lsn{0});
  EXPECT_THAT(order.Begin(Lsn{0}), StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST(TransactionOrderTest, CommitOfAnotherTransactionIsRefused) {
  TransactionOrder order(Lsn{0});
  EXPECT_THAT(order.Commit(Lsn{5}), StatusIs(absl::StatusCode::kFailedPrecondition));
  ASSERT_THAT(order.Begin(Lsn{5}), IsOk());
  EXPECT_THAT(order.Commit(Lsn{6}), StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_TRUE(order.in_transaction());
}

TEST(TransactionOrderTest, AWalThatPassesTheLandmarkByIsAnotherHistory) {
  TransactionOrder clone(Lsn{100}, Lsn{90});
  ASSERT_THAT(clone.Begin(Lsn{80}), IsOkAndHolds(TransactionOrder::Verdict::kSkip));
  ASSERT_THAT(clone.Commit(Lsn{80}), IsOk());
  EXPECT_THAT(clone.Begin(Lsn{95}),
              StatusIs(absl::StatusCode::kFailedPrecondition, testing::HasSubstr("history")));
  TransactionOrder same(Lsn{100}, Lsn{90});
  ASSERT_THAT(same.Begin(Lsn{90}), IsOkAndHolds(TransactionOrder::Verdict::kSkip));
  ASSERT_THAT(same.Commit(Lsn{90}), IsOk());
  EXPECT_THAT(same.Begin(Lsn{120}), IsOkAndHolds(TransactionOrder::Verdict::kPublish));
}

}  // namespace
}  // namespace pmoves
