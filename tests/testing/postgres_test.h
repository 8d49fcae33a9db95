// PostgresTest: one real PostgreSQL for the tests of a suite, and the configuration of a centre in
// it.
#ifndef PMOVES_TESTS_TESTING_POSTGRES_TEST_H_
#define PMOVES_TESTS_TESTING_POSTGRES_TEST_H_

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

#include "common/io/pg_connection.h"
#include "tests/testing/postgres_server.h"
#include "tests/testing/status_matchers.h"

namespace pmoves {

class PostgresTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    auto server = PostgresServer::Start();
    ASSERT_THAT(server, IsOk());
    server_ = server->release();
  }
  static void TearDownTestSuite() {
    delete server_;
    server_ = nullptr;
  }

  void Connect(const PgOptions& options) {
    auto connection = PgConnection::Connect(options);
    ASSERT_THAT(connection, IsOk());
    connection_ = *std::move(connection);
  }
  PgRows Execute(const std::string& sql) {
    auto rows = connection_->Execute(sql);
    EXPECT_THAT(rows, IsOk()) << sql;
    return rows.ok() ? *std::move(rows) : PgRows(nullptr);
  }

  static PostgresServer* server_;
  std::unique_ptr<PgConnection> connection_;
};

inline PostgresServer* PostgresTest::server_ = nullptr;

}  // namespace pmoves

#endif  // PMOVES_TESTS_TESTING_POSTGRES_TEST_H_
