// Golden test: every statement that is ever sent to the centre, as text, in merge_sql.golden beside
// this file. After a wanted change run the test with PMOVES_WRITE_GOLDEN=1 and read the difference
// as you would read code. That the statements do what they say is tested on a real Postgres
// (tests/contract, tests/e2e).
#include "subscriber/core/merge_sql.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "subscriber/core/conflict_log_sql.h"
#include "tests/testing/target_tables.h"

namespace pmoves {
namespace {

TargetTable OddTable() {
  TargetTable table;
  table.oid = 99;
  table.schema = "Odd \"schema\"";
  table.table = "it's";
  table.columns = {{.name = "tenant",
                    .type = "citext",
                    .type_oid = 90001,
                    .key_text = TargetColumn::KeyText::kCitext},
                   {.name = "No",
                    .type = "numeric(12,2)",
                    .type_oid = 1700,
                    .key_text = TargetColumn::KeyText::kNumeric},
                   {.name = "seq", .type = "bigint", .type_oid = 20, .identity_always = true},
                   {.name = "total", .type = "numeric", .type_oid = 1700, .generated = true},
                   {.name = "body", .type = "bytea", .type_oid = 17, .is_bytea = true}};
  table.key = {1, 0};
  return table;
}

std::string AllStatements() {
  std::ostringstream out;
  auto row = [&out](const char* name, const RowStatement& statement) {
    out << "-- " << name << " (types";
    for (uint32_t type : statement.parameter_types) out << " " << type;
    out << ")\n" << statement.sql << ";\n\n";
  };
  auto text = [&out](const char* name, const std::string& sql) {
    out << "-- " << name << "\n" << sql << ";\n\n";
  };

  TargetTable jobs = JobsTable();
  const Shape& all = jobs.Intern({0, 1, 2});
  const Shape& some = jobs.Intern({0, 1});
  const Shape& key = jobs.Intern({0});
  text("jobs: create stage", CreateStage(jobs, all, "pmoves_stage_1"));
  text("jobs: copy", CopyIntoStage("pmoves_stage_1"));
  text("jobs: copy into the table", CopyIntoTable(jobs, all));
  text("jobs: upsert from stage", UpsertFromStage(jobs, all, "pmoves_stage_1", Tombstones::kSome));
  text("jobs: upsert from stage, no tombstones",
       UpsertFromStage(jobs, all, "pmoves_stage_1", Tombstones::kNone));
  text("jobs: delete from stage", DeleteFromStage(jobs, key, "pmoves_stage_2"));
  text("jobs: log before upsert from stage",
       LogBeforeStage(jobs, all, "pmoves_stage_1", false, true));
  row("jobs: log before update row", LogBeforeRow(jobs, all, false, false));
  row("jobs: log before delete row", LogBeforeRow(jobs, key, true, false));
  row("jobs: upsert row", UpsertRow(jobs, all));
  row("jobs: delete row", DeleteRow(jobs, key));
  row("jobs: partial row", PartialRow(jobs, some));
  row("jobs: move row", MoveRow(jobs, some));
  row("jobs: why untouched", WhyUntouched(jobs));
  row("jobs: truncate own rows", TruncateOwnRows(jobs));

  TargetTable emptied = JobsTable();
  emptied.policy.truncate = TruncatePolicy::kAll;
  const Shape& emptied_all = emptied.Intern({0, 1, 2});
  row("truncate takes all: truncate", TruncateAll(emptied));
  text("truncate takes all: upsert from stage",
       UpsertFromStage(emptied, emptied_all, "pmoves_stage_6", Tombstones::kSome));
  row("truncate takes all: upsert row", UpsertRow(emptied, emptied_all));
  row("truncate takes all: move row", MoveRow(emptied, emptied.Intern({0, 1})));
  row("truncate takes all: why untouched", WhyUntouched(emptied));

  TargetTable odd = OddTable();
  const Shape& odd_all = odd.Intern({0, 1, 2, -1, 4});
  const Shape& odd_key = odd.Intern({1, 0});
  text("odd: create stage", CreateStage(odd, odd_all, "pmoves_stage_3"));
  text("odd: upsert from stage",
       UpsertFromStage(odd, odd_all, "pmoves_stage_3", Tombstones::kSome));
  row("odd: delete row", DeleteRow(odd, odd_key));
  row("odd: move row", MoveRow(odd, odd.Intern({0, 1, 2})));

  TargetTable own = OwnJobsTable();
  const Shape& own_all = own.Intern({0, 1, 2});
  const Shape& own_key = own.Intern({0});
  text("own: upsert from stage",
       UpsertFromStage(own, own_all, "pmoves_stage_4", Tombstones::kSome));
  text("own: delete from stage", DeleteFromStage(own, own_key, "pmoves_stage_5"));
  row("own: upsert row", UpsertRow(own, own_all));
  row("own: delete row", DeleteRow(own, own_key));
  own.policy.on_delete = DeletePolicy::kSoft;
  own.policy.soft_delete_column = "output";
  row("own: soft delete row", DeleteRow(own, own_key));
  own.policy = TablePolicy();
  row("own: partial row", PartialRow(own, own.Intern({0, 1})));
  row("own: move row", MoveRow(own, own.Intern({0, 1})));
  row("own: why untouched", WhyUntouched(own));
  row("own: truncate own rows", TruncateOwnRows(own));
  row("own: truncate all", TruncateAll(own));
  return out.str();
}

TEST(MergeSqlTest, StatementsAreThoseOfTheGoldenFile) {
  const std::string got = AllStatements();
  if (std::getenv("PMOVES_WRITE_GOLDEN") != nullptr) std::ofstream(PMOVES_GOLDEN_FILE) << got;
  std::ifstream file(PMOVES_GOLDEN_FILE);
  std::ostringstream want;
  want << file.rdbuf();
  EXPECT_EQ(got, want.str());
}

TEST(MergeSqlTest, LiteralsAndIdentifiersCannotBreakOut) {
  EXPECT_EQ(SqlIdentifier("a\"b"), "\"a\"\"b\"");
  EXPECT_EQ(SqlLiteral("it's"), "'it''s'");
  EXPECT_EQ(SqlLiteral("back\\slash'"), "E'back\\\\slash'''");
}

TEST(MergeSqlTest, ShapesAreInternedAndKnowTheirKey) {
  TargetTable odd = OddTable();
  const Shape& shape = odd.Intern({4, 0, -1, 1});
  EXPECT_EQ(&shape, &odd.Intern({4, 0, -1, 1}));
  EXPECT_TRUE(shape.has_key);
  EXPECT_EQ(shape.key, (std::vector<int>{3, 1}));
  EXPECT_EQ(shape.written, (std::vector<int>{0, 1, 3}));
  EXPECT_FALSE(odd.Intern({0, 4}).has_key);
}

}  // namespace
}  // namespace pmoves
