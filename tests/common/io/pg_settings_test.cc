// The settings of a session on a real PostgreSQL: what role, database and DSN prefer must not reach
// the rows (a database's default_transaction_isolation brought deleted rows back).
#include <gtest/gtest.h>

#include <utility>

#include "common/base/status.h"
#include "common/io/pg_connection.h"
#include "tests/testing/postgres_test.h"

namespace pmoves {
namespace {

class PgSettingsTest : public PostgresTest {
 protected:
  void SetUp() override { ASSERT_NO_FATAL_FAILURE(Connect(Options("postgres"))); }
  static PgOptions Options(const std::string& database) {
    PgOptions options;
    options.dsn = server_->Dsn(database);
    return options;
  }
  std::string Show(const std::string& name) { return Execute("SHOW " + name).String(0, 0); }
};

// All that a person may set for a database so that rows are bent, hidden, late or refused.
const SessionSettings kHostile = {
    {"bytea_output", "escape"},
    {"datestyle", "German, DMY"},
    {"intervalstyle", "sql_standard"},
    {"extra_float_digits", "-5"},
    {"timezone", "Asia/Kolkata"},
    {"xmloption", "document"},
    {"xmlbinary", "hex"},
    {"client_encoding", "LATIN1"},
    {"client_min_messages", "error"},
    {"standard_conforming_strings", "off"},
    {"array_nulls", "off"},
    {"transform_null_equals", "on"},
    {"quote_all_identifiers", "on"},
    {"row_security", "on"},
    {"check_function_bodies", "off"},
    {"default_transaction_isolation", "serializable"},
    {"default_transaction_read_only", "on"},
    {"default_transaction_deferrable", "on"},
    {"statement_timeout", "2s"},
    {"lock_timeout", "1ms"},
    {"idle_in_transaction_session_timeout", "1s"},
    {"idle_session_timeout", "1s"},
};

TEST_F(PgSettingsTest, WhatADatabasePrefersDoesNotReachASession) {
  Execute("CREATE DATABASE hostile");
  for (const auto& [name, value] : kHostile) {
    Execute("ALTER DATABASE hostile SET " + name + " = " + connection_->QuoteLiteral(value));
  }
  for (const bool replication : {false, true}) {
    PgOptions options = Options("hostile");
    options.replication = replication;
    ASSERT_NO_FATAL_FAILURE(Connect(options));
    for (const auto& [name, value] : kHostile) EXPECT_NE(Show(name), value) << name;
    EXPECT_EQ(Show("transaction_read_only"), "off");
    EXPECT_EQ(Show("transaction_isolation"), "read committed");
  }
}

// Poolers drop startup options, or refuse them.
TEST_F(PgSettingsTest, SettingsAreMadeByStatementAndWinOverTheDsn) {
  PgOptions options = Options("postgres");
  options.dsn += " options='-c bytea_output=escape -c lock_timeout=1'";
  options.settings = {{"lock_timeout", "4000"}, {"pmoves_sync.applying", "on"}};
  ASSERT_NO_FATAL_FAILURE(Connect(options));
  EXPECT_EQ(Show("bytea_output"), "hex");
  EXPECT_EQ(Show("lock_timeout"), "4s");
  EXPECT_EQ(Show("pmoves_sync.applying"), "on");
  const PgRows others = Execute(
      "SELECT name FROM pg_settings WHERE source = 'client' AND name NOT IN ('application_name', "
      "'client_encoding')");
  EXPECT_EQ(others.size(), 0);
}

TEST_F(PgSettingsTest, ASettingThatCannotBeHadRefusesTheSession) {
  Execute("CREATE ROLE plain LOGIN");
  PgOptions options = Options("postgres");
  options.dsn += " user=plain";
  options.settings = {{"session_replication_role", "replica"}};
  const auto connection = PgConnection::Connect(options);
  ASSERT_EQ(connection.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(SqlStateOf(connection.status()), "42501");
  EXPECT_NE(MessageOf(connection.status()).find("session_replication_role"), std::string::npos);
}

// As behind a pooler that gave this client another session.
TEST_F(PgSettingsTest, ASessionThatLostItsSettingsIsFound) {
  EXPECT_THAT(connection_->CheckSettings(), IsOk());
  Execute("RESET lock_timeout; SET bytea_output = 'escape'");
  const absl::Status status = connection_->CheckSettings();
  ASSERT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(MessageOf(status).find("bytea_output"), std::string::npos);
  EXPECT_NE(MessageOf(status).find("pooler"), std::string::npos);
}

}  // namespace
}  // namespace pmoves
