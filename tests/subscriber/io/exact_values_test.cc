// What the centre cannot hold exactly is not written, whichever way it comes; and what is taken for
// exact is what PostgreSQL holds for it. On a real Postgres.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "gmock/gmock.h"
#include "subscriber/core/dead_letter.h"
#include "subscriber/core/exact_value.h"
#include "tests/testing/centre.h"

namespace pmoves {
namespace {

using ::testing::HasSubstr;

class ExactValuesTest : public CentreTest {
 protected:
  // The limit of a column of this type, as the catalog reads it.
  ValueLimit LimitOfType(const std::string& type) {
    Execute("DROP TABLE IF EXISTS probe");
    Execute("CREATE TABLE probe (id int PRIMARY KEY, v " + type + ")");
    config_.tables.resize(1);
    config_.tables.push_back(config_.tables[0]);
    config_.tables[1].table = "probe";
    EXPECT_THAT(InitCentralSchema(*connection_, config_.tables), IsOk());
    Configure(FirstPolicy());
    const auto table = catalog_->Find("public", "probe");
    EXPECT_THAT(table, IsOk());
    return (*table)->columns[1].limit;
  }
  // jobs with these columns, under `policy`.
  void Remake(const std::string& columns, const TablePolicy& policy) {
    Empty();
    Execute("DROP TABLE jobs CASCADE; DROP SCHEMA pmoves_sync CASCADE");
    Execute("CREATE TABLE jobs (" + columns + ")");
    config_.tables.resize(1);
    config_.tables[0].policy = policy;
    ASSERT_THAT(InitCentralSchema(*connection_, config_.tables), IsOk());
    Configure(policy);
  }
  std::string Shown() {
    return Execute(
               "SELECT COALESCE(string_agg(format('%s:%s', id, v), ' ' ORDER BY id), '') FROM jobs")
        .String(0, 0);
  }
};

Sent SendValues(const std::string& operation, int64_t hlc, const std::vector<std::string>& values) {
  std::vector<std::string> rows;
  for (size_t i = 0; i < values.size(); ++i)
    rows.push_back(absl::StrFormat(R"({"id":%d,"v":"%s"})", i + 1, values[i]));
  return {kA, operation, absl::StrFormat(R"("data":[%s])", absl::StrJoin(rows, ",")), hlc};
}

TablePolicy Registers() {
  TablePolicy policy;
  policy.columns = {{{"v"}, {.kind = RuleKind::kFirstWriteWins}}};
  return policy;
}

// A value of the column's own type is never refused.
TEST_F(ExactValuesTest, EveryValueThatPostgresPrintsIsHeld) {
  Execute(
      "DROP TYPE IF EXISTS pair CASCADE; CREATE TYPE pair AS (a numeric(8,3), b timestamptz(2), c "
      "varchar(4)[])");
  Execute("DROP DOMAIN IF EXISTS amount CASCADE; CREATE DOMAIN amount AS numeric(6,1)");
  struct Case {
    const char* type;
    const char* any;  // SQL, of i and r: 0 <= r < 1
  };
  const std::vector<Case> cases = {
      {"double precision", "(r - 0.5) * 10 ^ (random() * 600 - 300)"},
      {"double precision", "2.0::float8 ^ (i % 2098 - 1074)"},
      {"double precision", "10.0::float8 ^ (i % 600 - 300)"},
      {"double precision", "(2.0::float8 ^ (i % 900)) * (1 + (r * 8)::int * 2.0::float8 ^ -52)"},
      {"double precision", "floor(r * 1e17)"},
      {"real", "(r - 0.5) * 10 ^ (random() * 70 - 37)"},
      {"real", "2.0::float8 ^ (i % 276 - 149)"},
      {"real", "10.0::float8 ^ (i % 70 - 35)"},
      {"real", "floor(r * 1e9)"},
      {"numeric", "round(((r - 0.5) * 10 ^ (random() * 40 - 20))::numeric, (random() * 30)::int)"},
      {"numeric(12,2)", "(r - 0.5) * 1e10"},
      {"numeric(12,-2)", "(r - 0.5) * 1e10"},
      {"numeric(3,5)", "(r - 0.5) / 200"},
      {"amount", "(r - 0.5) * 1e5"},
      {"amount[]", "ARRAY[(r - 0.5) * 1e5, NULL]::amount[]"},
      {"money", "((r - 0.5) * 1e8)::numeric"},
      {"bigint", "((r - 0.5) * 1.8e19)::numeric"},
      {"date", "'2000-01-01'::date + ((r - 0.5) * 2000000)::int"},
      {"time", "'00:00'::time + r * interval '1 day'"},
      {"time(3)", "'00:00'::time + r * interval '1 day'"},
      {"timetz(1)", "('00:00'::time + r * interval '1 day')::timetz AT TIME ZONE 'Asia/Kathmandu'"},
      {"timestamp", "'2000-01-01'::timestamp + (r - 0.5) * interval '9000 years'"},
      {"timestamp(0)", "'2000-01-01'::timestamp + (r - 0.5) * interval '90 years'"},
      {"timestamptz", "'2000-01-01'::timestamptz + (r - 0.5) * interval '9000 years'"},
      {"timestamptz(4)", "'2000-01-01'::timestamptz + (r - 0.5) * interval '90 years'"},
      {"interval", "(r - 0.5) * interval '90 years 7 mons 3 days 04:05:06.789'"},
      {"interval(2)", "(r - 0.5) * interval '90 years 7 mons 3 days 04:05:06.789'"},
      {"interval year to month", "(r - 0.5) * interval '90 years 7 mons 3 days'"},
      {"interval day to hour", "(r - 0.5) * interval '90 years 7 mons 3 days 04:05:06.789'"},
      {"interval hour to second(1)", "(r - 0.5) * interval '90 years 7 mons 3 days 04:05:06.789'"},
      {"varchar(5)", "left(md5(r::text), i % 6)"},
      {"char(5)", "left(md5(r::text), i % 6)"},
      {"varbit(9)", "(i % 512)::bit(9)"},
      {"jsonb",
       "jsonb_build_object('a', i, 'bb', jsonb_build_array(r, NULL), 'a\"', '{\"a\":1,\"a\":2}')"},
      {"pair", "ROW(r, now(), ARRAY['a\"', 'b,c'])::pair"},
      {"tstzrange", "tstzrange(now(), now() + r * interval '1 day')"},
      {"daterange", "daterange(current_date, current_date + i)"},
      {"numrange", "numrange(r::numeric, NULL)"},
      {"timestamptz(3)[]", "ARRAY[now(), 'infinity', NULL]"},
  };
  for (const Case& each : cases) {
    const ValueLimit limit = LimitOfType(each.type);
    const PgRows rows = Execute(absl::StrFormat(
        "SELECT v::text FROM (SELECT (%s)::%s AS v FROM (SELECT i, random() AS r FROM "
        "generate_series(1, 2200) i) made) values",
        each.any, each.type));
    for (int i = 0; i < rows.size(); ++i) {
      ASSERT_TRUE(rows.IsNull(i, 0) || HoldsExactly(limit, rows.Text(i, 0)))
          << each.type << ": " << rows.Text(i, 0);
    }
  }
}

// A text is held if and only if what the column shows of it is equal in the wider type.
TEST_F(ExactValuesTest, WhatIsTakenForExactIsWhatPostgresHoldsForIt) {
  struct Case {
    const char* type;
    const char* wide;
    const char* any;  // SQL: a text
  };
  const std::vector<Case> cases = {
      {"double precision", "numeric", "round((r * 10 ^ (i % 20))::numeric, i % 22)::text"},
      {"double precision", "numeric", "(9007199254740990 + i)::text"},
      {"double precision", "numeric",
       "trim_scale((floor(r * 1e16)::numeric + 1) * 10::numeric ^ (i % 30 - 15))::text"},
      {"real", "numeric", "round((r * 10 ^ (i % 9))::numeric, i % 12)::text"},
      {"real", "numeric", "(16777200 + i)::text"},
      {"numeric(8,2)", "numeric", "round(r::numeric * 1000, i % 6)::text"},
      {"numeric(8,-1)", "numeric", "(i % 300)::text"},
      {"timestamp(2)", "timestamp",
       "(date_trunc('second', now()::timestamp) + (i % 500) * interval '1 ms')::text"},
      {"timestamptz(0)", "timestamptz",
       "(date_trunc('second', now()) + (i % 500) * interval '100 ms')::text"},
      {"time(1)", "time", "('10:00'::time + (i % 500) * interval '10 ms')::text"},
      {"interval(1)", "interval", "((i % 500) * interval '10 ms')::text"},
      {"interval day to minute", "interval", "((i % 500) * interval '20 s')::text"},
      {"interval hour", "interval", "((i % 500) * interval '20 min')::text"},
      {"interval month", "interval", "((i % 500) * interval '12 h')::text"},
      {"date", "timestamp", "('2026-01-01'::timestamp + (i % 500) * interval '6 h')::text"},
  };
  for (const Case& each : cases) {
    const ValueLimit limit = LimitOfType(each.type);
    const PgRows rows = Execute(absl::StrFormat(
        "SELECT x, CASE WHEN '%s' = 'interval' THEN x::%s::text = x ELSE x::%s::text::%s = x::%s "
        "END FROM (SELECT %s AS x FROM (SELECT i, random() AS r FROM generate_series(1, 2000) i) "
        "made) texts",
        each.wide, each.type, each.type, each.wide, each.wide, each.any));
    int exact = 0;
    for (int i = 0; i < rows.size(); ++i) {
      ASSERT_EQ(HoldsExactly(limit, rows.Text(i, 0)), rows.Bool(i, 1))
          << each.type << ": " << rows.Text(i, 0);
      exact += rows.Bool(i, 1) ? 1 : 0;
    }
    EXPECT_GT(exact, 0) << each.type;
    EXPECT_LT(exact, rows.size()) << each.type;
  }
}

struct Narrow {
  const char* type;
  const char* fits;
  const char* does_not;
};
constexpr Narrow kNarrow[] = {
    {"varchar(5)", "abcde", "abcdefgh"},
    {"varchar(5)", "abcde", "abcde   "},
    {"char(5)", "abcde", "abcdef"},
    {"name", "x", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"},
    {"\"char\"", "a", "abc"},
    {"bit(3)", "101", "10111"},
    {"varbit(3)", "101", "10111"},
    {"numeric(10,2)", "1.50", "1.005"},
    {"real", "0.5", "0.12345678901"},
    {"double precision", "0.5", "9007199254740993"},
    {"integer", "7", "007"},
    {"oid", "7", "-1"},
    {"boolean", "true", "1"},
    {"money", "$1.50", "1.005"},
    {"date", "2026-01-01", "2026-01-01 10:00:00"},
    {"time(0)", "10:00:00", "10:00:00.7"},
    {"timestamp", "2026-01-01 10:00:00", "2026-01-01 10:00:00+02"},
    {"timestamptz", "2026-01-01 10:00:00+00", "2026-01-01 10:00:00"},
    {"timestamptz", "2026-01-01 10:00:00+00", "now"},
    {"timestamptz(3)", "2026-01-01 10:00:00.123+00", "2026-01-01 10:00:00.1234+00"},
    {"interval(0)", "00:00:01", "00:00:01.5"},
    {"interval year", "2 years", "2 years 3 mons"},
    {"jsonb", "{\\\"a\\\": 1}", "{\\\"a\\\": 1, \\\"a\\\": 2}"},
    {"short", "abcde", "abcdef"},
    {"short[]", "{abcde,a}", "{abcde,abcdef}"},
    {"numeric(4,1)[]", "{1.5}", "{1.55}"},
    {"real[]", "{1.5}", "{0.12345678901}"},
    {"span", "(1.5,abcde)", "(1.55,abcde)"},
    {"amounts", "[1.5,2.5)", "[1.55,2.5)"},
    {"tsrange", "[2026-01-01,2026-01-02)", "[2026-01-01 00:00:00+02,)"},
};

class EveryWayTest : public ExactValuesTest, public ::testing::WithParamInterface<Narrow> {
 protected:
  void SetUp() override {
    ExactValuesTest::SetUp();
    Execute(
        "DROP DOMAIN IF EXISTS short CASCADE; DROP TYPE IF EXISTS span, amounts CASCADE; DROP "
        "DOMAIN IF EXISTS amount CASCADE; CREATE DOMAIN short AS varchar(5); CREATE DOMAIN amount "
        "AS numeric(6,1); CREATE TYPE span AS (a numeric(4,1), b varchar(5)); CREATE TYPE amounts "
        "AS RANGE (subtype = amount)");
  }
  void ExpectRefused(const std::vector<Sent>& batch) {
    const std::string before = Shown();
    const absl::Status status = Apply(batch);
    EXPECT_EQ(ReasonOf(status), kInexact) << status;
    EXPECT_THAT(MessageOf(status), HasSubstr("column \"v\" of public.jobs"));
    EXPECT_THAT(MessageOf(status), Not(HasSubstr(GetParam().does_not)));
    EXPECT_EQ(Shown(), before);
  }
  void TryAll() {
    const Narrow& narrow = GetParam();
    ASSERT_THAT(Apply({SendValues("INSERT", 10, {narrow.fits})}), IsOk());
    const auto at_once = ApplyAtOnce({SendValues("UPDATE", 20, {narrow.does_not})});
    EXPECT_TRUE(!at_once.ok() || !*at_once);
    ExpectRefused({SendValues("UPDATE", 20, {narrow.does_not})});
    Sent partial = SendValues("UPDATE", 21, {narrow.does_not});
    partial.rest += R"(,"unchanged":["other"])";
    ExpectRefused({partial});
    // So many go through a stage, or straight into the table.
    std::vector<std::string> many(100, narrow.fits);
    ASSERT_THAT(Apply({SendValues("INSERT", 30, many)}), IsOk());
    many[70] = narrow.does_not;
    ExpectRefused({SendValues("INSERT", 40, many)});
  }
};

TEST_P(EveryWayTest, IsRefusedByRowVersion) {
  Remake(absl::StrFormat("id int PRIMARY KEY, v %s, other text", GetParam().type), {});
  TryAll();
}

TEST_P(EveryWayTest, IsRefusedWithRegisters) {
  Remake(absl::StrFormat("id int PRIMARY KEY, v %s, other text", GetParam().type), Registers());
  TryAll();
}

INSTANTIATE_TEST_SUITE_P(Types, EveryWayTest, ::testing::ValuesIn(kNarrow),
                         [](const ::testing::TestParamInfo<Narrow>& each) {
                           return absl::StrCat("t", each.index);
                         });

// Two rows of a source would be one in the centre.
TEST_F(ExactValuesTest, AKeyIsNeverCut) {
  for (const TablePolicy& policy : {TablePolicy(), Registers()}) {
    for (const bool allowed : {false, true}) {
      config_.tables[0].narrowing_allowed = allowed;
      Remake("id varchar(6) PRIMARY KEY, v text", policy);
      auto send = [](const char* operation, int64_t hlc, const char* id) {
        return Sent{kA, operation, absl::StrFormat(R"("data":[{"id":"%s","v":"x"}])", id), hlc};
      };
      ASSERT_THAT(Apply({send("INSERT", 10, "sensor")}), IsOk());
      EXPECT_EQ(ReasonOf(Apply({send("INSERT", 20, "sensor-1")})), kInexact);
      const Sent gone{kA, "DELETE", R"("keys":[{"id":"sensor-1"}])", 30};
      EXPECT_EQ(ReasonOf(Apply({gone})), kInexact);
      const Sent moved{kA, "UPDATE", R"("data":[{"id":"six","v":"y"}],"keys":[{"id":"sensor-1"}])",
                       40};
      EXPECT_EQ(ReasonOf(Apply({moved})), kInexact);
      EXPECT_EQ(Shown(), "sensor:x");
    }
  }
}

TEST_F(ExactValuesTest, ATableMayAllowIt) {
  config_.tables[0].narrowing_allowed = true;
  for (const TablePolicy& policy : {TablePolicy(), Registers()}) {
    Remake("id int PRIMARY KEY, v varchar(5), n numeric(5,1), c char(2)", policy);
    auto send = [](int64_t hlc, int first, int count) {
      std::vector<std::string> rows;
      for (int id = first; id < first + count; ++id)
        rows.push_back(absl::StrFormat(R"({"id":%d,"v":"äbcdefgh","n":1.26,"c":"xyz"})", id));
      return Sent{kA, "INSERT", absl::StrFormat(R"("data":[%s])", absl::StrJoin(rows, ",")), hlc};
    };
    ASSERT_THAT(Apply({send(10, 1, 1)}), IsOk());
    ASSERT_THAT(Apply({send(20, 2, 100)}), IsOk());
    EXPECT_EQ(Execute("SELECT DISTINCT v || ' ' || n || ' ' || c FROM jobs").String(0, 0),
              "äbcde 1.3 xy");
    EXPECT_EQ(Count("jobs"), 101);
  }
}

TEST_F(ExactValuesTest, AConstantThatIsNotHeldIsAMisfit) {
  config_.tables[0].mapping.constants = {{"v", "abcdefgh"}};
  Remake("id int PRIMARY KEY, v varchar(5)", {});
  const auto table = catalog_->Find("public", "jobs");
  EXPECT_THAT(MessageOf(table.status()), HasSubstr("constants.v"));
}

}  // namespace
}  // namespace pmoves
