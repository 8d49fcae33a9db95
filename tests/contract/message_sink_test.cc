// The contract of MessageSink, on the fake and on JetStream alike.
#include "publisher/io/jetstream_sink.h"
#include "tests/contract/nats_fixture.h"
#include "tests/testing/fake_sink.h"

namespace pmoves {
namespace {

// A stream of either kind, with as many sinks on it as a test wants.
class Backend {
 public:
  virtual ~Backend() = default;
  virtual void CreateStream(size_t max_messages_of_1000_bytes) = 0;
  virtual void Resize(size_t max_messages_of_1000_bytes) = 0;
  virtual std::unique_ptr<MessageSink> NewSink(uint64_t expected_last_sequence, size_t messages,
                                               size_t bytes) = 0;
  // Positions stored, oldest first.
  virtual std::vector<uint64_t> Stored() = 0;
};

class FakeBackend : public Backend {
 public:
  void CreateStream(size_t max_messages) override { stream_.max_messages = max_messages; }
  void Resize(size_t max_messages) override { stream_.max_messages = max_messages; }
  std::unique_ptr<MessageSink> NewSink(uint64_t expected, size_t messages, size_t bytes) override {
    return std::make_unique<FakeSink>(stream_, expected, messages, bytes);
  }
  std::vector<uint64_t> Stored() override {
    std::vector<uint64_t> positions;
    for (const OutgoingMessage& message : stream_.messages) {
      positions.push_back(message.envelope.position.value / 16);
    }
    return positions;
  }

 private:
  FakeStream stream_;
};

class JetStreamBackend : public Backend {
 public:
  JetStreamBackend() {
    auto server = NatsServer::Start();
    EXPECT_THAT(server, IsOk());
    server_ = *std::move(server);
    client_ = MustConnect(*server_);
    jetstream_ = std::make_unique<JetStream>(*client_, "");
  }
  void CreateStream(size_t max_messages) override {
    // Each stored message takes its 1000 bytes and less than 700 of headers and framing.
    const int64_t max_bytes =
        max_messages > 1000000 ? -1 : static_cast<int64_t>(max_messages) * 1700;
    ASSERT_THAT(jetstream_->EnsureStream(SourceStream(max_bytes)), IsOk());
  }
  void Resize(size_t max_messages) override {
    EXPECT_THAT(jetstream_->ResizeStream(kStream, static_cast<int64_t>(max_messages) * 1700),
                IsOk());
  }
  std::unique_ptr<MessageSink> NewSink(uint64_t expected, size_t messages, size_t bytes) override {
    auto sink = JetStreamSink::Create(*client_, kStream, expected,
                                      {.window_messages = messages, .window_bytes = bytes});
    EXPECT_THAT(sink, IsOk());
    return *std::move(sink);
  }
  std::vector<uint64_t> Stored() override {
    std::vector<uint64_t> positions;
    auto info = jetstream_->GetStream(kStream);
    EXPECT_THAT(info, IsOk());
    for (uint64_t i = info->first_sequence; i > 0 && i <= info->last_sequence; ++i) {
      auto record = jetstream_->GetMessage(kStream, i);
      EXPECT_THAT(record, IsOk());
      auto envelope = proto::DecodeHeaders(record->Lookup());
      EXPECT_THAT(envelope, IsOk());
      positions.push_back(envelope->position.value / 16);
    }
    return positions;
  }

 private:
  std::unique_ptr<NatsServer> server_;
  std::unique_ptr<NatsClient> client_;
  std::unique_ptr<JetStream> jetstream_;
};

struct Case {
  const char* name;
  std::unique_ptr<Backend> (*make)();
};

class MessageSinkTest : public ::testing::TestWithParam<Case> {
 protected:
  void SetUp() override { backend_ = GetParam().make(); }
  std::unique_ptr<Backend> backend_;
};

constexpr size_t kPlenty = 100000000;

TEST_P(MessageSinkTest, AcknowledgesInOrderWithTheFencedSequences) {
  backend_->CreateStream(kPlenty);
  auto sink = backend_->NewSink(0, 16, kPlenty);
  std::vector<StoredMessage> acks;
  uint64_t sent = 0;
  ASSERT_TRUE(Eventually([&] {
    while (sent < 500 && sink->HasRoom()) {
      EXPECT_THAT(sink->Publish(MakeMessage(++sent)), IsOk());
    }
    EXPECT_LE(sink->in_flight_messages(), 16u);
    EXPECT_THAT(sink->TakeAcks(&acks), IsOk());
    return acks.size() == 500;
  }));
  for (size_t i = 0; i < acks.size(); ++i) {
    EXPECT_EQ(acks[i].sequence, i + 1);
    EXPECT_EQ(acks[i].position, Lsn{(i + 1) * 16});
    EXPECT_EQ(acks[i].commit_us, static_cast<int64_t>(i + 1));
    EXPECT_TRUE(acks[i].last);
    EXPECT_EQ(acks[i].changes, 1u);
  }
  EXPECT_EQ(sink->in_flight_messages(), 0u);
  EXPECT_EQ(sink->in_flight_bytes(), 0u);
  EXPECT_EQ(backend_->Stored().size(), 500u);
}

TEST_P(MessageSinkTest, TheWindowBoundsMessages) {
  backend_->CreateStream(kPlenty);
  auto sink = backend_->NewSink(0, 2, kPlenty);
  ASSERT_TRUE(sink->HasRoom());
  EXPECT_THAT(sink->Publish(MakeMessage(1)), IsOk());
  ASSERT_TRUE(sink->HasRoom());
  EXPECT_THAT(sink->Publish(MakeMessage(2)), IsOk());
  EXPECT_FALSE(sink->HasRoom());
  std::vector<StoredMessage> acks;
  EXPECT_THAT(AwaitAcks(*sink, 2, &acks), IsOk());
  EXPECT_TRUE(sink->HasRoom());
}

TEST_P(MessageSinkTest, TheWindowBoundsBytesButLetsOneMessagePass) {
  backend_->CreateStream(kPlenty);
  auto sink = backend_->NewSink(0, 100, 10);
  ASSERT_TRUE(sink->HasRoom());
  EXPECT_THAT(sink->Publish(MakeMessage(1, 5000)), IsOk());
  EXPECT_GE(sink->in_flight_bytes(), 5000u);
  EXPECT_FALSE(sink->HasRoom());
}

TEST_P(MessageSinkTest, AWrongLastSequenceCorksForGood) {
  backend_->CreateStream(kPlenty);
  auto sink = backend_->NewSink(7, 100, kPlenty);
  EXPECT_THAT(sink->Publish(MakeMessage(1)), IsOk());
  EXPECT_THAT(sink->Publish(MakeMessage(2)), IsOk());
  std::vector<StoredMessage> acks;
  EXPECT_THAT(AwaitAcks(*sink, 1, &acks), StatusIs(absl::StatusCode::kAborted));
  EXPECT_THAT(acks, ::testing::IsEmpty());
  EXPECT_FALSE(sink->HasRoom());
  EXPECT_THAT(sink->Publish(MakeMessage(3)), StatusIs(absl::StatusCode::kAborted));
  EXPECT_THAT(sink->TakeAcks(&acks), StatusIs(absl::StatusCode::kAborted));
  EXPECT_THAT(backend_->Stored(), ::testing::IsEmpty());
}

TEST_P(MessageSinkTest, OfTwoPublishersOneIsFencedOffAndNothingInterleaves) {
  backend_->CreateStream(kPlenty);
  auto first = backend_->NewSink(0, 100, kPlenty);
  auto second = backend_->NewSink(0, 100, kPlenty);
  std::vector<StoredMessage> acks;
  EXPECT_THAT(first->Publish(MakeMessage(1)), IsOk());
  EXPECT_THAT(AwaitAcks(*first, 1, &acks), IsOk());
  for (uint64_t number = 101; number <= 150; ++number) {
    EXPECT_THAT(second->Publish(MakeMessage(number)), IsOk());
    EXPECT_THAT(first->Publish(MakeMessage(number - 99)), IsOk());
  }
  EXPECT_THAT(AwaitAcks(*first, 51, &acks), IsOk());
  std::vector<StoredMessage> refused;
  EXPECT_THAT(AwaitAcks(*second, 1, &refused), StatusIs(absl::StatusCode::kAborted));
  EXPECT_THAT(refused, ::testing::IsEmpty());
  const std::vector<uint64_t> stored = backend_->Stored();
  ASSERT_EQ(stored.size(), 51u);
  for (size_t i = 0; i < stored.size(); ++i) EXPECT_EQ(stored[i], i + 1);
}

TEST_P(MessageSinkTest, AFullStreamRefusesAndKeepsWhatItHas) {
  backend_->CreateStream(10);
  auto sink = backend_->NewSink(0, 100, kPlenty);
  for (uint64_t number = 1; number <= 30; ++number) {
    EXPECT_THAT(sink->Publish(MakeMessage(number, 1000)), IsOk());
  }
  std::vector<StoredMessage> acks;
  ASSERT_TRUE(Eventually([&] {
    EXPECT_THAT(sink->TakeAcks(&acks), IsOk());
    return !sink->full().ok();
  }));
  EXPECT_THAT(sink->full(), StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_FALSE(sink->HasRoom());
  EXPECT_GE(acks.size(), 10u);
  EXPECT_LT(acks.size(), 30u);
  EXPECT_EQ(backend_->Stored().size(), acks.size());

  // With room it goes on at the message that was refused: each is stored once, in order.
  backend_->Resize(60);
  ASSERT_TRUE(Eventually([&] {
    EXPECT_THAT(sink->TakeAcks(&acks), IsOk());
    return acks.size() == 30;
  }));
  EXPECT_THAT(sink->full(), IsOk());
  EXPECT_TRUE(sink->HasRoom());
  EXPECT_EQ(sink->in_flight_bytes(), 0u);
  const std::vector<uint64_t> stored = backend_->Stored();
  ASSERT_EQ(stored.size(), 30u);
  for (size_t i = 0; i < stored.size(); ++i) {
    EXPECT_EQ(stored[i], i + 1);
    EXPECT_EQ(acks[i].sequence, i + 1);
  }
  EXPECT_THAT(sink->Publish(MakeMessage(31, 1000)), IsOk());
  EXPECT_THAT(AwaitAcks(*sink, 31, &acks), IsOk());
}

TEST_P(MessageSinkTest, ANewSinkGoesOnFromTheTail) {
  backend_->CreateStream(kPlenty);
  std::vector<StoredMessage> acks;
  {
    auto sink = backend_->NewSink(0, 100, kPlenty);
    EXPECT_THAT(sink->Publish(MakeMessage(1)), IsOk());
    EXPECT_THAT(AwaitAcks(*sink, 1, &acks), IsOk());
  }
  auto sink = backend_->NewSink(1, 100, kPlenty);
  EXPECT_THAT(sink->Publish(MakeMessage(2)), IsOk());
  EXPECT_THAT(AwaitAcks(*sink, 2, &acks), IsOk());
  EXPECT_EQ(acks.back().sequence, 2u);
}

INSTANTIATE_TEST_SUITE_P(
    Sinks, MessageSinkTest,
    ::testing::Values(Case{"Fake", [] { return std::unique_ptr<Backend>(new FakeBackend); }},
                      Case{"JetStream",
                           [] { return std::unique_ptr<Backend>(new JetStreamBackend); }}),
    [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace pmoves
