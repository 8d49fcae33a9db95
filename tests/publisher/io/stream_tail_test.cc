#include "publisher/io/stream_tail.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/message_codec.h"
#include "tests/testing/status_matchers.h"

namespace pmoves {
namespace {

proto::Envelope First(int64_t hlc) {
  proto::Envelope envelope;
  envelope.hlc = Hlc{hlc};
  envelope.last = true;
  return envelope;
}

StoredRecord Rows(int rows, const std::vector<proto::TransactionEntry>& transactions = {}) {
  proto::BodyWriter writer;
  writer.Start("jetson-01", "public", "jobs", proto::Operation::kInsert);
  const std::vector<proto::RawColumn> row = {{"\"id\"", "1"}};
  for (int i = 0; i < rows; ++i) writer.AddRow(row, {});
  StoredRecord record;
  record.data = writer.Finish(1700000000000000, {}, transactions);
  return record;
}

TEST(LastHlcTest, EveryRowIsOneTick) {
  StoredRecord record = Rows(3);
  EXPECT_THAT(LastHlc(First(100), &record), IsOkAndHolds(Hlc{102}));
}

TEST(LastHlcTest, SeveralTransactionsCountFromTheLastOne) {
  proto::TransactionEntry first{Lsn{10}, 1, 1700000000000000, Hlc{100}, 2};
  proto::TransactionEntry second{Lsn{20}, 2, 1700000000000000, Hlc{5000}, 1};
  StoredRecord record = Rows(3, {first, second});
  EXPECT_THAT(LastHlc(First(100), &record), IsOkAndHolds(Hlc{5000}));
}

TEST(LastHlcTest, APartOfALargeRowIsOneRow) {
  proto::Envelope envelope = First(100);
  envelope.part = 1;
  envelope.parts = 2;
  StoredRecord record;
  record.data = "half of a body";
  EXPECT_THAT(LastHlc(envelope, &record), IsOkAndHolds(Hlc{100}));
}

TEST(LastHlcTest, ProgressDoesNotTick) {
  proto::BodyWriter writer;
  writer.Start("jetson-01", "", "", proto::Operation::kProgress);
  StoredRecord record;
  record.data = writer.Finish(1700000000000000, {}, {});
  EXPECT_THAT(LastHlc(First(100), &record), IsOkAndHolds(Hlc{100}));
}

TEST(LastHlcTest, ABrokenBodyIsAStatus) {
  StoredRecord record;
  record.data = "{";
  EXPECT_FALSE(LastHlc(First(100), &record).ok());
}

}  // namespace
}  // namespace pmoves
