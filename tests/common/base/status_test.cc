#include "common/base/status.h"

#include <memory>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"

namespace pmoves {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

absl::Status Fails(const absl::Status& status, bool* went_on) {
  RETURN_IF_ERROR(status);
  *went_on = true;
  return absl::OkStatus();
}

absl::StatusOr<int> Doubled(absl::StatusOr<std::unique_ptr<int>> in) {
  ASSIGN_OR_RETURN(const std::unique_ptr<int> value, std::move(in));
  return *value * 2;
}

TEST(StatusMacrosTest, AnErrorReturnsAndSuccessGoesOn) {
  bool went_on = false;
  EXPECT_THAT(Fails(absl::AbortedError("a"), &went_on), StatusIs(absl::StatusCode::kAborted, "a"));
  EXPECT_FALSE(went_on);
  EXPECT_THAT(Fails(absl::OkStatus(), &went_on), IsOk());
  EXPECT_TRUE(went_on);
  EXPECT_THAT(Doubled(std::make_unique<int>(21)), IsOkAndHolds(42));
  EXPECT_THAT(Doubled(absl::UnknownError("u")), StatusIs(absl::StatusCode::kUnknown));
}

TEST(SqlStateTest, TravelsWithTheStatus) {
  EXPECT_EQ(SqlStateOf(absl::UnknownError("x")), "");
  EXPECT_EQ(SqlStateOf(WithSqlState(absl::UnknownError("x"), "23505")), "23505");
  EXPECT_EQ(MessageOf(WithSqlState(absl::UnknownError("x"), "23505")), "x");
}

TEST(StatusMatchersTest, TellCodesMessagesAndValuesApart) {
  const absl::StatusOr<int> five = 5;
  EXPECT_THAT(five, IsOk());
  EXPECT_THAT(five, Not(IsOkAndHolds(6)));
  EXPECT_THAT(five, Not(StatusIs(absl::StatusCode::kAborted)));
  EXPECT_THAT(absl::AbortedError("one two"),
              StatusIs(absl::StatusCode::kAborted, HasSubstr("two")));
  EXPECT_THAT(absl::AbortedError("one two"),
              Not(StatusIs(absl::StatusCode::kAborted, HasSubstr("three"))));
  EXPECT_THAT(absl::AbortedError("one two"), Not(IsOk()));
  EXPECT_THAT(absl::StatusOr<int>(absl::AbortedError("x")), Not(IsOkAndHolds(5)));
}

}  // namespace
}  // namespace pmoves
