#include "proto/refetch.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"

namespace pmoves::proto {
namespace {

const RefetchRequest kRow = {"public", "doc", {{"id", "7"}, {"a\"b", "line\n\\x00 ü"}}};

TEST(RefetchTest, ARequestReadsBack) {
  EXPECT_EQ(EncodeRefetchRequest(kRow),
            R"({"schema":"public","table":"doc","key":{"id":"7","a\"b":"line\n\\x00 ü"}})");
  EXPECT_THAT(DecodeRefetchRequest(EncodeRefetchRequest(kRow)), IsOkAndHolds(kRow));
  EXPECT_THAT(
      DecodeRefetchRequest(
          R"( {"new":[{"key":1}],"key":{"id" : "7"} ,"more":null, "table":"t","schema":"s"} )"),
      IsOkAndHolds(RefetchRequest{"s", "t", {{"id", "7"}}}));
}

TEST(RefetchTest, AnAnswerReadsBack) {
  const RefetchAnswer accepted{kRow, true, ""};
  const RefetchAnswer refused{kRow, false, "no right to read \"doc\""};
  EXPECT_THAT(DecodeRefetchAnswer(EncodeRefetchAnswer(accepted)), IsOkAndHolds(accepted));
  EXPECT_THAT(DecodeRefetchAnswer(EncodeRefetchAnswer(refused)), IsOkAndHolds(refused));
}

TEST(RefetchTest, AKeyReadsBackByteForByte) {
  const std::string text = R"({"id":"7","a\"b":"line\n\\x00 ü"})";
  ASSERT_OK_AND_ASSIGN(const auto key, DecodeKey(text));
  EXPECT_EQ(key, kRow.key);
  EXPECT_EQ(EncodeKey(key), text);
}

TEST(RefetchTest, MalformedOnesAreRefused) {
  for (const char* bytes : {
           "",
           "{}",
           "[]",
           "x",
           R"({"schema":"s","table":"t"})",
           R"({"schema":"s","table":"t","key":{}})",
           R"({"schema":"s","table":"t","key":[]})",
           R"({"schema":"s","table":"t","key":{"id":7}})",
           R"({"schema":"s","table":"t","key":{"id":null}})",
           R"({"schema":"s","table":"t","key":{"id":["7"]}})",
           R"({"schema":"s","table":"t","key":{"":"7"}})",
           R"({"schema":"s","table":"t","key":{"id":"7","id":"8"}})",
           R"({"schema":"s","table":"t","key":{"id":"\u0000"}})",
           R"({"schema":"s","table":"","key":{"id":"7"}})",
           R"({"schema":7,"table":"t","key":{"id":"7"}})",
           R"({"schema":"s","schema":"s","table":"t","key":{"id":"7"}})",
           R"({"schema":"s","table":"t","key":{"id":"7"},"key":{"id":"7"}})",
           R"({"schema":"s","table":"t","key":{"id":"7"}}x)",
           R"({"schema":"s","table":"t","key":{"id":"7"})",
           "{\"schema\":\"s\",\"table\":\"t\",\"key\":{\"id\":\"\xFF\"}}",
       }) {
    EXPECT_THAT(DecodeRefetchRequest(bytes), StatusIs(absl::StatusCode::kInvalidArgument)) << bytes;
    EXPECT_THAT(DecodeRefetchAnswer(bytes), StatusIs(absl::StatusCode::kInvalidArgument)) << bytes;
  }
  EXPECT_THAT(DecodeRefetchAnswer(EncodeRefetchRequest(kRow)),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(
      DecodeRefetchAnswer(R"({"schema":"s","table":"t","key":{"id":"7"},"outcome":"maybe"})"),
      StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(DecodeKey(R"({"id":7})"), StatusIs(absl::StatusCode::kInvalidArgument));
}

}  // namespace
}  // namespace pmoves::proto
