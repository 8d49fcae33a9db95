// TargetTest: a session like a worker's in a real PostgreSQL, and a configuration of one table
// there.
#ifndef PMOVES_TESTS_TESTING_TARGET_TEST_H_
#define PMOVES_TESTS_TESTING_TARGET_TEST_H_

#include <string>

#include "subscriber/config.h"
#include "subscriber/io/pg_target.h"
#include "tests/testing/postgres_test.h"

namespace pmoves {

class TargetTest : public PostgresTest {
 protected:
  // public.`table` is the one that is configured.
  void ConnectFor(const std::string& table) {
    config_.postgres.dsn = server_->Dsn();
    TableConfig& configured = config_.tables.emplace_back();
    configured.schema = "public";
    configured.table = table;
    Connect(TargetSessionOptions(config_, "test"));
  }

  SubscriberConfig config_;
};

}  // namespace pmoves

#endif  // PMOVES_TESTS_TESTING_TARGET_TEST_H_
