#include "subscriber/io/jetstream_source.h"

#include <functional>
#include <thread>

#include "common/base/mutex.h"
#include "tests/contract/nats_fixture.h"

namespace pmoves {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class JetStreamSourceTest : public NatsTest {
 protected:
  void SetUp() override {
    NatsTest::SetUp();
    ASSERT_THAT(jetstream_->EnsureStream(SourceStream()), IsOk());
  }
  void TearDown() override { source_.reset(); }

  void MakeSource(JetStreamSource::Options options = {}) {
    source_ = NewSource(options);
    ASSERT_NE(source_, nullptr);
  }
  std::unique_ptr<JetStreamSource> NewSource(JetStreamSource::Options options) {
    auto source = JetStreamSource::Create(*client_, *jetstream_, options);
    EXPECT_THAT(source, IsOk());
    return source.ok() ? *std::move(source) : nullptr;
  }
  // Takes until `count` messages came, or an error.
  absl::Status Await(size_t count, std::vector<FetchedMessage>* out,
                     const std::string& stream = kStream) {
    return Await(*source_, count, out, stream, 1000);
  }
  static absl::Status Await(JetStreamSource& source, size_t count, std::vector<FetchedMessage>* out,
                            const std::string& stream, size_t max_messages) {
    const absl::Time deadline = absl::Now() + kPatience;
    while (absl::Now() < deadline) {
      (void)source.Await(kStep);
      absl::Status status;
      size_t before = out->size() + 1;
      while (status.ok() && out->size() < count && before != out->size()) {
        before = out->size();
        status = source.Take(stream, max_messages, 1 << 20, out);
      }
      if (!status.ok() || out->size() >= count) return status;
    }
    return absl::DeadlineExceededError(absl::StrFormat("%d messages came", out->size()));
  }
  struct Pull {
    std::string consumer;
    std::string reply;
  };
  // Opens the stream and returns its first pull request, as somebody sees it who listens.
  Pull OpenAndWatch(uint64_t start_sequence) {
    Pull seen;
    auto spy = client_->Subscribe("$JS.API.CONSUMER.MSG.NEXT.>", [&](NatsMsgPtr message) {
      MutexLock lock(mutex_);
      if (!seen.consumer.empty()) return;
      const std::string subject = natsMsg_GetSubject(message.get());
      seen = {subject.substr(subject.rfind('.') + 1), natsMsg_GetReply(message.get())};
    });
    EXPECT_THAT(spy, IsOk());
    EXPECT_THAT(source_->Open(kStream, start_sequence), IsOk());
    EXPECT_TRUE(Eventually([&] {
      MutexLock lock(mutex_);
      return !seen.consumer.empty();
    }));
    spy->reset();
    return seen;
  }
  // Receives until `done`.
  bool ReceiveUntil(const std::function<bool()>& done) {
    const absl::Time deadline = absl::Now() + kPatience;
    while (!done()) {
      if (absl::Now() >= deadline) return false;
      (void)source_->Await(kStep);
    }
    return true;
  }
  absl::Status AwaitError(const std::string& stream = kStream) {
    std::vector<FetchedMessage> ignored;
    return Await(1000000000, &ignored, stream);
  }
  void ExpectNumbers(const std::vector<FetchedMessage>& messages, uint64_t first, uint64_t last) {
    ASSERT_EQ(messages.size(), last - first + 1);
    for (size_t i = 0; i < messages.size(); ++i) {
      ASSERT_THAT(messages[i].envelope, IsOk());
      EXPECT_EQ(messages[i].envelope->position, Lsn{(first + i) * 16});
    }
  }

  static constexpr absl::Duration kPatience = absl::Seconds(20);
  static constexpr absl::Duration kStep = absl::Milliseconds(20);
  Mutex mutex_;
  std::unique_ptr<JetStreamSource> source_;
};

TEST_F(JetStreamSourceTest, ReadsEverythingInOrderFromTheGivenSequence) {
  Store(1, 1000);
  MakeSource();
  ASSERT_THAT(source_->Open(kStream, 101), IsOk());
  EXPECT_THAT(source_->Await(absl::Seconds(20)), ElementsAre(kStream));
  std::vector<FetchedMessage> messages;
  ASSERT_THAT(Await(900, &messages), IsOk());
  ExpectNumbers(messages, 101, 1000);
  EXPECT_EQ(messages[0].sequence, 101u);
  EXPECT_EQ(messages[0].stream, kStream);
  EXPECT_EQ(messages[0].subject, "supabase.sync.jobs.INSERT.jetson-01");
  EXPECT_EQ(messages[0].envelope->source, "jetson-01");
  EXPECT_EQ(messages[0].body.substr(0, 4), "101:");
  EXPECT_EQ(messages[0].body.size(), 100u);
  EXPECT_EQ(messages[0].pending, 899u);
  EXPECT_EQ(messages.back().pending, 0u);
  EXPECT_NEAR(static_cast<double>(messages[0].stored_us),
              static_cast<double>(absl::ToUnixMicros(absl::Now())), 60e6);
}

TEST_F(JetStreamSourceTest, ACaughtUpReaderGetsWhatComesLater) {
  Store(1, 3);
  MakeSource();
  ASSERT_THAT(source_->Open(kStream, 4), IsOk());
  std::vector<FetchedMessage> messages;
  for (uint64_t number = 4; number < 300; ++number) {
    const OutgoingMessage message = MakeMessage(number);
    ASSERT_THAT(client_->Publish(message.subject, "", proto::EncodeHeaders(message.envelope), "x"),
                IsOk());
    ASSERT_THAT(Await(number - 3, &messages), IsOk());
  }
  ExpectNumbers(messages, 4, 299);
}

struct FlowCase {
  const char* name;
  JetStreamSource::Options options;
  size_t body_bytes;
};

class FlowControlTest : public JetStreamSourceTest,
                        public ::testing::WithParamInterface<FlowCase> {};

TEST_P(FlowControlTest, QueuesAtMostTwoRequestsAndStillMovesEverything) {
  const JetStreamSource::Options& options = GetParam().options;
  const size_t message_bytes = GetParam().body_bytes + 128;
  constexpr uint64_t kMessages = 400;
  Store(1, kMessages, GetParam().body_bytes);
  MakeSource(options);
  ASSERT_THAT(source_->Open(kStream, 1), IsOk());
  std::vector<FetchedMessage> messages;
  size_t most_messages = 0;
  size_t most_bytes = 0;
  while (messages.size() < kMessages) {
    // Let come what may come before each take. All that was asked for is there when a round trip
    // behind it is.
    ASSERT_TRUE(ReceiveUntil([&] { return source_->queued_messages() > 0; }));
    ASSERT_THAT(client_->Flush(absl::Seconds(5)), IsOk());
    (void)source_->Await(absl::ZeroDuration());
    most_messages = std::max(most_messages, source_->queued_messages());
    most_bytes = std::max(most_bytes, source_->queued_bytes());
    ASSERT_THAT(source_->Take(kStream, 3, 1 << 20, &messages), IsOk());
  }
  ExpectNumbers(messages, 1, kMessages);
  EXPECT_LE(most_messages, static_cast<size_t>(options.messages) * 2);
  EXPECT_LE(most_bytes, static_cast<size_t>(options.bytes) * 2 + message_bytes);
}

INSTANTIATE_TEST_SUITE_P(
    Limits, FlowControlTest,
    ::testing::Values(
        FlowCase{"Messages", {.messages = 10, .bytes = 10 << 20}, 100},
        FlowCase{"OneMessage", {.messages = 1, .bytes = 10 << 20}, 100},
        FlowCase{"Bytes", {.messages = 1000, .bytes = 20000}, 1000},
        FlowCase{"EveryMessageLargerThanARequest", {.messages = 10, .bytes = 3000}, 20000}),
    [](const auto& test) { return test.param.name; });

TEST_F(JetStreamSourceTest, AMessageLargerThanARequestArrivesInItsPlace) {
  Store(1, 50);
  Store(51, 51, 900000);
  Store(52, 100);
  MakeSource({.messages = 16, .bytes = 50000});
  ASSERT_THAT(source_->Open(kStream, 1), IsOk());
  std::vector<FetchedMessage> messages;
  ASSERT_THAT(Await(100, &messages), IsOk());
  ExpectNumbers(messages, 1, 100);
  EXPECT_EQ(messages[50].body.size(), 900000u);
}

TEST_F(JetStreamSourceTest, TakeHonoursItsLimits) {
  Store(1, 20, 1000);
  MakeSource();
  ASSERT_THAT(source_->Open(kStream, 1), IsOk());
  ASSERT_TRUE(ReceiveUntil([&] { return source_->queued_messages() == 20; }));
  std::vector<FetchedMessage> messages;
  ASSERT_THAT(source_->Take(kStream, 3, 1 << 20, &messages), IsOk());
  EXPECT_EQ(messages.size(), 3u);
  ASSERT_THAT(source_->Take(kStream, 100, 1500, &messages), IsOk());
  EXPECT_EQ(messages.size(), 5u);
  ASSERT_THAT(source_->Take(kStream, 100, 0, &messages), IsOk());
  EXPECT_EQ(messages.size(), 6u) << "at least one, whatever its size";
  ASSERT_THAT(source_->Take(kStream, 100, 1 << 20, &messages), IsOk());
  ExpectNumbers(messages, 1, 20);
  ASSERT_THAT(source_->Take(kStream, 100, 1 << 20, &messages), IsOk());
  EXPECT_EQ(messages.size(), 20u);
}

TEST_F(JetStreamSourceTest, PullRequestsAreRenewedWhenTheirTimeIsOver) {
  std::atomic<int> requests = 0;
  auto spy = client_->Subscribe("$JS.API.CONSUMER.MSG.NEXT.>", [&](NatsMsgPtr) { ++requests; });
  ASSERT_THAT(spy, IsOk());
  MakeSource({.expires = absl::Seconds(1), .idle_heartbeat = absl::Milliseconds(500)});
  ASSERT_THAT(source_->Open(kStream, 1), IsOk());
  ASSERT_TRUE(ReceiveUntil([&] { return requests >= 4; }));
  EXPECT_LE(requests, 5) << "an idle stream keeps one request open, not two";
  Store(1, 5);
  std::vector<FetchedMessage> messages;
  ASSERT_THAT(Await(5, &messages), IsOk());
  ExpectNumbers(messages, 1, 5);
}

TEST_F(JetStreamSourceTest, ADeletedConsumerIsAnErrorAndOpeningAgainGoesOn) {
  Store(1, 10);
  MakeSource();
  const std::string consumer = OpenAndWatch(1).consumer;
  std::vector<FetchedMessage> messages;
  ASSERT_THAT(Await(10, &messages), IsOk());
  (void)source_->Await(absl::ZeroDuration());
  ASSERT_THAT(jetstream_->DeleteConsumer(kStream, consumer), IsOk());
  EXPECT_THAT(source_->Await(absl::Seconds(20)), ElementsAre(kStream)) << "an error is news, too";
  EXPECT_THAT(AwaitError(), StatusIs(absl::StatusCode::kUnavailable, HasSubstr(kStream)));
  Store(11, 20);
  ASSERT_THAT(source_->Open(kStream, 11), IsOk());
  ASSERT_THAT(Await(20, &messages), IsOk());
  ExpectNumbers(messages, 1, 20);
}

// The library takes such messages for the server's and hands none of them over.
TEST_F(JetStreamSourceTest, MessagesThatLookLikeNobodyAnsweringAreHandedOverInTheirPlaces) {
  const std::string subject = "supabase.sync.x.INSERT.jetson-01";
  ASSERT_THAT(jetstream_->EnsureStream(SourceStream(-1, "other")), IsOk());
  MakeSource();
  const std::string inbox = OpenAndWatch(1).reply;
  ASSERT_THAT(source_->Open("SYNC_other", 1), IsOk());
  Store(1, 3);
  for (int i = 0; i < 2; ++i) {
    ASSERT_THAT(client_->Publish(subject, "", {{"Status", "503"}, {"Sync-Protocol", "9"}}, ""),
                IsOk());
  }
  Store(6, 9);
  ASSERT_THAT(client_->Publish(subject, "", {{"Status", "503 or so"}}, ""), IsOk());
  // And what the server says, without a place in any stream.
  ASSERT_THAT(client_->Publish("nobody.is.here", inbox, {}, ""), IsOk());
  std::vector<FetchedMessage> messages;
  ASSERT_THAT(Await(10, &messages), IsOk());
  ASSERT_EQ(messages.size(), 10u);
  for (size_t i = 0; i < messages.size(); ++i) {
    const bool foreign = i == 3 || i == 4 || i == 9;
    EXPECT_EQ(messages[i].sequence, i + 1);
    EXPECT_EQ(messages[i].envelope.ok(), !foreign) << i;
    EXPECT_EQ(messages[i].subject == subject, foreign);
  }
  EXPECT_THAT(messages[3].headers,
              ::testing::UnorderedElementsAre(::testing::Pair("Status", "503"),
                                              ::testing::Pair("Sync-Protocol", "9")));
  EXPECT_THAT(source_->Take("SYNC_other", 10, 1000, &messages), IsOk()) << "others read on";
  Store(11, 12);
  ASSERT_THAT(Await(12, &messages), IsOk());
}

TEST_F(JetStreamSourceTest, ADeletedStreamIsAnErrorThatDoesNotTouchOthers) {
  ASSERT_THAT(jetstream_->EnsureStream(SourceStream(-1, "other")), IsOk());
  MakeSource();
  ASSERT_THAT(source_->Open(kStream, 1), IsOk());
  ASSERT_THAT(source_->Open("SYNC_other", 1), IsOk());
  ASSERT_THAT(
      client_->Request(std::string("$JS.API.STREAM.DELETE.") + kStream, "", absl::Seconds(5)),
      IsOk());
  EXPECT_THAT(AwaitError(), StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_THAT(source_->Open(kStream, 1), StatusIs(absl::StatusCode::kNotFound));
  std::vector<FetchedMessage> messages;
  EXPECT_THAT(source_->Take("SYNC_other", 10, 1000, &messages), IsOk());
  EXPECT_THAT(source_->Take(kStream, 10, 1000, &messages), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(JetStreamSourceTest, AfterARestartedServerANewSourceGoesOn) {
  Store(1, 100);
  MakeSource();
  ASSERT_THAT(source_->Open(kStream, 1), IsOk());
  std::vector<FetchedMessage> messages;
  ASSERT_THAT(Await(100, &messages), IsOk());
  server_->Kill();
  EXPECT_THAT(AwaitError(), StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_THAT(source_->Open(kStream, 101), StatusIs(absl::StatusCode::kUnavailable));
  source_.reset();
  ASSERT_THAT(server_->Restart(), IsOk());
  Reconnect();
  Store(101, 200);
  MakeSource();
  ASSERT_THAT(source_->Open(kStream, 101), IsOk());
  ASSERT_THAT(Await(200, &messages), IsOk());
  ExpectNumbers(messages, 1, 200);
}

TEST_F(JetStreamSourceTest, AStalledServerIsNoticedByItsSilence) {
  MakeSource({.expires = absl::Seconds(10), .idle_heartbeat = absl::Milliseconds(200)});
  ASSERT_THAT(source_->Open(kStream, 1), IsOk());
  server_->Pause();
  EXPECT_THAT(AwaitError(), StatusIs(absl::StatusCode::kUnavailable, HasSubstr("heartbeats")));
  server_->Resume();
}

TEST_F(JetStreamSourceTest, AnIdleServerIsNotSilent) {
  std::atomic<int> heartbeats = 0;
  MakeSource({.expires = absl::Seconds(10), .idle_heartbeat = absl::Milliseconds(100)});
  auto spy = client_->Subscribe(client_->NewInbox().substr(0, 6) + ".>", [&](NatsMsgPtr message) {
    const char* status = nullptr;
    if (natsMsgHeader_Get(message.get(), "Status", &status) == NATS_OK) ++heartbeats;
  });
  ASSERT_THAT(spy, IsOk());
  ASSERT_THAT(source_->Open(kStream, 1), IsOk());
  std::vector<FetchedMessage> messages;
  ASSERT_TRUE(ReceiveUntil([&] {
    EXPECT_THAT(source_->Take(kStream, 10, 1000, &messages), IsOk());
    return heartbeats >= 8;  // twice the time after which silence would be an error
  }));
  EXPECT_THAT(messages, IsEmpty());
}

TEST_F(JetStreamSourceTest, ForeignMessagesAreHandedOverWithTheirHeaders) {
  ASSERT_THAT(client_->Publish("supabase.sync.jobs.GARBAGE.jetson-01", "no headers, not JSON"),
              IsOk());
  ASSERT_THAT(
      client_->Publish("supabase.sync.%%%.x.jetson-01", "", {{"Sync-Protocol", "none"}}, ""),
      IsOk());
  Store(3, 3);
  MakeSource();
  ASSERT_THAT(source_->Open(kStream, 1), IsOk());
  std::vector<FetchedMessage> messages;
  ASSERT_THAT(Await(3, &messages), IsOk());
  ASSERT_EQ(messages.size(), 3u);
  EXPECT_THAT(messages[0].envelope, StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_EQ(messages[0].body, "no headers, not JSON");
  EXPECT_EQ(messages[0].subject, "supabase.sync.jobs.GARBAGE.jetson-01");
  EXPECT_THAT(messages[0].headers, IsEmpty());
  EXPECT_THAT(messages[1].envelope, StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(messages[1].headers, ElementsAre(::testing::Pair("Sync-Protocol", "none")));
  EXPECT_EQ(messages[1].body, "");
  EXPECT_THAT(messages[2].envelope, IsOk());
}

TEST_F(JetStreamSourceTest, AGapInTheDeliveriesIsAnError) {
  MakeSource({.messages = 2, .bytes = 1 << 20});
  const std::string consumer = OpenAndWatch(1).consumer;
  Store(1, 10);
  ASSERT_TRUE(ReceiveUntil([&] { return source_->queued_messages() == 4; }));
  // Somebody else takes one of this consumer's deliveries.
  ASSERT_THAT(client_->Request("$JS.API.CONSUMER.MSG.NEXT.SYNC_jetson-01." + consumer,
                               R"({"batch":1,"no_wait":true})", absl::Seconds(5)),
              IsOk());
  std::vector<FetchedMessage> messages;
  EXPECT_THAT(Await(10, &messages),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("6 came instead of 5")));
  ExpectNumbers(messages, 1, 4);
  ASSERT_THAT(source_->Open(kStream, 5), IsOk());
  ASSERT_THAT(Await(10, &messages), IsOk());
  ExpectNumbers(messages, 1, 10);
}

TEST_F(JetStreamSourceTest, GarbageInTheInboxIsIgnored) {
  MakeSource();
  const std::string inbox = OpenAndWatch(1).reply;
  const std::string base = inbox.substr(0, inbox.rfind('.'));
  for (const std::string& subject : {inbox, base + ".x", base + ".99999999999999999999999",
                                     base + ".7.7.7", inbox.substr(0, inbox.find('.', 8)) + ".1"}) {
    ASSERT_THAT(client_->Publish(subject, "garbage"), IsOk());
    ASSERT_THAT(client_->Publish(subject, "", {{"Status", "100"}}, ""), IsOk());
    ASSERT_THAT(client_->Publish(subject, "an.answer", {}, "garbage"), IsOk());
  }
  Store(1, 2);
  std::vector<FetchedMessage> messages;
  ASSERT_THAT(Await(2, &messages), IsOk());
  ExpectNumbers(messages, 1, 2);
}

TEST_F(JetStreamSourceTest, ClosingRemovesTheConsumerAtTheServer) {
  const auto consumers = [&] {
    auto reply =
        client_->Request(std::string("$JS.API.CONSUMER.NAMES.") + kStream, "", absl::Seconds(5));
    EXPECT_THAT(reply, IsOk());
    const std::string json = natsMsg_GetData(reply->get());
    return json.find("\"total\":0") == std::string::npos;
  };
  MakeSource();
  ASSERT_THAT(source_->Open(kStream, 1), IsOk());
  EXPECT_TRUE(consumers());
  source_->Close(kStream);
  EXPECT_TRUE(Eventually([&] { return !consumers(); }));
  std::vector<FetchedMessage> messages;
  EXPECT_THAT(source_->Take(kStream, 1, 1, &messages), StatusIs(absl::StatusCode::kNotFound));
  ASSERT_THAT(source_->Open(kStream, 1), IsOk());
  ASSERT_THAT(source_->Open(kStream, 1), IsOk());
  source_.reset();
  EXPECT_TRUE(Eventually([&] { return !consumers(); }));
}

TEST_F(JetStreamSourceTest, AnOwnerThatWasBusyForLongerThanSilenceMayLastGoesOn) {
  MakeSource({.expires = absl::Seconds(10), .idle_heartbeat = absl::Milliseconds(100)});
  ASSERT_THAT(source_->Open(kStream, 1), IsOk());
  std::atomic<int> heartbeats = 0;
  auto spy = client_->Subscribe(client_->NewInbox().substr(0, 6) + ".>", [&](NatsMsgPtr message) {
    const char* status = nullptr;
    if (natsMsgHeader_Get(message.get(), "Status", &status) == NATS_OK) ++heartbeats;
  });
  ASSERT_THAT(spy, IsOk());
  ASSERT_TRUE(Eventually([&] { return heartbeats >= 8; }));
  Store(1, 5);
  std::vector<FetchedMessage> messages;
  ASSERT_THAT(Await(5, &messages), IsOk());
  ExpectNumbers(messages, 1, 5);
}

TEST_F(JetStreamSourceTest, WaitingForMessagesEndsWhenOneComesAndWhenItsTimeIsOver) {
  MakeSource();
  ASSERT_THAT(source_->Open(kStream, 1), IsOk());
  const absl::Time begun = absl::Now();
  EXPECT_THAT(source_->Await(absl::Milliseconds(50)), IsEmpty());
  EXPECT_GE(absl::Now() - begun, absl::Milliseconds(50));
  // Were they only found by the look that timers take each second, this would take a minute.
  for (uint64_t number = 1; number <= 60; ++number) {
    std::thread later([&] { Store(number, number); });
    EXPECT_THAT(source_->Await(absl::Seconds(20)), ElementsAre(kStream));
    later.join();
    std::vector<FetchedMessage> messages;
    ASSERT_THAT(source_->Take(kStream, 10, 1 << 20, &messages), IsOk());
  }
  EXPECT_LT(absl::Now() - begun, absl::Seconds(20));
}

TEST_F(JetStreamSourceTest, SeveralSourcesOfOneConnectionReadInThreadsOfTheirOwn) {
  constexpr int kStreams = 4;
  constexpr uint64_t kMessages = 500;
  std::vector<std::unique_ptr<JetStreamSource>> sources;
  sources.reserve(kStreams);
  for (int i = 0; i < kStreams; ++i) {
    const std::string name = absl::StrFormat("edge-%d", i);
    ASSERT_THAT(jetstream_->EnsureStream(SourceStream(-1, name)), IsOk());
    sources.push_back(NewSource({.messages = 20, .bytes = 100000}));
    ASSERT_THAT(sources.back()->Open(proto::StreamName(name), 1), IsOk());
  }
  std::vector<std::thread> threads;
  threads.reserve(kStreams);
  std::atomic<uint64_t> total = 0;
  for (int i = 0; i < kStreams; ++i) {
    threads.emplace_back([&, i] {
      const std::string stream = absl::StrFormat("SYNC_edge-%d", i);
      std::vector<FetchedMessage> messages;
      EXPECT_THAT(Await(*sources[static_cast<size_t>(i)], kMessages, &messages, stream, 7), IsOk());
      for (size_t k = 0; k < messages.size(); ++k) EXPECT_EQ(messages[k].sequence, k + 1);
      total += messages.size();
    });
  }
  for (uint64_t number = 1; number <= kMessages; ++number) {
    for (int i = 0; i < kStreams; ++i) {
      const OutgoingMessage message = MakeMessage(number, 100, absl::StrFormat("edge-%d", i));
      EXPECT_THAT(client_->Publish(message.subject, "", proto::EncodeHeaders(message.envelope),
                                   message.body),
                  IsOk());
    }
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(total, kMessages * kStreams);
}

TEST_F(JetStreamSourceTest, BadOptionsAreRefused) {
  const auto create = [&](JetStreamSource::Options options) {
    return JetStreamSource::Create(*client_, *jetstream_, options).status();
  };
  EXPECT_THAT(create({.messages = 0}), Not(IsOk()));
  EXPECT_THAT(create({.bytes = 0}), Not(IsOk()));
  EXPECT_THAT(create({.expires = absl::Seconds(5), .idle_heartbeat = absl::Seconds(5)}),
              Not(IsOk()));
}

}  // namespace
}  // namespace pmoves
