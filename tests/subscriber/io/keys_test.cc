// Keys that are equal for the database and differ in their bytes, or whose equality is not the one
// that "=" finds in the session's search_path.
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "subscriber/core/central_sql.h"
#include "subscriber/io/pg_preflight.h"
#include "tests/testing/centre.h"

namespace pmoves {
namespace {

using ::testing::HasSubstr;

Sent Row(const char* operation, const std::string& source, int64_t hlc, const std::string& id,
         const std::string& status) {
  return {source, operation,
          absl::StrFormat(R"("data":[{"id":%s,"status":"%s","output":"o"}])", id, status), hlc};
}
Sent Insert(const std::string& source, int64_t hlc, const std::string& id,
            const std::string& status) {
  return Row("INSERT", source, hlc, id, status);
}
Sent Delete(const std::string& source, int64_t hlc, const std::string& id) {
  return {source, "DELETE", absl::StrFormat(R"("keys":[{"id":%s}])", id), hlc};
}
Sent Partial(const std::string& source, int64_t hlc, const std::string& id,
             const std::string& status) {
  return {source, "UPDATE",
          absl::StrFormat(R"("data":[{"id":%s,"status":"%s"}],"unchanged":["output"])", id, status),
          hlc};
}
Sent Move(const std::string& source, int64_t hlc, const std::string& from, const std::string& to) {
  return {source, "UPDATE",
          absl::StrFormat(R"("data":[{"id":%s,"status":"moved","output":"o"}],"keys":[{"id":%s}])",
                          to, from),
          hlc};
}

class KeysTest : public CentreTest, public ::testing::WithParamInterface<RuleKind> {
 protected:
  TablePolicy FirstPolicy() const override {
    TablePolicy policy;
    policy.row.kind = GetParam();
    return policy;
  }
  void CreateJobs(const std::string& columns) {
    Execute("DROP TABLE jobs; CREATE TABLE jobs (" + columns + ")");
    Execute("DELETE FROM pmoves_sync.table_source");
    ASSERT_THAT(InitCentralSchema(*connection_, config_.tables), IsOk());
    target_ = std::make_unique<PgTarget>(*connection_);
    Configure(FirstPolicy());
  }
  void ApplyEach(const std::vector<Sent>& changes) {
    for (const Sent& sent : changes) ASSERT_THAT(Apply({sent}), IsOk());
  }
  void WithCitextInExtensions() {
    Execute("CREATE SCHEMA IF NOT EXISTS extensions");
    Execute("DROP EXTENSION IF EXISTS citext CASCADE");
    Execute("CREATE EXTENSION citext SCHEMA extensions");
    CreateJobs("id extensions.citext PRIMARY KEY, status text, output text");
  }
};

// Supabase puts extensions into a schema of their own. There "=" was that of text.
TEST_P(KeysTest, CitextOutsideOfTheSearchPathIsComparedAsCitext) {
  WithCitextInExtensions();
  ApplyEach({Insert(kA, 10, "\"Ada\"", "new"), Partial(kA, 20, "\"aDa\"", "partial")});
  EXPECT_EQ(Rows(), "aDa:partial@" + kA);
  ApplyEach({Delete(kA, 30, "\"ADA\"")});
  EXPECT_EQ(Rows(), "");
  ApplyEach({Insert(kB, 15, "\"ada\"", "late")});
  EXPECT_EQ(Rows(), "");
  ApplyEach({Insert(kA, 40, "\"Bob\"", "new"), Move(kA, 50, "\"BOB\"", "\"Eve\"")});
  EXPECT_EQ(Rows(), "Eve:moved@" + kA);
}

TEST_P(KeysTest, ManyDeletesFindCitextOutsideOfTheSearchPath) {
  WithCitextInExtensions();
  std::string rows;
  std::string keys;
  for (int i = 0; i < 200; ++i) {
    absl::StrAppendFormat(&rows, R"(%s{"id":"Row %d","status":"s","output":"o"})",
                          i == 0 ? "" : ",", i);
    absl::StrAppendFormat(&keys, R"(%s{"id":"ROW %d"})", i == 0 ? "" : ",", i);
  }
  ApplyEach({{kA, "INSERT", absl::StrFormat(R"("data":[%s])", rows), 10}});
  EXPECT_EQ(Count("jobs"), 200);
  ApplyEach({{kA, "DELETE", absl::StrFormat(R"("keys":[%s])", keys), 1000}});
  EXPECT_EQ(Count("jobs"), 0);
}

// The functions of the triggers have a search_path of their own.
TEST_P(KeysTest, PeoplesWritesFindCitextOutsideOfTheSearchPath) {
  WithCitextInExtensions();
  Execute(absl::StrFormat("SET %s = off", kApplyingSetting));
  Execute("SET session_replication_role = origin");
  Execute("INSERT INTO jobs VALUES ('Ada', 'p', 'o'); UPDATE jobs SET id = 'ADA', status = 'q'");
  Execute("DELETE FROM jobs; INSERT INTO jobs VALUES ('ada', 'r', 'o')");
  Execute(absl::StrFormat("SET %s = on", kApplyingSetting));
  Execute("SET session_replication_role = replica");
  EXPECT_EQ(Execute("SELECT string_agg(id || status, ' ') FROM jobs").String(0, 0), "adar");
  ApplyEach({Insert(kB, 15, "\"aDA\"", "old")});
  EXPECT_EQ(Count("jobs"), 1);
}

// The bytes do not tell that the two keys are one: it is sent as a delete and a row.
TEST_P(KeysTest, ARowLivesWhoseKeyIsSpelledAnewBeyondAscii) {
  WithCitextInExtensions();
  ApplyEach(
      {Insert(kA, 10, "\"\u00c4rger\"", "new"), Move(kA, 20, "\"\u00c4rger\"", "\"\u00e4rger\"")});
  EXPECT_EQ(Execute("SELECT status FROM jobs").String(0, 0), "moved");
  ApplyEach({Delete(kA, 30, "\"\u00c4RGER\"")});
  EXPECT_EQ(Count("jobs"), 0);
}

TEST_P(KeysTest, ZeroIsOneKeyWhateverItsSign) {
  CreateJobs("id float8 PRIMARY KEY, status text, output text");
  ASSERT_THAT(Apply({Insert(kA, 10, "0", "new"), Delete(kA, 20, "-0"), Insert(kA, 30, "-0", "b")}),
              IsOk());
  EXPECT_EQ(Execute("SELECT string_agg(status, ' ') FROM jobs").String(0, 0), "b");
  ApplyEach({Delete(kA, 40, "0")});
  EXPECT_EQ(Count("jobs"), 0);
  ApplyEach({Insert(kB, 35, "0", "late"), Insert(kB, 36, "-0", "late")});
  EXPECT_EQ(Count("jobs"), 0);
  ApplyEach({Insert(kA, 50, "\"NaN\"", "nan"), Delete(kA, 60, "\"NaN\"")});
  EXPECT_EQ(Count("jobs"), 0);
}

TEST_P(KeysTest, AKeyThatIncludesOtherColumnsIsItsKeyColumns) {
  CreateJobs("id int, status text, output text, PRIMARY KEY (id) INCLUDE (status)");
  ApplyEach({Insert(kA, 10, "1", "new"), Row("UPDATE", kA, 20, "1", "next")});
  EXPECT_EQ(Rows(), "1:next@" + kA);
  ApplyEach({Delete(kA, 30, "1")});
  EXPECT_EQ(Rows(), "");
}

INSTANTIATE_TEST_SUITE_P(Rules, KeysTest,
                         ::testing::Values(RuleKind::kLastWriteWins, RuleKind::kFirstWriteWins),
                         [](const auto& test) {
                           return test.param == RuleKind::kLastWriteWins ? "ByRow" : "ByRegisters";
                         });

struct KeyCase {
  const char* name;
  const char* type;
  const char* problem;  // null: it has one text
};
class KeyTypesTest : public CentreTest, public ::testing::WithParamInterface<KeyCase> {};

TEST_P(KeyTypesTest, ATypeWhoseEqualValuesLookDifferentIsRefusedByName) {
  Execute(
      "DROP SCHEMA IF EXISTS k CASCADE; CREATE SCHEMA k; "
      "CREATE COLLATION k.blind (provider = icu, locale = 'und-u-ks-level2', deterministic = "
      "false); CREATE TYPE k.pair AS (a int, b text); CREATE TYPE k.loose AS (a int, b numeric); "
      "CREATE DOMAIN k.span AS interval; CREATE DOMAIN k.amount AS numeric(10, 2); "
      "CREATE DOMAIN k.name AS text COLLATE k.blind; CREATE TYPE k.mood AS ENUM ('a', 'b')");
  Execute(absl::StrFormat("DROP TABLE jobs; CREATE TABLE jobs (id %s PRIMARY KEY, status text)",
                          GetParam().type));
  ASSERT_THAT(InitCentralSchema(*connection_, config_.tables), IsOk());
  const auto found = catalog_->Find("public", "jobs");
  std::string failed;
  for (const CheckLine& line : CheckCentre(*connection_, config_)) {
    if (line.grade == CheckLine::Grade::kFail) failed += line.what + "\n";
  }
  if (GetParam().problem == nullptr) {
    EXPECT_THAT(found, IsOk());
    EXPECT_EQ(failed, "");
    return;
  }
  EXPECT_THAT(found, StatusIs(absl::StatusCode::kFailedPrecondition,
                              HasSubstr("primary key column \"id\"")));
  EXPECT_THAT(failed, HasSubstr(GetParam().problem));
}

INSTANTIATE_TEST_SUITE_P(
    Types, KeyTypesTest,
    ::testing::Values(
        KeyCase{"Text", "text", nullptr}, KeyCase{"Collated", "text COLLATE \"en-x-icu\"", nullptr},
        KeyCase{"Uuid", "uuid", nullptr}, KeyCase{"Amount", "k.amount", nullptr},
        KeyCase{"Char", "char(4)", nullptr}, KeyCase{"TextArray", "text[]", nullptr},
        KeyCase{"IntRange", "int4range", nullptr}, KeyCase{"TimeRange", "tstzrange", nullptr},
        KeyCase{"Pair", "k.pair", nullptr}, KeyCase{"Mood", "k.mood", nullptr},
        KeyCase{"Cidr", "cidr", nullptr}, KeyCase{"TimeTz", "timetz", nullptr},
        KeyCase{"Blind", "text COLLATE k.blind", "collation is not deterministic"},
        KeyCase{"BlindDomain", "k.name", "collation is not deterministic"},
        KeyCase{"BlindArray", "text[] COLLATE k.blind", "collation is not deterministic"},
        KeyCase{"Interval", "interval", "'1 day' and '24:00:00' are equal"},
        KeyCase{"Span", "k.span", "'1 day' and '24:00:00' are equal"},
        KeyCase{"Jsonb", "jsonb", "1.0 and 1.00 are equal"},
        KeyCase{"Numerics", "numeric[]", "inside it 1.0 and 1.00 are equal"},
        KeyCase{"AmountArray", "k.amount[]", "inside it 1.0 and 1.00 are equal"},
        KeyCase{"NumRange", "numrange", "inside it 1.0 and 1.00 are equal"},
        KeyCase{"NumMultirange", "nummultirange", "inside it 1.0 and 1.00 are equal"},
        KeyCase{"Loose", "k.loose", "inside it 1.0 and 1.00 are equal"},
        KeyCase{"LooseArray", "k.loose[]", "inside it 1.0 and 1.00 are equal"},
        KeyCase{"Floats", "float4[]", "inside it 0 and -0 are equal"},
        KeyCase{"TsQuery", "tsquery", "of type tsquery it is not known"}),
    [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace pmoves
