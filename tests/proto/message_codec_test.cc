#include "proto/message_codec.h"

#include <map>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/proto/vectors.h"
#include "tests/testing/status_matchers.h"

namespace pmoves::proto {
namespace {

using ::testing::HasSubstr;

Envelope Whole() {
  Envelope envelope;
  envelope.source = "jetson-01";
  envelope.epoch = 3;
  envelope.origin = "7312345678901234567/1/pmoves_sync";
  envelope.writer = "6f1c9a52-0d0c-4b7e-9a53-2f5b8f0a7c11";
  envelope.position = Lsn{0xFFFFFFFFFFFFFFFF};
  envelope.previous = Lsn{0x1B374D848};
  envelope.chunk = 4294967295;
  envelope.last = true;
  envelope.hlc = Hlc{INT64_MAX};
  envelope.xid = 4294967295;
  return envelope;
}

TEST(HeadersTest, EveryFieldSurvives) {
  Envelope in = Whole();
  in.last = false;
  in.part = 4294967293;
  in.parts = 4294967295;
  in.caught_up_ms = INT64_MAX;
  const Headers headers = EncodeHeaders(in);
  ASSERT_OK_AND_ASSIGN(const Envelope out, DecodeHeaders(LookupIn(headers)));
  EXPECT_EQ(out.source, in.source);
  EXPECT_EQ(out.epoch, in.epoch);
  EXPECT_EQ(out.origin, in.origin);
  EXPECT_EQ(out.writer, in.writer);
  EXPECT_EQ(out.position, in.position);
  EXPECT_EQ(out.previous, in.previous);
  EXPECT_EQ(out.chunk, in.chunk);
  EXPECT_EQ(out.last, in.last);
  EXPECT_EQ(out.hlc, in.hlc);
  EXPECT_EQ(out.xid, in.xid);
  EXPECT_EQ(out.part, in.part);
  EXPECT_EQ(out.parts, in.parts);
  EXPECT_EQ(out.caught_up_ms, in.caught_up_ms);
}

TEST(HeadersTest, LastPartAndCaughtUpAreAbsentWhenTheyAddNothing) {
  Envelope envelope = Whole();
  envelope.last = false;
  const Headers headers = EncodeHeaders(envelope);
  EXPECT_EQ(LookupIn(headers)(kHeaderLast), std::nullopt);
  EXPECT_EQ(LookupIn(headers)(kHeaderPart), std::nullopt);
  EXPECT_EQ(LookupIn(headers)(kHeaderCaughtUp), std::nullopt);
}

TEST(HeadersTest, AMissingHeaderIsNamed) {
  for (const char* name :
       {kHeaderProtocol, kHeaderSource, kHeaderEpoch, kHeaderOrigin, kHeaderWriter, kHeaderPosition,
        kHeaderPrevious, kHeaderChunk, kHeaderHlc, kHeaderXid}) {
    Headers headers = EncodeHeaders(Whole());
    std::erase_if(headers,
                  [&](const auto& header) { return std::string_view(header.first) == name; });
    EXPECT_THAT(
        DecodeHeaders(LookupIn(headers)),
        StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(std::string(name) + " is missing")));
  }
}

TEST(HeadersTest, NoHeadersAtAllIsRefused) {
  EXPECT_THAT(DecodeHeaders(LookupIn({})),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("Sync-Protocol")));
}

struct BadHeader {
  const char* name;
  std::string value;
};

class BadHeaderTest : public ::testing::TestWithParam<BadHeader> {};

TEST_P(BadHeaderTest, IsRefusedByName) {
  std::map<std::string, std::string> headers;
  for (const auto& [name, value] : EncodeHeaders(Whole())) headers[name] = value;
  headers[GetParam().name] = GetParam().value;
  const auto lookup = [&](const char* name) -> std::optional<std::string_view> {
    const auto found = headers.find(name);
    if (found == headers.end()) return std::nullopt;
    return found->second;
  };
  const absl::StatusOr<Envelope> envelope = DecodeHeaders(lookup);
  ASSERT_THAT(envelope, StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(GetParam().name)));
  if (GetParam().value.size() > 4) {
    EXPECT_THAT(MessageOf(envelope.status()), ::testing::Not(HasSubstr(GetParam().value)));
  }
}

INSTANTIATE_TEST_SUITE_P(Table, BadHeaderTest,
                         ::testing::ValuesIn(std::vector<BadHeader>{
                             {kHeaderProtocol, "0"},
                             {kHeaderProtocol, "one"},
                             {kHeaderProtocol, "01"},
                             {kHeaderSource, ""},
                             {kHeaderSource, "Jetson"},
                             {kHeaderSource, "-jetson"},
                             {kHeaderSource, "a.b"},
                             {kHeaderSource, std::string(33, 'a')},
                             {kHeaderEpoch, "0"},
                             {kHeaderEpoch, "-1"},
                             {kHeaderEpoch, "4294967296"},
                             {kHeaderEpoch, "1 "},
                             {kHeaderOrigin, ""},
                             {kHeaderOrigin, "two words"},
                             {kHeaderOrigin, "line\nbreak"},
                             {kHeaderOrigin, std::string(201, 'x')},
                             {kHeaderWriter, ""},
                             {kHeaderWriter, std::string("nul\0nul", 7)},
                             {kHeaderPosition, "0/0"},
                             {kHeaderPosition, "16B374D848"},
                             {kHeaderPosition, "16/B374D848Z"},
                             {kHeaderPosition, "1/B374D848"},  // equal to previous
                             {kHeaderPosition, "0/1"},         // before previous
                             {kHeaderPrevious, ""},
                             {kHeaderPrevious, "/"},
                             {kHeaderPrevious, "FFFFFFFF/FFFFFFFF"},
                             {kHeaderPrevious, "123456789/0"},
                             {kHeaderChunk, "4294967296"},
                             {kHeaderChunk, "+1"},
                             {kHeaderChunk, "0x1"},
                             {kHeaderLast, "0"},
                             {kHeaderLast, ""},
                             {kHeaderLast, "true"},
                             {kHeaderHlc, "-1"},
                             {kHeaderHlc, "9223372036854775808"},
                             {kHeaderHlc, "1.5"},
                             {kHeaderXid, "4294967296"},
                             {kHeaderXid, ""},
                             {kHeaderCaughtUp, "-1"},
                             {kHeaderCaughtUp, "soon"},
                             {kHeaderPart, ""},
                             {kHeaderPart, "1"},
                             {kHeaderPart, "0/1"},
                             {kHeaderPart, "2/2"},
                             {kHeaderPart, "1/0"},
                             {kHeaderPart, "1/2/3"},
                             {kHeaderPart, "-1/2"},
                             {kHeaderPart, "0/2"},  // last, but not the last part
                         }));

TEST(HeadersTest, APartCannotStandBeforeItsOwnChunk) {
  Envelope envelope = Whole();
  envelope.chunk = 1;
  envelope.part = 2;
  envelope.parts = 3;
  const Headers headers = EncodeHeaders(envelope);
  EXPECT_THAT(DecodeHeaders(LookupIn(headers)),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("Sync-Chunk")));
}

// Not malformed: it must wait for a reader that knows it, whatever else it says.
TEST(HeadersTest, ANewerProtocolIsUnimplementedAndSaysWhatToDo) {
  for (const char* version : {"3", "99", "4294967297"}) {
    Headers headers;
    headers.emplace_back(kHeaderProtocol, version);
    EXPECT_THAT(DecodeHeaders(LookupIn(headers)),
                StatusIs(absl::StatusCode::kUnimplemented,
                         testing::AllOf(HasSubstr(version), HasSubstr("upgrade"))));
  }
}

const std::vector<RawColumn> kRow = {{R"("id")", "1"}, {R"("name")", R"("a\"b")"}};
const std::vector<RawColumn> kKey = {{R"("id")", "7"}};

TEST(BodyWriterTest, AnInsertHasDataOnly) {
  BodyWriter writer;
  writer.Start("jetson-01", "public", "jobs", Operation::kInsert);
  EXPECT_TRUE(writer.empty());
  writer.AddRow(kRow, {});
  writer.AddRow(kRow, {});
  EXPECT_EQ(writer.rows(), 2u);
  const size_t bound = writer.bytes();
  const std::string body = writer.Finish(0, {}, {});
  EXPECT_EQ(body, R"({"source":"jetson-01","schema":"public","table":"jobs","operation":"INSERT",)"
                  R"("timestamp":"1970-01-01T00:00:00.000000Z",)"
                  R"("data":[{"id":1,"name":"a\"b"},{"id":1,"name":"a\"b"}]})");
  EXPECT_LE(body.size(), bound);
  EXPECT_GE(body.size() + 40, bound) << "the bound must be close";
}

TEST(BodyWriterTest, ADeleteHasKeysOnlyAndATruncateHasNeither) {
  BodyWriter writer;
  writer.Start("s", "public", "t", Operation::kDelete);
  writer.AddRow({}, kKey);
  EXPECT_EQ(writer.Finish(0, {}, {}),
            R"({"source":"s","schema":"public","table":"t","operation":"DELETE",)"
            R"("timestamp":"1970-01-01T00:00:00.000000Z","keys":[{"id":7}]})");
  writer.Start("s", "public", "t", Operation::kTruncate);
  EXPECT_EQ(writer.Finish(0, {}, {}),
            R"({"source":"s","schema":"public","table":"t","operation":"TRUNCATE",)"
            R"("timestamp":"1970-01-01T00:00:00.000000Z"})");
}

TEST(BodyWriterTest, AProgressNamesNoTable) {
  BodyWriter writer;
  writer.Start("s", "", "", Operation::kProgress);
  std::string bytes = writer.Finish(1, {}, {});
  EXPECT_EQ(bytes,
            R"({"source":"s","operation":"PROGRESS","timestamp":"1970-01-01T00:00:00.000001Z"})");
  BodyReader reader;
  Body body;
  ASSERT_THAT(reader.Read(&bytes, &body), IsOk());
  EXPECT_EQ(body.operation, Operation::kProgress);
  EXPECT_EQ(body.changes(), 0u);
}

TEST(BodyWriterTest, OneTransactionIsNotListed) {
  BodyWriter writer;
  writer.Start("s", "public", "t", Operation::kInsert);
  writer.AddRow(kRow, {});
  const TransactionEntry one{Lsn{16}, 1, 0, Hlc{1}, 1};
  EXPECT_THAT(writer.Finish(0, {}, {&one, 1}), ::testing::Not(HasSubstr("transactions")));
}

TEST(BodyWriterTest, NothingOfOneBodyIsLeftInTheNext) {
  BodyWriter writer;
  writer.Start("s", "public", "t", Operation::kUpdate);
  writer.AddRow(kRow, kKey);
  writer.Start("s", "public", "t", Operation::kInsert);
  writer.AddRow(kRow, {});
  const std::string after_dropped = writer.Finish(0, {}, {});
  writer.Start("s", "public", "t", Operation::kInsert);
  writer.AddRow(kRow, {});
  EXPECT_EQ(writer.Finish(0, {}, {}), after_dropped);
  EXPECT_THAT(after_dropped, ::testing::Not(HasSubstr("keys")));
}

TEST(BodyWriterTest, AppendedRowsAreThoseOfTheOtherBody) {
  BodyWriter both, one, two;
  for (BodyWriter* writer : {&both, &one, &two})
    writer->Start("s", "public", "t", Operation::kUpdate);
  one.AddRow(kRow, kKey);
  two.AddRow(kRow, kKey);
  both.AddRow(kRow, kKey);
  both.AddRow(kRow, kKey);
  one.AppendRows(two);
  EXPECT_EQ(one.rows(), 2u);
  EXPECT_EQ(one.Finish(0, {}, {}), both.Finish(0, {}, {}));
  EXPECT_EQ(two.rows(), 1u);
}

TEST(BodyWriterTest, ARowWithoutColumnsIsAnEmptyObject) {
  BodyWriter writer;
  writer.Start("s", "public", "t", Operation::kInsert);
  writer.AddRow({}, {});
  writer.AddRow({}, {});
  EXPECT_THAT(writer.Finish(0, {}, {}), HasSubstr(R"("data":[{},{}]})"));
}

TEST(BodyWriterDeathTest, RowsThatDoNotFitTheOperationAreABug) {
  BodyWriter writer;
  writer.Start("s", "public", "t", Operation::kDelete);
  EXPECT_DEATH(writer.AddRow(kRow, kKey), "broken invariant");
  EXPECT_DEATH(writer.AddRow({}, {}), "broken invariant");
  writer.Start("s", "public", "t", Operation::kUpdate);
  writer.AddRow(kRow, kKey);
  EXPECT_DEATH(writer.AddRow(kRow, {}), "broken invariant");
}

TEST(OperationTest, NamesReadBack) {
  for (const Operation operation :
       {Operation::kInsert, Operation::kUpdate, Operation::kDelete, Operation::kTruncate,
        Operation::kSnapshot, Operation::kProgress, Operation::kRelation}) {
    Operation parsed;
    ASSERT_TRUE(ParseOperation(OperationName(operation), &parsed));
    EXPECT_EQ(parsed, operation);
  }
  Operation parsed = Operation::kDelete;
  EXPECT_FALSE(ParseOperation("insert", &parsed));
  EXPECT_FALSE(ParseOperation("", &parsed));
  EXPECT_EQ(parsed, Operation::kDelete);
}

}  // namespace
}  // namespace pmoves::proto
