#include "publisher/io/nonfinite_reader.h"

#include "gtest/gtest.h"

namespace pmoves {
namespace {

Relation Numbers() {
  Relation relation;
  relation.oid = 1;
  relation.schema = "public";
  relation.table = "numbers";
  relation.columns = {{"id", "\"id\"", 23, true, false, false},
                      {"note", "\"note\"", 25, false, true, false},
                      {"value", "\"value\"", 701, false, false, true}};
  return relation;
}

WalChange Row(std::vector<proto::RawColumn> columns) {
  WalChange change;
  change.action = WalAction::kInsert;
  change.schema = "public";
  change.table = "numbers";
  change.columns = std::move(columns);
  return change;
}

TEST(NonfiniteReaderTest, OnlyANullWhereANumberMayBeNaNIsSuspicious) {
  EXPECT_TRUE(HasSuspiciousNull(Row({{"\"id\"", "1"}, {"\"note\"", "null"}, {"\"value\"", "null"}}),
                                Numbers()));
  EXPECT_FALSE(HasSuspiciousNull(Row({{"\"id\"", "1"}, {"\"note\"", "null"}, {"\"value\"", "1.5"}}),
                                 Numbers()));
}

TEST(NonfiniteReaderTest, FindsTheColumnAlsoWhenUnchangedToastIsLeftOut) {
  EXPECT_TRUE(HasSuspiciousNull(Row({{"\"id\"", "1"}, {"\"value\"", "null"}}), Numbers()));
  EXPECT_FALSE(HasSuspiciousNull(Row({{"\"id\"", "1"}}), Numbers()));
}

TEST(NonfiniteReaderTest, AGuardedColumnIsNeverSuspicious) {
  Relation guarded = Numbers();
  guarded.columns[2].may_be_nonfinite = false;
  EXPECT_FALSE(HasSuspiciousNull(
      Row({{"\"id\"", "1"}, {"\"note\"", "null"}, {"\"value\"", "null"}}), guarded));
}

}  // namespace
}  // namespace pmoves
