#include "publisher/core/wal2json_decoder.h"

#include <random>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/builders.h"
#include "tests/testing/status_matchers.h"

namespace pmoves {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

Cells Copy(const std::vector<proto::RawColumn>& columns) {
  Cells cells;
  for (const proto::RawColumn& column : columns) {
    cells.push_back({std::string(column.name), std::string(column.value)});
  }
  return cells;
}

// With every option of wal2json 2.5 on, as the server sent them.
TEST(Wal2JsonDecoderTest, BeginAndCommitCarryPositionXidAndTime) {
  Wal2JsonDecoder decoder;
  for (const char action : {'B', 'C'}) {
    const std::string payload =
        std::string(R"({"action":")") + action +
        R"(","xid":4294967295,"timestamp":"2026-11-22 09:25:41.029291+00","origin":0,)"
        R"("lsn":"0/17013C0","nextlsn":"16/B374D848"})";
    ASSERT_OK_AND_ASSIGN(const WalChange* change, decoder.Decode(payload));
    EXPECT_EQ(change->action, action == 'B' ? WalAction::kBegin : WalAction::kCommit);
    EXPECT_EQ(change->xid, 4294967295u);
    EXPECT_EQ(change->commit_us, kSomeCommitUs);
    EXPECT_EQ(change->position, Lsn{0x16B374D848});
    EXPECT_TRUE(change->columns.empty());
  }
}

TEST(Wal2JsonDecoderTest, InsertCarriesRawTokensAndIgnoresUnknownMembers) {
  Wal2JsonDecoder decoder;
  ASSERT_OK_AND_ASSIGN(
      const WalChange* change,
      decoder.Decode(
          R"({"action":"I","xid":834,"timestamp":"2026-11-22 09:25:41.029291+00","origin":0,)"
          R"("lsn":"0/16FC5E8","schema":"public","table":"f1",)"
          R"("columns":[{"name":"id","type":"integer","typeoid":23,"value":1,"optional":false,)"
          R"("position":1,"default":null},)"
          R"x({"name":"v","type":"numeric(8,2)","typeoid":1700,"value":2.50,)x"
          R"("optional":false,"position":2,"default":"1.5"}],)"
          R"("pk":[{"name":"id","type":"integer","typeoid":23}]})"));
  EXPECT_EQ(change->action, WalAction::kInsert);
  EXPECT_EQ(change->schema, "public");
  EXPECT_EQ(change->table, "f1");
  EXPECT_EQ(Copy(change->columns), (Cells{{"\"id\"", "1"}, {"\"v\"", "2.50"}}));
  EXPECT_TRUE(change->identity.empty());
}

TEST(Wal2JsonDecoderTest, UpdateDeleteAndTruncateCarryTheirParts) {
  Wal2JsonDecoder decoder;
  Txn txn(0x100);
  txn.Update("jobs", {{"id", "2"}, {"n", "null"}}, {{"id", "1"}})
      .Delete({"Sch.x", "t\"1"}, {{"a", "1"}, {"b", "\"x\""}})
      .Truncate("jobs");
  ASSERT_OK_AND_ASSIGN(const WalChange* change, decoder.Decode(txn.ChangePayloads()[0]));
  EXPECT_EQ(change->action, WalAction::kUpdate);
  EXPECT_EQ(Copy(change->columns), (Cells{{"\"id\"", "2"}, {"\"n\"", "null"}}));
  EXPECT_EQ(Copy(change->identity), (Cells{{"\"id\"", "1"}}));
  ASSERT_OK_AND_ASSIGN(change, decoder.Decode(txn.ChangePayloads()[1]));
  EXPECT_EQ(change->action, WalAction::kDelete);
  EXPECT_EQ(change->schema, "Sch.x");
  EXPECT_EQ(change->table, "t\"1");
  EXPECT_EQ(Copy(change->identity), (Cells{{"\"a\"", "1"}, {"\"b\"", "\"x\""}}));
  EXPECT_TRUE(change->columns.empty()) << "left over from the change before";
  ASSERT_OK_AND_ASSIGN(change, decoder.Decode(txn.ChangePayloads()[2]));
  EXPECT_EQ(change->action, WalAction::kTruncate);
  EXPECT_EQ(change->table, "jobs");
  EXPECT_TRUE(change->identity.empty()) << "left over from the change before";
}

TEST(Wal2JsonDecoderTest, MessagesCarryPrefixAndContent) {
  Wal2JsonDecoder decoder;
  ASSERT_OK_AND_ASSIGN(
      const WalChange* change,
      decoder.Decode(R"({"action":"M","xid":834,"timestamp":"2026-11-22 09:25:41+00","origin":0,)"
                     R"("lsn":"0/16FC800",)"
                     R"("transactional":true,"prefix":"pmoves","content":"low \"mark\"\n"})"));
  EXPECT_EQ(change->action, WalAction::kMessage);
  EXPECT_TRUE(change->transactional);
  EXPECT_EQ(change->prefix, "pmoves");
  EXPECT_EQ(change->content, "low \"mark\"\n");
  ASSERT_OK_AND_ASSIGN(
      change,
      decoder.Decode(R"({"action":"M","xid":null,"timestamp":null,"origin":null,"lsn":"0/16FC840",)"
                     R"("transactional":false,"prefix":"","content":""})"));
  EXPECT_FALSE(change->transactional);
  EXPECT_EQ(change->prefix, "");
}

TEST(Wal2JsonDecoderTest, MessageThatIsNotUtf8CannotStopTheStream) {
  Wal2JsonDecoder decoder;
  ASSERT_OK_AND_ASSIGN(const WalChange* change,
                       decoder.Decode("{\"action\":\"M\",\"xid\":null,\"transactional\":false,"
                                      "\"prefix\":\"pmoves\",\"content\":\"\xff\x41\"}"));
  EXPECT_EQ(change->action, WalAction::kMessage);
  EXPECT_EQ(change->prefix, "") << "nobody's message";
}

TEST(Wal2JsonDecoderTest, EveryScalarPassesByteForByte) {
  Wal2JsonDecoder decoder;
  for (const char* const token : {"0",
                                  "-0",
                                  "1",
                                  "-1",
                                  "9007199254740993",
                                  "123456789012345678901234567890.000100",
                                  "1e+300",
                                  "1e-40",
                                  "1E5",
                                  "0.1",
                                  "-2.50",
                                  "true",
                                  "false",
                                  "null",
                                  "\"\"",
                                  "\"a\"",
                                  "\"a b \"",
                                  "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"",
                                  "\"\\u0001\\u00e9\\ud83d\\ude00\"",
                                  "\"\xc3\xa9 \xf0\x9f\x98\x80 \x7f\"",
                                  "\"{1,NULL,3}\"",
                                  "\"{\\\"a\\\": [1, 2]}\"",
                                  "\"[{]},:\"",
                                  "\"NaN\"",
                                  "\"infinity\""}) {
    Txn txn(0x100);
    txn.Insert("t", {{"a", token}, {"b", "1"}});
    ASSERT_OK_AND_ASSIGN(const WalChange* change, decoder.Decode(txn.ChangePayloads()[0]));
    EXPECT_EQ(Copy(change->columns), (Cells{{"\"a\"", token}, {"\"b\"", "1"}}));
  }
}

TEST(Wal2JsonDecoderTest, NamesKeepTheirEscapesInColumnsAndLoseThemInTables) {
  Wal2JsonDecoder decoder;
  const std::string name = "a \"b\" \\c.\xc3\xbc\xf0\x9f\x98\x80\n";
  Txn txn(0x100);
  txn.Insert({name, name + "2"}, {{name, "1"}});
  ASSERT_OK_AND_ASSIGN(const WalChange* change, decoder.Decode(txn.ChangePayloads()[0]));
  EXPECT_EQ(change->schema, name);
  EXPECT_EQ(change->table, name + "2");
  EXPECT_EQ(change->columns[0].name, proto::JsonString(name));
}

TEST(Wal2JsonDecoderTest, WhiteSpaceAndOrderOfMembersDoNotMatter) {
  Wal2JsonDecoder decoder;
  ASSERT_OK_AND_ASSIGN(
      const WalChange* change,
      decoder.Decode(" { \"columns\" : [ { \"value\" : 1.0 \t, \"name\" : \"a\" } , "
                     "{\"name\":\"b\",\"value\":\"x \" } ] ,\n"
                     "\"table\":\"t\" , \"schema\":\"s\", \"action\" : \"I\" } \n"));
  EXPECT_EQ(Copy(change->columns), (Cells{{"\"a\"", "1.0"}, {"\"b\"", "\"x \""}}));
  ASSERT_OK_AND_ASSIGN(
      change,
      decoder.Decode(R"({"timestamp":"2026-11-22 09:25:41.029291+00","nextlsn":"0/1A","xid":7,)"
                     R"("action":"C"})"));
  EXPECT_EQ(change->commit_us, kSomeCommitUs);
}

TEST(Wal2JsonDecoderTest, TableWithoutColumnsIsARow) {
  Wal2JsonDecoder decoder;
  ASSERT_OK_AND_ASSIGN(const WalChange* change,
                       decoder.Decode(Txn(1).Insert("t", {}).ChangePayloads()[0]));
  EXPECT_TRUE(change->columns.empty());
}

TEST(Wal2JsonDecoderTest, GiantRowsAndSmallOnesAlternate) {
  Wal2JsonDecoder decoder;
  for (const size_t bytes :
       {size_t{10}, size_t{3} << 20, size_t{10}, size_t{5000}, size_t{9} << 20, size_t{1} << 20}) {
    const std::string token = proto::JsonString(std::string(bytes, 'x'));
    ASSERT_OK_AND_ASSIGN(
        const WalChange* change,
        decoder.Decode(Txn(1).Insert("t", {{"a", token}, {"b", "2"}}).ChangePayloads()[0]));
    ASSERT_EQ(change->columns.size(), 2u);
    EXPECT_TRUE(change->columns[0].value == token);
    EXPECT_EQ(change->columns[1].value, "2");
  }
}

struct Malformed {
  const char* name;
  std::string payload;
  const char* want;  // part of the message
};

std::string InsertOf(const std::string& columns) {
  return R"({"action":"I","schema":"s","table":"t","columns":)" + columns + "}";
}
std::string BeginOf(const std::string& members) { return R"({"action":"B")" + members + "}"; }

TEST(Wal2JsonDecoderTest, EveryMalformedClassIsRefused) {
  const std::string good_time = R"(,"timestamp":"2026-11-22 09:25:41.029291+00")";
  const Malformed cases[] = {
      {"nothing", "", ""},
      {"spaces", "   ", ""},
      {"not JSON", "secret", ""},
      {"a scalar", "42", ""},
      {"an array", "[]", ""},
      {"an empty object", "{}", "\"action\" is missing"},
      {"two objects", Txn(1).CommitPayload() + Txn(1).CommitPayload(), ""},
      {"text behind", Txn(1).CommitPayload() + " x", ""},
      {"bracket behind", Txn(1).CommitPayload() + "}", ""},
      {"not UTF-8", InsertOf("[{\"name\":\"a\",\"value\":\"\xff\"}]"), "UTF"},
      {"raw control character", InsertOf("[{\"name\":\"a\",\"value\":\"\x01\"}]"), ""},
      {"unknown action", R"({"action":"X","schema":"s","table":"t"})",
       "\"action\" is missing or unknown"},
      {"action of another type", R"({"action":1})", "\"action\""},
      {"action twice", R"({"action":"B","action":"B"})", "\"action\" is there twice"},
      {"no position", BeginOf(R"(,"xid":1)" + good_time), "\"nextlsn\" is missing"},
      {"no xid", BeginOf(R"(,"nextlsn":"0/1")" + good_time), "\"xid\" is missing"},
      {"null xid", BeginOf(R"(,"xid":null,"nextlsn":"0/1")" + good_time), "\"xid\" is missing"},
      {"no time", BeginOf(R"(,"xid":1,"nextlsn":"0/1")"), "\"timestamp\" is missing"},
      {"null time", BeginOf(R"(,"xid":1,"nextlsn":"0/1","timestamp":null)"), "\"timestamp\""},
      {"bad time", BeginOf(R"(,"xid":1,"nextlsn":"0/1","timestamp":"yesterday")"), "\"timestamp\""},
      {"bad position", BeginOf(R"(,"xid":1,"nextlsn":"01")" + good_time), "\"nextlsn\""},
      {"number as position", BeginOf(R"(,"xid":1,"nextlsn":17)" + good_time), "\"nextlsn\""},
      {"zero position", BeginOf(R"(,"xid":1,"nextlsn":"0/0")" + good_time), "\"nextlsn\""},
      {"xid too large", BeginOf(R"(,"xid":4294967296,"nextlsn":"0/1")" + good_time), "\"xid\""},
      {"negative xid", BeginOf(R"(,"xid":-1,"nextlsn":"0/1")" + good_time), "\"xid\""},
      {"no table", R"({"action":"T","schema":"s"})", "\"table\" is missing"},
      {"no schema", R"({"action":"T","table":"s"})", "\"schema\" is missing"},
      {"empty table", R"({"action":"T","schema":"s","table":""})", "empty"},
      {"null table", R"({"action":"T","schema":"s","table":null})", "not a string"},
      {"broken escape in table", R"({"action":"T","schema":"s","table":"\x"})", ""},
      {"no columns", R"({"action":"I","schema":"s","table":"t"})", "\"columns\" is missing"},
      {"no identity", R"({"action":"U","schema":"s","table":"t","columns":[]})",
       "\"identity\" is missing"},
      {"empty identity", R"({"action":"D","schema":"s","table":"t","identity":[]})",
       "\"identity\""},
      {"columns are an object", InsertOf("{}"), ""},
      {"columns are null", InsertOf("null"), ""},
      {"column is a scalar", InsertOf("[1]"), ""},
      {"column without name", InsertOf(R"([{"value":1}])"), "without name or value"},
      {"column without value", InsertOf(R"([{"name":"a"}])"), "without name or value"},
      {"empty column", InsertOf("[{}]"), "without name or value"},
      {"column name is a number", InsertOf(R"([{"name":1,"value":1}])"), "not a string"},
      {"value twice", InsertOf(R"([{"name":"a","value":1,"value":2}])"), "twice"},
      {"value is an array", InsertOf(R"([{"name":"a","value":[1]}])"), "not a scalar"},
      {"value is an object", InsertOf(R"([{"name":"a","value":{}}])"), "not a scalar"},
      {"NaN", InsertOf(R"([{"name":"a","value":NaN}])"), "not a scalar"},
      {"Infinity", InsertOf(R"([{"name":"a","value":-Infinity}])"), "not a scalar"},
      {"leading zero", InsertOf(R"([{"name":"a","value":01}])"), "not a scalar"},
      {"leading plus", InsertOf(R"([{"name":"a","value":+1}])"), "not a scalar"},
      {"no digits behind the point", InsertOf(R"([{"name":"a","value":1.}])"), "not a scalar"},
      {"no digits before the point", InsertOf(R"([{"name":"a","value":.5}])"), "not a scalar"},
      {"no exponent", InsertOf(R"([{"name":"a","value":1e}])"), "not a scalar"},
      {"nearly true", InsertOf(R"([{"name":"a","value":truee}])"), "not a scalar"},
      {"two values", InsertOf(R"([{"name":"a","value":1 2}])"), ""},
      {"two strings", InsertOf(R"([{"name":"a","value":"x":"y"}])"), "not a scalar"},
      {"string and word", InsertOf(R"([{"name":"a","value":"x"y}])"), ""},
      {"no value", InsertOf(R"([{"name":"a","value":}])"), ""},
      {"unknown escape", InsertOf(R"([{"name":"a","value":"\q"}])"), "not a scalar"},
      {"short \\u", InsertOf(R"([{"name":"a","value":"\u12g4"}])"), "not a scalar"},
      {"half a surrogate pair", InsertOf(R"([{"name":"a","value":"\ud800"}])"), "not a scalar"},
      {"missing comma", InsertOf(R"([{"name":"a" "value":1}])"), ""},
      {"missing colon", InsertOf(R"([{"name" "a","value":1}])"), ""},
      {"comma at the end", InsertOf(R"([{"name":"a","value":1},])"), ""},
      {"comma at the end of a column", InsertOf(R"([{"name":"a","value":1,}])"), ""},
      {"wrong bracket", InsertOf(R"([{"name":"a","value":1]])"), ""},
      {"no flag", R"({"action":"M","prefix":"p","content":"c"})", "\"transactional\" is missing"},
      {"flag is a number", R"({"action":"M","transactional":1,"prefix":"p","content":"c"})",
       "not a boolean"},
      {"content is null", R"({"action":"M","transactional":true,"prefix":"p","content":null})",
       "not a string"},
  };
  Wal2JsonDecoder decoder;
  for (const Malformed& c : cases) {
    EXPECT_THAT(decoder.Decode(c.payload),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(c.want)))
        << c.name;
    // What went wrong before leaves nothing behind.
    EXPECT_THAT(decoder.Decode(Txn(5).BeginPayload()), IsOk()) << c.name;
  }
}

std::vector<std::string> OneOfEachAction() {
  Txn txn(0x16B374D848, 834);
  txn.Insert("jobs", {{"id", "1"}, {"v", "2.50"}, {"t", "\"a\\u0001\\\"\""}})
      .Update({"s", "t\"\xc3\xbc"}, {{"id", "2"}, {"v", "null"}}, {{"id", "1"}})
      .Delete("jobs", {{"id", "true"}})
      .Truncate("jobs")
      .Message("pmoves", "text");
  return txn.Payloads();
}

TEST(Wal2JsonDecoderTest, EveryPrefixOfAMessageIsRefused) {
  Wal2JsonDecoder decoder;
  for (const std::string& payload : OneOfEachAction()) {
    ASSERT_THAT(decoder.Decode(payload), IsOk());
    for (size_t size = 0; size < payload.size(); ++size) {
      // On the heap and exactly as long, so that reading behind the end is seen by the sanitizer.
      const std::vector<char> bytes(payload.begin(),
                                    payload.begin() + static_cast<ptrdiff_t>(size));
      EXPECT_THAT(decoder.Decode({bytes.data(), bytes.size()}),
                  StatusIs(absl::StatusCode::kInvalidArgument))
          << payload.substr(0, size);
    }
  }
}

// Goal: no bytes crash the decoder, and whatever it accepts has well-formed tokens.
TEST(Wal2JsonDecoderTest, DamagedMessagesAreRefusedOrWellFormed) {
  std::mt19937 random(20261122);
  const std::vector<std::string> payloads = OneOfEachAction();
  constexpr std::string_view kBytes = "{}[]\",:\\ 0123456789-+.eEtrufalsn\x01\xff\xc3";
  Wal2JsonDecoder decoder;
  for (int round = 0; round < 20000; ++round) {
    std::string payload = payloads[random() % payloads.size()];
    for (uint32_t i = 0; i <= random() % 3; ++i) {
      const size_t at = random() % payload.size();
      switch (random() % 3) {
        case 0:
          payload[at] = kBytes[random() % kBytes.size()];
          break;
        case 1:
          payload.erase(at, 1 + random() % 8);
          break;
        default:
          payload.insert(at, 1, kBytes[random() % kBytes.size()]);
      }
      if (payload.empty()) payload = "{";
    }
    const absl::StatusOr<const WalChange*> change = decoder.Decode(payload);
    if (!change.ok()) continue;
    for (const auto* columns : {&(*change)->columns, &(*change)->identity}) {
      for (const proto::RawColumn& column : *columns) {
        ASSERT_TRUE(proto::IsStringToken(column.name)) << payload;
        ASSERT_TRUE(proto::IsScalarToken(column.value)) << payload;
      }
    }
  }
}

// A message of 200 MB took the publisher to 780 MB.
TEST(Wal2JsonDecoderTest, AHugeForeignMessageIsNotEvenRead) {
  Wal2JsonDecoder decoder;
  const std::string huge =
      R"({"action":"M","prefix":"pmoves_sync","content":")" + std::string(100 * 1024, 'x') + "\"}";
  const auto change = decoder.Decode(huge);
  ASSERT_TRUE(change.ok());
  EXPECT_EQ((*change)->action, WalAction::kMessage);
  EXPECT_EQ((*change)->prefix, "");
  EXPECT_EQ((*change)->content, "");
}

TEST(Wal2JsonDecoderTest, ErrorsNeverShowContent) {
  Wal2JsonDecoder decoder;
  for (const std::string& payload :
       {InsertOf(R"([{"name":"hunter2","value":hunter2}])"),
        InsertOf(R"([{"name":"a","value":"hunter2\q"}])"), std::string(R"({"action":"hunter2"})"),
        BeginOf(R"(,"xid":1,"nextlsn":"hunter2")"),
        BeginOf(R"(,"xid":1,"nextlsn":"0/1","timestamp":"hunter2")"),
        std::string(R"({"action":"T","schema":"s","table":"hunter2\q"})"),
        std::string("hunter2")}) {
    EXPECT_THAT(decoder.Decode(payload),
                StatusIs(absl::StatusCode::kInvalidArgument, Not(HasSubstr("hunter2"))));
  }
}

}  // namespace
}  // namespace pmoves
