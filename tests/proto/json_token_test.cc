#include "proto/json_token.h"

#include <optional>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/decimal.h"
#include "tests/testing/status_matchers.h"

namespace pmoves::proto {
namespace {

struct Good {
  std::string token;
  std::optional<std::string> text;
};

TEST(JsonTokenTest, TokensBecomeText) {
  const std::vector<Good> cases = {
      {"null", std::nullopt},
      {R"("null")", "null"},
      {R"("")", ""},
      {"true", "true"},
      {"false", "false"},
      {"0", "0"},
      {"-0", "-0"},
      {"1.50000", "1.50000"},
      {"1e-300", "1e-300"},
      {"-1.7976931348623157E+308", "-1.7976931348623157E+308"},
      {"1234567890123456789012345678901234567890.01",
       "1234567890123456789012345678901234567890.01"},
      {R"("\"\\\/\b\f\n\r\t")", "\"\\/\b\f\n\r\t"},
      {R"("\u0001\u001F\u007f")", "\x01\x1F\x7F"},
      {R"("\u00e9\u07ff\u0800\uffff")", "\u00e9\u07ff\u0800\uffff"},
      {R"("\ud83d\ude80\uDBFF\uDFFF")", "🚀\U0010FFFF"},
      {"\"plain ünïcode 🚀 \x7F\"", "plain ünïcode 🚀 \x7F"},
      {R"("1234567\n")", "1234567\n"},      // the escape in the eighth byte
      {R"("12345678\n1")", "12345678\n1"},  // and in the ninth
      {R"("a\\")", "a\\"},
  };
  for (const Good& good : cases) {
    std::string out = "before ";
    EXPECT_TRUE(IsScalarToken(good.token)) << good.token;
    EXPECT_THAT(AppendTokenText(good.token, &out), IsOkAndHolds(good.text.has_value()))
        << good.token;
    EXPECT_EQ(out, "before " + good.text.value_or("")) << good.token;
  }
}

TEST(JsonTokenTest, AnythingElseIsRefused) {
  const std::vector<std::string> bad = {
      "",
      " ",
      "nul",
      "nulll",
      "Null",
      "tru",
      "truee",
      "fals",
      "{}",
      "[]",
      "{\"a\":1}",
      "a",
      "'a'",
      "+1",
      "01",
      "-",
      "-a",
      "--1",
      ".5",
      "1.",
      "1.e5",
      "1e",
      "1e+",
      "1 ",
      " 1",
      "1,2",
      "0x10",
      "NaN",
      "Infinity",
      "-Infinity",
      "1_000",
      "\"",
      "\"a",
      "a\"",
      "\"a\"b\"",
      "\"a\" ",
      "\"\\\"",
      "\"\\q\"",
      "\"\\u\"",
      "\"\\u12\"",
      "\"\\u12G4\"",
      "\"\\u0000\"",
      "\"\\ud83d\"",
      "\"\\ud83dx\"",
      "\"\\ud83d\\n\"",
      "\"\\ud83d\\u0041\"",
      "\"\\ud83d\\ud83d\"",
      "\"\\ude80\"",
      "\"\\U0041\"",
      "\"tab\there\"",
      "\"long enough for words\n\"",
      std::string("\"nul\0\"", 6),
      std::string("1\0", 2),
      std::string("\0", 1),
  };
  for (const std::string& token : bad) {
    std::string out;
    EXPECT_FALSE(IsScalarToken(token)) << token;
    EXPECT_THAT(AppendTokenText(token, &out), StatusIs(absl::StatusCode::kInvalidArgument))
        << token;
  }
}

TEST(JsonTokenTest, StringTokensAreStringsOnly) {
  EXPECT_TRUE(IsStringToken(R"("a\n")"));
  EXPECT_FALSE(IsStringToken("null"));
  EXPECT_FALSE(IsStringToken("1"));
}

TEST(JsonTokenTest, TextIsEscapedAsPostgresDoesIt) {
  EXPECT_EQ(JsonString(""), R"("")");
  EXPECT_EQ(JsonString("a/b é 🚀 \x7F"), "\"a/b é 🚀 \x7F\"");
  EXPECT_EQ(JsonString("\"\\\b\f\n\r\t\x01\x1F"), R"("\"\\\b\f\n\r\t\u0001\u001f")");
}

TEST(JsonTokenTest, EveryByteAtEveryPlaceComesBack) {
  for (int byte = 1; byte < 0x80; ++byte) {
    for (size_t size = 1; size < 20; ++size) {
      for (size_t at = 0; at < size; ++at) {
        std::string text(size, 'x');
        text[at] = static_cast<char>(byte);
        std::string back;
        ASSERT_THAT(AppendTokenText(JsonString(text), &back), IsOkAndHolds(true));
        ASSERT_EQ(back, text);
        // The same byte raw is refused exactly when JSON wants it escaped.
        const bool must_escape = byte < 0x20 || byte == '"' || byte == '\\';
        ASSERT_EQ(IsStringToken("\"" + text + "\""), !must_escape) << byte << " at " << at;
      }
    }
  }
}

TEST(DecimalTest, HasOneTextPerNumber) {
  uint32_t number = 0;
  EXPECT_TRUE(ParseDecimal("0", &number));
  EXPECT_TRUE(ParseDecimal("4294967295", &number));
  EXPECT_EQ(number, 4294967295u);
  for (const char* bad :
       {"", "00", "01", "-0", "-1", "+1", " 1", "1 ", "1.0", "1e3", "4294967296", "x"}) {
    EXPECT_FALSE(ParseDecimal(bad, &number)) << bad;
  }
  int64_t wide = 0;
  EXPECT_TRUE(ParseDecimal("9223372036854775807", &wide));
  EXPECT_FALSE(ParseDecimal("9223372036854775808", &wide));
  EXPECT_FALSE(ParseDecimal("-1", &wide));
}

}  // namespace
}  // namespace pmoves::proto
