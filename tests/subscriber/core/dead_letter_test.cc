#include "subscriber/core/dead_letter.h"

#include <gtest/gtest.h>

#include "common/base/status.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/target_tables.h"

namespace pmoves {
namespace {

ReceivedMessage Group() {
  ReceivedMessage message;
  message.envelope.epoch = 3;
  message.envelope.position = Lsn{0x1F4};
  message.sequence = 42;
  message.subject = "supabase.sync.jobs.INSERT.edge";
  message.body =
      R"({"source":"edge","schema":"public","table":"jobs","operation":"INSERT","timestamp":"2026-11-22T09:25:41.029291Z",)"
      R"("data":[{"id":1,"status":"a"},{"id":2,"status":"b\u0001"}],)"
      R"("transactions":[{"position":"0/1E0","xid":1,"timestamp":"2026-11-22T09:25:40.000000Z","hlc":"100","rows":1},)"
      R"({"position":"0/1F4","xid":2,"timestamp":"2026-11-22T09:25:41.029291Z","hlc":"700","rows":1}]})";
  return message;
}

TEST(DeadLetterTest, APayloadIsABodyWithThatOneRowByteForByte) {
  EXPECT_THAT(
      SingleRowBody(Group(), 0, Lsn{0x1E0}),
      IsOkAndHolds(std::string(
          R"({"source":"edge","schema":"public","table":"jobs","operation":"INSERT","timestamp":"2026-11-22T09:25:40.000000Z","data":[{"id":1,"status":"a"}]})")));
  EXPECT_THAT(SingleRowBody(Group(), 1, Lsn{0x1F4}),
              IsOkAndHolds(testing::HasSubstr(R"([{"id":2,"status":"b\u0001"}])")));
}

TEST(DeadLetterTest, ARedeliveredChangeHasTheSameIdentity) {
  const ReceivedMessage message = Group();
  TargetTable table = JobsTable();
  const std::string source = "edge";
  Change change;
  change.table = &table;
  change.source = &source;
  change.message = &message;
  change.position = Lsn{0x1F4};
  change.row = 1;
  const DeadLetter letter =
      DeadLetterOf(change, WithSqlState(absl::InvalidArgumentError("no"), "23514"));
  EXPECT_EQ(letter.Identity(), "row/edge/3/0/1F4/0/1");
  EXPECT_EQ(letter.reason, "constraint");
  EXPECT_EQ(letter.sql_state, "23514");
  EXPECT_EQ(letter.table, "jobs");
}

TEST(DeadLetterTest, TheReasonIsAStableWord) {
  const TargetTable table = JobsTable();
  EXPECT_EQ(ReasonOf(NeedsWholeRow(kUpdateMissing, table)), "update_missing");
  EXPECT_EQ(ReasonOf(NeedsWholeRow(kUpdateIncomplete, table)), "update_incomplete");
  EXPECT_EQ(ReasonOf(WithSqlState(absl::UnknownError("no"), "22P02")), "value");
  EXPECT_EQ(ReasonOf(WithSqlState(absl::UnknownError("no"), "54000")), "refused");
  EXPECT_EQ(ReasonOf(absl::InvalidArgumentError("no")), "malformed");
}

TEST(DeadLetterTest, GarbageIsNamedBySequenceAndContent) {
  ReceivedMessage garbage = Group();
  const std::string first =
      DeadLetterOf("edge", garbage, "malformed", absl::InvalidArgumentError("no")).Identity();
  EXPECT_EQ(
      first,
      DeadLetterOf("edge", garbage, "malformed", absl::InvalidArgumentError("no")).Identity());
  garbage.body += " ";
  EXPECT_NE(
      first,
      DeadLetterOf("edge", garbage, "malformed", absl::InvalidArgumentError("no")).Identity());
}

TEST(DeadLetterTest, OnlyUtf8WithoutNulIsStorableText) {
  EXPECT_TRUE(IsStorableText("räume 🚀"));
  EXPECT_FALSE(IsStorableText(std::string_view("a\0b", 3)));
  EXPECT_FALSE(IsStorableText("\xff\xfe"));
}

}  // namespace
}  // namespace pmoves
