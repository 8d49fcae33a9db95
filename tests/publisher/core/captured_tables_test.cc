#include "publisher/core/captured_tables.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"

namespace pmoves {
namespace {

using ::testing::HasSubstr;

TEST(CapturedTablesTest, EscapesEveryCharacterForWal2json) {
  ASSERT_OK_AND_ASSIGN(CapturedTables tables,
                       CapturedTables::Make({{"public", "a,b.c", false}, {"Ü", "t *", false}}));
  EXPECT_EQ(tables.AddTablesOption(), "\\p\\u\\b\\l\\i\\c.\\a\\,\\b\\.\\c,\\\xC3\x9C.\\t\\ \\*");
}

TEST(CapturedTablesTest, AWholeSchemaKeepsItsStar) {
  ASSERT_OK_AND_ASSIGN(CapturedTables tables, CapturedTables::Make({{"app", "", true}}));
  EXPECT_EQ(tables.AddTablesOption(), "\\a\\p\\p.*");
  EXPECT_TRUE(tables.Matches("app", "anything"));
  EXPECT_FALSE(tables.Matches("public", "anything"));
}

TEST(CapturedTablesTest, NamedTablesMatchExactly) {
  ASSERT_OK_AND_ASSIGN(CapturedTables tables, CapturedTables::Make({{"public", "jobs", false}}));
  EXPECT_TRUE(tables.Matches("public", "jobs"));
  EXPECT_FALSE(tables.Matches("public", "Jobs"));
}

TEST(CapturedTablesTest, PlatformSchemasAreNeverTakenByAWildcard) {
  for (const char* schema : {"auth", "storage", "vault", "pg_catalog", "pmoves_sync"}) {
    EXPECT_THAT(CapturedTables::Make({{schema, "", true}}),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(schema)));
  }
  EXPECT_THAT(CapturedTables::Make({{"auth", "users", false}}), IsOk());
}

TEST(CapturedTablesTest, NoTableIsAnErrorBecauseWal2jsonWouldSayNothing) {
  EXPECT_THAT(CapturedTables::Make({}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("empty")));
}

TEST(CapturedTablesTest, RepeatedEntriesCountOnce) {
  ASSERT_OK_AND_ASSIGN(CapturedTables tables,
                       CapturedTables::Make({{"public", "a", false}, {"public", "a", false}}));
  EXPECT_EQ(tables.patterns().size(), 1u);
}

}  // namespace
}  // namespace pmoves
