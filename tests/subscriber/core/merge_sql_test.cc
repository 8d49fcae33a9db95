// Golden test: every statement that is ever sent to the centre, as text, in merge_sql.golden beside
// this file. After a wanted change run the test with PMOVES_WRITE_GOLDEN=1 and read the difference
// as you would read code. That the statements do what they say is tested on a real Postgres
// (tests/contract, tests/e2e).
#include "subscriber/core/merge_sql.h"

#include <gtest/gtest.h>

#include "subscriber/core/conflict_log_sql.h"
#include "tests/testing/golden.h"
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

Golden AllStatements() {
  Golden golden;

  TargetTable jobs = JobsTable();
  const Shape& all = jobs.Intern({0, 1, 2});
  const Shape& some = jobs.Intern({0, 1});
  const Shape& key = jobs.Intern({0});
  golden.Text("jobs: create stage", CreateStage(jobs, all, "pmoves_stage_1"));
  golden.Text("jobs: copy", CopyIntoStage("pmoves_stage_1"));
  golden.Text("jobs: copy into the table", CopyIntoTable(jobs, all));
  golden.Text("jobs: upsert from stage",
              UpsertFromStage(jobs, all, "pmoves_stage_1", Tombstones::kSome));
  golden.Text("jobs: upsert from stage, no tombstones",
              UpsertFromStage(jobs, all, "pmoves_stage_1", Tombstones::kNone));
  golden.Text("jobs: delete from stage", DeleteFromStage(jobs, key, "pmoves_stage_2"));
  golden.Text("jobs: log before upsert from stage",
              LogBeforeStage(jobs, all, "pmoves_stage_1", false, true));
  golden.Row("jobs: log before update row", LogBeforeRow(jobs, all, false, false));
  golden.Row("jobs: log before delete row", LogBeforeRow(jobs, key, true, false));
  golden.Row("jobs: upsert row", UpsertRow(jobs, all));
  golden.Row("jobs: delete row", DeleteRow(jobs, key));
  golden.Row("jobs: partial row", PartialRow(jobs, some));
  golden.Row("jobs: move row", MoveRow(jobs, some));
  golden.Row("jobs: why untouched", WhyUntouched(jobs));
  golden.Row("jobs: truncate own rows", TruncateOwnRows(jobs));

  TargetTable emptied = JobsTable();
  emptied.policy.truncate = TruncatePolicy::kAll;
  const Shape& emptied_all = emptied.Intern({0, 1, 2});
  golden.Row("truncate takes all: truncate", TruncateAll(emptied));
  golden.Text("truncate takes all: upsert from stage",
              UpsertFromStage(emptied, emptied_all, "pmoves_stage_6", Tombstones::kSome));
  golden.Row("truncate takes all: upsert row", UpsertRow(emptied, emptied_all));
  golden.Row("truncate takes all: move row", MoveRow(emptied, emptied.Intern({0, 1})));
  golden.Row("truncate takes all: why untouched", WhyUntouched(emptied));

  TargetTable odd = OddTable();
  const Shape& odd_all = odd.Intern({0, 1, 2, -1, 4});
  const Shape& odd_key = odd.Intern({1, 0});
  golden.Text("odd: create stage", CreateStage(odd, odd_all, "pmoves_stage_3"));
  golden.Text("odd: upsert from stage",
              UpsertFromStage(odd, odd_all, "pmoves_stage_3", Tombstones::kSome));
  golden.Row("odd: delete row", DeleteRow(odd, odd_key));
  golden.Row("odd: move row", MoveRow(odd, odd.Intern({0, 1, 2})));

  TargetTable own = OwnJobsTable();
  const Shape& own_all = own.Intern({0, 1, 2});
  const Shape& own_key = own.Intern({0});
  golden.Text("own: upsert from stage",
              UpsertFromStage(own, own_all, "pmoves_stage_4", Tombstones::kSome));
  golden.Text("own: delete from stage", DeleteFromStage(own, own_key, "pmoves_stage_5"));
  golden.Row("own: upsert row", UpsertRow(own, own_all));
  golden.Row("own: delete row", DeleteRow(own, own_key));
  own.policy.on_delete = DeletePolicy::kSoft;
  own.policy.soft_delete_column = "output";
  golden.Row("own: soft delete row", DeleteRow(own, own_key));
  own.policy = TablePolicy();
  golden.Row("own: partial row", PartialRow(own, own.Intern({0, 1})));
  golden.Row("own: move row", MoveRow(own, own.Intern({0, 1})));
  golden.Row("own: why untouched", WhyUntouched(own));
  golden.Row("own: truncate own rows", TruncateOwnRows(own));
  golden.Row("own: truncate all", TruncateAll(own));
  return golden;
}

TEST(MergeSqlTest, StatementsAreThoseOfTheGoldenFile) {
  AllStatements().ExpectSameAs(PMOVES_GOLDEN_FILE);
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
