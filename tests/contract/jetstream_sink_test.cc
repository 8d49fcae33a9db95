// What JetStreamSink makes of a server that fails.
#include "publisher/io/jetstream_sink.h"

#include "tests/contract/nats_fixture.h"

namespace pmoves {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class JetStreamSinkTest : public NatsTest {
 protected:
  std::unique_ptr<JetStreamSink> NewSink(uint64_t expected, JetStreamSink::Options options = {}) {
    auto sink = JetStreamSink::Create(*client_, kStream, expected, options);
    EXPECT_THAT(sink, IsOk());
    return *std::move(sink);
  }
  // The number of the message stored at each sequence, from 1.
  std::vector<uint64_t> StoredNumbers() {
    std::vector<uint64_t> numbers;
    const uint64_t last = LastSequence();
    for (uint64_t sequence = 1; sequence <= last; ++sequence) {
      auto record = jetstream_->GetMessage(kStream, sequence);
      EXPECT_THAT(record, IsOk());
      if (!record.ok()) break;
      auto envelope = proto::DecodeHeaders(record->Lookup());
      EXPECT_THAT(envelope, IsOk());
      numbers.push_back(envelope->position.value / 16);
    }
    return numbers;
  }
};

TEST_F(JetStreamSinkTest, AfterAKilledServerTheStreamHoldsAPrefixAndTheRestFollowsOnce) {
  ASSERT_THAT(jetstream_->EnsureStream(SourceStream()), IsOk());
  constexpr uint64_t kMessages = 3000;
  uint64_t confirmed = 0;
  for (int round = 0; round < 3; ++round) {
    const uint64_t tail = LastSequence();
    EXPECT_GE(tail, confirmed) << "an acknowledged message is gone";
    auto sink = NewSink(tail);
    uint64_t sent = tail;
    std::vector<StoredMessage> acks;
    absl::Status status;
    const bool crash = round < 2;
    ASSERT_TRUE(Eventually([&] {
      while (status.ok() && sent < kMessages && sink->HasRoom()) {
        status = sink->Publish(MakeMessage(++sent, 500));
      }
      if (crash && acks.size() > 500 && server_->pid() > 0) server_->Kill();
      if (status.ok()) status = sink->TakeAcks(&acks);
      return !status.ok() || acks.size() + tail == kMessages;
    }));
    if (!acks.empty()) confirmed = acks.back().sequence;
    if (crash) {
      EXPECT_THAT(status, StatusIs(absl::StatusCode::kUnavailable));
      sink.reset();
      ASSERT_THAT(server_->Restart(), IsOk());
      Reconnect();
    }
  }
  const std::vector<uint64_t> numbers = StoredNumbers();
  ASSERT_EQ(numbers.size(), kMessages);
  for (size_t i = 0; i < numbers.size(); ++i) EXPECT_EQ(numbers[i], i + 1);
}

TEST_F(JetStreamSinkTest, ALostTailIsNoticed) {
  ASSERT_THAT(jetstream_->EnsureStream(SourceStream()), IsOk());
  Store(1, 10);
  server_->CopyStore("older");
  Store(11, 20);
  server_->Kill();
  server_->RestoreStore("older");
  ASSERT_THAT(server_->Restart(), IsOk());
  Reconnect();
  auto sink = NewSink(20);
  ASSERT_THAT(sink->Publish(MakeMessage(21)), IsOk());
  std::vector<StoredMessage> acks;
  EXPECT_THAT(AwaitAcks(*sink, 1, &acks), StatusIs(absl::StatusCode::kAborted));
  EXPECT_EQ(LastSequence(), 10u);
}

TEST_F(JetStreamSinkTest, ARecreatedStreamIsNoticed) {
  ASSERT_THAT(jetstream_->EnsureStream(SourceStream()), IsOk());
  Store(1, 5);
  server_->Kill();
  server_->DeleteStore();
  ASSERT_THAT(server_->Restart(), IsOk());
  Reconnect();
  ASSERT_THAT(jetstream_->EnsureStream(SourceStream()), IsOk());
  auto sink = NewSink(5);
  ASSERT_THAT(sink->Publish(MakeMessage(6)), IsOk());
  std::vector<StoredMessage> acks;
  EXPECT_THAT(AwaitAcks(*sink, 1, &acks), StatusIs(absl::StatusCode::kAborted));
}

TEST_F(JetStreamSinkTest, WithoutAStreamNobodyResponds) {
  auto sink = NewSink(0);
  ASSERT_THAT(sink->Publish(MakeMessage(1)), IsOk());
  std::vector<StoredMessage> acks;
  EXPECT_THAT(AwaitAcks(*sink, 1, &acks),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("no stream takes")));
}

TEST_F(JetStreamSinkTest, AStalledServerIsATimeout) {
  ASSERT_THAT(jetstream_->EnsureStream(SourceStream()), IsOk());
  auto sink = NewSink(0, {.ack_timeout = absl::Milliseconds(200)});
  server_->Pause();
  ASSERT_THAT(sink->Publish(MakeMessage(1)), IsOk());
  std::vector<StoredMessage> acks;
  EXPECT_THAT(AwaitAcks(*sink, 1, &acks),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("did not acknowledge")));
  server_->Resume();
  // The message was stored after all: only the tail knows.
  EXPECT_TRUE(Eventually([&] { return LastSequence() == 1; }));
  EXPECT_THAT(sink->TakeAcks(&acks), Not(IsOk()));
  EXPECT_THAT(acks, IsEmpty());
}

TEST_F(JetStreamSinkTest, ALostConnectionIsNoticedWithNothingInFlight) {
  ASSERT_THAT(jetstream_->EnsureStream(SourceStream()), IsOk());
  auto sink = NewSink(0);
  server_->Kill();
  std::vector<StoredMessage> acks;
  EXPECT_THAT(AwaitAcks(*sink, 1, &acks), StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_THAT(sink->Publish(MakeMessage(1)), StatusIs(absl::StatusCode::kUnavailable));
}

TEST_F(JetStreamSinkTest, AMessageThatAnotherStreamTookIsNotStored) {
  StreamConfig other = SourceStream();
  other.name = "EVERYTHING";
  ASSERT_THAT(jetstream_->EnsureStream(other), IsOk());
  auto sink = NewSink(0);
  ASSERT_THAT(sink->Publish(MakeMessage(1)), IsOk());
  std::vector<StoredMessage> acks;
  EXPECT_THAT(AwaitAcks(*sink, 1, &acks),
              StatusIs(absl::StatusCode::kAborted, HasSubstr("EVERYTHING")));
}

TEST_F(JetStreamSinkTest, AMessageAboveMaxPayloadIsRefusedBeforeItKillsTheConnection) {
  ASSERT_THAT(jetstream_->EnsureStream(SourceStream()), IsOk());
  auto sink = NewSink(0);
  const auto limit = static_cast<size_t>(client_->max_payload());
  EXPECT_THAT(sink->Publish(MakeMessage(1, limit - 100)),  // the headers do not fit
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("max_payload")));
  EXPECT_FALSE(client_->IsClosed());
  auto next = NewSink(0);
  ASSERT_THAT(next->Publish(MakeMessage(1, limit - 1000)), IsOk());
  std::vector<StoredMessage> acks;
  EXPECT_THAT(AwaitAcks(*next, 1, &acks), IsOk());
}

TEST_F(JetStreamSinkTest, AStreamThatTakesOnlySmallMessagesIsMisconfigured) {
  ASSERT_THAT(client_->Request("$JS.API.STREAM.CREATE.SYNC_jetson-01",
                               R"({"name":"SYNC_jetson-01","subjects":["supabase.sync.>"],)"
                               R"("max_msg_size":1000})",
                               absl::Seconds(5)),
              IsOk());
  auto sink = NewSink(0);
  ASSERT_THAT(sink->Publish(MakeMessage(1, 5000)), IsOk());
  std::vector<StoredMessage> acks;
  EXPECT_THAT(AwaitAcks(*sink, 1, &acks), StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST(JetStreamSinkPermissionTest, AForbiddenSubjectIsATimeoutThatSaysSo) {
  NatsServer::Options options;
  options.configuration =
      "authorization { users: [ {user: admin, password: a}, {user: edge, password: e, permissions: "
      "{publish: [\"supabase.sync.*.*.other\"], subscribe: [\"_INBOX_edge.>\"]}} ] }";
  options.user = "admin";
  options.password = "a";
  auto server = NatsServer::Start(options);
  ASSERT_THAT(server, IsOk());
  NatsConfig config;
  config.url = (*server)->url();
  config.user = "edge";
  config.password = "e";
  config.inbox_prefix = "_INBOX_edge";
  auto client = NatsClient::Connect(config, [] {});
  ASSERT_THAT(client, IsOk());
  auto sink = JetStreamSink::Create(**client, kStream, 0, {.ack_timeout = absl::Milliseconds(300)});
  ASSERT_THAT(sink, IsOk());
  ASSERT_THAT((*sink)->Publish(MakeMessage(1)), IsOk());
  std::vector<StoredMessage> acks;
  EXPECT_THAT(AwaitAcks(**sink, 1, &acks),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("Permissions Violation")));
}

}  // namespace
}  // namespace pmoves
