#include "publisher/core/stuck_place.h"

#include <gtest/gtest.h>

#include "common/base/status.h"

namespace pmoves {
namespace {

const WalPlace kInside = {Lsn{100}, Lsn{200}, 7};
absl::Status TooLarge() {
  return WithSqlState(absl::FailedPreconditionError("invalid memory alloc request size"), "54000");
}

TEST(StuckPlaceTest, TheSecondFailureInOneTransactionNamesIt) {
  StuckPlace stuck;
  EXPECT_EQ(MessageOf(stuck.Failed(kInside, TooLarge())), "invalid memory alloc request size");
  EXPECT_FALSE(stuck.stuck());
  const absl::Status status = stuck.Failed(kInside, TooLarge());
  EXPECT_TRUE(stuck.stuck());
  EXPECT_EQ(SqlStateOf(status), "54000");
  for (const char* part : {"2 times", "0/C8", "xid 7", "larger than 1 GB", "docs/operations.md"}) {
    EXPECT_NE(MessageOf(status).find(part), std::string::npos) << part << MessageOf(status);
  }
  EXPECT_EQ(stuck.reason(), MessageOf(status));
}

TEST(StuckPlaceTest, ItStaysUntilThatTransactionWasRead) {
  StuckPlace stuck;
  for (int i = 0; i < 3; ++i) (void)stuck.Failed(kInside, TooLarge());
  stuck.Passed({Lsn{100}, Lsn{200}, 7});
  EXPECT_EQ(stuck.failures(), 3);
  stuck.Passed({Lsn{200}, Lsn{}, 7});
  EXPECT_FALSE(stuck.stuck());
  EXPECT_EQ(stuck.reason(), "");
}

TEST(StuckPlaceTest, AnotherPlaceCountsFromOne) {
  StuckPlace stuck;
  (void)stuck.Failed(kInside, TooLarge());
  (void)stuck.Failed({Lsn{300}, Lsn{400}, 9}, TooLarge());
  EXPECT_FALSE(stuck.stuck());
  EXPECT_EQ(stuck.failures(), 1);
}

TEST(StuckPlaceTest, ABrokenConnectionSaysLittle) {
  StuckPlace stuck;
  for (int i = 0; i < 20; ++i)
    (void)stuck.Failed({Lsn{100}, Lsn{}, 0}, absl::UnavailableError("x"));
  EXPECT_FALSE(stuck.stuck());
  for (int i = 0; i < 5; ++i) (void)stuck.Failed(kInside, absl::UnavailableError("x"));
  EXPECT_TRUE(stuck.stuck());
}

}  // namespace
}  // namespace pmoves
