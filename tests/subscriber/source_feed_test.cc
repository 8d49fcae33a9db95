#include "subscriber/source_feed.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/testing/status_matchers.h"

namespace pmoves {
namespace {

class SourceFeedTest : public testing::Test {
 protected:
  SourceFeedTest() { feed_.Reset(1, Lsn{100}); }

  FetchedMessage Message(uint64_t previous, uint64_t position, uint32_t chunk, bool last,
                         std::string body = "x") {
    proto::Envelope envelope;
    envelope.source = "edge";
    envelope.epoch = 1;
    envelope.previous = Lsn{previous};
    envelope.position = Lsn{position};
    envelope.chunk = chunk;
    envelope.last = last;
    FetchedMessage message;
    message.sequence = ++sequence_;
    message.stored_us = static_cast<int64_t>(sequence_) * 10;
    message.subject = "supabase.sync.jobs.INSERT.edge";
    message.envelope = envelope;
    message.body = std::move(body);
    return message;
  }
  FetchedMessage Part(uint32_t part, uint32_t parts, uint32_t chunk, bool last, std::string body) {
    FetchedMessage message = Message(100, 120, chunk, last, std::move(body));
    message.envelope->part = part;
    message.envelope->parts = parts;
    return message;
  }

  SourceFeed feed_{"edge", 1000};
  uint64_t sequence_ = 0;
};

TEST_F(SourceFeedTest, ATransactionComesOutWhenItsLastChunkIsThere) {
  ASSERT_THAT(feed_.Accept(Message(100, 120, 0, false)), IsOk());
  EXPECT_FALSE(feed_.HasNext());
  EXPECT_EQ(feed_.waiting_since_us(), 10);
  ASSERT_THAT(feed_.Accept(Message(100, 120, 1, true)), IsOk());
  ASSERT_TRUE(feed_.HasNext());
  const FedTransaction transaction = feed_.Next();
  EXPECT_EQ(transaction.messages.size(), 2u);
  EXPECT_EQ(transaction.position, Lsn{120});
  EXPECT_EQ(transaction.sequence, 2u);
  EXPECT_EQ(transaction.after, Lsn{100});
  EXPECT_EQ(feed_.waiting_since_us(), 0);
}

TEST_F(SourceFeedTest, AHalfTransactionIsDroppedWhenItIsSentAnew) {
  ASSERT_THAT(feed_.Accept(Message(100, 120, 0, false, "old")), IsOk());
  ASSERT_THAT(feed_.Accept(Message(100, 120, 0, false, "new")), IsOk());
  ASSERT_THAT(feed_.Accept(Message(100, 120, 1, true, "end")), IsOk());
  EXPECT_TRUE(feed_.Next().superseded);
  const FedTransaction transaction = feed_.Next();
  ASSERT_EQ(transaction.messages.size(), 2u);
  EXPECT_EQ(transaction.messages[0]->body, "new");
}

TEST_F(SourceFeedTest, PartsOfALargeRowAreJoined) {
  ASSERT_THAT(feed_.Accept(Part(0, 3, 0, false, "ab")), IsOk());
  ASSERT_THAT(feed_.Accept(Part(1, 3, 1, false, "cd")), IsOk());
  ASSERT_THAT(feed_.Accept(Part(2, 3, 2, true, "e")), IsOk());
  const FedTransaction transaction = feed_.Next();
  ASSERT_EQ(transaction.messages.size(), 1u);
  EXPECT_EQ(transaction.messages[0]->body, "abcde");
}

TEST_F(SourceFeedTest, ADuplicateIsCountedAndLeftOut) {
  ASSERT_THAT(feed_.Accept(Message(80, 100, 0, true)), IsOk());
  EXPECT_FALSE(feed_.HasNext());
  EXPECT_EQ(feed_.duplicates(), 1);
}

TEST_F(SourceFeedTest, AMissingStretchIsDataLossThatNamesIt) {
  EXPECT_THAT(feed_.Accept(Message(110, 120, 0, true)),
              StatusIs(absl::StatusCode::kDataLoss, testing::HasSubstr("0/64 and 0/6E")));
}

TEST_F(SourceFeedTest, GarbageAndForgeriesAreSetAsideBetweenTransactions) {
  FetchedMessage garbage = Message(100, 120, 0, true, "garbage");
  garbage.envelope = absl::InvalidArgumentError("no header Sync-Protocol");
  FetchedMessage forged = Message(100, 120, 0, true);
  forged.envelope->source = "other";
  ASSERT_THAT(feed_.Accept(std::move(garbage)), IsOk());
  ASSERT_THAT(feed_.Accept(std::move(forged)), IsOk());
  ASSERT_THAT(feed_.Accept(Message(100, 120, 0, true)), IsOk());
  EXPECT_EQ(feed_.Next().quarantine->reason, "malformed");
  EXPECT_EQ(feed_.Next().quarantine->reason, "forged");
  EXPECT_FALSE(feed_.Next().quarantine.has_value());
}

// The reason was "Status accessed after move.": the message had gone before it was asked.
TEST_F(SourceFeedTest, AMalformedMessageIsSetAsideWithItsOwnReason) {
  FetchedMessage garbage = Message(100, 120, 0, true, "garbage");
  garbage.envelope = absl::InvalidArgumentError("header Sync-Protocol is missing");
  ASSERT_THAT(feed_.Accept(std::move(garbage)), IsOk());
  EXPECT_EQ(feed_.Next().quarantine->message, "header Sync-Protocol is missing");
}

TEST_F(SourceFeedTest, AMessageOfANewerProtocolStopsTheFeedBehindWhatCameBefore) {
  ASSERT_THAT(feed_.Accept(Message(100, 120, 0, true)), IsOk());
  FetchedMessage newer = Message(120, 140, 0, true);
  newer.envelope = absl::UnimplementedError("header Sync-Protocol is 3");
  EXPECT_THAT(feed_.Accept(std::move(newer)), StatusIs(absl::StatusCode::kUnimplemented,
                                                       testing::HasSubstr("message 2 of stream")));
  EXPECT_THAT(feed_.Accept(Message(140, 160, 0, true)), StatusIs(absl::StatusCode::kUnimplemented));
  ASSERT_TRUE(feed_.HasNext());
  EXPECT_EQ(feed_.Next().position, Lsn{120});
  EXPECT_FALSE(feed_.HasNext()) << "nothing behind it is taken, and it is not set aside";
  feed_.Reset(1, Lsn{120});
  EXPECT_THAT(feed_.Accept(Message(120, 140, 0, true)), IsOk());
}

// Its sequence is where the stream may be purged up to.
TEST_F(SourceFeedTest, GarbageInsideATransactionDoesNotCountTheFirstHalfAsApplied) {
  ASSERT_THAT(feed_.Accept(Message(100, 120, 0, false)), IsOk());
  FetchedMessage garbage = Message(100, 120, 0, true, "garbage");
  garbage.envelope = absl::InvalidArgumentError("no header Sync-Protocol");
  ASSERT_THAT(feed_.Accept(std::move(garbage)), IsOk());
  ASSERT_TRUE(feed_.HasNext());
  EXPECT_EQ(feed_.Next().sequence, 0u);
}

TEST_F(SourceFeedTest, WhatWasAppliedBeforeIsPassedUntilTheFirstThatWasNot) {
  ASSERT_THAT(feed_.Accept(Message(60, 80, 0, true)), IsOk());
  ASSERT_THAT(feed_.Accept(Message(80, 100, 0, true)), IsOk());
  EXPECT_EQ(feed_.passed_sequence(), 2u);
  ASSERT_THAT(feed_.Accept(Message(100, 120, 0, true)), IsOk());
  ASSERT_THAT(feed_.Accept(Message(100, 120, 0, true)), IsOk()) << "applied by nobody yet";
  EXPECT_EQ(feed_.passed_sequence(), 2u);
}

TEST_F(SourceFeedTest, OfALargeTransactionOnlyThePlaceIsKeptAndWhatFollowsIsLeftOut) {
  ASSERT_THAT(feed_.Accept(Message(100, 120, 0, false, std::string(600, 'a'))), IsOk());
  EXPECT_EQ(feed_.bytes(), 600u);
  ASSERT_THAT(feed_.Accept(Message(100, 120, 1, false, std::string(600, 'b'))), IsOk());
  ASSERT_THAT(feed_.Accept(Message(100, 120, 2, false, std::string(600, 'c'))), IsOk());
  EXPECT_EQ(feed_.bytes(), 0u);
  EXPECT_FALSE(feed_.HasLarge());
  EXPECT_EQ(feed_.incomplete().messages, 3u);
  EXPECT_EQ(feed_.incomplete().bytes, 1800u);
  EXPECT_EQ(feed_.waiting_since_us(), 10);
  ASSERT_THAT(feed_.Accept(Message(100, 120, 3, true, "d")), IsOk());
  ASSERT_TRUE(feed_.HasLarge());
  EXPECT_TRUE(feed_.Full());
  EXPECT_EQ(feed_.large().position, Lsn{120});
  EXPECT_EQ(feed_.large().first_sequence, 1u);
  EXPECT_EQ(feed_.large().last_sequence, 4u);
  EXPECT_EQ(feed_.large().bytes, 1801u);
  ASSERT_THAT(feed_.Accept(Message(120, 140, 0, true, "next")), IsOk());
  EXPECT_FALSE(feed_.HasNext());
}

TEST_F(SourceFeedTest, PartsOfARowThatIsLargerThanABatchAreNotKept) {
  for (uint32_t part = 0; part < 5; ++part) {
    ASSERT_THAT(feed_.Accept(Part(part, 6, part, false, std::string(600, 'a'))), IsOk());
    EXPECT_LE(feed_.bytes(), 600u);
  }
  ASSERT_THAT(feed_.Accept(Part(5, 6, 5, true, "b")), IsOk());
  ASSERT_TRUE(feed_.HasLarge());
  EXPECT_EQ(feed_.large().bytes, 3001u);
}

TEST_F(SourceFeedTest, ALargeTransactionSentAnewBeginsAtItsNewChunk0) {
  ASSERT_THAT(feed_.Accept(Message(100, 120, 0, false, std::string(2000, 'a'))), IsOk());
  ASSERT_THAT(feed_.Accept(Message(100, 120, 1, false, std::string(2000, 'a'))), IsOk());
  ASSERT_THAT(feed_.Accept(Message(100, 120, 0, false, std::string(2000, 'b'))), IsOk());
  ASSERT_TRUE(feed_.HasNext());
  const FedTransaction dead = feed_.Next();
  EXPECT_TRUE(dead.superseded);
  EXPECT_EQ(dead.sequence, 2u);
  EXPECT_EQ(feed_.incomplete().messages, 1u);
  ASSERT_THAT(feed_.Accept(Message(100, 120, 1, true, std::string(2000, 'b'))), IsOk());
  ASSERT_TRUE(feed_.HasLarge());
  EXPECT_EQ(feed_.large().first_sequence, 3u);
  EXPECT_EQ(feed_.large().last_sequence, 4u);
}

TEST_F(SourceFeedTest, AHalfOfAnOlderEpochIsSuperseded) {
  ASSERT_THAT(feed_.Accept(Message(100, 120, 0, false)), IsOk());
  FetchedMessage fresh = Message(0, 90, 0, true, "fresh");
  fresh.envelope->epoch = 2;
  ASSERT_THAT(feed_.Accept(std::move(fresh)), IsOk());
  EXPECT_TRUE(feed_.Next().superseded);
  EXPECT_EQ(feed_.Next().messages.at(0)->body, "fresh");
}

TEST_F(SourceFeedTest, WhatIsSetAsideInsideHalfATransactionDoesNotMoveTheHint) {
  ASSERT_THAT(feed_.Accept(Message(100, 120, 0, false)), IsOk());
  FetchedMessage garbage = Message(100, 120, 0, true, "garbage");
  garbage.envelope = absl::InvalidArgumentError("no header Sync-Protocol");
  ASSERT_THAT(feed_.Accept(std::move(garbage)), IsOk());
  const FedTransaction item = feed_.Next();
  ASSERT_TRUE(item.quarantine.has_value());
  EXPECT_EQ(item.sequence, 0u);
}

TEST_F(SourceFeedTest, AStreamedTransactionIsHandedOutInPieces) {
  feed_.Stream();
  ASSERT_THAT(feed_.Accept(Message(100, 120, 0, false, std::string(600, 'a'))), IsOk());
  EXPECT_FALSE(feed_.HasPiece());
  ASSERT_THAT(feed_.Accept(Message(100, 120, 1, false, std::string(600, 'b'))), IsOk());
  ASSERT_TRUE(feed_.HasPiece());
  bool complete = true;
  FedTransaction head;
  EXPECT_EQ(feed_.TakePiece(&complete, &head).size(), 2u);
  EXPECT_FALSE(complete);
  ASSERT_THAT(feed_.Accept(Message(100, 120, 2, true, "c")), IsOk());
  ASSERT_TRUE(feed_.HasPiece());
  EXPECT_TRUE(feed_.Full());
  EXPECT_EQ(feed_.TakePiece(&complete, &head).size(), 1u);
  EXPECT_TRUE(complete);
  EXPECT_EQ(head.position, Lsn{120});
  EXPECT_EQ(head.sequence, 3u);
  EXPECT_EQ(head.after, Lsn{100});
}

}  // namespace
}  // namespace pmoves
