// One connection to a real PostgreSQL: a transaction that begins with its first statement is one
// whatever that statement is, and whatever becomes of it.
#include "common/io/pg_connection.h"

#include <gtest/gtest.h>

#include "common/base/status.h"
#include "tests/testing/postgres_test.h"

namespace pmoves {
namespace {

class PgConnectionTest : public PostgresTest {
 protected:
  void SetUp() override {
    PgOptions options;
    options.dsn = server_->Dsn();
    ASSERT_NO_FATAL_FAILURE(Connect(options));
    Execute("DROP TABLE IF EXISTS seen; CREATE TABLE seen (id int)");
    connection_->Begin();
  }
  int64_t Seen() { return Execute("SELECT count(*) FROM seen").Int(0, 0); }
};

TEST_F(PgConnectionTest, ATransactionBeginsWithItsFirstStatement) {
  EXPECT_EQ(connection_->transaction_status(), PQTRANS_IDLE);
  Execute("INSERT INTO seen VALUES (1); INSERT INTO seen VALUES (2)");
  EXPECT_EQ(connection_->transaction_status(), PQTRANS_INTRANS);
  connection_->Rollback();
  EXPECT_EQ(Seen(), 0);
}

TEST_F(PgConnectionTest, ATransactionBeginsWithAStatementOfParameters) {
  ASSERT_THAT(connection_->Execute("INSERT INTO seen VALUES ($1)", {PgParam("1")}), IsOk());
  EXPECT_EQ(connection_->transaction_status(), PQTRANS_INTRANS);
  ASSERT_THAT(connection_->Commit(), IsOk());
  EXPECT_EQ(Seen(), 1);
}

TEST_F(PgConnectionTest, ATransactionBeginsBeforeTheHandleIsUsed) {
  const PgResultPtr result(PQexec(connection_->raw(), "INSERT INTO seen VALUES (1)"));
  EXPECT_EQ(connection_->transaction_status(), PQTRANS_INTRANS);
  connection_->Rollback();
  EXPECT_EQ(Seen(), 0);
}

TEST_F(PgConnectionTest, AFirstStatementThatFailsFailsTheTransaction) {
  EXPECT_EQ(SqlStateOf(connection_->Execute("INSERT INTO seen VALUES (1); SELECT 1/0").status()),
            "22012");
  EXPECT_EQ(connection_->transaction_status(), PQTRANS_INERROR);
  connection_->Rollback();
  EXPECT_EQ(connection_->transaction_status(), PQTRANS_IDLE);
  EXPECT_EQ(Seen(), 0);
}

TEST_F(PgConnectionTest, ATransactionWithoutAStatementIsNone) {
  ASSERT_THAT(connection_->Commit(), IsOk());
  Execute("INSERT INTO seen VALUES (1)");
  EXPECT_EQ(connection_->transaction_status(), PQTRANS_IDLE);
  connection_->Begin();
  connection_->Rollback();
  Execute("INSERT INTO seen VALUES (2)");
  EXPECT_EQ(connection_->transaction_status(), PQTRANS_IDLE);
  EXPECT_EQ(Seen(), 2);
}

// Several users of one session prepare the same statement (the second target of a retry failed).
TEST_F(PgConnectionTest, AStatementIsPreparedOnceInASession) {
  for (int i = 0; i < 2; ++i) {
    ASSERT_THAT(connection_->PrepareOnce("twice", "integer", "SELECT 2 * $1"), IsOk());
    connection_->Rollback();  // prepared statements stay
    EXPECT_EQ(Execute("EXECUTE twice(21)").Int(0, 0), 42);
  }
  ASSERT_THAT(connection_->ForgetStatements(), IsOk());
  ASSERT_THAT(connection_->PrepareOnce("twice", "integer", "SELECT 3 * $1"), IsOk());
  EXPECT_EQ(Execute("EXECUTE twice(14)").Int(0, 0), 42);
  EXPECT_FALSE(connection_->PrepareOnce("broken", "integer", "SELECT $1 +").ok());
  EXPECT_FALSE(connection_->PrepareOnce("broken", "integer", "SELECT $1 +").ok());
}

TEST_F(PgConnectionTest, ALostConnectionBeginsNothing) {
  const std::string victim = std::to_string(PQbackendPID(connection_->raw()));
  connection_->Rollback();
  PgOptions options;
  options.dsn = server_->Dsn();
  auto other = PgConnection::Connect(options);
  ASSERT_THAT(other, IsOk());
  ASSERT_THAT((*other)->Execute("SELECT pg_terminate_backend($1::int, 10000)", {PgParam(victim)}),
              IsOk());
  connection_->Begin();
  EXPECT_EQ(connection_->Execute("SELECT $1", {PgParam("1")}).status().code(),
            absl::StatusCode::kUnavailable);
  EXPECT_FALSE(connection_->IsOpen());
  EXPECT_FALSE(connection_->Commit().ok());
}

}  // namespace
}  // namespace pmoves
