// Goal: for any body, read(write(x)) == x and write(read(bytes)) == bytes. Method: random bodies
// from a seed that is printed; set PMOVES_TEST_SEED to run one again.
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "common/base/time_text.h"
#include "gtest/gtest.h"
#include "proto/message_codec.h"
#include "tests/proto/vectors.h"
#include "tests/testing/status_matchers.h"

namespace pmoves::proto {
namespace {

constexpr int kBodies = 3000;

class RandomBody {
 public:
  explicit RandomBody(uint64_t seed) : random_(seed) {}

  std::string Name() {
    std::string name = Text(12);
    return name.empty() ? "x" : name;
  }

  std::string Token() {
    switch (Below(7)) {
      case 0:
        return "null";
      case 1:
        return Below(2) == 0 ? "true" : "false";
      case 2:
        return std::to_string(static_cast<int64_t>(random_()));
      case 3:
        return "-" + std::to_string(Below(1000)) + "." + std::string(Below(50) + 1, '0');
      case 4:
        return "1e" + std::string(Below(2) == 0 ? "-" : "+") + std::to_string(Below(999));
      case 5:
        return EscapedText();
      default:
        return JsonString(Text(60));
    }
  }

  uint64_t Below(uint64_t limit) { return random_() % limit; }

 private:
  // Whole characters of one to four bytes, controls among them.
  std::string Text(uint64_t characters_max) {
    static const char* const kPieces[] = {"a",
                                          "B",
                                          "0",
                                          " ",
                                          "\"",
                                          "\\",
                                          "/",
                                          "\n",
                                          "\t",
                                          "\x01",
                                          "\x1F",
                                          "\x7F",
                                          "'",
                                          ":",
                                          ",",
                                          "{",
                                          "}",
                                          "[",
                                          "]",
                                          "%",
                                          "~",
                                          ".",
                                          "é",
                                          "ß",
                                          "コ",
                                          "\u2028",
                                          "🚀",
                                          "null",
                                          "plain text of some length"};
    std::string text;
    for (uint64_t left = Below(characters_max + 1); left > 0; --left)
      text += kPieces[Below(std::size(kPieces))];
    return text;
  }

  std::string EscapedText() {
    static const char* const kEscapes[] = {"\\u00e9", "\\uD83D\\uDE80", "\\/",  "\\b", "\\f",
                                           "x",       "\\u0001",        "\\\\", "\\\""};
    std::string token = "\"";
    for (uint64_t left = Below(20); left > 0; --left) token += kEscapes[Below(std::size(kEscapes))];
    return token + "\"";
  }

  std::mt19937_64 random_;
};

struct Written {
  std::vector<std::string> names;
  std::vector<std::string> values;  // row by row
  std::vector<std::string> old_keys;
  std::vector<std::string> unchanged;
  std::vector<TransactionEntry> transactions;
  std::string schema, table, bytes;
  Operation operation = Operation::kInsert;
  int64_t commit_us = 0;
};

std::vector<RawColumn> RowOf(const std::vector<std::string>& names,
                             const std::vector<std::string>& values, size_t row) {
  std::vector<RawColumn> columns;
  for (size_t i = 0; i < names.size(); ++i)
    columns.push_back({names[i], values[row * names.size() + i]});
  return columns;
}

Written Write(RandomBody* random) {
  constexpr Operation kOperations[] = {Operation::kInsert, Operation::kUpdate, Operation::kDelete,
                                       Operation::kSnapshot};
  Written out;
  out.schema = random->Name();
  out.table = random->Name();
  out.operation = kOperations[random->Below(4)];
  // Years 0001 to 9999.
  out.commit_us = -62135596800000000 + static_cast<int64_t>(random->Below(315537897600000000));
  const size_t rows = random->Below(5) + 1;
  const bool with_keys = out.operation == Operation::kDelete ||
                         (out.operation == Operation::kUpdate && random->Below(2) == 0);
  for (uint64_t i = random->Below(10) + 1; i > 0; --i)
    out.names.push_back(JsonString(random->Name() + std::to_string(i)));
  BodyWriter writer;
  writer.Start("s-1", out.schema, out.table, out.operation);
  for (size_t row = 0; row < rows; ++row) {
    for (size_t i = 0; i < out.names.size(); ++i) out.values.push_back(random->Token());
    out.old_keys.push_back(random->Token());
    const std::vector<RawColumn> data = RowOf(out.names, out.values, row);
    const RawColumn key{out.names[0], out.old_keys.back()};
    writer.AddRow(CarriesData(out.operation) ? std::span<const RawColumn>(data)
                                             : std::span<const RawColumn>(),
                  with_keys ? std::span<const RawColumn>(&key, 1) : std::span<const RawColumn>());
  }
  if (out.operation == Operation::kUpdate && random->Below(2) == 0)
    out.unchanged = {random->Name(), random->Name()};
  if (rows > 1 && random->Below(2) == 0) {
    for (uint32_t i = 0; i < rows; ++i) {
      out.transactions.push_back({Lsn{random->Below(1u << 30) + (uint64_t{i + 1} << 40)},
                                  static_cast<uint32_t>(random->Below(UINT32_MAX)), out.commit_us,
                                  Hlc{int64_t{i} << 20}, 1});
    }
  }
  out.bytes = writer.Finish(out.commit_us, out.unchanged, out.transactions);
  return out;
}

TEST(BodyPropertyTest, WhatIsWrittenIsReadAndWhatIsReadIsWritten) {
  const char* const given = std::getenv("PMOVES_TEST_SEED");
  const uint64_t seed =
      given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device()();
  SCOPED_TRACE("PMOVES_TEST_SEED=" + std::to_string(seed));
  RecordProperty("seed", std::to_string(seed));
  RandomBody random(seed);
  BodyReader reader;
  Body body;
  for (int i = 0; i < kBodies; ++i) {
    const Written written = Write(&random);
    std::string bytes = written.bytes;
    ASSERT_THAT(reader.Read(&bytes, &body), IsOk()) << written.bytes;
    ASSERT_EQ(Rebuild(body), written.bytes);
    ASSERT_EQ(body.schema, written.schema);
    ASSERT_EQ(body.table, written.table);
    ASSERT_EQ(body.operation, written.operation);
    ASSERT_EQ(body.commit_us, written.commit_us);
    ASSERT_EQ(body.unchanged, written.unchanged);
    ASSERT_EQ(body.transactions, written.transactions);
    ASSERT_EQ(body.changes(), written.old_keys.size());
    for (size_t column = 0; column < body.data_columns.size(); ++column) {
      ASSERT_EQ(body.data_columns[column].name, written.names[column % written.names.size()]);
      ASSERT_EQ(body.data_columns[column].value, written.values[column]);
      std::string text;
      ASSERT_THAT(AppendTokenText(body.data_columns[column].value, &text), IsOk());
    }
  }
}

}  // namespace
}  // namespace pmoves::proto
