#include "subscriber/core/copy_format.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "absl/strings/escaping.h"

namespace pmoves {
namespace {

// A field as hexadecimal digits, or "none" if the text has no binary form here.
std::string Field(BinaryForm form, std::string_view text) {
  std::string out = "before";
  const bool written = AppendBinaryField(form, text, &out);
  EXPECT_EQ(out.substr(0, 6), "before");
  if (!written) {
    EXPECT_EQ(out, "before") << text;
    return "none";
  }
  return absl::BytesToHexString(out.substr(6));
}

// The values as SELECT encode(int4send(-2), 'hex') and its like print them.
TEST(CopyFormatTest, FieldsAreThoseOfTheServersSendFunctions) {
  const struct {
    BinaryForm form;
    std::string_view text;
    std::string length;
    std::string value;
  } kFields[] = {
      {BinaryForm::kText, "", "00000000", ""},
      {BinaryForm::kText, "a\tb\\", "00000004", "6109625c"},
      {BinaryForm::kJsonb, "{}", "00000003", "017b7d"},
      {BinaryForm::kBytea, "\\x", "00000000", ""},
      {BinaryForm::kBytea, "\\x00ff7F", "00000003", "00ff7f"},
      {BinaryForm::kBool, "t", "00000001", "01"},
      {BinaryForm::kBool, "false", "00000001", "00"},
      {BinaryForm::kInt2, "-32768", "00000002", "8000"},
      {BinaryForm::kInt4, "-2", "00000004", "fffffffe"},
      {BinaryForm::kInt8, "9223372036854775807", "00000008", "7fffffffffffffff"},
      {BinaryForm::kFloat4, "1.5", "00000004", "3fc00000"},
      {BinaryForm::kFloat8, "-0", "00000008", "8000000000000000"},
      {BinaryForm::kFloat8, "5e-324", "00000008", "0000000000000001"},
      {BinaryForm::kNumeric, "-12345.60", "0000000e", "0003000140000002000109291770"},
      {BinaryForm::kUuid, "00112233-4455-6677-8899-aabbccddEEFF", "00000010",
       "00112233445566778899aabbccddeeff"},
      {BinaryForm::kDate, "2000-01-01", "00000004", "00000000"},
      {BinaryForm::kDate, "1999-12-31", "00000004", "ffffffff"},
      {BinaryForm::kTimestamp, "2000-01-01 00:00:01", "00000008", "00000000000f4240"},
      {BinaryForm::kTimestamp, "1999-12-31 23:59:59.999999", "00000008", "ffffffffffffffff"},
      {BinaryForm::kTimestamptz, "2000-01-01 05:30:00.1+05:30", "00000008", "00000000000186a0"},
  };
  for (const auto& [form, text, length, value] : kFields)
    EXPECT_EQ(Field(form, text), length + value) << text;
}

TEST(CopyFormatTest, WhatOnlyTheServerCanJudgeHasNoBinaryForm) {
  const std::vector<std::pair<BinaryForm, std::vector<std::string_view>>> texts = {
      {BinaryForm::kNone, {"", "a"}},
      {BinaryForm::kBytea, {"", "x00", "\\x0", "\\x0g", "\\000"}},
      {BinaryForm::kBool, {"", "yes", "T", "1", "true "}},
      {BinaryForm::kInt2, {"", "32768", "-32769", "+1", " 1", "1.0", "1e1", "0x1", "--1"}},
      {BinaryForm::kInt4, {"2147483648"}},
      {BinaryForm::kInt8, {"9223372036854775808", "-"}},
      {BinaryForm::kFloat4, {"1e39", "NaN"}},
      {BinaryForm::kFloat8,
       {"", "-", "NaN", "Infinity", "-Infinity", "inf", "-nan", "1e400", ".5", "+1", "1 ", "0x1p3",
        "--1"}},
      {BinaryForm::kNumeric,
       {"", "-", ".", "1.", ".5", "NaN", "Infinity", "1e5", "+1", " 1", "--1", "1.2.3", "1.-2"}},
      {BinaryForm::kUuid,
       {"", "{00112233-4455-6677-8899-aabbccddeeff}", "00112233445566778899aabbccddeeff",
        "00112233-4455-6677-8899-aabbccddeefg", "0011-22334455-6677-8899-aabbccddeeff",
        "00112233-4455-6677-8899-aabbccddee-f"}},
      {BinaryForm::kDate,
       {"", "infinity", "2026-02-29", "2026-04-31", "2026-13-01", "2026-00-01", "2026-01-00",
        "0000-01-01", "10000-01-01", "0044-03-15 BC", "2026-1-01", "20260101", "2026-01-01 "}},
      {BinaryForm::kTimestamp,
       {"", "infinity", "2026-11-22", "2026-11-22 24:00:00", "2026-11-22 23:59:60",
        "2026-11-22 23:60:00", "2026-11-22T09:25:41", "2026-11-22 09:25", "2026-11-22 09:25:41.",
        "2026-11-22 09:25:41.1234567", "2026-11-22 09:25:41+00", "0044-03-15 09:25:41 BC"}},
      {BinaryForm::kTimestamptz,
       {"", "-infinity", "2026-11-22 09:25:41", "2026-11-22 09:25:41Z", "2026-11-22 09:25:41+1",
        "2026-11-22 09:25:41+16", "2026-11-22 09:25:41+00:60", "2026-11-22 09:25:41+00:53:28",
        "2026-11-22 09:25:41+0530", "2026-11-22 09:25:41+00 BC"}},
  };
  for (const auto& [form, several] : texts) {
    for (const std::string_view text : several) EXPECT_EQ(Field(form, text), "none") << text;
  }
  EXPECT_EQ(Field(BinaryForm::kNumeric, std::string(1001, '1')), "none");
}

TEST(CopyFormatTest, DomainsAndUnknownTypesGoAsText) {
  TargetColumn column;
  column.type_oid = 23;
  EXPECT_EQ(BinaryFormOf(column), BinaryForm::kInt4);
  column.type_oid = 16500;  // somebody's domain over it
  column.base_type = "int4";
  EXPECT_EQ(BinaryFormOf(column), BinaryForm::kNone);
  column.is_enum = true;
  EXPECT_EQ(BinaryFormOf(column), BinaryForm::kText);
}

class CopyRowsTest : public testing::Test {
 protected:
  CopyRowsTest() {
    for (const uint32_t oid : {23u, 25u}) table_.columns.emplace_back().type_oid = oid;
    table_.key = {0};
    group_.table = &table_;
    group_.shape = &table_.Intern({0, 1});
    change_.source = &source_;
    change_.table = &table_;
    change_.hlc = Hlc{7};
    change_.commit_us = 946684800000001;
  }
  // nullptr: NULL.
  void Add(const char* id, const char* text) {
    Effect& effect = group_.effects.emplace_back();
    effect.change = &change_;
    effect.shape = group_.shape;
    effect.first_value = set_.values.size();
    for (const char* value : {id, text}) {
      const std::string_view bytes = value == nullptr ? "" : value;
      set_.values.push_back(
          {set_.text.size(), static_cast<uint32_t>(bytes.size()), value == nullptr});
      set_.text += bytes;
    }
  }

  const std::string source_ = "edge";
  TargetTable table_;
  Change change_;
  ChangeSet set_;
  EffectGroup group_;
};

TEST_F(CopyRowsTest, ABinaryCopyIsAHeaderRowsAndAnEnd) {
  Add("1", "x");
  Add("2", nullptr);
  std::string out = "left over";
  ASSERT_TRUE(CopyRows(set_, group_).WriteBinary(1000, &out));
  const std::string version =
      "00000004"
      "65646765"
      "00000008"
      "0000000000000001"
      "00000008"
      "0000000000000007";
  EXPECT_EQ(absl::BytesToHexString(out),
            "5047434f50590aff0d0a00"
            "00000000"
            "00000000"
            "0005"
            "00000004"
            "00000001"
            "00000001"
            "78" +
                version +
                "0005"
                "00000004"
                "00000002"
                "ffffffff" +
                version + "ffff");
}

TEST_F(CopyRowsTest, NothingIsLeftOfABinaryCopyThatCannotBe) {
  Add("1", "x");
  std::string out = "left over";
  EXPECT_FALSE(CopyRows(set_, group_).WriteBinary(1, &out));
  EXPECT_EQ(out, "");
  EXPECT_TRUE(CopyRows(set_, group_).WriteBinary(2, &out));
  Add("one", "y");
  EXPECT_FALSE(CopyRows(set_, group_).WriteBinary(1000, &out));
  EXPECT_EQ(out, "");
  group_.effects.pop_back();
  table_.columns[1].type_oid = 0;
  EXPECT_FALSE(CopyRows(set_, group_).WriteBinary(1000, &out));
  EXPECT_EQ(out, "");
}

TEST_F(CopyRowsTest, TheTypesAreThoseOfTheColumnsAndOfTheVersion) {
  EXPECT_EQ(CopyRows(set_, group_).Types(), (std::vector<uint32_t>{23, 25, 25, 1184, 20}));
}

TEST_F(CopyRowsTest, TextIsEscaped) {
  Add("1", "tab\there, backslash\\ and a long text in which\nonly the\rend matters\\");
  Add("2", nullptr);
  CopyRows rows(set_, group_);
  std::string out;
  for (const Effect& effect : group_.effects) rows.AppendText(effect, &out);
  EXPECT_EQ(out,
            "1\ttab\\there, backslash\\\\ and a long text in which\\nonly the\\rend matters\\\\\t"
            "edge\t2000-01-01T00:00:00.000001Z\t7\n"
            "2\t\\N\tedge\t2000-01-01T00:00:00.000001Z\t7\n");
}

}  // namespace
}  // namespace pmoves
