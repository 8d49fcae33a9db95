#include "tests/proto/vectors.h"

#include <simdjson.h>

#include <algorithm>
#include <filesystem>
#include <span>

#include "common/base/check.h"

namespace pmoves::proto {
namespace {

std::string Text(simdjson::dom::element object, std::string_view member) {
  std::string_view text;
  PMOVES_CHECK(!object[member].get(text));
  return std::string(text);
}

Vector LoadVector(const std::filesystem::path& path) {
  simdjson::dom::parser parser;
  simdjson::dom::element file;
  simdjson::dom::object headers;
  PMOVES_CHECK(!parser.load(path.string()).get(file));
  PMOVES_CHECK(!file["headers"].get(headers));
  Vector vector{Text(file, "name"), Text(file, "subject"), {}, Text(file, "body")};
  PMOVES_CHECK(vector.name == path.stem().string());
  for (const auto& field : headers) {
    std::string_view value;
    PMOVES_CHECK(!field.value.get(value));
    vector.headers.emplace_back(field.key, value);
  }
  return vector;
}

std::span<const RawColumn> Row(const std::vector<RawColumn>& columns,
                               const std::vector<uint32_t>& offsets, size_t row) {
  if (row + 1 >= offsets.size()) return {};
  return {columns.data() + offsets[row], columns.data() + offsets[row + 1]};
}

}  // namespace

std::optional<std::string_view> Vector::Header(std::string_view wanted) const {
  for (const auto& [header, value] : headers) {
    if (header == wanted) return value;
  }
  return std::nullopt;
}

HeaderLookup Vector::Lookup() const {
  return [this](const char* header) { return Header(header); };
}

std::vector<Vector> LoadVectors() {
  std::vector<Vector> vectors;
  for (const auto& entry : std::filesystem::directory_iterator(PMOVES_PROTO_DIR "/vectors")) {
    vectors.push_back(LoadVector(entry.path()));
  }
  std::sort(vectors.begin(), vectors.end(),
            [](const Vector& a, const Vector& b) { return a.name < b.name; });
  PMOVES_CHECK(!vectors.empty());
  return vectors;
}

std::vector<std::string> WholeBodies() {
  std::vector<std::string> bodies;
  std::string joined;
  for (const Vector& vector : LoadVectors()) {
    if (!vector.IsPart()) {
      bodies.push_back(vector.body);
      continue;
    }
    joined += vector.body;  // names end in the number of the part, so they come in order
  }
  bodies.push_back(joined);
  return bodies;
}

std::string Rebuild(const Body& body) {
  if (body.operation == Operation::kRelation) {
    return EncodeRelation(body.source, body.schema, body.table, body.commit_us, body.relation);
  }
  BodyWriter writer;
  writer.Start(body.source, body.schema, body.table, body.operation);
  for (size_t row = 0; row < std::max(body.data_rows(), body.key_rows()); ++row) {
    writer.AddRow(Row(body.data_columns, body.data_offsets, row),
                  Row(body.key_columns, body.key_offsets, row));
  }
  const size_t bound = writer.bytes();
  std::string bytes = writer.Finish(body.commit_us, body.unchanged, body.transactions);
  const size_t group = body.transactions.size() * BodyWriter::kTransactionBytesMax;
  PMOVES_CHECK(bytes.size() <= bound + group || !body.unchanged.empty());
  return bytes;
}

HeaderLookup LookupIn(const Headers& headers) {
  return [&headers](const char* wanted) -> std::optional<std::string_view> {
    for (const auto& [header, value] : headers) {
      if (std::string_view(header) == wanted) return value;
    }
    return std::nullopt;
  };
}

}  // namespace pmoves::proto
