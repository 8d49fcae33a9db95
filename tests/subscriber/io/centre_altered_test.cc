// The centre's tables altered while rows flow, on a real Postgres: no batch is written by what a
// table looked like before, whichever way the rows go.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_format.h"
#include "subscriber/io/pg_preflight.h"
#include "tests/testing/centre.h"

namespace pmoves {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

constexpr int kMany = 60;  // so many rows go by COPY

struct Way {
  const char* name;
  std::string operation;
  int rows;
  bool at_once;
};

class CentreAlteredTest : public CentreTest, public testing::WithParamInterface<Way> {
 protected:
  void Create(const std::string& columns) {
    Execute("DROP TABLE jobs");
    Execute("CREATE TABLE jobs (id integer PRIMARY KEY, " + columns + ")");
    ASSERT_THAT(InitCentralSchema(*connection_, config_.tables), IsOk());
    Configure(FirstPolicy());
  }
  // The rows 1.. with this JSON token.
  Sent SendValues(int64_t hlc, const std::string& token, const std::string& column = "v") {
    std::string rows;
    for (int id = 1; id <= GetParam().rows; ++id)
      absl::StrAppendFormat(&rows, R"(%s{"id":%d,"%s":%s})", id == 1 ? "" : ",", id, column, token);
    return {kA, GetParam().operation, absl::StrFormat(R"("data":[%s])", rows), hlc};
  }
  // As a worker does it: a batch that is refused because of an ALTER is made anew.
  absl::Status ApplyAsWorker(const std::vector<Sent>& batch) {
    for (int attempt = 0; attempt < 2; ++attempt) {
      absl::StatusOr<bool> done = false;
      if (GetParam().at_once) done = ApplyAtOnce(batch);
      const absl::Status status = done.ok() && !*done ? Apply(batch) : done.status();
      if (status.ok()) return status;
      const int generation = catalog_->generation();
      ASSIGN_OR_RETURN(TargetTable* const table, catalog_->Find("public", "jobs"));
      if (!catalog_->Reread({table}) && !IsAltered(status)) return status;
      ++altered_;
      if (catalog_->generation() != generation) target_->ForgetStatements();
    }
    return absl::AbortedError("altered again and again");
  }
  // Every row has this value, as the server prints it.
  void ExpectAll(const std::string& value, const std::string& column = "v") {
    const PgRows rows =
        Execute("SELECT count(*), min(" + column + "::text), max(" + column + "::text) FROM jobs");
    EXPECT_EQ(rows.Int(0, 0), GetParam().rows);
    EXPECT_EQ(rows.String(0, 1), value);
    EXPECT_EQ(rows.String(0, 2), value);
  }
  // `first` is written, `alter` is done, `second` is written, and shown as `shown`.
  void Alter(const std::string& columns, const std::string& first, const std::string& alter,
             const std::string& second, const std::string& shown) {
    ASSERT_NO_FATAL_FAILURE(Create(columns));
    ASSERT_THAT(ApplyAsWorker({SendValues(10, first)}), IsOk());
    ASSERT_THAT(ApplyAsWorker({SendValues(20, first)}), IsOk());
    Execute(alter);
    ASSERT_THAT(ApplyAsWorker({SendValues(30, second)}), IsOk());
    ExpectAll(shown);
  }
  int altered_ = 0;
};

TEST_P(CentreAlteredTest, MoreDigitsAfterThePointAreKept) {
  Alter("v numeric(10,2)", "1.25", "ALTER TABLE jobs ALTER v TYPE numeric(14,4)", "1.2345",
        "1.2345");
  EXPECT_EQ(altered_, 1);
}

TEST_P(CentreAlteredTest, AFinerTimestampIsKept) {
  Alter("v timestamp(0)", R"("2026-11-22 09:25:41")", "ALTER TABLE jobs ALTER v TYPE timestamp(6)",
        R"("2026-11-22 09:25:41.123456")", "2026-11-22 09:25:41.123456");
}

TEST_P(CentreAlteredTest, AWiderIntegerIsNoDeadLetter) {
  Alter("v integer", "7", "ALTER TABLE jobs ALTER v TYPE bigint", "5000000000", "5000000000");
}

TEST_P(CentreAlteredTest, AnotherTypeOfTheSameText) {
  Alter("v integer", "7", "ALTER TABLE jobs ALTER v TYPE text", R"("seven")", "seven");
}

TEST_P(CentreAlteredTest, ALongerTextIsKept) {
  Alter("v varchar(3)", R"("abc")", "ALTER TABLE jobs ALTER v TYPE varchar(8)", R"("abcdefgh")",
        "abcdefgh");
}

TEST_P(CentreAlteredTest, AGeneratedColumnBecomesAnOrdinaryOne) {
  Alter("w integer, v integer GENERATED ALWAYS AS (1) STORED", "1",
        "ALTER TABLE jobs ALTER v DROP EXPRESSION", "42", "42");
}

TEST_P(CentreAlteredTest, AnOrdinaryColumnBecomesAnIdentity) {
  Alter("v integer NOT NULL", "7", "ALTER TABLE jobs ALTER v ADD GENERATED ALWAYS AS IDENTITY", "7",
        "7");
}

TEST_P(CentreAlteredTest, AColumnIsDroppedAndMadeAgainWithAnotherType) {
  Alter("v integer", "7", "ALTER TABLE jobs DROP v; ALTER TABLE jobs ADD v numeric(20,3)", "8.125",
        "8.125");
}

TEST_P(CentreAlteredTest, TwoColumnsChangePlaces) {
  Alter("v integer, w text", "7",
        "ALTER TABLE jobs RENAME v TO x; ALTER TABLE jobs RENAME w TO v; ALTER TABLE jobs RENAME x "
        "TO w",
        R"("seven")", "seven");
}

TEST_P(CentreAlteredTest, AnotherTableTakesTheName) {
  ASSERT_NO_FATAL_FAILURE(Create("v numeric(10,2)"));
  ASSERT_THAT(ApplyAsWorker({SendValues(10, "1.25")}), IsOk());
  ASSERT_THAT(ApplyAsWorker({SendValues(20, "1.25")}), IsOk());
  Execute(
      "DROP TABLE IF EXISTS jobs_old; ALTER TABLE jobs RENAME TO jobs_old; CREATE TABLE jobs (LIKE "
      "jobs_old INCLUDING ALL); ALTER TABLE jobs ALTER v TYPE numeric(14,4)");
  ASSERT_THAT(ApplyAsWorker({SendValues(30, "1.2345")}), IsOk());
  ExpectAll("1.2345");
  EXPECT_EQ(Count("jobs_old"), GetParam().rows);
  EXPECT_EQ(altered_, 1);
  Execute("DROP TABLE jobs_old");
}

TEST_P(CentreAlteredTest, TheTableIsDroppedAndMadeAgain) {
  ASSERT_NO_FATAL_FAILURE(Create("v integer"));
  ASSERT_THAT(ApplyAsWorker({SendValues(10, "1")}), IsOk());
  Execute(
      "CREATE TABLE jobs_new (LIKE jobs INCLUDING ALL); DROP TABLE jobs; ALTER TABLE jobs_new "
      "RENAME TO jobs");
  ASSERT_THAT(ApplyAsWorker({SendValues(30, "2")}), IsOk());
  ExpectAll("2");
  EXPECT_EQ(altered_, 1);
}

// The types' names are in the text of stages and casts.
TEST_P(CentreAlteredTest, ATypeIsRenamedAndAnotherTakesItsName) {
  Execute("DROP DOMAIN IF EXISTS price, price_of_before CASCADE; CREATE DOMAIN price AS numeric");
  Alter("v price", "1.25",
        "ALTER DOMAIN price RENAME TO price_of_before; CREATE DOMAIN price AS numeric(4,1)",
        "1.2345", "1.2345");
}

TEST_P(CentreAlteredTest, AnEnumGetsALabel) {
  Execute("DROP TYPE IF EXISTS mood CASCADE; CREATE TYPE mood AS ENUM ('so so')");
  Alter("v mood", R"("so so")", "ALTER TYPE mood ADD VALUE 'happy'", R"("happy")", "happy");
}

TEST_P(CentreAlteredTest, WhatDoesNotMatterCostsNothing) {
  ASSERT_NO_FATAL_FAILURE(Create("v integer"));
  ASSERT_THAT(ApplyAsWorker({SendValues(10, "1")}), IsOk());
  Execute("VACUUM ANALYZE jobs");
  Execute(
      "TRUNCATE jobs; GRANT SELECT ON jobs TO PUBLIC; REINDEX TABLE "
      "pmoves_sync.tombstone; CREATE INDEX ON jobs (v)");
  ASSERT_THAT(ApplyAsWorker({SendValues(20, "2")}), IsOk());
  EXPECT_EQ(altered_, 0);
}

class MeddlersTest : public CentreTest {
 protected:
  std::string Checked() {
    std::string all;
    for (const CheckLine& line : CheckCentre(*connection_, config_)) all += line.what + line.fix;
    return all;
  }
};

// They change rows or leave them out, and nothing tells.
TEST_F(MeddlersTest, CheckNamesTriggersAndRulesThatRunForAppliedRows) {
  Execute(
      "CREATE OR REPLACE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; "
      "END'; CREATE TRIGGER meddler BEFORE INSERT ON jobs FOR EACH ROW EXECUTE FUNCTION meddle(); "
      "CREATE RULE ruler AS ON DELETE TO jobs DO INSTEAD NOTHING");
  EXPECT_THAT(Checked(), Not(HasSubstr("runs for applied rows")));  // they do not, as a replica
  Execute("ALTER TABLE jobs ENABLE ALWAYS TRIGGER meddler, ENABLE REPLICA RULE ruler");
  EXPECT_THAT(Checked(), AllOf(HasSubstr("trigger meddler of public.jobs runs for applied rows"),
                               HasSubstr("DISABLE RULE \"ruler\"")));
}

INSTANTIATE_TEST_SUITE_P(Ways, CentreAlteredTest,
                         testing::Values(Way{"inserted_by_copy", "INSERT", kMany, false},
                                         Way{"updated_by_stage", "UPDATE", kMany, false},
                                         Way{"row_by_row", "UPDATE", 3, false},
                                         Way{"at_once", "UPDATE", 3, true}),
                         [](const auto& way) { return std::string(way.param.name); });

}  // namespace
}  // namespace pmoves
