#include "subscriber/core/source_relation.h"

#include <algorithm>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"

namespace pmoves {
namespace {

using ::testing::HasSubstr;

TargetTable Centre(const std::vector<std::string>& key) {
  TargetTable table;
  table.schema = "public";
  table.table = "t";
  for (const char* name : {"a", "b", "c"}) table.columns.push_back({.name = name, .type = "int4"});
  for (const std::string& name : key) table.key.push_back(table.Find(name));
  return table;
}

proto::RelationDefinition Source(const std::vector<std::string>& key) {
  proto::RelationDefinition relation;
  for (const char* name : {"a", "b", "c"}) {
    const bool in_key = std::find(key.begin(), key.end(), name) != key.end();
    relation.columns.push_back({name, "integer", 23, in_key, in_key});
  }
  return relation;
}

TEST(KeyMismatchTest, TheSameKeyInAnotherOrderFits) {
  EXPECT_THAT(KeyMismatch(Source({"a", "b"}), Centre({"b", "a"})), IsOk());
}

TEST(KeyMismatchTest, AKeyThatWasWidenedAtTheSourceIsNamed) {
  EXPECT_THAT(KeyMismatch(Source({"a", "b"}), Centre({"a"})),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("apart by (a, b), the centre by (a)")));
}

TEST(KeyMismatchTest, AKeyThatIsWiderInTheCentreIsNamed) {
  EXPECT_THAT(KeyMismatch(Source({"a"}), Centre({"a", "b"})),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("the centre by (a, b)")));
}

TEST(KeyMismatchTest, RenamedColumnsAndThoseThatTheCentreFillsAreAllowedFor) {
  TargetTable centre = Centre({"a", "b", "c"});
  centre.mapping.rename["old"] = "a";
  centre.mapping.constants["c"] = "7";
  proto::RelationDefinition source = Source({"a", "b"});
  source.columns[0].name = "old";
  EXPECT_THAT(KeyMismatch(source, centre), IsOk());
}

TEST(KeyMismatchTest, AnIdentityIndexMayHoldMoreThanTheKey) {
  proto::RelationDefinition source = Source({"a", "b"});
  source.identity = proto::ReplicaIdentity::kIndex;
  EXPECT_THAT(KeyMismatch(source, Centre({"a"})), IsOk());
  EXPECT_THAT(KeyMismatch(source, Centre({"c"})),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("the centre by (c)")));
}

TEST(KeyMismatchTest, WithoutAKeyNothingIsCompared) {
  EXPECT_THAT(KeyMismatch(Source({}), Centre({"a"})), IsOk());
}

}  // namespace
}  // namespace pmoves
