// Matchers for absl::Status and absl::StatusOr: Debian's Abseil has none.
//
//   EXPECT_THAT(status, IsOk());
//   EXPECT_THAT(Lsn::Parse("0/1A"), IsOkAndHolds(Lsn{26}));
//   EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("Sync-Epoch")));
//   ASSERT_OK_AND_ASSIGN(Lsn lsn, Lsn::Parse("0/1A"));
#ifndef PMOVES_TESTS_TESTING_STATUS_MATCHERS_H_
#define PMOVES_TESTS_TESTING_STATUS_MATCHERS_H_

#include <ostream>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace pmoves {
namespace status_matchers_internal {

inline const absl::Status& StatusOf(const absl::Status& status) { return status; }
template <typename T>
const absl::Status& StatusOf(const absl::StatusOr<T>& status_or) {
  return status_or.status();
}

inline bool Explain(const absl::Status& status, ::testing::MatchResultListener* listener) {
  *listener << "whose status is " << std::string(status.ToString());
  return false;
}

}  // namespace status_matchers_internal

MATCHER(IsOk, negation ? "is not OK" : "is OK") {
  const absl::Status& status = status_matchers_internal::StatusOf(arg);
  return status.ok() || status_matchers_internal::Explain(status, result_listener);
}

MATCHER_P(IsOkAndHolds, matcher, "is OK and holds a value that matches") {
  if (!arg.ok()) return status_matchers_internal::Explain(arg.status(), result_listener);
  return ::testing::ExplainMatchResult(matcher, *arg, result_listener);
}

MATCHER_P(StatusIs, code, "has the code " + std::string(absl::StatusCodeToString(code))) {
  const absl::Status& status = status_matchers_internal::StatusOf(arg);
  return status.code() == code || status_matchers_internal::Explain(status, result_listener);
}

MATCHER_P2(StatusIs, code, message_matcher,
           "has the code " + std::string(absl::StatusCodeToString(code)) +
               " and a message that matches") {
  const absl::Status& status = status_matchers_internal::StatusOf(arg);
  if (status.code() != code) return status_matchers_internal::Explain(status, result_listener);
  *result_listener << "whose message is " << MessageOf(status) << " ";
  return ::testing::ExplainMatchResult(message_matcher, MessageOf(status), result_listener);
}

}  // namespace pmoves

#define ASSERT_OK_AND_ASSIGN(lhs, expr) \
  PMOVES_ASSERT_OK_AND_ASSIGN(PMOVES_CONCAT(assert_status_or_, __LINE__), lhs, expr)
#define PMOVES_ASSERT_OK_AND_ASSIGN(tmp, lhs, expr) \
  auto tmp = (expr);                                \
  ASSERT_THAT(tmp, ::pmoves::IsOk());               \
  lhs = *std::move(tmp)

#endif  // PMOVES_TESTS_TESTING_STATUS_MATCHERS_H_
