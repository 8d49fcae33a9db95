// Goal: bytes from outside are either understood or refused with a reason that shows no content;
// never a crash.
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/message_codec.h"
#include "tests/proto/vectors.h"
#include "tests/testing/status_matchers.h"

namespace pmoves::proto {
namespace {

using ::testing::HasSubstr;

constexpr char kHead[] =
    R"("source":"s","schema":"public","table":"t","timestamp":"2026-11-22T09:25:41Z")";

std::string With(std::string_view rest) {
  return std::string("{").append(kHead).append(",").append(rest).append("}");
}
std::string Insert(std::string_view row) {
  return With(std::string(R"("operation":"INSERT","data":[)").append(row).append("]"));
}
std::string Group(std::string_view entries) {
  return With(
      std::string(R"("operation":"INSERT","data":[{"a":1},{"a":2},{"a":3}],"transactions":[)")
          .append(entries)
          .append("]"));
}

constexpr char kFirst[] =
    R"({"position":"0/10","xid":1,"timestamp":"2026-11-22T09:25:41Z","hlc":"100","rows":2})";
constexpr char kSecond[] =
    R"({"position":"0/20","xid":2,"timestamp":"2026-11-22T09:25:41Z","hlc":"102","rows":1})";
std::string Entry(std::string_view position, std::string_view hlc, std::string_view rows) {
  return std::string(R"({"position":)")
      .append(position)
      .append(R"(,"xid":2,"timestamp":"2026-11-22T09:25:41Z","hlc":)")
      .append(hlc)
      .append(R"(,"rows":)")
      .append(rows)
      .append("}");
}
std::string AfterFirst(std::string_view entry) {
  return Group(std::string(kFirst).append(",").append(entry));
}

struct Bad {
  const char* name;
  std::string bytes;
  const char* reason = "";
};

class RefusedBodyTest : public ::testing::TestWithParam<Bad> {};

TEST_P(RefusedBodyTest, GivesAStatus) {
  std::string bytes = GetParam().bytes;
  BodyReader reader;
  Body body;
  EXPECT_THAT(reader.Read(&bytes, &body),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(GetParam().reason)));
  // The reader is none the worse for it.
  std::string good = Insert(R"({"a":1})");
  EXPECT_THAT(reader.Read(&good, &body), IsOk());
  EXPECT_EQ(body.data_rows(), 1u);
}

std::string Name(const ::testing::TestParamInfo<Bad>& info) { return info.param.name; }

INSTANTIATE_TEST_SUITE_P(NotJson, RefusedBodyTest,
                         ::testing::ValuesIn(std::vector<Bad>{
                             {"Empty", ""},
                             {"Space", "   "},
                             {"Words", "not json"},
                             {"Null", "null"},
                             {"Array", "[]"},
                             {"String", "\"source\""},
                             {"Number", "12"},
                             {"OpenBrace", "{"},
                             {"CloseBrace", "}"},
                             {"LoneQuote", "\""},
                             {"Bom", "\xEF\xBB\xBF" + Insert(R"({"a":1})")},
                             {"InvalidUtf8InAValue", Insert("{\"a\":\"\xFF\"}"), "UTF-8"},
                             {"InvalidUtf8InAName", Insert("{\"\xC3\":1}"), "UTF-8"},
                             {"OverlongUtf8", Insert("{\"a\":\"\xC0\xAF\"}"), "UTF-8"},
                             {"SurrogateInUtf8", Insert("{\"a\":\"\xED\xA0\x80\"}"), "UTF-8"},
                             {"RawNul", Insert(std::string("{\"a\":\"x\0y\"}", 11))},
                             {"NulAfterTheEnd", Insert(R"({"a":1})") + std::string(1, '\0')},
                             {"RawNewlineInAString", Insert("{\"a\":\"x\ny\"}")},
                             {"TwoObjects", Insert(R"({"a":1})") + "{}"},
                             {"TrailingBrace", Insert(R"({"a":1})") + "}"},
                             {"TrailingWord", Insert(R"({"a":1})") + " x}"},
                             {"MissingComma", Insert(R"({"a":1 "b":2})")},
                             {"TrailingComma", Insert(R"({"a":1,})")},
                             {"TwoCommas", Insert(R"({"a":1,,"b":2})")},
                             {"TwoColons", Insert(R"({"a":"b":"c"})")},
                             {"NoColon", Insert(R"({"a" 1})")},
                             {"NoName", Insert(R"({1:1})")},
                             {"CommaForColon", Insert(R"({"a","b"})")},
                             {"MismatchedBrackets", Insert(R"({"a":1])")},
                             {"DeepArrays", Insert("{\"a\":" + std::string(100000, '[') +
                                                   std::string(100000, ']') + "}")},
                             {"DeepObjects", std::string(100000, '{')},
                             {"DeepUnknownUnclosed",
                              With(R"("operation":"INSERT","later":)" + std::string(100000, '[') +
                                   R"(,"data":[{"a":1}])")},
                         }),
                         Name);

INSTANTIATE_TEST_SUITE_P(Values, RefusedBodyTest,
                         ::testing::ValuesIn(std::vector<Bad>{
                             {"ObjectInARow", Insert(R"({"a":{}})"), "row 0"},
                             {"ArrayInARow", Insert(R"({"a":[1]})"), "row 0"},
                             {"SecondRow", Insert(R"({"a":1},{"a":[]})"), "row 1"},
                             {"NoValue", Insert(R"({"a":})")},
                             {"Word", Insert(R"({"a":nil})")},
                             {"LongTrue", Insert(R"({"a":truely})")},
                             {"UpperTrue", Insert(R"({"a":TRUE})")},
                             {"BareNan", Insert(R"({"a":NaN})")},
                             {"BareInfinity", Insert(R"({"a":-Infinity})")},
                             {"PlusNumber", Insert(R"({"a":+1})")},
                             {"LeadingZero", Insert(R"({"a":01})")},
                             {"PointFirst", Insert(R"({"a":.5})")},
                             {"PointLast", Insert(R"({"a":1.})")},
                             {"NoExponent", Insert(R"({"a":1e})")},
                             {"OnlyMinus", Insert(R"({"a":-})")},
                             {"NumberAndText", Insert(R"({"a":12"x"})")},
                             {"BadEscape", Insert(R"({"a":"\q"})")},
                             {"ShortUnicodeEscape", Insert(R"({"a":"\u12"})")},
                             {"NulEscape", Insert(R"({"a":"\u0000"})")},
                             {"LoneHighSurrogate", Insert(R"({"a":"\ud83d"})")},
                             {"LoneLowSurrogate", Insert(R"({"a":"\ude80"})")},
                             {"BadEscapeInAName", Insert(R"({"\q":1})")},
                             {"ColumnTwice", Insert(R"({"a":1,"b":2,"a":3})"), "row 0"},
                             {"ColumnTwiceEscaped", Insert(R"({"ab":1,"\u0061b":2})"), "row 0"},
                             {"ColumnTwiceInALaterRow", Insert(R"({"a":1,"b":2},{"a":1,"a":2})"),
                              "row 1"},
                             {"RowIsNull", Insert("null")},
                             {"RowIsANumber", Insert("1")},
                             {"RowIsAnArray", Insert("[1]")},
                         }),
                         Name);

INSTANTIATE_TEST_SUITE_P(
    Members, RefusedBodyTest,
    ::testing::ValuesIn(std::vector<Bad>{
        {"EmptyObject", "{}", "source is missing"},
        {"OnlyUnknown", R"({"x":1})", "source is missing"},
        {"NoOperation", With(R"("data":[{"a":1}])"), "operation is missing"},
        {"NoSchema",
         R"({"source":"s","table":"t","operation":"TRUNCATE","timestamp":"2026-11-22T09:25:41Z"})",
         "schema is missing"},
        {"NoTable",
         R"({"source":"s","schema":"x","operation":"TRUNCATE","timestamp":"2026-11-22T09:25:41Z"})",
         "table is missing"},
        {"NoTimestamp", R"({"source":"s","schema":"x","table":"t","operation":"TRUNCATE"})",
         "timestamp is missing"},
        {"EmptyTable",
         R"({"source":"s","schema":"x","table":"","operation":"TRUNCATE",)"
         R"("timestamp":"2026-11-22T09:25:41Z"})",
         "table"},
        {"BadSource",
         R"({"source":"S 1","operation":"PROGRESS","timestamp":"2026-11-22T09:25:41Z"})",
         "source is malformed"},
        {"SourceIsANumber",
         R"({"source":1,"operation":"PROGRESS","timestamp":"2026-11-22T09:25:41Z"})",
         "source is malformed"},
        {"TableIsAnObject",
         R"({"source":"s","schema":"x","table":{},"operation":"TRUNCATE",)"
         R"("timestamp":"2026-11-22T09:25:41Z"})",
         "table is malformed"},
        {"UnknownOperation", With(R"("operation":"MERGE")"), "operation is malformed"},
        {"OperationTwice", With(R"("operation":"TRUNCATE","operation":"TRUNCATE")"),
         "operation comes twice"},
        {"DataTwice", With(R"("operation":"INSERT","data":[{"a":1}],"data":[{"a":2}])"),
         "data comes twice"},
        {"BadTimestamp", R"({"source":"s","operation":"PROGRESS","timestamp":"yesterday"})",
         "timestamp is malformed"},
        {"HugeYear",
         R"({"source":"s","operation":"PROGRESS","timestamp":"999999-01-01T00:00:00Z"})",
         "timestamp is malformed"},
        {"DataIsAnObject", With(R"("operation":"INSERT","data":{"a":1})")},
        {"DataIsNull", With(R"("operation":"INSERT","data":null)")},
        {"InsertWithoutData", With(R"("operation":"INSERT")"), "do not fit the operation"},
        {"InsertOfNothing", With(R"("operation":"INSERT","data":[])"), "no rows"},
        {"InsertWithKeys", With(R"("operation":"INSERT","data":[{"a":1}],"keys":[{"a":1}])"),
         "do not fit the operation"},
        {"UpdateWithoutData", With(R"("operation":"UPDATE","keys":[{"a":1}])"),
         "do not fit the operation"},
        {"FewerKeysThanRows",
         With(R"("operation":"UPDATE","data":[{"a":1},{"a":2}],"keys":[{"a":1}])"),
         "number of rows"},
        {"MoreKeysThanRows",
         With(R"("operation":"UPDATE","data":[{"a":1}],"keys":[{"a":1},{"a":2}])"),
         "number of rows"},
        {"EmptyKeys", With(R"("operation":"UPDATE","data":[{"a":1}],"keys":[])"), "number of rows"},
        {"DeleteWithData", With(R"("operation":"DELETE","data":[{"a":1}],"keys":[{"a":1}])"),
         "do not fit the operation"},
        {"DeleteWithoutKeys", With(R"("operation":"DELETE")"), "do not fit the operation"},
        {"DeleteOfNothing", With(R"("operation":"DELETE","keys":[])"), "no rows"},
        {"TruncateWithData", With(R"("operation":"TRUNCATE","data":[])"),
         "do not fit the operation"},
        {"TruncateWithKeys", With(R"("operation":"TRUNCATE","keys":[])"),
         "do not fit the operation"},
        {"ProgressOfATable", With(R"("operation":"PROGRESS")"), "schema and table"},
        {"UnchangedInAnInsert", With(R"("operation":"INSERT","data":[{"a":1}],"unchanged":["b"])"),
         "do not fit the operation"},
        {"UnchangedEmpty", With(R"("operation":"UPDATE","data":[{"a":1}],"unchanged":[])"),
         "unchanged is malformed"},
        {"UnchangedNumber", With(R"("operation":"UPDATE","data":[{"a":1}],"unchanged":[1])"),
         "unchanged is malformed"},
        {"UnchangedEmptyName", With(R"("operation":"UPDATE","data":[{"a":1}],"unchanged":[""])"),
         "unchanged is malformed"},
        {"UnchangedString", With(R"("operation":"UPDATE","data":[{"a":1}],"unchanged":"b")"),
         "unchanged is malformed"},
    }),
    Name);

INSTANTIATE_TEST_SUITE_P(
    Transactions, RefusedBodyTest,
    ::testing::ValuesIn(std::vector<Bad>{
        {"None", Group(""), "two transactions"},
        {"One", Group(Entry(R"("0/10")", R"("1")", "3")), "two transactions"},
        {"TooFewRows", AfterFirst(std::string(Entry(R"("0/20")", R"("102")", "2"))), "add up"},
        {"TooManyRows",
         Group(Entry(R"("0/10")", R"("1")", "1") + "," + Entry(R"("0/20")", R"("2")", "1")),
         "add up"},
        {"RowsThatWrapAround", AfterFirst(Entry(R"("0/20")", R"("102")", "4294967295")), "add up"},
        {"NoRows", AfterFirst(Entry(R"("0/20")", R"("102")", "0")), "no rows"},
        {"NegativeRows", AfterFirst(Entry(R"("0/20")", R"("102")", "-1")),
         "transactions is malformed"},
        {"FractionalRows", AfterFirst(Entry(R"("0/20")", R"("102")", "1.0")),
         "transactions is malformed"},
        {"HugeRows", AfterFirst(Entry(R"("0/20")", R"("102")", "99999999999999999999")),
         "transactions is malformed"},
        {"RowsAsText", AfterFirst(Entry(R"("0/20")", R"("102")", R"("1")")),
         "transactions is malformed"},
        {"SamePosition", AfterFirst(Entry(R"("0/10")", R"("102")", "1")), "in order"},
        {"PositionGoesBack", AfterFirst(Entry(R"("0/F")", R"("102")", "1")), "in order"},
        {"NoPosition", AfterFirst(Entry(R"("0/0")", R"("102")", "1")), "transactions is malformed"},
        {"PositionAsNumber", AfterFirst(Entry("32", R"("102")", "1")), "transactions is malformed"},
        {"HlcOfARowBefore", AfterFirst(Entry(R"("0/20")", R"("101")", "1")), "in order"},
        {"HlcZero", AfterFirst(Entry(R"("0/20")", R"("0")", "1")), "in order"},
        {"HlcAsNumber", AfterFirst(Entry(R"("0/20")", "102", "1")), "transactions is malformed"},
        {"HlcTooLarge", AfterFirst(Entry(R"("0/20")", R"("9223372036854775808")", "1")),
         "transactions is malformed"},
        {"Incomplete", AfterFirst(R"({"position":"0/20","xid":2,"hlc":"102","rows":1})"),
         "transactions is malformed"},
        {"MemberTwice",
         AfterFirst(R"({"position":"0/20","position":"0/20","xid":2,)"
                    R"("timestamp":"2026-11-22T09:25:41Z","hlc":"102","rows":1})"),
         "transactions is malformed"},
        {"NotObjects", Group("1,2"), "transactions is malformed"},
        {"OfATruncate",
         With(std::string(R"("operation":"TRUNCATE","transactions":[)") + kFirst + "," + kSecond +
              "]"),
         "add up"},
        {"OfAProgress",
         std::string(R"({"source":"s","operation":"PROGRESS","timestamp":"2026-11-22T09:25:41Z",)"
                     R"("transactions":[)") +
             kFirst + "," + kSecond + "]}",
         "add up"},
    }),
    Name);

TEST(BodyReaderTest, ReadsAGroup) {
  std::string bytes = Group(std::string(kFirst) + "," + kSecond);
  BodyReader reader;
  Body body;
  ASSERT_THAT(reader.Read(&bytes, &body), IsOk());
  EXPECT_EQ(body.transactions[1], (TransactionEntry{Lsn{0x20}, 2, 1795339541000000, Hlc{102}, 1}));
}

TEST(BodyReaderTest, PassesOverWhatALaterVersionMayAdd) {
  std::string bytes =
      With(R"("later":{"a":[1,{"b":"]}"}],"data":7},"operation":"INSERT","more":"x",)"
           R"("data":[{"a":1}],"and":[[],{}],"more":null)");
  BodyReader reader;
  Body body;
  ASSERT_THAT(reader.Read(&bytes, &body), IsOk());
  ASSERT_EQ(body.data_columns.size(), 1u);
  EXPECT_EQ(body.data_columns[0].value, "1");
  bytes = Group(std::string(R"({"new":[1,2],"position":"0/10","xid":1,)"
                            R"("timestamp":"2026-11-22T09:25:41Z","hlc":"100","rows":2,"b":{}})") +
                "," + kSecond);
  EXPECT_THAT(reader.Read(&bytes, &body), IsOk());
}

TEST(BodyReaderTest, TakesMembersInAnyOrderAndWithWhiteSpace) {
  std::string bytes =
      "\n{ \"data\" : [ { \"a\" : 1 ,\t\"b\" : \"x y\"  } , { \"a\" : -0.0 ,\"b\":null\n} ] ,\r\n "
      "\"operation\" : \"INSERT\" , " +
      std::string(kHead) + "\t} \n";
  BodyReader reader;
  Body body;
  ASSERT_THAT(reader.Read(&bytes, &body), IsOk());
  ASSERT_EQ(body.data_rows(), 2u);
  std::vector<std::string_view> values;
  for (const RawColumn& column : body.data_columns) values.push_back(column.value);
  EXPECT_THAT(values, ::testing::ElementsAre("1", "\"x y\"", "-0.0", "null"));
  EXPECT_EQ(body.data_columns[0].name, "\"a\"");
}

TEST(BodyReaderTest, RowsMayDifferInTheirColumns) {
  std::string bytes = Insert(R"({"a":1,"b":2},{"b":3},{},{"b":4,"a":5,"c":6},{"a":7,"bb":8})");
  BodyReader reader;
  Body body;
  ASSERT_THAT(reader.Read(&bytes, &body), IsOk());
  EXPECT_THAT(body.data_offsets, ::testing::ElementsAre(0, 2, 3, 3, 6, 8));
  EXPECT_EQ(body.data_columns[2].name, "\"b\"");
  EXPECT_EQ(body.data_columns[7].name, "\"bb\"");
  EXPECT_EQ(absl::StrReplaceAll(Rebuild(body), {{"41.000000Z", "41Z"}}).size(), bytes.size());
}

TEST(BodyReaderTest, AColumnMayHaveTheNameOfAMember) {
  std::string bytes = Insert(R"({"data":1,"operation":"DELETE","":2,"\u0061":3})");
  BodyReader reader;
  Body body;
  ASSERT_THAT(reader.Read(&bytes, &body), IsOk());
  EXPECT_EQ(body.operation, Operation::kInsert);
  EXPECT_EQ(body.data_columns[2].name, "\"\"");
  EXPECT_EQ(body.data_columns[3].name, R"("\u0061")");
}

TEST(BodyReaderTest, ManyColumnsAndManyRowsAreRead) {
  std::string row = "{";
  for (int i = 0; i < 1600; ++i)
    row += (i == 0 ? "\"c" : ",\"c") + std::to_string(i) + "\":" + std::to_string(i);
  row += "}";
  std::string rows = row;
  for (int i = 1; i < 100; ++i) rows += "," + row;
  std::string bytes = Insert(rows);
  BodyReader reader;
  Body body;
  ASSERT_THAT(reader.Read(&bytes, &body), IsOk());
  EXPECT_EQ(body.data_rows(), 100u);
  EXPECT_EQ(body.data_columns.size(), 160000u);
}

TEST(BodyReaderTest, BytesWithRoomAreNotMoved) {
  std::string bytes = Insert(R"({"a":1})");
  bytes.reserve(bytes.size() + 64);
  const char* const before = bytes.data();
  BodyReader reader;
  Body body;
  ASSERT_THAT(reader.Read(&bytes, &body), IsOk());
  EXPECT_EQ(bytes.data(), before);
  EXPECT_GE(body.data_columns[0].value.data(), before);
}

TEST(BodyReaderTest, NothingOfOneBodyIsLeftInTheNext) {
  BodyReader reader;
  Body body;
  std::string first =
      With(R"("operation":"UPDATE","data":[{"a":1}],"keys":[{"a":1}],"unchanged":["b"])");
  ASSERT_THAT(reader.Read(&first, &body), IsOk());
  std::string second = R"({"source":"s","operation":"PROGRESS","timestamp":"2026-11-22T09:25:41Z",)"
                       R"("schema":"","table":""})";
  ASSERT_THAT(reader.Read(&second, &body), IsOk());
  EXPECT_EQ(body.schema, "");
  EXPECT_EQ(body.data_rows() + body.key_rows() + body.unchanged.size(), 0u);
  EXPECT_TRUE(body.data_columns.empty() && body.key_columns.empty());
}

TEST(BodyReaderTest, ReasonsShowNoContent) {
  BodyReader reader;
  Body body;
  for (const char* row :
       {R"({"a":"secret"x})", R"({"secret":[1]})", R"({"secret":1,"secret":2})"}) {
    std::string bytes = Insert(row);
    const absl::Status status = reader.Read(&bytes, &body);
    ASSERT_FALSE(status.ok());
    EXPECT_THAT(MessageOf(status), ::testing::Not(HasSubstr("secret")));
  }
}

}  // namespace
}  // namespace pmoves::proto
