// Deferrable constraints, which PostgreSQL does not check for a session that applies as a replica,
// on a real Postgres: two rows that exclude each other never stand together.
#include <gtest/gtest.h>

#include <string>

#include "common/base/reaction.h"
#include "gmock/gmock.h"
#include "subscriber/core/dead_letter.h"
#include "tests/testing/centre.h"

namespace pmoves {
namespace {

using ::testing::HasSubstr;

class UnseenTest : public CentreTest, public ::testing::WithParamInterface<bool> {
 protected:
  void SetUp() override {
    CentreTest::SetUp();
    Execute("SET session_replication_role = replica");
    Execute(
        "ALTER TABLE jobs ADD CONSTRAINT apart EXCLUDE USING btree (status WITH =) WHERE (status "
        "<> "
        "'free') DEFERRABLE INITIALLY DEFERRED, ADD CONSTRAINT once UNIQUE (output) DEFERRABLE");
    Configure(FirstPolicy());
  }
  TablePolicy FirstPolicy() const override {
    TablePolicy policy;
    if (GetParam()) policy.columns = {{{"status"}, {.kind = RuleKind::kGreatest}}};
    return policy;
  }
  void ExpectRefused(const std::vector<Sent>& batch, const std::string& constraint) {
    const std::string before = Rows();
    const auto at_once = ApplyAtOnce(batch);
    EXPECT_TRUE(!at_once.ok() || !*at_once);
    const absl::Status status = Apply(batch);
    EXPECT_EQ(ReasonOf(status), "constraint") << status;
    EXPECT_EQ(ConstraintOf(status), constraint);
    EXPECT_EQ(ReactionTo(status).reaction, Reaction::kSplit);
    EXPECT_EQ(Rows(), before);
  }
};

Sent SendText(const std::string& source, int64_t hlc, int id, const std::string& status,
              const std::string& output) {
  return {source, "INSERT",
          absl::StrFormat(R"("data":[{"id":%d,"status":"%s","output":"%s"}])", id, status, output),
          hlc};
}

TEST_P(UnseenTest, ARowThatConflictsIsRefused) {
  ASSERT_THAT(Apply({SendText(kA, 10, 1, "a", "x"), SendText(kA, 11, 2, "b", "y")}), IsOk());
  ExpectRefused({SendText(kB, 20, 3, "a", "z")}, "apart");
  ExpectRefused({SendText(kB, 21, 4, "c", "y")}, "once");
  ExpectRefused({SendText(kA, 22, 2, "a", "y")}, "apart");
  Sent many{kB, "INSERT", R"("data":[)", 30};
  for (int id = 10; id < 110; ++id) {
    many.rest += absl::StrFormat(R"(%s{"id":%d,"status":"s%d","output":"%d"})", id == 10 ? "" : ",",
                                 id, id == 77 ? 76 : id, id);
  }
  many.rest += "]";
  ExpectRefused({many}, "apart");
}

TEST_P(UnseenTest, WhatDoesNotConflictIsWritten) {
  ASSERT_THAT(Apply({SendText(kA, 10, 1, "free", "x"), SendText(kB, 11, 2, "free", "y")}), IsOk());
  ASSERT_THAT(Apply({SendText(kA, 20, 1, "a", "x"), SendText(kA, 21, 3, "b", "z")}), IsOk());
  // Values change hands within a transaction.
  ASSERT_THAT(Apply({SendText(kA, 30, 1, "b", "z"), SendText(kA, 31, 3, "c", "x")}), IsOk());
  EXPECT_EQ(Rows(), "1:b@jetson-01 2:free@jetson-02 3:c@jetson-01");
}

TEST_P(UnseenTest, WhereTheServerLooksNobodyElseDoes) {
  Execute("SET session_replication_role = origin");
  Configure(FirstPolicy());
  const auto table = catalog_->Find("public", "jobs");
  ASSERT_THAT(table, IsOk());
  EXPECT_TRUE((*table)->unseen.empty());
}

INSTANTIATE_TEST_SUITE_P(Rules, UnseenTest, ::testing::Bool(),
                         [](const ::testing::TestParamInfo<bool>& each) {
                           return each.param ? "Registers" : "RowVersion";
                         });

}  // namespace
}  // namespace pmoves
