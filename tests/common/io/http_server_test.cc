#include "common/io/http_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <prometheus/counter.h>
#include <prometheus/registry.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "common/io/process_metrics.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"

namespace pmoves {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr absl::Duration kTimeout = absl::Seconds(20);

// The whole answer to a request that HttpGet cannot make.
std::string RawAnswer(int port, const std::string& request) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  EXPECT_EQ(send(fd, request.data(), request.size(), MSG_NOSIGNAL),
            static_cast<ssize_t>(request.size()));
  std::string answer;
  char buffer[4096];
  while (true) {
    const ssize_t got = recv(fd, buffer, sizeof(buffer), 0);
    if (got <= 0) break;
    answer.append(buffer, static_cast<size_t>(got));
  }
  close(fd);
  return answer;
}

class HttpServerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    prometheus::BuildCounter()
        .Name("pmoves_sync_things_total")
        .Help("Things.")
        .Register(*registry_)
        .Add({})
        .Increment(3);
    HttpCallbacks callbacks;
    callbacks.alive = [this] { return alive_.load(); };
    callbacks.not_ready = [this] { return ready_.load() ? "" : "nats: away\npostgres: away"; };
    callbacks.status_json = [] { return "{\"state\":\"streaming\"}"; };
    callbacks.before_metrics = [this] { ++refreshed_; };
    ASSERT_OK_AND_ASSIGN(server_, HttpServer::Start("127.0.0.1:0", registry_, callbacks));
    listen_ = "127.0.0.1:" + std::to_string(server_->port());
  }

  std::atomic<bool> alive_{true};
  std::atomic<bool> ready_{true};
  std::atomic<int> refreshed_{0};
  std::shared_ptr<prometheus::Registry> registry_ = std::make_shared<prometheus::Registry>();
  std::unique_ptr<HttpServer> server_;
  std::string listen_;
};

TEST_F(HttpServerTest, TakesAFreePort) { EXPECT_GT(server_->port(), 0); }

TEST_F(HttpServerTest, MetricsAreRefreshedAndInTheTextFormat) {
  EXPECT_THAT(HttpGet(listen_, "/metrics", kTimeout),
              IsOkAndHolds(AllOf(HasSubstr("# TYPE pmoves_sync_things_total counter"),
                                 HasSubstr("pmoves_sync_things_total 3"))));
  EXPECT_EQ(refreshed_, 1);
  EXPECT_THAT(RawAnswer(server_->port(), "GET /metrics HTTP/1.0\r\n\r\n"),
              HasSubstr("Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"));
}

TEST_F(HttpServerTest, LivezTellsWhetherTheLoopTurns) {
  EXPECT_THAT(HttpGet(listen_, "/livez", kTimeout), IsOkAndHolds("ok\n"));
  alive_ = false;
  EXPECT_THAT(HttpGet(listen_, "/livez", kTimeout),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("HTTP 503")));
}

TEST_F(HttpServerTest, ReadyzHasOneLineForEachMissingDependency) {
  EXPECT_THAT(HttpGet(listen_, "/readyz", kTimeout), IsOkAndHolds("ok\n"));
  ready_ = false;
  EXPECT_THAT(HttpGet(listen_, "/readyz", kTimeout),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("HTTP 503: nats: away\npostgres: away\n")));
}

TEST_F(HttpServerTest, StatusIsJson) {
  EXPECT_THAT(HttpGet(listen_, "/status", kTimeout), IsOkAndHolds("{\"state\":\"streaming\"}"));
  EXPECT_THAT(RawAnswer(server_->port(), "GET /status HTTP/1.0\r\n\r\n"),
              HasSubstr("Content-Type: application/json"));
}

TEST_F(HttpServerTest, OtherPathsAreNotFoundAlsoBelowAKnownOne) {
  for (const char* path : {"/", "/metrics/x", "/metric", "/livez/", "/../etc/passwd"}) {
    EXPECT_THAT(HttpGet(listen_, path, kTimeout),
                StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("HTTP 404")))
        << path;
  }
}

TEST_F(HttpServerTest, HeadHasTheHeaderOnlyAndPostIsRefused) {
  EXPECT_THAT(RawAnswer(server_->port(), "HEAD /livez HTTP/1.0\r\n\r\n"),
              AllOf(StartsWith("HTTP/1.1 200 OK\r\n"), Not(HasSubstr("ok\n"))));
  EXPECT_THAT(RawAnswer(server_->port(), "POST /livez HTTP/1.0\r\nContent-Length: 0\r\n\r\n"),
              StartsWith("HTTP/1.1 405 "));
}

TEST_F(HttpServerTest, AnswersManyAtOnce) {
  std::vector<std::thread> threads;
  std::atomic<int> good{0};
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 5; ++i) good += HttpGet(listen_, "/metrics", kTimeout).ok() ? 1 : 0;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(good, 40);
}

TEST_F(HttpServerTest, APortInUseIsNamedWithTheReason) {
  EXPECT_THAT(HttpServer::Start(listen_, registry_, {}),
              StatusIs(absl::StatusCode::kUnavailable,
                       "metrics.listen: cannot listen on " + listen_ + ": Address already in use"));
}

TEST_F(HttpServerTest, AStoppedServerIsUnavailable) {
  server_.reset();
  EXPECT_THAT(HttpGet(listen_, "/status", kTimeout),
              StatusIs(absl::StatusCode::kUnavailable,
                       "http://" + listen_ + "/status: Connection refused"));
}

TEST(HttpServer, ListensOnANameAndOnEveryAddress) {
  for (const char* host : {"localhost", "0.0.0.0"}) {
    ASSERT_OK_AND_ASSIGN(
        const auto server,
        HttpServer::Start(std::string(host) + ":0", std::make_shared<prometheus::Registry>(), {}));
    EXPECT_THAT(
        HttpGet(std::string(host) + ":" + std::to_string(server->port()), "/livez", kTimeout),
        IsOk())
        << host;
  }
}

TEST(HttpServer, AnAddressThatIsNotOursIsAnError) {
  EXPECT_THAT(HttpServer::Start("192.0.2.1:0", std::make_shared<prometheus::Registry>(), {}),
              StatusIs(absl::StatusCode::kUnavailable,
                       "metrics.listen: cannot listen on 192.0.2.1:0: Cannot assign requested "
                       "address"));
}

TEST(HttpGet, DoesNotWaitForeverForASilentPeer) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  ASSERT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(listen(fd, 1), 0);
  ASSERT_EQ(getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size), 0);
  EXPECT_THAT(HttpGet("127.0.0.1:" + std::to_string(ntohs(address.sin_port)), "/livez",
                      absl::Milliseconds(50)),
              StatusIs(absl::StatusCode::kDeadlineExceeded));
  close(fd);
}

TEST(ProcessMetrics, HaveTheValuesOfThisProcess) {
  prometheus::Registry registry;
  ProcessMetrics metrics(registry);
  metrics.Update();
  std::map<std::string, double> values;
  for (const prometheus::MetricFamily& family : registry.Collect()) {
    const prometheus::ClientMetric& metric = family.metric.at(0);
    values[family.name] =
        family.type == prometheus::MetricType::Counter ? metric.counter.value : metric.gauge.value;
  }
  EXPECT_EQ(values.size(), 4u);
  EXPECT_GE(values["process_cpu_seconds_total"], 0.0);
  EXPECT_GT(values["process_resident_memory_bytes"], 1e6);
  EXPECT_GE(values["process_open_fds"], 3.0);
  EXPECT_NEAR(values["process_start_time_seconds"], static_cast<double>(time(nullptr)), 600.0);
}

}  // namespace
}  // namespace pmoves
