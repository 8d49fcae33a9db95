#include "common/base/reaction.h"

#include <string>

#include "common/base/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace pmoves {
namespace {

struct SqlCase {
  const char* sql_state;
  Reaction reaction;
};

TEST(ReactionTest, FollowsFromTheSqlState) {
  for (const SqlCase& test : {
           SqlCase{"40001", Reaction::kRetry},      // serialization_failure
           SqlCase{"40P01", Reaction::kRetry},      // deadlock_detected
           SqlCase{"55P03", Reaction::kRetry},      // lock_not_available
           SqlCase{"57014", Reaction::kRetry},      // query_canceled
           SqlCase{"53100", Reaction::kRetry},      // disk_full
           SqlCase{"53300", Reaction::kRetry},      // too_many_connections
           SqlCase{"57P01", Reaction::kReconnect},  // admin_shutdown
           SqlCase{"57P03", Reaction::kReconnect},  // cannot_connect_now
           SqlCase{"08006", Reaction::kReconnect},  // connection_failure
           SqlCase{"28P01", Reaction::kReconnect},  // invalid_password
           SqlCase{"3D000", Reaction::kReconnect},  // invalid_catalog_name
           SqlCase{"21000", Reaction::kSplit},      // cardinality_violation
           SqlCase{"22P02", Reaction::kSplit},      // invalid_text_representation
           SqlCase{"22001", Reaction::kSplit},      // string_data_right_truncation
           SqlCase{"23505", Reaction::kSplit},      // unique_violation
           SqlCase{"23503", Reaction::kSplit},      // foreign_key_violation
           SqlCase{"P0001", Reaction::kSplit},      // raise_exception
           SqlCase{"44000", Reaction::kSplit},      // with_check_option_violation
           SqlCase{"54000", Reaction::kSplit},      // program_limit_exceeded
           SqlCase{"42501", Reaction::kBlock},      // insufficient_privilege
           SqlCase{"42P01", Reaction::kBlock},      // undefined_table
           SqlCase{"42703", Reaction::kBlock},      // undefined_column
           SqlCase{"25006", Reaction::kReconnect},  // read_only_sql_transaction
           SqlCase{"0A000", Reaction::kBlock},      // feature_not_supported
           SqlCase{"XX000", Reaction::kBlock},      // internal_error
           SqlCase{"99999", Reaction::kBlock},      // nobody knows
       }) {
    // The code of the status does not matter beside a SQLSTATE.
    for (const absl::Status& status : {absl::UnknownError("x"), absl::InternalError("x")}) {
      EXPECT_EQ(ReactionTo(WithSqlState(status, test.sql_state)).reaction, test.reaction)
          << test.sql_state;
    }
  }
}

struct CodeCase {
  absl::Status status;
  Reaction reaction;
};

TEST(ReactionTest, FollowsFromTheCodeWhenTheServerGaveNoSqlState) {
  for (const CodeCase& test : {
           CodeCase{absl::UnavailableError("x"), Reaction::kReconnect},
           CodeCase{absl::UnknownError("x"), Reaction::kReconnect},
           CodeCase{absl::AbortedError("x"), Reaction::kRetry},
           CodeCase{absl::InvalidArgumentError("x"), Reaction::kSplit},
           CodeCase{absl::NotFoundError("x"), Reaction::kSplit},
           CodeCase{absl::FailedPreconditionError("x"), Reaction::kBlock},
           CodeCase{absl::CancelledError("x"), Reaction::kStop},
           CodeCase{absl::InternalError("x"), Reaction::kBlock},
           CodeCase{absl::ResourceExhaustedError("x"), Reaction::kBlock},
       }) {
    EXPECT_EQ(ReactionTo(test.status).reaction, test.reaction) << test.status;
  }
}

TEST(ReactionTest, EveryAnswerHasAdviceAndAName) {
  for (const char* sql_state : {"40001", "08006", "23505", "42P01", "99999"}) {
    const ReactionRow row = ReactionTo(WithSqlState(absl::UnknownError("x"), sql_state));
    EXPECT_GT(std::string(row.advice).size(), 10u);
  }
  EXPECT_EQ(ReactionName(Reaction::kRetry), "retry");
  EXPECT_EQ(ReactionName(Reaction::kReconnect), "reconnect");
  EXPECT_EQ(ReactionName(Reaction::kSplit), "split");
  EXPECT_EQ(ReactionName(Reaction::kBlock), "block");
  EXPECT_EQ(ReactionName(Reaction::kStop), "stop");
}

TEST(ReactionDeathTest, OfASuccessIsABug) {
  EXPECT_DEATH(ReactionTo(absl::OkStatus()), "broken invariant");
}

}  // namespace
}  // namespace pmoves
