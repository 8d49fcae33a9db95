// Goal: whoever reads the stream knows a table before its changes. Method: transactions through the
// plan, with definitions that change between them and inside.
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "publisher/core/message_plan.h"
#include "publisher/core/relation_message.h"
#include "tests/publisher/core/plan_harness.h"

namespace pmoves {
namespace {

using ::testing::ElementsAre;

constexpr char kRelation[] = "supabase.sync.~.RELATION.jetson-01";
constexpr char kInsert[] = "supabase.sync.jobs.INSERT.jetson-01";

Relation Jobs(uint64_t version) {
  Relation jobs = Table("jobs", {Key("id"), Column("n")}, 1);
  jobs.version = version;
  for (RelationColumn& column : jobs.columns) column.type = "bigint";
  return jobs;
}

std::vector<std::string> Subjects(const std::vector<OutgoingMessage>& messages) {
  std::vector<std::string> subjects;
  for (const OutgoingMessage& message : messages) subjects.push_back(message.subject);
  return subjects;
}

TEST(RelationPlanTest, ComesBeforeTheFirstChangeOfItsTableAndIsToldOnce) {
  PlanHarness harness;
  harness.AddTable(Jobs(1));
  harness.Feed(Txn(0x100).Insert("jobs", {{"id", "1"}}));
  harness.Feed(Txn(0x200).Insert("jobs", {{"id", "2"}}));
  std::vector<OutgoingMessage> messages = harness.FlushAndTake();
  ASSERT_THAT(Subjects(messages), ElementsAre(kRelation, kInsert, kInsert));
  EXPECT_EQ(messages[0].envelope.chunk, 0u);
  EXPECT_FALSE(messages[0].envelope.last);
  EXPECT_EQ(messages[0].changes, 0u);
  EXPECT_EQ(messages[1].envelope.chunk, 1u);
  EXPECT_TRUE(messages[1].envelope.last);
  EXPECT_EQ(messages[0].envelope.position, messages[1].envelope.position);
  EXPECT_EQ(messages[0].envelope.hlc, messages[1].envelope.hlc) << "it is no row change";
  EXPECT_EQ(messages[2].envelope.chunk, 0u);
  proto::Body body;
  proto::BodyReader reader;
  ASSERT_THAT(reader.Read(&messages[0].body, &body), IsOk());
  EXPECT_EQ(body.table, "jobs");
  EXPECT_EQ(body.relation, DefinitionOf(Jobs(1)));
}

TEST(RelationPlanTest, ComesAgainWhenTheDefinitionChanged) {
  PlanHarness harness;
  harness.AddTable(Jobs(1));
  harness.Feed(Txn(0x100).Insert("jobs", {{"id", "1"}}));
  harness.AddTable(Jobs(2));
  harness.Feed(Txn(0x200).Insert("jobs", {{"id", "2"}}));
  EXPECT_THAT(Subjects(harness.FlushAndTake()),
              ElementsAre(kRelation, kInsert, kRelation, kInsert));
}

TEST(RelationPlanTest, InTheMiddleOfATransactionWhatIsOpenGoesFirst) {
  PlanHarness harness;
  harness.AddTable(Jobs(1));
  const Txn txn = Txn(0x100).Insert("jobs", {{"id", "1"}}).Insert("jobs", {{"id", "2"}});
  harness.Begin(txn);
  harness.Add(txn.ChangePayloads()[0]);
  harness.AddTable(Jobs(2));
  harness.Add(txn.ChangePayloads()[1]);
  harness.plan().Commit();
  const std::vector<OutgoingMessage> messages = harness.FlushAndTake();
  EXPECT_THAT(Subjects(messages), ElementsAre(kRelation, kInsert, kRelation, kInsert));
  for (size_t i = 0; i < messages.size(); ++i) {
    EXPECT_EQ(messages[i].envelope.chunk, i);
    EXPECT_EQ(messages[i].envelope.last, i == 3);
  }
}

TEST(RelationPlanTest, AGroupThatIsHeldLeavesBeforeIt) {
  PlanHarness harness;
  harness.AddTable(Table("other", {Key("id")}, 2));
  harness.Feed(Txn(0x100).Insert("other", {{"id", "1"}}));
  harness.AddTable(Jobs(1));
  harness.Feed(Txn(0x200).Insert("jobs", {{"id", "1"}}));
  EXPECT_THAT(Subjects(harness.FlushAndTake()),
              ElementsAre("supabase.sync.other.INSERT.jetson-01", kRelation, kInsert));
}

TEST(RelationPlanTest, OneThatIsLargerThanAMessageTravelsInParts) {
  MessagePlan::Options options = PlanOptions();
  options.max_message_bytes = 200;
  PlanHarness harness(options);
  harness.AddTable(Jobs(1));
  harness.Feed(Txn(0x100).Insert("jobs", {{"id", "1"}}));
  std::string body;
  for (const OutgoingMessage& message : harness.FlushAndTake()) {
    if (message.subject == kRelation) body += message.body;
  }
  proto::Body read;
  proto::BodyReader reader;
  ASSERT_GT(body.size(), 200u);
  ASSERT_THAT(reader.Read(&body, &read), IsOk());
  EXPECT_EQ(read.relation, DefinitionOf(Jobs(1)));
}

TEST(RelationMessageTest, WhateverChangesTheMeaningChangesTheFingerprint) {
  const Relation before = Jobs(1);
  std::vector<Relation> others(6, before);
  others[0].oid = 99;
  others[1].identity = proto::ReplicaIdentity::kFull;
  others[2].columns[1].name = "m";
  others[3].columns[1].type = "numeric(8,2)";
  others[4].columns[1].key = true;
  others[5].columns.pop_back();
  for (const Relation& other : others) {
    EXPECT_NE(DefinitionOf(other).fingerprint, DefinitionOf(before).fingerprint);
  }
}

}  // namespace
}  // namespace pmoves
