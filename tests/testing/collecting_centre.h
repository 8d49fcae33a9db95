// CollectingTest: a centre whose deletes are forgotten, as the coordinator does over a connection
// of its own.
#ifndef PMOVES_TESTS_TESTING_COLLECTING_CENTRE_H_
#define PMOVES_TESTS_TESTING_COLLECTING_CENTRE_H_

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "subscriber/io/collector.h"
#include "tests/testing/centre.h"

namespace pmoves {

class CollectingTest : public CentreTest {
 protected:
  void SetUp() override {
    CentreTest::SetUp();
    auto connection = PgConnection::Connect(TargetSessionOptions(config_, "collector"));
    ASSERT_THAT(connection, IsOk());
    other_ = *std::move(connection);
  }
  // How many keys were forgotten; -1: it failed.
  virtual int64_t Collect() = 0;
  static int64_t Forgotten(Collector& collector) {
    const auto collected = collector.Collect();
    EXPECT_THAT(collected.status(), IsOk());
    return collected.ok() ? collected->forgotten : -1;
  }
  int64_t Horizon() {
    return Execute("SELECT COALESCE(max(horizon), 0) FROM pmoves_sync.collection").Int(0, 0);
  }
  // Its heartbeats come.
  void Hear(const std::string& source) {
    Claim(source);
    Execute(
        "INSERT INTO pmoves_sync.sync_status (service_name, table_name, last_seen_at) VALUES ('" +
        source + "', 'jobs', now())");
  }
  // A row of A comes and goes at 20, then both sources pass 100.
  void DeleteAndPass() {
    ASSERT_THAT(Apply({SendInsert(kA, 10, 1, "a"), SendDelete(kA, 20, 1)}), IsOk());
    Pass();
  }
  void Pass() {
    ASSERT_THAT(Apply({SendInsert(kA, 100, 7, "a"), SendInsert(kB, 100, 8, "b")}), IsOk());
  }
  // After DeleteAndPass and a collection: what is below 21 is refused, the rest is applied.
  void ExpectLateIsRefused(const std::vector<Sent>& late) {
    for (const Sent& sent : late) {
      EXPECT_TRUE(IsTooLate(Apply({sent, SendInsert(kB, 200, 9, "b")})));
      EXPECT_EQ(Rows(), "7:a@jetson-01 8:b@jetson-02");
    }
    auto jobs = catalog_->Find("public", "jobs");
    ASSERT_THAT(jobs, IsOk());
    EXPECT_EQ(target_->HorizonOf(**jobs), Hlc{21});
    ASSERT_THAT(Apply({SendInsert(kC, 21, 1, "in time")}), IsOk());
    EXPECT_EQ(Rows(), "1:in time@jetson-03 7:a@jetson-01 8:b@jetson-02");
  }

  std::unique_ptr<PgConnection> other_;
};

}  // namespace pmoves

#endif  // PMOVES_TESTS_TESTING_COLLECTING_CENTRE_H_
