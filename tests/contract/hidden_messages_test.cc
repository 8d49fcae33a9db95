// Stored messages that the NATS library takes for the server's own.
#include "subscriber/io/jetstream_source.h"
#include "tests/contract/nats_fixture.h"

namespace pmoves {
namespace {

class HiddenMessagesTest : public NatsTest {
 protected:
  void SetUp() override {
    NatsTest::SetUp();
    ASSERT_THAT(jetstream_->EnsureStream(SourceStream()), IsOk());
    ASSERT_OK_AND_ASSIGN(source_, JetStreamSource::Create(*client_, *jetstream_, {}));
    ASSERT_THAT(source_->Open(kStream, 1), IsOk());
  }
  void TearDown() override { source_.reset(); }

  absl::Status Read(size_t count, std::vector<FetchedMessage>* out) {
    absl::Status status;
    const bool came = Eventually([&] {
      (void)source_->Await(absl::Milliseconds(10));
      status = source_->Take(kStream, 1000, 1 << 20, out);
      return !status.ok() || out->size() >= count;
    });
    return came ? status
                : absl::DeadlineExceededError(absl::StrFormat("%d messages came", out->size()));
  }

  std::unique_ptr<JetStreamSource> source_;
};

// A status in the first line of the headers: a stored message of that kind stopped its source,
// since the library hides it and it was looked for by a header line.
TEST_F(HiddenMessagesTest, MessagesWithAnInlineStatusAreHandedOverInTheirPlaces) {
  const std::vector<std::string> firsts = {"NATS/1.0 503",
                                           "NATS/1.0 503 No Responders",
                                           "NATS/1.0   503",
                                           "NATS/1.0 503x",
                                           "NATS/1.0 503\r\nStatus: 200",
                                           "NATS/1.0 200\r\nStatus: 503",
                                           "NATS/1.0 404 No Messages",
                                           "NATS/1.0 408 Request Timeout",
                                           "NATS/1.0 409 Consumer Deleted",
                                           "NATS/1.0 100 Idle Heartbeat",
                                           "NATS/1.0503",
                                           "NATS/1.0 503 \r\nSync-Protocol: 1"};
  for (const std::string& first : firsts) {
    for (const char* body : {"", "body"}) {
      StoreRaw("supabase.sync.x.INSERT.jetson-01", first + "\r\n\r\n", body);
    }
  }
  const size_t count = firsts.size() * 2;
  Store(count + 1, count + 2);
  std::vector<FetchedMessage> messages;
  ASSERT_THAT(Read(count + 2, &messages), IsOk()) << "and the reading goes on";
  for (size_t i = 0; i < count; ++i) {
    EXPECT_EQ(messages[i].sequence, i + 1);
    EXPECT_FALSE(messages[i].envelope.ok());
    EXPECT_EQ(messages[i].body, i % 2 == 0 ? "" : "body");
  }
  EXPECT_THAT(messages.back().envelope, IsOk());
}

}  // namespace
}  // namespace pmoves
