#include "common/base/lsn.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"

namespace pmoves {
namespace {

struct Case {
  const char* text;
  uint64_t value;
};

TEST(LsnTest, PrintsAsPostgresDoes) {
  for (const Case& test :
       {Case{"0/0", 0}, Case{"0/1A", 0x1A}, Case{"1/0", uint64_t{1} << 32},
        Case{"16/B374D848", 0x16'B374D848}, Case{"FFFFFFFF/FFFFFFFF", UINT64_MAX}}) {
    EXPECT_EQ(Lsn{test.value}.ToString(), test.text);
    EXPECT_THAT(Lsn::Parse(test.text), IsOkAndHolds(Lsn{test.value}));
  }
}

TEST(LsnTest, ReadsWhatPgLsnReads) {
  EXPECT_THAT(Lsn::Parse("16/b374d848"), IsOkAndHolds(Lsn{0x16'B374D848}));
  EXPECT_THAT(Lsn::Parse("00000001/0000000A"), IsOkAndHolds(Lsn{0x1'0000000A}));
}

TEST(LsnTest, RefusesEverythingElse) {
  for (const char* bad :
       {"", "/", "0", "0/", "/0", "0/0/0", "0//0", "-1/0", "0/-1", "+0/0", " 0/0", "0/0 ", "0x1/0",
        "G/0", "0/G", "123456789/0", "0/123456789", "16B374D848"}) {
    EXPECT_THAT(Lsn::Parse(bad), StatusIs(absl::StatusCode::kInvalidArgument)) << bad;
  }
  EXPECT_THAT(Lsn::Parse(std::string_view("0/0\0", 4)),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST(LsnTest, ComparesByPlaceInTheLog) {
  EXPECT_LT((Lsn{0x0'FFFFFFFF}), (Lsn{0x1'00000000}));
  EXPECT_TRUE(Lsn{}.IsNone());
  EXPECT_FALSE(Lsn{1}.IsNone());
}

}  // namespace
}  // namespace pmoves
