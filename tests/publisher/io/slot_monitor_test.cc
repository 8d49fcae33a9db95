// What the slot monitor does by itself, on a real Postgres.
#include "publisher/io/slot_monitor.h"

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <thread>

#include "common/io/pg_connection.h"
#include "tests/testing/postgres_server.h"
#include "tests/testing/status_matchers.h"

namespace pmoves {
namespace {

constexpr std::chrono::seconds kDeadline{20};

class SlotMonitorTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto server = PostgresServer::Start();
    ASSERT_THAT(server, IsOk());
    server_ = *std::move(server);
    PgOptions connect;
    connect.dsn = options_.dsn = server_->Dsn();
    auto connection = PgConnection::Connect(connect);
    ASSERT_THAT(connection, IsOk());
    connection_ = *std::move(connection);
    options_.slot = "here";
    options_.interval = absl::Milliseconds(20);
  }
  SlotStatus Look(const char* slot) {
    auto status = ReadSlotStatus(*connection_, slot);
    EXPECT_THAT(status.status(), IsOk());
    return status.ok() ? *status : SlotStatus();
  }

  std::unique_ptr<PostgresServer> server_;
  std::unique_ptr<PgConnection> connection_;
  SlotMonitor::Options options_;
  StatusBoard board_{PublisherStatus()};
  Metrics metrics_{std::make_shared<prometheus::Registry>(), "test", "here"};
};

TEST_F(SlotMonitorTest, AnIdleDatabaseThatHasTheSlotIsTouched) {
  ASSERT_THAT(connection_->Execute("SELECT pg_create_physical_replication_slot('here')"), IsOk());
  ASSERT_THAT(connection_->Execute("CHECKPOINT"), IsOk());
  const SlotStatus before = Look("here");
  options_.touch_after = absl::Milliseconds(200);
  SlotMonitor monitor(options_, board_, metrics_);
  const auto end = std::chrono::steady_clock::now() + kDeadline;
  SlotStatus seen;
  while (seen.wal_end <= before.wal_end && std::chrono::steady_clock::now() < end) {
    std::this_thread::yield();
    seen = board_.Get().slot;
  }
  EXPECT_GT(seen.wal_end, before.wal_end);
  EXPECT_GT(seen.server_us, before.server_us);
}

TEST_F(SlotMonitorTest, TheClockIsThatOfTheServerAtItsWalEnd) {
  auto now =
      connection_->Execute("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint");
  ASSERT_THAT(now, IsOk());
  const SlotStatus status = Look("missing");
  EXPECT_FALSE(status.exists);
  EXPECT_GE(status.server_us, now->Int(0, 0));
  EXPECT_LT(status.server_us, now->Int(0, 0) + 60000000);
}

}  // namespace
}  // namespace pmoves
