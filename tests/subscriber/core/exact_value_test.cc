// Which texts a column of the centre holds as they are. That this is what PostgreSQL does is tried
// in io/exact_values_test.cc.
#include "subscriber/core/exact_value.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace pmoves {
namespace {

struct Case {
  const char* type;
  int32_t modifier;
  std::vector<std::string> exact;
  std::vector<std::string> inexact;
};

int32_t Numeric(int precision, int scale) { return ((precision << 16) | (scale & 0x7ff)) + 4; }
constexpr int32_t kNone = -1;
constexpr int32_t kAllFields = 0x7fff << 16;

TEST(ExactValueTest, WhatEachTypeHoldsAsItIs) {
  const std::vector<Case> cases = {
      {"text", kNone, {"", "x", "now", "1.50"}, {}},
      {"varchar", kNone, {std::string(1000, 'x')}, {}},
      {"varchar",
       5 + 4,
       {"", "abcde", "ääääá", "日本語日本"},
       {"abcdef", "abcde ", "日本語日本語"}},
      {"bpchar",
       5 + 4,
       {"ab", "ab   ", "abcde", "äöüää", "", "     "},
       {"abcdef", "ab ", "abcde "}},
      {"name",
       kNone,
       {std::string(63, 'x')},
       {std::string(64, 'x'), std::string(32, 'x') + "ääääääääääääääää"}},
      {"char", kNone, {"", "x"}, {"xy", "ä"}},
      {"bit", 3, {"101"}, {"10", "1010", "x1f"}},
      {"varbit", 3, {"", "101"}, {"1010"}},
      {"varbit", kNone, {"", "101"}, {"x1f", "b101"}},
      {"int4",
       kNone,
       {"0", "-7", "2147483648", "abc", "1.5", "", "0x", "12 x"},
       {"007", " 7", "+7", "0x10", "1_000", "7 ", "-01"}},
      {"oid", kNone, {"0", "4294967295"}, {"-1", " 1", "007"}},
      {"bool",
       kNone,
       {"true", "false", "t", "f", "5", "x"},
       {"1", "0", "yes", "on", "T", "tru", " t"}},
      {"numeric",
       kNone,
       {"1", "-1.50", "NaN", "Infinity", "1e+20", "0.1", "1e-07", "abc"},
       {"007", "+1", " 1", "0x1f", "1_0", "inf", ".5", "5."}},
      {"numeric",
       Numeric(10, 2),
       {"1", "1.5", "1.50", "1.500", "-0.01", "NaN", "1e+05", "1.5e-1", "12300e-4", "0"},
       {"1.005", "0.001", "1e-3", "-1.999"}},
      {"numeric", Numeric(5, -2), {"100", "12300", "-4e2", "0"}, {"150", "1", "12345", "0.5"}},
      {"numeric", Numeric(2, 4), {"0.0012", "0.0012000"}, {"0.00123"}},
      {"float8",
       kNone,
       {"0.1", "-1.5", "NaN", "Infinity", "1e+100", "0.30000000000000004", "9.999999999999999e+22",
        "5e-324", "9007199254740992", "100000000000000000000", "1.7976931348623157e+308", "-0",
        "0.0", "abc", "12"},
       {"9007199254740993", "725535987160104000", "1e+23", "0.12345678901234567890",
        "0.10000000000000001", "0.1234567890123456789", "123456789012345678", "inf", "0x10"}},
      {"float4",
       kNone,
       {"0.1", "1.5", "16777216", "3.4028235e+38", "1e-45", "NaN", "0.3"},
       {"16777217", "0.1000000014901161", "0.123456789", "3.141592653589793"}},
      {"money", kNone, {"$1,234.50", "-$0.01", "5", "1.5"}, {"1.005", "$1.001"}},
      {"date",
       kNone,
       {"2026-01-01", "0044-03-15 BC", "infinity", "12026-01-01", "2026-01-01 00:00:00", "abc"},
       {"2026-01-01 10:00:00", "2026-01-01 00:00:00+00", "now", "today", "2026-1-1", "20260101",
        "January 8, 1999"}},
      {"time",
       kNone,
       {"10:00:00", "10:00:00.123456", "24:00:00", "10:00"},
       {"10:00:00+02", "2026-01-01 10:00:00", "10:00:00.1234567", "noon", "10"}},
      {"time", 2, {"10:00:00.12", "10:00:00.120000"}, {"10:00:00.123"}},
      {"timetz", kNone, {"10:00:00+02", "10:00:00.5-05:30"}, {"10:00:00"}},
      {"timestamp",
       kNone,
       {"2026-01-01 10:00:00", "2026-01-01", "2026-01-01 10:00:00.123456", "2026-01-01T10:00:00",
        "0044-03-15 10:00:00 BC", "-infinity"},
       {"2026-01-01 10:00:00+02", "2026-01-01T10:00:00Z", "2026-01-01 10:00:00.1234567", "now",
        "epoch"}},
      {"timestamp",
       0,
       {"2026-01-01 10:00:00", "2026-01-01 10:00:00.000"},
       {"2026-01-01 10:00:00.5"}},
      {"timestamptz",
       kNone,
       {"2026-01-01 10:00:00+00", "2026-01-01T10:00:00Z", "2026-01-01 10:00:00.5-05:30",
        "1800-01-01 00:00:00+00:53:28", "0044-03-15 10:00:00+00 BC", "infinity"},
       {"2026-01-01 10:00:00", "2026-01-01", "yesterday", "2026-01-01 10:00:00 CET"}},
      {"timestamptz", 3, {"2026-01-01 10:00:00.123+00"}, {"2026-01-01 10:00:00.1234+00"}},
      {"interval",
       kNone,
       {"1 year 2 mons 3 days 04:05:06.789", "-1 days +02:03:00", "00:00:00", "1 mon",
        "-1 years -2 mons", "infinity", "100:00:00"},
       {"1.5 months", "P1Y", "1 fortnight", "00:00:00.1234567", "1 hour"}},
      {"interval", kAllFields | 2, {"00:00:01.25"}, {"00:00:01.255"}},
      {"interval",
       (1 << 18) | 0xffff,
       {"2 years", "1 year"},
       {"1 year 1 mon", "1 day", "00:00:01"}},
      {"interval",
       (((1 << 2) | (1 << 1)) << 16) | 0xffff,
       {"1 year 1 mon", "-5 mons"},
       {"1 mon 1 day", "00:00:01"}},
      {"interval", (1 << 19) | 0xffff, {"1 mon 3 days"}, {"3 days 01:00:00"}},
      {"interval",
       (((1 << 3) | (1 << 10)) << 16) | 0xffff,
       {"3 days 05:00:00"},
       {"3 days 05:01:00", "00:00:01"}},
      {"interval",
       (((1 << 10) | (1 << 11)) << 16) | 0xffff,
       {"05:01:00"},
       {"05:01:01", "05:01:00.5"}},
      {"macaddr8", kNone, {"08:00:2b:01:02:03:04:05"}, {"08:00:2b:01:02:03"}},
      {"jsonb",
       kNone,
       {R"({"a": 1, "b": {"a": 1}})", R"([{"a": 1}, {"a": 2}])", R"({"b": 1, "a": "a:b,{"})",
        R"({"a\"": 1, "a": 2})", "5", R"("a:a")", R"({"a": ["a", "a"], "b": "a"})", ""},
       {R"({"a": 1, "a": 2})", R"({"b": 1, "a": 2, "b": 3})", R"({"x": [{"a": 1, "\u0061": 2}]})",
        R"({"bb":1,"a":{"c":1,"c":1}})"}},
      {"uuid", kNone, {"anything"}, {}},
  };
  for (const Case& each : cases) {
    const ValueLimit limit = LimitOf(each.type, each.modifier);
    for (const std::string& text : each.exact)
      EXPECT_TRUE(HoldsExactly(limit, text)) << each.type << "(" << each.modifier << ") " << text;
    for (const std::string& text : each.inexact)
      EXPECT_FALSE(HoldsExactly(limit, text)) << each.type << "(" << each.modifier << ") " << text;
  }
}

TEST(ExactValueTest, PartsAreLookedAtOneByOne) {
  ValueLimit array;
  array.kind = ValueLimit::Kind::kArray;
  array.parts = {LimitOf("varchar", 3 + 4)};
  EXPECT_TRUE(HoldsExactly(array, R"({abc,NULL,"a,b","a\"b",""})"));
  EXPECT_TRUE(HoldsExactly(array, "[2:3]={abc,a}"));
  EXPECT_TRUE(HoldsExactly(array, "{{a,b},{c,d}}"));
  EXPECT_TRUE(HoldsExactly(array, "{}"));
  EXPECT_FALSE(HoldsExactly(array, R"({abc,"NULL"})"));
  EXPECT_FALSE(HoldsExactly(array, R"({"abc "})"));
  EXPECT_FALSE(HoldsExactly(array, "{{a,b},{c,defg}}"));
  EXPECT_FALSE(HoldsExactly(array, R"({"a\\\"b"})"));

  ValueLimit composite;
  composite.kind = ValueLimit::Kind::kComposite;
  composite.parts = {LimitOf("int4", -1), LimitOf("numeric", Numeric(5, 1)), array};
  EXPECT_TRUE(HoldsExactly(composite, R"((1,1.5,"{a,b}"))"));
  EXPECT_TRUE(HoldsExactly(composite, "(,,)"));
  EXPECT_FALSE(HoldsExactly(composite, "(1,1.55,{a})"));
  EXPECT_FALSE(HoldsExactly(composite, R"((1,1.5,"{""abcd""}"))"));

  ValueLimit range;
  range.kind = ValueLimit::Kind::kRange;
  range.parts = {LimitOf("timestamp", -1)};
  EXPECT_TRUE(HoldsExactly(range, R"(["2026-01-01 00:00:00","2026-01-02 00:00:00"))"));
  EXPECT_TRUE(HoldsExactly(range, "empty"));
  EXPECT_TRUE(HoldsExactly(range, "(,)"));
  EXPECT_FALSE(HoldsExactly(range, R"(["2026-01-01 00:00:00+00",))"));
  range.kind = ValueLimit::Kind::kMultirange;
  EXPECT_TRUE(HoldsExactly(range, R"({["2026-01-01 00:00:00",),[2026-01-01,2026-01-02)})"));
  EXPECT_FALSE(HoldsExactly(range, R"({["2026-01-01 00:00:00+00",)})"));
}

TEST(ExactValueTest, ACutKeepsWholeCharacters) {
  EXPECT_EQ(CutTo(LimitOf("varchar", 3 + 4), "äöüß"), "äöü");
  EXPECT_EQ(CutTo(LimitOf("varchar", 3 + 4), "ab"), "ab");
  EXPECT_EQ(CutTo(LimitOf("bpchar", 2 + 4), "abc"), "ab");
  EXPECT_EQ(CutTo(LimitOf("numeric", Numeric(3, 1)), "1.55"), "1.55");
}

}  // namespace
}  // namespace pmoves
