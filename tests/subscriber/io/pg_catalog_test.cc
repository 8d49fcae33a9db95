// The catalog's view of real tables: what the types of columns allow, and that a table that does
// not fit its configuration is not handed out.
#include "subscriber/io/pg_catalog.h"

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "subscriber/io/central_schema.h"
#include "subscriber/io/pg_preflight.h"
#include "tests/testing/target_test.h"

namespace pmoves {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class PgCatalogTest : public TargetTest {
 protected:
  void SetUp() override {
    ASSERT_NO_FATAL_FAILURE(ConnectFor("things"));
    Execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public");
  }
  void CreateTable(const std::string& columns) {
    Execute(absl::StrFormat("CREATE TABLE things (id int PRIMARY KEY, %s)", columns));
    ASSERT_THAT(InitCentralSchema(*connection_, config_.tables), IsOk());
  }
  TableConfig& things() { return config_.tables[0]; }
};

TEST_F(PgCatalogTest, TypesAreKnownForWhatTheyAre) {
  Execute(
      "CREATE TYPE mood AS ENUM ('low', 'high'); CREATE DOMAIN stamp AS timestamptz; "
      "CREATE DOMAIN late_stamp AS stamp; CREATE TYPE pair AS (a int, b int)");
  CreateTable(
      "a int8, b varchar(10), c text[], d json, e jsonb, f late_stamp, g mood, h point, i point[], "
      "j varchar(3)[], k mood[], l int4range, m bytea, n uuid, o xml, p interval, q bool, r pair, "
      "s cidr");
  TargetCatalog catalog(*connection_, config_.tables);
  auto table = catalog.Find("public", "things");
  ASSERT_THAT(table, IsOk());
  std::map<std::string, std::string> got;
  for (const TargetColumn& column : (*table)->columns) {
    got[column.name] = absl::StrFormat("%s %c %s", column.base_type, column.category,
                                       column.orderable ? "ordered" : "-");
  }
  const std::map<std::string, std::string> want = {{"id", "int4 N ordered"},
                                                   {"a", "int8 N ordered"},
                                                   {"b", "varchar S ordered"},
                                                   {"c", "_text A ordered"},
                                                   {"d", "json U -"},
                                                   {"e", "jsonb U ordered"},
                                                   {"f", "timestamptz D ordered"},
                                                   {"g", "mood E ordered"},
                                                   {"h", "point G -"},
                                                   {"i", "_point A -"},
                                                   {"j", "_varchar A ordered"},
                                                   {"k", "_mood A ordered"},
                                                   {"l", "int4range R ordered"},
                                                   {"m", "bytea U ordered"},
                                                   {"n", "uuid U ordered"},
                                                   {"o", "xml U -"},
                                                   {"p", "interval T ordered"},
                                                   {"q", "bool B ordered"},
                                                   {"r", "pair C ordered"},
                                                   {"s", "cidr I ordered"}};
  EXPECT_EQ(got, want);
}

TEST_F(PgCatalogTest, ATableThatDoesNotFitItsConfigurationIsNotHandedOut) {
  CreateTable("status text, meta json");
  std::vector<ColumnRule>& rules = things().policy.columns;
  rules.resize(2);
  rules[0].columns = {"status", "worker"};
  rules[0].rule.kind = RuleKind::kSumOfSources;
  rules[1].columns = {"meta"};
  rules[1].rule.kind = RuleKind::kGreatest;
  TargetCatalog catalog(*connection_, config_.tables);
  EXPECT_THAT(catalog.Find("public", "things"),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       AllOf(HasSubstr("no column \"worker\""), HasSubstr("'sum-of-sources' needs"),
                             HasSubstr("'greatest' needs a type with an order"))));
  std::string failed;
  for (const CheckLine& line : CheckCentre(*connection_, config_)) {
    if (line.grade == CheckLine::Grade::kFail) failed += line.what + "\n";
  }
  EXPECT_EQ(failed,
            "table public.things: columns.status.group: public.things has no column \"worker\" in "
            "the centre\n"
            "table public.things: columns.status.conflict: 'sum-of-sources' needs a number or an "
            "interval, \"status\" is text\n"
            "table public.things: columns.meta.conflict: 'greatest' needs a type with an order, "
            "\"meta\" is json\n");
  Execute(
      "ALTER TABLE things ADD worker text, ALTER status TYPE int USING 0, ALTER meta TYPE jsonb");
  EXPECT_THAT(catalog.Find("public", "things"), IsOk());
}

TEST_F(PgCatalogTest, ATableIsFoundByWhatItsSourcesCallIt) {
  CreateTable("status text");
  things().from_schema = "edge";
  things().from_table = "items";
  TargetCatalog catalog(*connection_, config_.tables);
  auto table = catalog.Find("edge", "items");
  ASSERT_THAT(table, IsOk());
  EXPECT_EQ((*table)->Name(), "public.things");
  EXPECT_EQ((*table)->SourceSchema() + "." + (*table)->SourceTable(), "edge.items");
  EXPECT_THAT(catalog.Find("public", "things"), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(PgCatalogTest, AConstantMustBeAValueOfItsColumn) {
  CreateTable("site text, level int, mood date");
  things().mapping.constants = {{"site", "berlin"}, {"level", "3"}, {"mood", "2026-11-22"}};
  TargetCatalog catalog(*connection_, config_.tables);
  EXPECT_THAT(catalog.Find("public", "things"), IsOk());
  things().mapping.constants["level"] = "three";
  catalog.Invalidate();
  EXPECT_THAT(catalog.Find("public", "things"),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("constants.level: invalid input syntax for type integer")));
}

}  // namespace
}  // namespace pmoves
