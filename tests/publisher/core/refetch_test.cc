// The pure parts of answering the centre's questions for rows: the queue and its mark, whether a
// session sees what the WAL has told, and values as tokens.
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "publisher/core/recent_transactions.h"
#include "publisher/core/refetch_queue.h"
#include "publisher/core/value_token.h"
#include "tests/testing/status_matchers.h"

namespace pmoves {
namespace {

using proto::RefetchRequest;
using testing::ElementsAre;
using testing::IsEmpty;

RefetchRequest Row(int id) { return {"public", "doc", {{"id", std::to_string(id)}}}; }

TEST(RefetchQueueTest, ARowIsThereOnceUntilItsMarkCameBack) {
  RefetchQueue queue("me");
  EXPECT_EQ(queue.Mark(), "");
  EXPECT_TRUE(queue.Offer(Row(1)));
  EXPECT_TRUE(queue.Offer(Row(1)));
  EXPECT_TRUE(queue.ready());
  const std::string mark = queue.Mark();
  EXPECT_NE(mark, "");
  EXPECT_TRUE(queue.Offer(Row(1)));
  EXPECT_TRUE(queue.Offer(Row(2)));
  EXPECT_FALSE(queue.ready()) << "one mark at a time";
  EXPECT_EQ(queue.Mark(), "");
  EXPECT_THAT(queue.TakeMarked(mark), ElementsAre(Row(1)));
  EXPECT_TRUE(queue.Offer(Row(1)));
  EXPECT_THAT(queue.TakeMarked(queue.Mark()), ElementsAre(Row(2), Row(1)));
}

TEST(RefetchQueueTest, OnlyItsOwnMarkCountsAndOnlyOnce) {
  RefetchQueue queue("me");
  RefetchQueue former("former");
  EXPECT_TRUE(queue.Offer(Row(1)));
  EXPECT_TRUE(former.Offer(Row(1)));
  EXPECT_THAT(queue.TakeMarked(""), IsEmpty());
  const std::string mark = queue.Mark();
  EXPECT_THAT(queue.TakeMarked(former.Mark()), IsEmpty());
  EXPECT_THAT(queue.TakeMarked(""), IsEmpty());
  EXPECT_THAT(queue.TakeMarked(mark), ElementsAre(Row(1)));
  EXPECT_THAT(queue.TakeMarked(mark), IsEmpty());
}

TEST(RefetchQueueTest, WhatCouldNotBeMarkedOrReadWaitsBeforeAllOthers) {
  RefetchQueue queue("me");
  for (int id : {1, 2}) EXPECT_TRUE(queue.Offer(Row(id)));
  const std::string lost = queue.Mark();
  EXPECT_TRUE(queue.Offer(Row(3)));
  queue.GiveUpMark();
  EXPECT_THAT(queue.TakeMarked(lost), IsEmpty());
  std::vector<RefetchRequest> rows = queue.TakeMarked(queue.Mark());
  EXPECT_THAT(rows, ElementsAre(Row(1), Row(2), Row(3)));
  EXPECT_TRUE(queue.Offer(Row(4)));
  EXPECT_TRUE(queue.Offer(Row(3)));
  queue.PutBack({Row(2), Row(3)});
  EXPECT_THAT(queue.TakeMarked(queue.Mark()), ElementsAre(Row(2), Row(4), Row(3)));
}

TEST(RefetchQueueTest, IsBounded) {
  RefetchQueue queue("me");
  size_t taken = 0;
  while (queue.Offer(Row(static_cast<int>(taken)))) ++taken;
  EXPECT_EQ(taken, RefetchQueue::kMostRows);
  EXPECT_EQ(queue.TakeMarked(queue.Mark()).size(), RefetchQueue::kRowsPerMark);
  EXPECT_TRUE(queue.Offer(Row(-1)));
  EXPECT_EQ(queue.TakeAll().size(), RefetchQueue::kMostRows - RefetchQueue::kRowsPerMark + 1);
  EXPECT_EQ(queue.Mark(), "");
}

TEST(RecentTransactionsTest, AreVisibleWhenASnapshotSaysSo) {
  RecentTransactions recent;
  EXPECT_THAT(recent.AllVisibleIn("100:100:"), IsOkAndHolds(true));
  recent.Add(100);
  recent.Add(102);
  EXPECT_THAT(recent.AllVisibleIn("103:103:"), IsOkAndHolds(true));
  EXPECT_THAT(recent.AllVisibleIn("101:105:101,104"), IsOkAndHolds(true));
  EXPECT_THAT(recent.AllVisibleIn("101:105:101,102"), IsOkAndHolds(false));
  EXPECT_THAT(recent.AllVisibleIn("100:103:100"), IsOkAndHolds(false));
  EXPECT_THAT(recent.AllVisibleIn("102:102:"), IsOkAndHolds(false)) << "not begun for it";
}

TEST(RecentTransactionsTest, NumbersWrapAsTheServersDo) {
  RecentTransactions recent;
  recent.Add(0xFFFFFFF0);
  recent.Add(5);
  EXPECT_THAT(recent.AllVisibleIn("4294967302:4294967302:"), IsOkAndHolds(true));
  EXPECT_THAT(recent.AllVisibleIn("4294967301:4294967303:4294967301"), IsOkAndHolds(false));
  EXPECT_THAT(recent.AllVisibleIn("4294967301:4294967301:"), IsOkAndHolds(false));
}

TEST(RecentTransactionsTest, TheOldestAreForgotten) {
  RecentTransactions recent;
  recent.Add(50);
  EXPECT_THAT(recent.AllVisibleIn("50:90000:50"), IsOkAndHolds(false));
  for (uint32_t i = 0; i < RecentTransactions::kRemembered; ++i) recent.Add(100 + i);
  EXPECT_THAT(recent.AllVisibleIn("50:90000:50"), IsOkAndHolds(true));
}

TEST(RecentTransactionsTest, GarbageIsRefused) {
  RecentTransactions recent;
  for (const char* text : {"", "1", "1:2", "1:2:x", "1:2:3,,4", ":2:", "1:2:3:4", "-1:2:"})
    EXPECT_THAT(recent.AllVisibleIn(text), StatusIs(absl::StatusCode::kInvalidArgument)) << text;
}

TEST(ValueTokenTest, IsWhatWal2JsonWrites) {
  struct Case {
    uint32_t type;
    const char* text;
    const char* token;
  };
  for (const Case& c : {
           Case{23, "-7", "-7"}, Case{20, "9223372036854775807", "9223372036854775807"},
           Case{1700, "1.50000", "1.50000"}, Case{701, "1e+300", "1e+300"}, Case{701, "-0", "-0"},
           Case{701, "NaN", "\"NaN\""}, Case{700, "-Infinity", "\"-Infinity\""},
           Case{16, "t", "true"}, Case{16, "f", "false"}, Case{17, "\\x00ff", "\"00ff\""},
           Case{17, "\\x", "\"\""}, Case{25, "null", "\"null\""},
           Case{25, "a\"b\\c\n", "\"a\\\"b\\\\c\\n\""},
           Case{114, "{\"a\": 1}", "\"{\\\"a\\\": 1}\""},
           Case{90001, "7", "\"7\""},            // a domain over int4
           Case{90001, "\\x00", "\"\\\\x00\""},  // a domain over bytea
       }) {
    std::string token;
    AppendValueToken(c.type, c.text, &token);
    EXPECT_EQ(token, c.token) << c.type << " " << c.text;
  }
}

}  // namespace
}  // namespace pmoves
