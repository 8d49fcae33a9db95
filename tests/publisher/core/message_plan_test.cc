#include "publisher/core/message_plan.h"

#include <string>
#include <vector>

#include "absl/strings/str_format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/publisher/core/plan_harness.h"

namespace pmoves {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr int64_t kFirstHlc = (kSomeCommitUs / 1000) << 16;
constexpr char kTime[] = "2026-11-22T09:25:41.029291Z";

// What the order of messages rests on, in one line: "subject previous>position chunk.hlc
// [part/parts] last"; hlc is relative to kFirstHlc.
std::string Line(const OutgoingMessage& message) {
  const proto::Envelope& e = message.envelope;
  std::string line = absl::StrFormat("%s %s>%s #%d +%d", message.subject, e.previous.ToString(),
                                     e.position.ToString(), e.chunk, e.hlc.value - kFirstHlc);
  if (e.parts > 1) line += absl::StrFormat(" part %d/%d", e.part, e.parts);
  return line + (e.last ? " last" : "");
}

std::vector<std::string> Lines(const std::vector<OutgoingMessage>& messages) {
  std::vector<std::string> lines;
  for (const OutgoingMessage& message : messages) lines.push_back(Line(message));
  return lines;
}

class MessagePlanTest : public ::testing::Test {
 protected:
  // With three tables, after position 0/10.
  struct JobsPlan : PlanHarness {
    explicit JobsPlan(MessagePlan::Options options = PlanOptions())
        : PlanHarness(std::move(options), Lsn{0x10}) {
      AddTable(Table("jobs", {Key("id"), Column("n"), Toasted("body")}, 1));
      AddTable(Table("other", {Key("id")}, 2));
      AddTable(Table({"edge", "Log.s"}, {Key("id")}, 3));
    }
  };
  static Cells Id(int id) { return {{"id", std::to_string(id)}}; }
  static Cells Job(int id, const std::string& body = "\"b\"") {
    return {{"id", std::to_string(id)}, {"n", "1"}, {"body", body}};
  }
};

TEST_F(MessagePlanTest, TransactionOfOneRowIsHeldUntilTheGroupIsFlushed) {
  JobsPlan harness;
  harness.Feed(Txn(0x20, 7).Insert("jobs", Job(1)));
  EXPECT_TRUE(harness.plan().holds_group());
  EXPECT_THAT(harness.Take(), IsEmpty());
  EXPECT_EQ(harness.plan().previous(), Lsn{0x20});
  EXPECT_EQ(harness.plan().hlc().value, kFirstHlc);

  const std::vector<OutgoingMessage> messages = harness.FlushAndTake();
  ASSERT_THAT(messages, SizeIs(1));
  EXPECT_FALSE(harness.plan().holds_group());
  EXPECT_EQ(harness.plan().open_bytes(), 0u);
  EXPECT_EQ(Line(messages[0]), "supabase.sync.jobs.INSERT.jetson-01 0/10>0/20 #0 +0 last");
  const proto::Envelope& envelope = messages[0].envelope;
  EXPECT_EQ(envelope.source, "jetson-01");
  EXPECT_EQ(envelope.epoch, 3u);
  EXPECT_EQ(envelope.origin, "70/1/slot");
  EXPECT_EQ(envelope.writer, "0b9bb1d2-58d4-4d2d-a2f0-7a4f8d5f1c11");
  EXPECT_EQ(envelope.xid, 7u);
  EXPECT_EQ(envelope.parts, 1u);
  EXPECT_EQ(messages[0].changes, 1u);
  EXPECT_EQ(messages[0].commit_us, kSomeCommitUs);
  EXPECT_EQ(messages[0].body,
            absl::StrFormat(
                R"({"source":"jetson-01","schema":"public","table":"jobs","operation":"INSERT",)"
                R"("timestamp":"%s","data":[{"id":1,"n":1,"body":"b"}]})",
                kTime));
}

TEST_F(MessagePlanTest, BodiesOfUpdatesCarryKeysAndUnchangedColumns) {
  JobsPlan harness;
  harness.Feed(Txn(0x20)
                   .Update("jobs", {{"id", "5"}, {"n", "2"}}, Id(4))
                   .Update("jobs", {{"id", "7"}, {"n", "3"}}, Id(6)));
  const std::vector<OutgoingMessage> messages = harness.FlushAndTake();
  ASSERT_THAT(messages, SizeIs(1));
  EXPECT_EQ(
      messages[0].body,
      absl::StrFormat(
          R"({"source":"jetson-01","schema":"public","table":"jobs","operation":"UPDATE",)"
          R"("timestamp":"%s","data":[{"id":5,"n":2},{"id":7,"n":3}],"keys":[{"id":4},{"id":6}],)"
          R"("unchanged":["body"]})",
          kTime));
}

TEST_F(MessagePlanTest, BodiesOfDeletesCarryKeysOnly) {
  JobsPlan harness;
  harness.Feed(Txn(0x20).Delete({"edge", "Log.s"}, Id(4)));
  const std::vector<OutgoingMessage> messages = harness.FlushAndTake();
  ASSERT_THAT(messages, SizeIs(1));
  EXPECT_EQ(Line(messages[0]), "supabase.sync.edge:Log%2Es.DELETE.jetson-01 0/10>0/20 #0 +0 last");
  EXPECT_EQ(messages[0].body,
            absl::StrFormat(
                R"({"source":"jetson-01","schema":"edge","table":"Log.s","operation":"DELETE",)"
                R"("timestamp":"%s","keys":[{"id":4}]})",
                kTime));
}

TEST_F(MessagePlanTest, WhatEndsARun) {
  struct Case {
    const char* name;
    Txn txn;
    std::vector<std::string> want;
  };
  const std::string jobs = "supabase.sync.jobs.";
  const std::string other = "supabase.sync.other.";
  const std::string source = ".jetson-01 0/10>0/20 ";
  const Case cases[] = {
      {"another operation",
       Txn(0x20).Insert("jobs", Job(1)).Insert("jobs", Job(2)).Delete("jobs", Id(1)),
       {jobs + "INSERT" + source + "#0 +0", jobs + "DELETE" + source + "#1 +2 last"}},
      {"other columns",
       Txn(0x20).Update("jobs", Job(1), Id(1)).Update("jobs", {{"id", "1"}, {"n", "2"}}, Id(1)),
       {jobs + "UPDATE" + source + "#0 +0", jobs + "UPDATE" + source + "#1 +1 last"}},
      {"a changed key among unchanged ones",
       Txn(0x20)
           .Update("jobs", Job(1), Id(1))
           .Update("jobs", Job(3), Id(2))
           .Update("jobs", Job(4), Id(4)),
       {jobs + "UPDATE" + source + "#0 +0", jobs + "UPDATE" + source + "#1 +1",
        jobs + "UPDATE" + source + "#2 +2 last"}},
      {"another table does not",
       Txn(0x20).Insert("jobs", Job(1)).Insert("other", Id(1)).Insert("jobs", Job(2)),
       {jobs + "INSERT" + source + "#0 +0", other + "INSERT" + source + "#1 +2 last"}},
      {"a run that is ended passes an older one that is not",
       Txn(0x20)
           .Insert("jobs", Job(1))
           .Insert("other", Id(1))
           .Delete("other", Id(1))
           .Insert("jobs", Job(2)),
       {other + "INSERT" + source + "#0 +0", jobs + "INSERT" + source + "#1 +1",
        other + "DELETE" + source + "#2 +3 last"}},
      {"truncate ends all, and is ended by all",
       Txn(0x20)
           .Insert("jobs", Job(1))
           .Insert("other", Id(1))
           .Truncate("jobs")
           .Truncate("other")
           .Insert("jobs", Job(2)),
       {jobs + "INSERT" + source + "#0 +0", other + "INSERT" + source + "#1 +1",
        jobs + "TRUNCATE" + source + "#2 +2", other + "TRUNCATE" + source + "#3 +3",
        jobs + "INSERT" + source + "#4 +4 last"}},
      {"truncate alone", Txn(0x20).Truncate("jobs"), {jobs + "TRUNCATE" + source + "#0 +0 last"}},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    JobsPlan harness;
    harness.Feed(c.txn);
    EXPECT_EQ(Lines(harness.FlushAndTake()), c.want);
    EXPECT_EQ(harness.plan().open_bytes(), 0u);
    EXPECT_EQ(harness.plan().previous(), Lsn{0x20});
  }
}

TEST_F(MessagePlanTest, TruncateHasABodyWithoutRowsAndTicksOnce) {
  JobsPlan harness;
  harness.Feed(Txn(0x20).Truncate("jobs"));
  const std::vector<OutgoingMessage> messages = harness.Take();
  ASSERT_THAT(messages, SizeIs(1));
  EXPECT_EQ(messages[0].changes, 1u);
  EXPECT_EQ(messages[0].body,
            absl::StrFormat(
                R"({"source":"jetson-01","schema":"public","table":"jobs","operation":"TRUNCATE",)"
                R"("timestamp":"%s"})",
                kTime));
  EXPECT_EQ(harness.plan().hlc().value, kFirstHlc);
}

TEST_F(MessagePlanTest, EmptyTransactionLeavesNoTrace) {
  JobsPlan harness;
  harness.Feed(Txn(0x20));
  EXPECT_THAT(harness.FlushAndTake(), IsEmpty());
  EXPECT_EQ(harness.plan().previous(), Lsn{0x10});
  EXPECT_FALSE(harness.plan().in_transaction());
}

TEST_F(MessagePlanTest, FullRunWaitsForTheRowThatOverflowsIt) {
  MessagePlan::Options options = PlanOptions();
  options.max_message_bytes = 300;
  JobsPlan harness(options);
  const Txn txn(0x20);
  harness.Begin(txn);
  int rows = 0;
  while (harness.plan().ready().empty()) {
    harness.Add(Txn(0x20).Insert("jobs", Job(++rows)).ChangePayloads()[0]);
  }
  harness.plan().Commit();
  const std::vector<OutgoingMessage> messages = harness.Take();
  ASSERT_THAT(messages, SizeIs(2));
  EXPECT_EQ(messages[0].changes, static_cast<uint32_t>(rows - 1));
  EXPECT_FALSE(messages[0].envelope.last);
  EXPECT_EQ(messages[1].changes, 1u);
  EXPECT_EQ(messages[1].envelope.hlc.value, kFirstHlc + rows - 1);
  EXPECT_TRUE(messages[1].envelope.last);
  EXPECT_LE(messages[0].body.size(), 300u);
}

TEST_F(MessagePlanTest, RowLargerThanAMessageIsSentInParts) {
  MessagePlan::Options options = PlanOptions();
  options.max_message_bytes = 256;
  JobsPlan harness(options);
  const std::string giant = "\"" + std::string(1000, 'x') + "\"";
  harness.Feed(
      Txn(0x20, 9).Insert("jobs", Job(1)).Insert("jobs", Job(2, giant)).Insert("jobs", Job(3)));
  const std::vector<OutgoingMessage> messages = harness.FlushAndTake();
  const std::string line = "supabase.sync.jobs.INSERT.jetson-01 0/10>0/20 ";
  EXPECT_THAT(Lines(messages),
              ElementsAre(line + "#0 +0", line + "#1 +1 part 0/5", line + "#2 +1 part 1/5",
                          line + "#3 +1 part 2/5", line + "#4 +1 part 3/5", line + "#5 +1 part 4/5",
                          line + "#6 +2 last"));
  std::string joined;
  uint32_t changes = 0;
  for (size_t i = 1; i < 6; ++i) {
    EXPECT_EQ(messages[i].body.size() == 256, i < 5) << i;
    EXPECT_EQ(messages[i].envelope.xid, 9u);
    joined += messages[i].body;
    changes += messages[i].changes;
  }
  EXPECT_EQ(changes, 1u);
  EXPECT_EQ(joined,
            absl::StrFormat(
                R"({"source":"jetson-01","schema":"public","table":"jobs","operation":"INSERT",)"
                R"("timestamp":"%s","data":[{"id":2,"n":1,"body":%s}]})",
                kTime, giant));
}

TEST_F(MessagePlanTest, OnlyTheLastPartOfATransactionsLastRowIsItsLastMessage) {
  MessagePlan::Options options = PlanOptions();
  options.max_message_bytes = 256;
  JobsPlan harness(options);
  harness.Feed(Txn(0x20).Insert("jobs", Job(1, "\"" + std::string(300, 'x') + "\"")));
  EXPECT_FALSE(harness.plan().holds_group());
  const std::string line = "supabase.sync.jobs.INSERT.jetson-01 0/10>0/20 ";
  EXPECT_THAT(Lines(harness.Take()),
              ElementsAre(line + "#0 +0 part 0/2", line + "#1 +0 part 1/2 last"));
}

TEST_F(MessagePlanTest, OldestRunLeavesWhenAllTogetherHoldTooMuch) {
  MessagePlan::Options options = PlanOptions();
  options.max_open_bytes = 500;
  JobsPlan harness(options);
  const std::string body = "\"" + std::string(200, 'x') + "\"";
  harness.Begin(Txn(0x20));
  harness.Add(Txn(0x20).Insert("other", Id(1)).ChangePayloads()[0]);
  harness.Add(Txn(0x20).Insert("jobs", Job(1)).ChangePayloads()[0]);
  EXPECT_THAT(harness.Take(), IsEmpty());
  harness.Add(Txn(0x20).Insert("jobs", Job(2, body)).ChangePayloads()[0]);
  EXPECT_THAT(Lines(harness.Take()),
              ElementsAre("supabase.sync.other.INSERT.jetson-01 0/10>0/20 #0 +0"));
  harness.plan().Commit();
  EXPECT_THAT(Lines(harness.Take()),
              ElementsAre("supabase.sync.jobs.INSERT.jetson-01 0/10>0/20 #1 +1 last"));
}

TEST_F(MessagePlanTest, NeighboursOfOneTableAndOperationShareAMessage) {
  JobsPlan harness;
  harness.Feed(Txn(0x20, 7).Insert("jobs", Job(1)).Insert("jobs", Job(2)));
  // The clock stepped back: the version goes on all the same.
  harness.Feed(Txn(0x30, 8, kSomeCommitUs - 5000000).Insert("jobs", Job(3)));
  harness.Feed(Txn(0x38, 9));
  harness.Feed(Txn(0x40, 10, kSomeCommitUs + 1000).Insert("jobs", Job(4)));
  EXPECT_THAT(harness.Take(), IsEmpty());
  const std::vector<OutgoingMessage> messages = harness.FlushAndTake();
  ASSERT_THAT(messages, SizeIs(1));
  EXPECT_EQ(Line(messages[0]), "supabase.sync.jobs.INSERT.jetson-01 0/10>0/40 #0 +0 last");
  EXPECT_EQ(messages[0].envelope.xid, 10u);
  EXPECT_EQ(messages[0].changes, 4u);
  EXPECT_EQ(messages[0].commit_us, kSomeCommitUs + 1000);

  std::string body = messages[0].body;
  proto::Body read;
  proto::BodyReader reader;
  ASSERT_THAT(reader.Read(&body, &read), IsOk());
  EXPECT_EQ(read.commit_us, kSomeCommitUs + 1000);
  EXPECT_EQ(read.data_rows(), 4u);
  EXPECT_THAT(
      read.transactions,
      ElementsAre(
          proto::TransactionEntry{Lsn{0x20}, 7, kSomeCommitUs, Hlc{kFirstHlc}, 2},
          proto::TransactionEntry{Lsn{0x30}, 8, kSomeCommitUs - 5000000, Hlc{kFirstHlc + 2}, 1},
          proto::TransactionEntry{Lsn{0x40}, 10, kSomeCommitUs + 1000, Hlc{kFirstHlc + 65536}, 1}));
}

TEST_F(MessagePlanTest, WhatCannotJoinFlushesTheGroupFirst) {
  struct Case {
    const char* name;
    Txn first;
    Txn second;
    std::vector<std::string> want;
  };
  const std::string insert = "supabase.sync.jobs.INSERT.jetson-01 ";
  const std::string update = "supabase.sync.jobs.UPDATE.jetson-01 ";
  const std::string other = "supabase.sync.other.INSERT.jetson-01 ";
  const Case cases[] = {
      {"another table",
       Txn(0x20).Insert("jobs", Job(1)),
       Txn(0x30).Insert("other", Id(1)),
       {insert + "0/10>0/20 #0 +0 last", other + "0/20>0/30 #0 +1 last"}},
      {"another operation",
       Txn(0x20).Insert("jobs", Job(1)),
       Txn(0x30).Update("jobs", Job(1), Id(1)),
       {insert + "0/10>0/20 #0 +0 last", update + "0/20>0/30 #0 +1 last"}},
      {"other columns",
       Txn(0x20).Update("jobs", Job(1), Id(1)),
       Txn(0x30).Update("jobs", {{"id", "1"}, {"n", "2"}}, Id(1)),
       {update + "0/10>0/20 #0 +0 last", update + "0/20>0/30 #0 +1 last"}},
      {"a changed key",
       Txn(0x20).Update("jobs", Job(1), Id(1)),
       Txn(0x30).Update("jobs", Job(2), Id(1)),
       {update + "0/10>0/20 #0 +0 last", update + "0/20>0/30 #0 +1 last"}},
      {"a second table later",
       Txn(0x20).Insert("jobs", Job(1)),
       Txn(0x30).Insert("jobs", Job(2)).Insert("other", Id(1)),
       {insert + "0/10>0/20 #0 +0 last", insert + "0/20>0/30 #0 +1",
        other + "0/20>0/30 #1 +2 last"}},
      {"a second operation later",
       Txn(0x20).Insert("jobs", Job(1)),
       Txn(0x30).Insert("jobs", Job(2)).Update("jobs", Job(2), Id(2)),
       {insert + "0/10>0/20 #0 +0 last", insert + "0/20>0/30 #0 +1",
        update + "0/20>0/30 #1 +2 last"}},
      {"a truncate",
       Txn(0x20).Insert("jobs", Job(1)),
       Txn(0x30).Truncate("jobs"),
       {insert + "0/10>0/20 #0 +0 last",
        "supabase.sync.jobs.TRUNCATE.jetson-01 0/20>0/30 #0 +1 last"}},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    JobsPlan harness;
    harness.Feed(c.first);
    harness.Feed(c.second);
    EXPECT_EQ(Lines(harness.FlushAndTake()), c.want);
  }
}

TEST_F(MessagePlanTest, GroupIsFlushedAsSoonAsItIsKnownThatTheNextCannotJoin) {
  JobsPlan harness;
  harness.Feed(Txn(0x20).Insert("jobs", Job(1)));
  harness.Begin(Txn(0x30));
  harness.Add(Txn(0x30).Insert("jobs", Job(2)).ChangePayloads()[0]);
  EXPECT_TRUE(harness.plan().holds_group());
  harness.Add(Txn(0x30).Insert("other", Id(2)).ChangePayloads()[0]);
  EXPECT_FALSE(harness.plan().holds_group());
  EXPECT_THAT(Lines(harness.Take()),
              ElementsAre("supabase.sync.jobs.INSERT.jetson-01 0/10>0/20 #0 +0 last"));
}

TEST_F(MessagePlanTest, GroupMayBeFlushedWhileATransactionIsOpen) {
  JobsPlan harness;
  harness.Feed(Txn(0x20).Insert("jobs", Job(1)));
  harness.Begin(Txn(0x30));
  harness.Add(Txn(0x30).Insert("jobs", Job(2)).ChangePayloads()[0]);
  EXPECT_TRUE(harness.plan().in_transaction());
  EXPECT_THAT(harness.FlushAndTake(), SizeIs(1));
  harness.plan().Commit();
  EXPECT_THAT(Lines(harness.FlushAndTake()),
              ElementsAre("supabase.sync.jobs.INSERT.jetson-01 0/20>0/30 #0 +1 last"));
}

TEST_F(MessagePlanTest, GroupEndsAtItsLimits) {
  MessagePlan::Options by_count = PlanOptions();
  by_count.max_group_transactions = 2;
  MessagePlan::Options by_bytes = PlanOptions();
  by_bytes.max_message_bytes = 700;
  for (const MessagePlan::Options& options : {by_count, by_bytes}) {
    JobsPlan harness(options);
    for (uint64_t i = 0; i < 10; ++i)
      harness.Feed(Txn(0x20 + i).Insert("jobs", Job(static_cast<int>(i))));
    const std::vector<OutgoingMessage> messages = harness.FlushAndTake();
    EXPECT_THAT(messages, SizeIs(5));
    for (const OutgoingMessage& message : messages) {
      EXPECT_EQ(message.changes, 2u);
      EXPECT_LE(message.body.size(), options.max_message_bytes);
    }
  }
}

TEST_F(MessagePlanTest, ProgressFollowsTheGroupAndDoesNotTick) {
  JobsPlan harness;
  harness.Feed(Txn(0x20).Insert("jobs", Job(1)));
  harness.plan().AddProgress(Lsn{0x50}, kSomeCommitUs, 77);
  harness.Feed(Txn(0x60).Insert("jobs", Job(2)));
  const std::vector<OutgoingMessage> messages = harness.FlushAndTake();
  EXPECT_THAT(Lines(messages),
              ElementsAre("supabase.sync.jobs.INSERT.jetson-01 0/10>0/20 #0 +0 last",
                          "supabase.sync.~.PROGRESS.jetson-01 0/20>0/50 #0 +0 last",
                          "supabase.sync.jobs.INSERT.jetson-01 0/50>0/60 #0 +1 last"));
  EXPECT_EQ(messages[1].changes, 0u);
  EXPECT_EQ(messages[1].envelope.caught_up_ms, 77);
  EXPECT_EQ(messages[2].envelope.caught_up_ms, 0);
  EXPECT_EQ(
      messages[1].body,
      absl::StrFormat(R"({"source":"jetson-01","operation":"PROGRESS","timestamp":"%s"})", kTime));
}

TEST_F(MessagePlanTest, VersionsContinueThoseOfTheStream) {
  PlanHarness harness(PlanOptions(), Lsn{0x10}, Hlc{kFirstHlc + 1000000});
  harness.AddTable(Table("other", {Key("id")}));
  harness.Feed(Txn(0x20).Insert("other", Id(1)).Insert("other", Id(2)));
  harness.Feed(Txn(0x30).Delete("other", Id(1)));
  EXPECT_THAT(Lines(harness.FlushAndTake()),
              ElementsAre("supabase.sync.other.INSERT.jetson-01 0/10>0/20 #0 +1000001 last",
                          "supabase.sync.other.DELETE.jetson-01 0/20>0/30 #0 +1000003 last"));
}

TEST_F(MessagePlanTest, ManyTablesOpenAtOnceAreBounded) {
  JobsPlan harness;
  Txn txn(0x20);
  for (int i = 0; i < 200; ++i) {
    const std::string name = absl::StrFormat("t%d", i);
    harness.AddTable(Table(name, {Key("id")}, static_cast<uint32_t>(100 + i)));
    txn.Insert(name, Id(i));
  }
  harness.Begin(txn);
  for (const std::string& payload : txn.ChangePayloads()) harness.Add(payload);
  EXPECT_GE(harness.plan().ready().size(), 100u);
  harness.plan().Commit();
  const std::vector<OutgoingMessage> messages = harness.Take();
  ASSERT_THAT(messages, SizeIs(200));
  for (size_t i = 0; i < messages.size(); ++i) {
    EXPECT_EQ(messages[i].envelope.chunk, i);
    EXPECT_EQ(messages[i].envelope.last, i == 199);
    EXPECT_THAT(messages[i].subject, HasSubstr(absl::StrFormat(".t%d.", i)));
  }
}

using MessagePlanDeathTest = MessagePlanTest;

TEST_F(MessagePlanDeathTest, MisuseIsABrokenInvariant) {
  JobsPlan harness;
  EXPECT_DEATH(harness.plan().Commit(), "in_transaction");
  EXPECT_DEATH(harness.plan().Begin(Lsn{0x10}, 1, 0), "position > ");
  EXPECT_DEATH(harness.plan().AddProgress(Lsn{0x10}, 0, 0), "position > ");
  harness.Begin(Txn(0x20));
  EXPECT_DEATH(harness.plan().AddProgress(Lsn{0x30}, 0, 0), "in_transaction");
  EXPECT_DEATH(harness.plan().Begin(Lsn{0x30}, 1, 0), "in_transaction");
}

}  // namespace
}  // namespace pmoves
