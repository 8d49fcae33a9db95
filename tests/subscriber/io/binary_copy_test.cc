// The binary format of COPY against the server's own reading of the same text, on a real Postgres.
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "subscriber/core/copy_format.h"
#include "tests/testing/centre.h"

namespace pmoves {
namespace {

struct TypeCase {
  const char* name;                // of a test
  const char* type;                // SQL
  BinaryForm form;                 // of a column
  const char* any;                 // SQL: a random value; r: 0 <= double precision < 1
  std::vector<const char*> edges;  // texts of values that are printed like that
};

const std::vector<TypeCase>& Types() {
  static const auto* const types = new std::vector<TypeCase>{
      {"boolean", "boolean", BinaryForm::kBool, "r < 0.5", {}},
      {"smallint", "smallint", BinaryForm::kInt2, "(r * 65535 - 32768)::int", {"-32768", "32767"}},
      {"integer",
       "integer",
       BinaryForm::kInt4,
       "(r * 4294967295 - 2147483648)::bigint",
       {"-2147483648", "2147483647"}},
      {"bigint",
       "bigint",
       BinaryForm::kInt8,
       "(r * 1.8e19 - 9e18)::numeric",
       {"-9223372036854775808", "9223372036854775807"}},
      {"real",
       "real",
       BinaryForm::kFloat4,
       "(r - 0.5) * 10 ^ (random() * 70 - 37)",
       {"-0", "1e-45", "3.4028235e+38", "16777216", "0.1"}},
      {"double",
       "double precision",
       BinaryForm::kFloat8,
       "(r - 0.5) * 10 ^ (random() * 600 - 300)",
       {"-0", "5e-324", "2.2250738585072014e-308", "1.7976931348623157e+308", "0.1"}},
      {"numeric",
       "numeric",
       BinaryForm::kNumeric,
       "round(((r - 0.5) * 10 ^ (random() * 40 - 20))::numeric, (random() * 30)::int)",
       {"0", "0.00", "-0.0001", "9999", "10000", "10000.0001", "1.500000000000000000000",
        "123456789012345678901234567890123456789.123456789"}},
      {"numeric_of_two_digits",
       "numeric(12,2)",
       BinaryForm::kNumeric,
       "(r - 0.5) * 1e10",
       {"0.00", "-9999999999.99"}},
      {"text",
       "text",
       BinaryForm::kText,
       "md5(r::text) || E'\\\\ \\t\\n\u00e9'",
       {"", "NULL", "\\N"}},
      {"varchar", "varchar(5)", BinaryForm::kText, "left(md5(r::text), 5)", {"", "a b  "}},
      {"char", "char(5)", BinaryForm::kText, "left(md5(r::text), (r * 5)::int)", {"a    "}},
      {"json",
       "json",
       BinaryForm::kText,
       "format('{\"a\":  %s}', r)::json",
       {"{}", "null", "[1, \"\\u00e9\"]"}},
      {"jsonb",
       "jsonb",
       BinaryForm::kJsonb,
       "jsonb_build_object('a', r, 'b', md5(r::text))",
       {"{}", "null", "\"x\""}},
      {"bytea", "bytea", BinaryForm::kBytea, "decode(md5(r::text), 'hex')", {"\\x", "\\x00"}},
      {"uuid", "uuid", BinaryForm::kUuid, "md5(r::text)::uuid", {}},
      {"enum",
       "mood",
       BinaryForm::kText,
       "CASE WHEN r < 0.5 THEN 'so so' ELSE 'happy' END",
       {"happy"}},
      {"date",
       "date",
       BinaryForm::kDate,
       "date '0001-01-01' + (r * 3652058)::int",
       {"0001-01-01", "9999-12-31", "2000-02-29", "1900-02-28"}},
      {"timestamp",
       "timestamp",
       BinaryForm::kTimestamp,
       "timestamp '0001-01-01' + r * 9998 * interval '1 year'",
       {"0001-01-01 00:00:00", "9999-12-31 23:59:59.999999", "1999-12-31 23:59:59.1"}},
      {"timestamp_of_milliseconds",
       "timestamp(3)",
       BinaryForm::kTimestamp,
       "timestamp '1990-01-01' + r * 60 * interval '1 year'",
       {}},
      {"timestamptz",
       "timestamptz",
       BinaryForm::kTimestamptz,
       "timestamptz '0001-01-02 00:00:00+00' + r * 9998 * interval '1 year'",
       {"0001-01-01 12:00:00+00", "2026-11-22 09:25:41.5-03:30",
        "1999-12-31 23:59:59.999999+15:59"}},
  };
  return *types;
}

class BinaryCopyTest : public CentreTest, public testing::WithParamInterface<TypeCase> {
 protected:
  void SetUp() override {
    CentreTest::SetUp();
    Execute(
        "SET client_min_messages = warning; DROP TABLE IF EXISTS copied; DROP TYPE IF EXISTS mood");
    Execute("CREATE TYPE mood AS ENUM ('so so', 'happy')");
    Execute(absl::StrFormat("CREATE TABLE copied (v %s)", GetParam().type));
  }
  // How the server prints random values and the edges.
  std::vector<std::string> Printed(int count) {
    const PgRows rows = Execute(absl::StrFormat(
        "SELECT setseed(0.42); SELECT (%s)::%s::text FROM (SELECT random() AS r FROM "
        "generate_series(1, %d)) s",
        GetParam().any, GetParam().type, count));
    std::vector<std::string> texts(GetParam().edges.begin(), GetParam().edges.end());
    for (int i = 0; i < rows.size(); ++i) texts.push_back(rows.String(i, 0));
    return texts;
  }
  // The value as the server prints it after it has read `text`, or "refused".
  std::string Read(const std::string& text) {
    const auto rows = connection_->Execute(
        "INSERT INTO copied VALUES ($1) RETURNING to_json(v)::text", {PgParam(text)});
    return rows.ok() ? rows->String(0, 0) : "refused";
  }
  // The same after a binary COPY of one row; "as text" if there is no binary form.
  std::string Copied(const std::string& text) {
    std::string copy("PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0\0\1", 21);
    if (!AppendBinaryField(GetParam().form, text, &copy)) return "as text";
    copy += "\xff\xff";
    Execute("DELETE FROM copied");
    PgResultPtr started(PQexec(connection_->raw(), "COPY copied FROM STDIN (FORMAT binary)"));
    EXPECT_EQ(PQputCopyData(connection_->raw(), copy.data(), static_cast<int>(copy.size())), 1);
    EXPECT_EQ(PQputCopyEnd(connection_->raw(), nullptr), 1);
    PgResultPtr ended(PQgetResult(connection_->raw()));
    while (PgResultPtr rest{PQgetResult(connection_->raw())}) {
    }
    if (PQresultStatus(ended.get()) != PGRES_COMMAND_OK) return "refused";
    return Execute("SELECT to_json(v)::text FROM copied").String(0, 0);
  }
};

TEST_P(BinaryCopyTest, WhatTheServerPrintsIsCopiedAsItReadsIt) {
  for (const std::string& text : Printed(50)) EXPECT_EQ(Copied(text), Read(text)) << text;
}

TEST_P(BinaryCopyTest, WhatIsNearlyPrintedLikeThatIsReadTheSameOrLeftToTheServer) {
  std::mt19937 random(1);
  const std::string letters = "0123456789-+.:eE TtxZ\\";
  for (std::string text : Printed(40)) {
    if (text.empty()) continue;
    const size_t at = random() % text.size();
    switch (random() % 3) {
      case 0:
        text.erase(at, 1);
        break;
      case 1:
        text.insert(at, 1, letters[random() % letters.size()]);
        break;
      default:
        text[at] = letters[random() % letters.size()];
    }
    const std::string copied = Copied(text);
    if (copied != "as text") {
      EXPECT_EQ(copied, Read(text)) << text;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Types, BinaryCopyTest, testing::ValuesIn(Types()),
                         [](const auto& test) { return std::string(test.param.name); });

// As many rows as a group must have to be copied.
class CopiedColumnTest : public CentreTest {
 protected:
  static constexpr int kRows = 60;
  // The default of `how` is the statement that inserts the row.
  void AddColumn(const std::string& type) {
    Execute("DROP TYPE IF EXISTS mood CASCADE; CREATE TYPE mood AS ENUM ('so so', 'happy')");
    Execute("ALTER TABLE jobs ADD COLUMN v " + type +
            ", ADD COLUMN how text DEFAULT current_query()");
    Configure(FirstPolicy());
  }
  // Ids from `first`. `usual` and, of the seventh, `odd` are JSON.
  static Sent Insert(int first, const std::string& usual, const std::string& odd) {
    std::vector<std::string> rows;
    for (int i = 1; i <= kRows; ++i)
      rows.push_back(absl::StrFormat(R"({"id":%d,"v":%s})", first + i - 1, i == 7 ? odd : usual));
    return {kA, "INSERT", absl::StrFormat(R"("data":[%s])", absl::StrJoin(rows, ",")), 10};
  }
  // "value of the seventh, value of the eighth"
  std::string Values(int first) {
    return Execute(absl::StrFormat("SELECT string_agg(COALESCE(v::text, 'NULL'), ', ' ORDER BY id) "
                                   "FROM jobs WHERE id IN (%d, %d)",
                                   first + 6, first + 7))
        .String(0, 0);
  }
  // How the row with that id was written.
  std::string How(int id) {
    const std::string how =
        Execute(absl::StrFormat("SELECT how FROM jobs WHERE id = %d", id)).String(0, 0);
    if (how.find("COPY") == std::string::npos) return "not copied";
    return how.find("FORMAT binary") == std::string::npos ? "text" : "binary";
  }
};

TEST_F(CopiedColumnTest, EveryTypeThatHasABinaryFormIsCopiedInIt) {
  for (const TypeCase& type : Types()) {
    SetUp();
    Empty();
    AddColumn(type.type);
    std::string text = Execute(absl::StrFormat("SELECT to_json((%s)::%s::text)::text FROM (SELECT "
                                               "random() AS r) s",
                                               type.any, type.type))
                           .String(0, 0);
    ASSERT_THAT(Apply({Insert(1, text, "null")}), IsOk()) << type.name;
    EXPECT_EQ(How(1), "binary") << type.name;
    EXPECT_EQ(Count("jobs WHERE v IS NOT NULL"), kRows - 1) << type.name;
  }
}

TEST_F(CopiedColumnTest, AValueWithoutBinaryFormTakesItsGroupAsText) {
  AddColumn("timestamptz");
  const std::string usual = "\"2026-11-22 09:25:41.5+00\"";
  ASSERT_THAT(Apply({Insert(1, usual, "\"infinity\"")}), IsOk());
  EXPECT_EQ(Count("jobs"), kRows);
  EXPECT_EQ(Values(1), "infinity, 2026-11-22 09:25:41.5+00");
  EXPECT_EQ(How(1), "text");
}

TEST_F(CopiedColumnTest, AColumnWithoutBinaryFormTakesItsTableAsText) {
  AddColumn("int4range");
  ASSERT_THAT(Apply({Insert(1, "\"[1,5)\"", "\"empty\"")}), IsOk());
  EXPECT_EQ(Values(1), "empty, [1,5)");
  EXPECT_EQ(How(1), "text");
}

// numeric reads the eight bytes of a bigint 5 as 0.00000, text reads a jsonb's version as a letter.
TEST_F(CopiedColumnTest, AColumnThatWasAlteredMeanwhileIsReadAgainFirst) {
  const struct {
    const char *before, *after, *value, *stored;
  } kAltered[] = {{"bigint", "numeric", "5", "5"},
                  {"bigint", "double precision", "5", "5"},
                  {"integer", "real", "5", "5"},
                  {"integer", "bigint", "5", "5"},
                  {"jsonb", "text", "\"{}\"", "{}"}};
  for (const auto& [before, after, value, stored] : kAltered) {
    SetUp();
    Empty();
    Execute("SET timezone = 'UTC'");
    AddColumn(before);
    ASSERT_THAT(Apply({Insert(1, value, "null")}), IsOk());
    EXPECT_EQ(How(1), "binary");
    Execute(absl::StrFormat("ALTER TABLE jobs ALTER v TYPE %s", after));
    EXPECT_TRUE(IsAltered(Apply({Insert(1001, value, "null")}))) << after;
    Configure(FirstPolicy());
    ASSERT_THAT(Apply({Insert(1001, value, "null")}), IsOk());
    EXPECT_EQ(Values(1001), absl::StrFormat("NULL, %s", stored)) << after;
  }
}

TEST_F(CopiedColumnTest, RowsThatGoThroughAStageArriveAsTheyAre) {
  AddColumn("timestamptz");
  const std::string usual = "\"2026-11-22 09:25:41.5+00\"";
  ASSERT_THAT(Apply({Insert(1, usual, "null")}), IsOk());
  Sent update = Insert(1, "null", usual);
  update.operation = "UPDATE";
  update.hlc = 20;
  ASSERT_THAT(Apply({update}), IsOk());
  EXPECT_EQ(Values(1), "2026-11-22 09:25:41.5+00, NULL");
}

TEST_F(CopiedColumnTest, AValueThatTheServerRefusesNamesItself) {
  AddColumn("varchar(3)");
  const absl::Status status = Apply({Insert(1, "\"abc\"", "\"abcd\"")});
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument)) << status;
  EXPECT_NE(status.message().find("character varying(3)"), std::string::npos) << status;
  EXPECT_EQ(Count("jobs"), 0);
}

}  // namespace
}  // namespace pmoves
