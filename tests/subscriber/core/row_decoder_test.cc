#include "subscriber/core/row_decoder.h"

#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_format.h"
#include "proto/message_codec.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/target_tables.h"

namespace pmoves {
namespace {

using testing::HasSubstr;

class RowDecoderTest : public testing::Test {
 protected:
  absl::Status Decode(const std::string& rest, int64_t hlc = 100, Lsn after = Lsn{}) {
    message_.body = R"({"source":"edge","schema":"public","table":"jobs",)" + rest + "}";
    message_.envelope.hlc = Hlc{hlc};
    message_.envelope.position = Lsn{500};
    auto status = reader_.Read(&message_.body, &body_);
    if (!status.ok()) return status;
    return decoder_.Append(body_, message_, &source_, &table_, after, &set_);
  }
  std::string Row(size_t index) {
    const Change& change = set_.changes[index];
    std::string text(1, "WPDMT"[static_cast<int>(change.kind)]);
    text += std::to_string(change.hlc.value);
    for (size_t i = 0; change.shape != nullptr && i < change.shape->columns.size(); ++i) {
      const Value& value = set_.At(change, static_cast<int>(i));
      text +=
          " " + (value.is_null ? std::string("null") : "[" + std::string(set_.Text(value)) + "]");
    }
    return text;
  }

  const std::string source_ = "edge";
  TargetTable table_ = JobsTable();
  proto::BodyReader reader_;
  proto::Body body_;
  ReceivedMessage message_;
  RowDecoder decoder_;
  ChangeSet set_;
};

constexpr const char kTime[] = R"("timestamp":"2026-11-22T09:25:41.029291Z",)";

TEST_F(RowDecoderTest, RowsOfAMessageHaveRisingVersions) {
  ASSERT_THAT(
      Decode(
          std::string(R"("operation":"INSERT",)") + kTime +
          R"("data":[{"id":1,"status":"a\nb","output":null},{"id":2,"status":"null","output":"12.50"}])"),
      IsOk());
  ASSERT_EQ(set_.changes.size(), 2u);
  EXPECT_EQ(Row(0), "W100 [1] [a\nb] null");
  EXPECT_EQ(Row(1), "W101 [2] [null] [12.50]");
}

TEST_F(RowDecoderTest, AKeyChangeIsADeleteAndAWholeRowOfOneVersion) {
  ASSERT_THAT(Decode(std::string(R"("operation":"UPDATE",)") + kTime +
                     R"("data":[{"id":2,"status":"s","output":"o"}],"keys":[{"id":1}])"),
              IsOk());
  ASSERT_EQ(set_.changes.size(), 2u);
  EXPECT_EQ(Row(0), "D100 [1]");
  EXPECT_EQ(Row(1), "W100 [2] [s] [o]");
}

TEST_F(RowDecoderTest, TheSameKeyInAnotherSpellingIsNoKeyChange) {
  using KeyText = TargetColumn::KeyText;
  struct Case {
    KeyText key_text;
    const char* old_key;
    const char* new_key;
    bool same;
  };
  for (const Case& c :
       {Case{KeyText::kPlain, "1", "1.0", false}, Case{KeyText::kNumeric, "10", "10.00", true},
        Case{KeyText::kNumeric, "10", "1.0", false}, Case{KeyText::kNumeric, "-0.50", "-0.5", true},
        Case{KeyText::kCitext, "\"Ab\"", "\"aB\"", true},
        Case{KeyText::kBlankPadded, "\"a \"", "\"a\"", true},
        Case{KeyText::kBlankPadded, "\" a\"", "\"a\"", false}}) {
    table_.columns[0].key_text = c.key_text;
    set_.Clear();
    ASSERT_THAT(
        Decode(std::string(R"("operation":"UPDATE",)") + kTime + R"("data":[{"id":)" + c.new_key +
               R"(,"status":"s","output":"o"}],"keys":[{"id":)" + c.old_key + "}]"),
        IsOk());
    EXPECT_EQ(set_.changes.size(), c.same ? 1u : 2u) << c.old_key << " to " << c.new_key;
  }
}

TEST_F(RowDecoderTest, AKeyChangeWithoutItsToastIsAMove) {
  ASSERT_THAT(Decode(std::string(R"("operation":"UPDATE",)") + kTime +
                     R"("data":[{"id":2,"status":"s"}],"keys":[{"id":1}],"unchanged":["output"])"),
              IsOk());
  ASSERT_EQ(set_.changes.size(), 1u);
  EXPECT_EQ(Row(0), "M100 [2] [s]");
  EXPECT_EQ(set_.Text(set_.values[set_.changes[0].first_old_value]), "1");
}

TEST_F(RowDecoderTest, UnchangedToastMakesAnUpdatePartial) {
  ASSERT_THAT(Decode(std::string(R"("operation":"UPDATE",)") + kTime +
                     R"("data":[{"id":1,"status":"s"}],"unchanged":["output"])"),
              IsOk());
  EXPECT_EQ(Row(0), "P100 [1] [s]");
}

TEST_F(RowDecoderTest, AGroupIsCutAtTheAppliedPosition) {
  ASSERT_THAT(
      Decode(
          std::string(R"("operation":"INSERT",)") + kTime +
              R"("data":[{"id":1,"status":"a","output":null},{"id":2,"status":"b","output":null},{"id":3,"status":"c","output":null}],)"
              R"("transactions":[{"position":"0/1E0","xid":1,"timestamp":"2026-11-22T09:25:41.000000Z","hlc":"100","rows":1},)"
              R"({"position":"0/1F4","xid":2,"timestamp":"2026-11-22T09:25:41.029291Z","hlc":"700","rows":2}])",
          100, Lsn{0x1E0}),
      IsOk());
  ASSERT_EQ(set_.changes.size(), 2u);
  EXPECT_EQ(Row(0), "W700 [2] [b] null");
  EXPECT_EQ(Row(1), "W701 [3] [c] null");
  EXPECT_EQ(set_.changes[0].position, Lsn{0x1F4});
}

TEST_F(RowDecoderTest, AColumnThatTheCentreLacksMakesTheSourceWait) {
  EXPECT_THAT(Decode(std::string(R"("operation":"INSERT",)") + kTime +
                     R"("data":[{"id":1,"colour":"red"}])"),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("\"colour\"")));
  EXPECT_TRUE(set_.changes.empty());
}

TEST_F(RowDecoderTest, AMessageWithoutTheKeyIsRefusedWhole) {
  EXPECT_THAT(
      Decode(std::string(R"("operation":"DELETE",)") + kTime + R"("keys":[{"status":"x"}])"),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("key columns")));
  EXPECT_THAT(
      Decode(
          std::string(R"("operation":"INSERT",)") + kTime +
          R"("data":[{"id":1,"status":"a","output":null},{"id":null,"status":"a","output":null}])"),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("is null")));
  EXPECT_TRUE(set_.changes.empty());
  EXPECT_TRUE(set_.values.empty());
}

TEST_F(RowDecoderTest, TheKeyOfARowOfItsSourceHasTheSource) {
  const std::string insert = std::string(R"("operation":"INSERT",)") + kTime +
                             R"("data":[{"id":1,"status":"a","output":null}])";
  ASSERT_THAT(Decode(insert), IsOk());
  table_ = OwnJobsTable();
  decoder_ = RowDecoder();
  ASSERT_THAT(Decode(insert), IsOk());
  EXPECT_EQ(std::string(set_.Key(set_.changes[0])), std::string("\1\0\0\0"
                                                                "1",
                                                                5));
  EXPECT_EQ(std::string(set_.Key(set_.changes[1])), std::string("\4\0\0\0"
                                                                "edge"
                                                                "\1\0\0\0"
                                                                "1",
                                                                13));
}

TEST_F(RowDecoderTest, ByteaGetsItsPrefixBackUnlessItHasOne) {
  table_.columns[1].is_bytea = true;
  ASSERT_THAT(
      Decode(
          std::string(R"("operation":"INSERT",)") + kTime +
          R"("data":[{"id":1,"status":"0102","output":null},{"id":2,"status":"\\x0304","output":null},{"id":3,"status":null,"output":null},{"id":4,"status":"","output":null}])"),
      IsOk());
  EXPECT_EQ(Row(0), "W100 [1] [\\x0102] null");
  EXPECT_EQ(Row(1), "W101 [2] [\\x0304] null");
  EXPECT_EQ(Row(2), "W102 [3] null null");
  EXPECT_EQ(Row(3), "W103 [4] [\\x] null");
}

TEST_F(RowDecoderTest, ColumnsAreCalledAsTheCentreCallsThem) {
  table_.mapping.rename = {{"nr", "id"}, {"state", "status"}, {"Odd \"name\"", "output"}};
  ASSERT_THAT(Decode(std::string(R"("operation":"UPDATE",)") + kTime +
                     R"("data":[{"state":"a","Odd \"name\"":"o","nr":2}],"keys":[{"nr":1}])"),
              IsOk());
  ASSERT_EQ(set_.changes.size(), 2u);
  EXPECT_EQ(Row(0), "D100 [1]");
  EXPECT_EQ(Row(1), "W100 [a] [o] [2]");
  EXPECT_EQ(set_.changes[1].shape->columns, (std::vector<int>{1, 2, 0}));
}

TEST_F(RowDecoderTest, TwoColumnsMayChangeTheirNames) {
  table_.mapping.rename = {{"status", "output"}, {"output", "status"}};
  ASSERT_THAT(Decode(std::string(R"("operation":"INSERT",)") + kTime +
                     R"("data":[{"id":1,"status":"s","output":"o"}])"),
              IsOk());
  EXPECT_EQ(set_.changes[0].shape->columns, (std::vector<int>{0, 2, 1}));
}

TEST_F(RowDecoderTest, TwoColumnsThatWouldBeOneMakeTheSourceWait) {
  table_.mapping.rename = {{"state", "status"}};
  EXPECT_THAT(Decode(std::string(R"("operation":"INSERT",)") + kTime +
                     R"("data":[{"id":1,"state":"a","status":"b","output":null}])"),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("rename")));
  EXPECT_TRUE(set_.changes.empty());
}

TEST_F(RowDecoderTest, SkippedColumnsAreNotWrittenAndNeedNotBeThere) {
  table_.mapping.skip = {"secret", "output"};
  ASSERT_THAT(Decode(std::string(R"("operation":"INSERT",)") + kTime +
                     R"("data":[{"id":1,"secret":"hush","status":"a","output":"big"}])"),
              IsOk());
  EXPECT_EQ(set_.changes[0].shape->written, (std::vector<int>{0, 2}));
  EXPECT_EQ(Row(0), "W100 [1] null [a] null");
  EXPECT_EQ(set_.text.find("hush"), std::string::npos);
}

TEST_F(RowDecoderTest, AnUpdateThatLacksSkippedColumnsAloneIsWhole) {
  table_.mapping.skip = {"output"};
  const std::string update = std::string(R"("operation":"UPDATE",)") + kTime +
                             R"("data":[{"id":1,"status":"s"}],"unchanged":["output")";
  ASSERT_THAT(Decode(update + "]"), IsOk());
  EXPECT_EQ(Row(0), "W100 [1] [s]");
  ASSERT_THAT(Decode(update + R"(,"notes"])"), IsOk());
  EXPECT_EQ(Row(1), "P100 [1] [s]");
}

TEST_F(RowDecoderTest, ConstantsFillWholeRowsAlone) {
  table_.columns.push_back({.name = "site", .type = "text", .type_oid = kTextTypeOid});
  table_.columns.push_back({.name = "level", .type = "integer", .type_oid = kIntOid});
  table_.mapping.constants = {{"level", "3"}, {"site", "berlin"}};
  const auto send = [this](const char* operation, const char* rest) {
    return Decode(absl::StrFormat(R"("operation":"%s",%s%s)", operation, kTime, rest));
  };
  ASSERT_THAT(send("INSERT", R"("data":[{"id":1,"status":"a"},{"id":2,"status":null}])"), IsOk());
  ASSERT_THAT(send("UPDATE", R"("data":[{"id":1,"status":"b"}],"unchanged":["output"])"), IsOk());
  ASSERT_THAT(send("UPDATE", R"("data":[{"id":1,"status":"c"}])"), IsOk());
  ASSERT_THAT(send("DELETE", R"("keys":[{"id":1}])"), IsOk());
  ASSERT_EQ(set_.changes.size(), 5u);
  EXPECT_EQ(Row(0), "W100 [1] [a] [3] [berlin]");
  EXPECT_EQ(Row(1), "W101 [2] null [3] [berlin]");
  EXPECT_EQ(Row(2), "P100 [1] [b]");
  EXPECT_EQ(Row(3), "W100 [1] [c] [3] [berlin]");
  EXPECT_EQ(Row(4), "D100 [1]");
  EXPECT_EQ(set_.changes[0].shape->columns, (std::vector<int>{0, 1, 4, 3}));
}

TEST_F(RowDecoderTest, AConstantOfAColumnThatTheSourceHasMakesTheSourceWait) {
  table_.mapping.constants = {{"output", "x"}};
  const std::string insert = std::string(R"("operation":"INSERT",)") + kTime +
                             R"("data":[{"id":1,"status":"a","output":"o"}])";
  EXPECT_THAT(Decode(insert),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("constants")));
  table_.mapping.skip = {"output"};
  ASSERT_THAT(Decode(insert), IsOk());
  EXPECT_EQ(Row(0), "W100 [1] [a] null [x]");
}

TEST_F(RowDecoderTest, GeneratedColumnsOfTheCentreAreNotWritten) {
  table_.columns[2].generated = true;
  ASSERT_THAT(Decode(std::string(R"("operation":"INSERT",)") + kTime +
                     R"("data":[{"id":1,"status":"a","output":"computed"}])"),
              IsOk());
  EXPECT_EQ(set_.changes[0].shape->written, (std::vector<int>{0, 1}));
}

}  // namespace
}  // namespace pmoves
