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
  ChangeSet set;
  Change& change = ChangeBuilder(&set, &table).Whole("edge", 700, "2", "b");
  change.message = &message;
  change.position = Lsn{0x1F4};
  change.row = 1;
  const DeadLetter letter =
      DeadLetterOf(set, change, WithSqlState(absl::InvalidArgumentError("no"), "23514"));
  EXPECT_EQ(letter.Identity(), "row/edge/3/0/1F4/0/1");
  EXPECT_EQ(letter.reason, "constraint");
  EXPECT_EQ(letter.sql_state, "23514");
  EXPECT_EQ(letter.table, "jobs");
  EXPECT_EQ(letter.key, R"({"id":"2"})");
}

TEST(DeadLetterTest, AKeyIsAnObjectOfTextsInTheOrderOfTheKey) {
  TargetTable table;
  table.columns = {{.name = "a\"b", .type = "text"},
                   {.name = "v", .type = "text"},
                   {.name = "id", .type = "integer"}};
  table.key = {2, 0};
  ChangeSet set;
  ChangeBuilder build(&set, &table);
  build.Add(ChangeKind::kMove, "edge", 1, {0, 1, 2}, {"line\n", "v", "7"});
  build.Add(ChangeKind::kDelete, "edge", 1, {2, 0}, {"6", "\\x00"});
  build.Add(ChangeKind::kTruncate, "edge", 2, {}, {});
  Change& move = set.changes[0];
  move.old_shape = set.changes[1].shape;
  move.first_old_value = set.changes[1].first_value;
  EXPECT_EQ(KeyText(set, move), R"({"id":"7","a\"b":"line\n"})");
  EXPECT_EQ(OldKeyText(set, move), R"({"id":"6","a\"b":"\\x00"})");
  EXPECT_EQ(KeyText(set, set.changes[1]), OldKeyText(set, move));
  EXPECT_EQ(KeyText(set, set.changes[2]), "");
  table.mapping.rename = {{"number", "id"}};
  table.mapping.constants = {{"a\"b", "here"}};
  EXPECT_EQ(KeyText(set, move), R"({"number":"7"})") << "what the source knows of it";
  table.columns[2].key_text = TargetColumn::KeyText::kNumeric;
  build.Add(ChangeKind::kDelete, "edge", 3, {2, 0}, {"7.00", "x"});
  EXPECT_EQ(KeyText(set, set.changes[3]), R"({"number":"7"})") << "however it is spelled";
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

// Each of these stopped its source for ever, and the others of its worker.
TEST(DeadLetterTest, WhatATableCannotHoldIsCutOrEscapedAndTheMessageSaysSo) {
  DeadLetter letter;
  letter.message = "because";
  letter.subject = "supabase.sync.\xff" + std::string("\0", 1) + ".INSERT.edge";
  letter.table = std::string(12000, 't');
  letter.schema = std::string(255, 's') + "\u00fc";
  letter.commit_us = -62167219200000000;  // year 0000
  letter.payload = std::string("\0\xff", 2);
  const StorableLetter storable = StorableOf(letter);
  EXPECT_EQ(storable.subject, R"(supabase.sync.\xff\x00.INSERT.edge)");
  EXPECT_EQ(storable.table, std::string(kMostNameBytes, 't'));
  EXPECT_EQ(storable.schema, std::string(255, 's')) << "cut between characters";
  EXPECT_FALSE(storable.commit_us.has_value());
  EXPECT_FALSE(storable.payload_is_text);
  EXPECT_EQ(storable.payload, letter.payload);
  EXPECT_THAT(storable.message, testing::StartsWith("because [schema: the first 255 of 257 bytes]"
                                                    " [table: the first 256 of 12000 bytes]"));
  for (const std::string& text :
       {storable.subject, storable.table, storable.schema, storable.message}) {
    EXPECT_TRUE(IsStorableText(text));
  }
}

TEST(DeadLetterTest, WhatATableCanHoldStaysAsItIs) {
  const DeadLetter letter =
      DeadLetterOf("edge", Group(), "malformed", absl::InvalidArgumentError("räume"));
  const StorableLetter storable = StorableOf(letter);
  EXPECT_EQ(storable.subject, letter.subject);
  EXPECT_EQ(storable.message, "räume");
  EXPECT_EQ(storable.payload, letter.payload);
}

}  // namespace
}  // namespace pmoves
