// A thousand sources that say nothing: what do they cost the reader?
#include <sys/resource.h>

#include <chrono>
#include <fstream>

#include "subscriber/io/jetstream_source.h"
#include "tests/contract/nats_fixture.h"

namespace pmoves {
namespace {

constexpr int kStreams = 1100;  // also more than one page of names

std::string StreamNumber(int number) { return absl::StrFormat("edge-%04d", number); }

double CpuSeconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

int64_t ResidentKiB() {
  std::ifstream file("/proc/self/statm");
  int64_t total = 0;
  int64_t resident = 0;
  file >> total >> resident;
  return resident * 4;
}

class IdleStreamsTest : public NatsTest {};

TEST_F(IdleStreamsTest, AThousandIdleStreamsCostAlmostNothing) {
  // Kept in memory: this is about the reader, and a thousand directories are slow to remove.
  for (int i = 0; i < kStreams; ++i) {
    const std::string source = StreamNumber(i);
    ASSERT_THAT(
        client_->Request("$JS.API.STREAM.CREATE." + proto::StreamName(source),
                         absl::StrFormat(R"({"name":"%s","subjects":["%s"],"storage":"memory"})",
                                         proto::StreamName(source), proto::SourceWildcard(source)),
                         absl::Seconds(10)),
        IsOk());
  }
  auto names = jetstream_->ListStreams();
  ASSERT_THAT(names, IsOk());
  EXPECT_EQ(names->size(), static_cast<size_t>(kStreams));

  std::atomic<int> requests = 0;
  auto spy = client_->Subscribe("$JS.API.CONSUMER.MSG.NEXT.>", [&](NatsMsgPtr) { ++requests; });
  ASSERT_THAT(spy, IsOk());
  const int64_t memory_before = ResidentKiB();
  auto source = JetStreamSource::Create(*client_, *jetstream_, {});
  ASSERT_THAT(source, IsOk());
  const auto open_start = std::chrono::steady_clock::now();
  for (const std::string& name : *names) ASSERT_THAT((*source)->Open(name, 1), IsOk());
  const std::chrono::duration<double> opening = std::chrono::steady_clock::now() - open_start;
  ASSERT_TRUE(Eventually([&] { return requests == kStreams; }));

  // Five seconds of nothing: one heartbeat per stream.
  const double cpu_before = CpuSeconds();
  const auto start = std::chrono::steady_clock::now();
  while (std::chrono::steady_clock::now() < start + std::chrono::seconds(5)) {
    EXPECT_TRUE((*source)->Await(absl::Milliseconds(100)).empty());  // as a worker waits
  }
  const double cpu = CpuSeconds() - cpu_before;
  const int64_t memory = ResidentKiB() - memory_before;
  std::printf("%d idle streams: opened in %.2f s, %.2f ms CPU a second, %lld KiB\n", kStreams,
              opening.count(), cpu / 5 * 1000, static_cast<long long>(memory));
  RecordProperty("cpu_ms_per_second", static_cast<int>(cpu / 5 * 1000));
  RecordProperty("memory_kib", static_cast<int>(memory));
  EXPECT_EQ(requests, kStreams) << "no request is renewed before its time";
  EXPECT_LT(cpu / 5, 0.1);

  // And each still delivers.
  std::vector<FetchedMessage> messages;
  for (int i = 0; i < kStreams; i += 100) {
    const OutgoingMessage message = MakeMessage(1, 100, StreamNumber(i));
    ASSERT_THAT(client_->Publish(message.subject, "", proto::EncodeHeaders(message.envelope), "x"),
                IsOk());
    const std::string stream = proto::StreamName(StreamNumber(i));
    ASSERT_THAT((*source)->Await(absl::Seconds(20)), ::testing::ElementsAre(stream));
    ASSERT_THAT((*source)->Take(stream, 10, 1000, &messages), IsOk());
    ASSERT_FALSE(messages.empty());
    EXPECT_EQ(messages.back().stream, stream);
  }
}

}  // namespace
}  // namespace pmoves
