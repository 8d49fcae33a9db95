// Goal: the golden vectors are what the codec writes and reads, byte for byte. Method: decode,
// encode, compare.
#include "tests/proto/vectors.h"

#include <fstream>
#include <iterator>
#include <set>

#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/subject.h"
#include "tests/testing/status_matchers.h"

namespace pmoves::proto {
namespace {

using ::testing::HasSubstr;
using ::testing::IsSubsetOf;

class VectorTest : public ::testing::TestWithParam<Vector> {};

TEST_P(VectorTest, HeadersDecodeAndEncodeToTheSameText) {
  ASSERT_OK_AND_ASSIGN(const Envelope envelope, DecodeHeaders(GetParam().Lookup()));
  std::vector<std::pair<std::string, std::string>> encoded;
  for (const auto& [name, value] : EncodeHeaders(envelope)) encoded.emplace_back(name, value);
  EXPECT_EQ(encoded, GetParam().headers);
}

TEST_P(VectorTest, SubjectDecodesAndEncodesToTheSameText) {
  ASSERT_OK_AND_ASSIGN(const Subject subject, ParseSubject(GetParam().subject));
  EXPECT_EQ(MakeSubject(subject.schema, subject.table, subject.operation, subject.source),
            GetParam().subject);
}

TEST_P(VectorTest, SubjectHeadersAndBodyAgree) {
  if (GetParam().IsPart()) return;  // a fragment: it has no body of its own
  ASSERT_OK_AND_ASSIGN(const Subject subject, ParseSubject(GetParam().subject));
  ASSERT_OK_AND_ASSIGN(const Envelope envelope, DecodeHeaders(GetParam().Lookup()));
  std::string bytes = GetParam().body;
  BodyReader reader;
  Body body;
  ASSERT_THAT(reader.Read(&bytes, &body), IsOk());
  const bool control = IsControl(body.operation);
  EXPECT_EQ(subject, (Subject{control ? "" : body.schema, control ? "" : body.table, body.operation,
                              body.source}));
  EXPECT_EQ(envelope.source, body.source);
  if (body.transactions.empty()) return;
  EXPECT_EQ(envelope.position, body.transactions.back().position);
  EXPECT_EQ(envelope.xid, body.transactions.back().xid);
  EXPECT_EQ(envelope.hlc, body.transactions.front().hlc);
  EXPECT_LT(envelope.previous, body.transactions.front().position);
  EXPECT_EQ(body.commit_us, body.transactions.back().commit_us);
}

INSTANTIATE_TEST_SUITE_P(Golden, VectorTest, ::testing::ValuesIn(LoadVectors()),
                         [](const auto& param) { return param.param.name; });

TEST(WholeBodiesTest, DecodeAndEncodeToTheSameBytes) {
  BodyReader reader;
  Body body;
  for (const std::string& bytes : WholeBodies()) {
    std::string copy = bytes;
    ASSERT_THAT(reader.Read(&copy, &body), IsOk()) << bytes;
    EXPECT_EQ(copy, bytes) << "reading must not change the bytes";
    EXPECT_EQ(Rebuild(body), bytes);
  }
}

TEST(WholeBodiesTest, EveryTruncationIsRefused) {
  BodyReader reader;
  Body body;
  for (const std::string& bytes : WholeBodies()) {
    for (size_t size = 0; size < bytes.size(); ++size) {
      std::string prefix = bytes.substr(0, size);
      ASSERT_THAT(reader.Read(&prefix, &body), StatusIs(absl::StatusCode::kInvalidArgument))
          << prefix;
    }
  }
}

TEST(WholeBodiesTest, EverySingleByteChangeGivesAnAnswer) {
  BodyReader reader;
  Body body;
  for (const std::string& bytes : WholeBodies()) {
    for (size_t at = 0; at < bytes.size(); ++at) {
      for (const char c :
           {'\0', '"', '\\', '{', '}', '[', ']', ',', ':', ' ', '9', '\x80', '\xFF'}) {
        std::string changed = bytes;
        changed[at] = c;
        if (!reader.Read(&changed, &body).ok()) continue;
        // What was let through can be written again and says the same.
        std::string rebuilt = Rebuild(body);
        ASSERT_THAT(reader.Read(&rebuilt, &body), IsOk()) << changed;
      }
    }
  }
}

TEST(VectorsTest, CoverWhatAMessageCanBe) {
  std::set<std::string> names;
  for (const Vector& vector : LoadVectors()) names.insert(vector.name);
  EXPECT_THAT(
      (std::vector<std::string>{"insert", "insert_rows", "chunk_in_the_middle", "update",
                                "update_unchanged_toast", "update_key_change", "delete", "truncate",
                                "group_of_transactions", "big_row_part_0", "progress",
                                "quoted_identifiers", "widest_values", "null_and_null_text",
                                "snapshot", "progress_caught_up", "relation"}),
      IsSubsetOf(names));
}

// One worked example in full, so that a mistake which the codec makes in both directions is seen.
TEST(VectorsTest, GroupOfTransactionsMeansWhatTheReadmeSays) {
  for (const Vector& vector : LoadVectors()) {
    if (vector.name != "group_of_transactions") continue;
    std::string bytes = vector.body;
    BodyReader reader;
    Body body;
    ASSERT_THAT(reader.Read(&bytes, &body), IsOk());
    ASSERT_EQ(body.data_rows(), 4u);
    EXPECT_EQ(body.data_columns[2].name, "\"id\"");
    EXPECT_EQ(body.data_columns[2].value, "32");
    ASSERT_EQ(body.transactions.size(), 3u);
    EXPECT_EQ(body.transactions[1], (TransactionEntry{Lsn{0x16'B3760D00}, 7420, 1795339541029999,
                                                      Hlc{117659372160876559}, 2}));
  }
}

TEST(VectorsTest, ReadmeShowsTheGroupAsItIs) {
  std::ifstream file(PMOVES_PROTO_DIR "/README.md");
  const std::string readme{std::istreambuf_iterator<char>(file), {}};
  for (const Vector& vector : LoadVectors()) {
    if (vector.name != "group_of_transactions") continue;
    EXPECT_THAT(readme, HasSubstr("\n    " + vector.subject + "\n"));
    for (const auto& [name, value] : vector.headers) {
      EXPECT_THAT(readme, HasSubstr("\n    " + name + ": " + value + "\n"));
    }
    // The body is broken into lines there.
    EXPECT_THAT(absl::StrReplaceAll(readme, {{"\n", ""}, {" ", ""}}), HasSubstr(vector.body));
  }
}

}  // namespace
}  // namespace pmoves::proto
