#include "common/io/jetstream.h"

#include "tests/contract/nats_fixture.h"

namespace pmoves {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

class JetStreamTest : public NatsTest {
 protected:
  std::string Raw(const std::string& verb, const std::string& body = "") {
    auto reply = client_->Request("$JS.API." + verb, body, absl::Seconds(5));
    EXPECT_THAT(reply, IsOk());
    return reply.ok() ? std::string(natsMsg_GetData(reply->get()),
                                    static_cast<size_t>(natsMsg_GetDataLength(reply->get())))
                      : "";
  }
};

TEST_F(JetStreamTest, ASourceStreamNeverForgets) {
  ASSERT_THAT(jetstream_->EnsureStream(SourceStream(1 << 20)), IsOk());
  const std::string json = Raw(std::string("STREAM.INFO.") + kStream);
  for (const char* part :
       {R"("retention":"limits")", R"("storage":"file")", R"("discard":"new")",
        R"("max_bytes":1048576)", R"("allow_direct":true)", R"("deny_delete":true)",
        R"("duplicate_window":120000000000)", R"("max_age":0)"}) {
    EXPECT_THAT(json, HasSubstr(part));
  }
  auto info = jetstream_->GetStream(kStream);
  ASSERT_THAT(info, IsOk());
  EXPECT_EQ(info->name, kStream);
  EXPECT_EQ(info->first_sequence, 0u);
  EXPECT_EQ(info->last_sequence, 0u);
  EXPECT_EQ(info->max_bytes, 1 << 20);
  EXPECT_THAT(info->subjects, ElementsAre("supabase.sync.*.*.jetson-01"));
  EXPECT_FALSE(info->created.empty());
  EXPECT_TRUE(FaultsOf(kStream, info->settings, StreamUse::kChanges, 1 << 20).empty());
}

TEST_F(JetStreamTest, AnExistingStreamIsLeftAsItIs) {
  ASSERT_THAT(jetstream_->EnsureStream(SourceStream(1 << 20)), IsOk());
  ASSERT_THAT(jetstream_->EnsureStream(SourceStream(1 << 24)), IsOk());
  auto info = jetstream_->GetStream(kStream);
  ASSERT_THAT(info, IsOk());
  EXPECT_EQ(info->max_bytes, 1 << 20);
}

struct Existing {
  const char* name;
  const char* config;
  absl::StatusCode code;
  const char* message;
};

class ExistingStreamTest : public JetStreamTest, public ::testing::WithParamInterface<Existing> {};

TEST_P(ExistingStreamTest, IsTakenOrRefusedWithAReason) {
  const Existing& test = GetParam();
  const std::string config = test.config;
  const size_t begin = config.find(":\"") + 2;
  const std::string name = config.substr(begin, config.find('"', begin) - begin);
  ASSERT_THAT(Raw("STREAM.CREATE." + name, config), HasSubstr("\"config\""));
  EXPECT_THAT(jetstream_->EnsureStream(SourceStream()),
              StatusIs(test.code, HasSubstr(test.message)));
}

INSTANTIATE_TEST_SUITE_P(
    Streams, ExistingStreamTest,
    ::testing::Values(
        Existing{"Wider", R"({"name":"SYNC_jetson-01","subjects":["supabase.sync.>"]})",
                 absl::StatusCode::kOk, ""},
        Existing{"OtherSubjects", R"({"name":"SYNC_jetson-01","subjects":["other.>"]})",
                 absl::StatusCode::kFailedPrecondition, "supabase.sync.*.*.jetson-01"},
        Existing{"Narrower",
                 R"({"name":"SYNC_jetson-01","subjects":["supabase.sync.jobs.*.jetson-01"]})",
                 absl::StatusCode::kFailedPrecondition, "add the subject"},
        Existing{
            "WorkQueue",
            R"({"name":"SYNC_jetson-01","subjects":["supabase.sync.>"],"retention":"workqueue"})",
            absl::StatusCode::kFailedPrecondition, "limits"},
        Existing{
            "MaxAge",
            R"({"name":"SYNC_jetson-01","subjects":["supabase.sync.*.*.jetson-01"],"discard":"new","max_age":3600000000000})",
            absl::StatusCode::kFailedPrecondition, "max_age is 1h"},
        Existing{
            "MaxMsgs",
            R"({"name":"SYNC_jetson-01","subjects":["supabase.sync.*.*.jetson-01"],"max_msgs":5})",
            absl::StatusCode::kFailedPrecondition, "--max-msgs=-1"},
        Existing{
            "MaxMsgsThatRefuses",
            R"({"name":"SYNC_jetson-01","subjects":["supabase.sync.*.*.jetson-01"],"discard":"new","max_msgs":5})",
            absl::StatusCode::kOk, ""},
        Existing{
            "PerSubject",
            R"({"name":"SYNC_jetson-01","subjects":["supabase.sync.*.*.jetson-01"],"discard":"new","max_msgs_per_subject":5})",
            absl::StatusCode::kFailedPrecondition, "max_msgs_per_subject is 5"},
        Existing{
            "DiscardOld",
            R"({"name":"SYNC_jetson-01","subjects":["supabase.sync.*.*.jetson-01"],"max_bytes":100000})",
            absl::StatusCode::kFailedPrecondition, "--discard=new"},
        Existing{
            "Memory",
            R"({"name":"SYNC_jetson-01","subjects":["supabase.sync.*.*.jetson-01"],"storage":"memory"})",
            absl::StatusCode::kFailedPrecondition, "nats stream rm"},
        Existing{
            "NoAck",
            R"({"name":"SYNC_jetson-01","subjects":["supabase.sync.*.*.jetson-01"],"no_ack":true})",
            absl::StatusCode::kFailedPrecondition, "no_ack"},
        Existing{
            "Rollup",
            R"({"name":"SYNC_jetson-01","subjects":["supabase.sync.*.*.jetson-01"],"allow_rollup_hdrs":true})",
            absl::StatusCode::kFailedPrecondition, "rollup"},
        Existing{
            "DenyPurge",
            R"({"name":"SYNC_jetson-01","subjects":["supabase.sync.*.*.jetson-01"],"deny_purge":true})",
            absl::StatusCode::kFailedPrecondition, "deny_purge"},
        Existing{
            "Sources",
            R"({"name":"SYNC_jetson-01","subjects":["supabase.sync.*.*.jetson-01"],"sources":[{"name":"OTHER"}]})",
            absl::StatusCode::kFailedPrecondition, "sources"},
        Existing{
            "Republish",
            R"({"name":"SYNC_jetson-01","subjects":["supabase.sync.*.*.jetson-01"],"republish":{"src":">","dest":"copy.>"}})",
            absl::StatusCode::kOk, ""},
        Existing{"Overlap", R"({"name":"EVERYTHING","subjects":["supabase.>"]})",
                 absl::StatusCode::kFailedPrecondition, "nats stream find"}),
    [](const auto& test) { return test.param.name; });

TEST_F(JetStreamTest, ALastValueStreamKeepsTheLastOfEachSubject) {
  StreamConfig config;
  config.name = std::string(proto::kAppliedStream);
  config.subjects = {std::string(proto::kAppliedPrefix) + "*"};
  config.max_messages_per_subject = 1;
  ASSERT_THAT(jetstream_->EnsureStream(config), IsOk());
  for (const char* body : {"one", "two", "three"}) {
    ASSERT_THAT(client_->Request("supabase.sync-applied.a", body, absl::Seconds(5)), IsOk());
  }
  ASSERT_THAT(client_->Request("supabase.sync-applied.b", "other", absl::Seconds(5)), IsOk());
  auto record = jetstream_->GetLastMessage(config.name, "supabase.sync-applied.a");
  ASSERT_THAT(record, IsOk());
  EXPECT_EQ(record->data, "three");
  EXPECT_EQ(record->sequence, 3u);
  EXPECT_EQ(jetstream_->GetStream(config.name)->messages, 2u);
  EXPECT_THAT(jetstream_->GetLastMessage(config.name, "supabase.sync-applied.c"),
              StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(JetStreamTest, AStoredMessageComesBackByteForByte) {
  ASSERT_THAT(jetstream_->EnsureStream(SourceStream()), IsOk());
  std::string body;
  for (int i = 0; i < 256; ++i) body += static_cast<char>(i);
  const absl::Time before = absl::Now();
  const NatsClient::Headers headers = {{"Sync-Source", "jetson-01"}, {"Sync-Origin", "1/2: x"}};
  ASSERT_THAT(client_->Publish("supabase.sync.jobs.INSERT.jetson-01", "", headers, body), IsOk());
  ASSERT_TRUE(Eventually([&] { return LastSequence() == 1; }));
  auto record = jetstream_->GetMessage(kStream, 1);
  ASSERT_THAT(record, IsOk());
  EXPECT_EQ(record->subject, "supabase.sync.jobs.INSERT.jetson-01");
  EXPECT_EQ(record->sequence, 1u);
  EXPECT_EQ(record->data, body);
  EXPECT_THAT(record->headers, UnorderedElementsAre(Pair("Sync-Source", "jetson-01"),
                                                    Pair("Sync-Origin", "1/2: x")));
  EXPECT_EQ(record->Lookup()("Sync-Origin"), "1/2: x");
  EXPECT_EQ(record->Lookup()("Absent"), std::nullopt);
  EXPECT_GE(record->stored_us, absl::ToUnixMicros(before) - 1000);
  EXPECT_LE(record->stored_us, absl::ToUnixMicros(absl::Now()) + 1000);
  EXPECT_THAT(jetstream_->GetMessage(kStream, 2), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(JetStreamTest, WhatIsNotThereIsNotFound) {
  EXPECT_THAT(jetstream_->GetStream("SYNC_none"), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(jetstream_->GetMessage("SYNC_none", 1), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(jetstream_->CreateConsumer("SYNC_none", "c", 1),
              StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(jetstream_->DeleteConsumer("SYNC_none", "c"), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(jetstream_->PurgeBelow("SYNC_none", "then", 5),
              StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(JetStreamTest, AnAbsentDomainIsUnavailable) {
  JetStream elsewhere(*client_, "edge-7");
  EXPECT_EQ(elsewhere.api_prefix(), "$JS.edge-7.API");
  EXPECT_THAT(elsewhere.GetStream(kStream), StatusIs(absl::StatusCode::kUnavailable));
}

TEST_F(JetStreamTest, AStalledServerIsUnavailable) {
  JetStream impatient(*client_, "", absl::Milliseconds(100));
  server_->Pause();
  EXPECT_THAT(impatient.GetStream(kStream), StatusIs(absl::StatusCode::kUnavailable));
  server_->Resume();
}

TEST_F(JetStreamTest, ConsumersAreMadeAndRemoved) {
  ASSERT_THAT(jetstream_->EnsureStream(SourceStream()), IsOk());
  Store(1, 3);
  EXPECT_THAT(jetstream_->CreateConsumer(kStream, "c1", 2), IsOk());
  EXPECT_THAT(jetstream_->CreateConsumer(kStream, "c2", 0), IsOk());
  const std::string json = Raw(std::string("CONSUMER.INFO.") + kStream + ".c1");
  for (const char* part :
       {R"("ack_policy":"none")", R"("opt_start_seq":2)", R"("mem_storage":true)",
        R"("inactive_threshold":300000000000)", R"("num_pending":2)"}) {
    EXPECT_THAT(json, HasSubstr(part));
  }
  EXPECT_THAT(jetstream_->DeleteConsumer(kStream, "c1"), IsOk());
  EXPECT_THAT(jetstream_->DeleteConsumer(kStream, "c1"), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(JetStreamTest, PurgingNeverEmptiesAStream) {
  ASSERT_THAT(jetstream_->EnsureStream(SourceStream()), IsOk());
  Store(1, 10);
  const std::string created = jetstream_->GetStream(kStream)->created;
  EXPECT_THAT(jetstream_->PurgeBelow(kStream, "2020-01-01T00:00:00Z", 4),
              StatusIs(absl::StatusCode::kAborted, HasSubstr("made anew")));
  EXPECT_THAT(jetstream_->PurgeBelow(kStream, created, 0),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(jetstream_->PurgeBelow(kStream, created, 1),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(jetstream_->PurgeBelow(kStream, created, 11),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_EQ(jetstream_->GetStream(kStream)->messages, 10u);
  EXPECT_THAT(jetstream_->PurgeBelow(kStream, created, 4), IsOk());
  EXPECT_EQ(jetstream_->GetStream(kStream)->first_sequence, 4u);
  EXPECT_THAT(jetstream_->PurgeBelow(kStream, created, 3), IsOk());
  EXPECT_THAT(jetstream_->PurgeBelow(kStream, created, 10), IsOk());
  EXPECT_EQ(jetstream_->GetStream(kStream)->messages, 1u);
  EXPECT_EQ(jetstream_->GetStream(kStream)->last_sequence, 10u);
}

TEST_F(JetStreamTest, StreamsAreListed) {
  EXPECT_THAT(jetstream_->ListStreams(), IsOkAndHolds(::testing::IsEmpty()));
  ASSERT_THAT(jetstream_->EnsureStream(SourceStream(-1, "a")), IsOk());
  ASSERT_THAT(jetstream_->EnsureStream(SourceStream(-1, "b")), IsOk());
  EXPECT_THAT(jetstream_->ListStreams(), IsOkAndHolds(UnorderedElementsAre("SYNC_a", "SYNC_b")));
}

}  // namespace
}  // namespace pmoves
