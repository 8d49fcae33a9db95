// BodyReader: JSON -> struct.
//
// On the hot path of every row, so values are left where they are: simdjson finds the structure of
// the bytes, and rows become views of raw tokens in flat arrays. Nothing is allocated per row.
#include <simdjson.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <iterator>

#include "absl/strings/str_format.h"
#include "common/base/check.h"
#include "common/base/status.h"
#include "common/base/time_text.h"
#include "proto/body_token.h"
#include "proto/message_codec.h"
#include "proto/relation_body.h"
#include "proto/subject.h"

namespace pmoves::proto {
namespace {

namespace ondemand = simdjson::ondemand;

enum Member {
  kSource,
  kSchema,
  kTable,
  kOperation,
  kTimestamp,
  kData,
  kKeys,
  kUnchanged,
  kTransactions,
  kColumns,
  kIdentity,
  kFingerprint
};
constexpr std::string_view kMembers[] = {"source",       "schema",  "table",    "operation",
                                         "timestamp",    "data",    "keys",     "unchanged",
                                         "transactions", "columns", "identity", "fingerprint"};
constexpr Member kRelationMembers[] = {kColumns, kIdentity, kFingerprint};
enum EntryMember { kEntryPosition, kEntryXid, kEntryTimestamp, kEntryHlc, kEntryRows };
constexpr std::string_view kEntryMembers[] = {"position", "xid", "timestamp", "hlc", "rows"};

constexpr unsigned Bit(size_t member) { return 1u << member; }

absl::Status Malformed(std::string_view what) {
  return absl::InvalidArgumentError(absl::StrFormat("body: %s is malformed", what));
}

absl::Status NotJson(simdjson::error_code error) {
  return absl::InvalidArgumentError(
      absl::StrFormat("body: not JSON of the known form: %s", simdjson::error_message(error)));
}

// The raw token of a field's name, with its quotes. simdjson has made sure that it is closed before
// `end`.
std::string_view NameToken(const char* after_quote, const char* end) {
  const char* p = after_quote;
  while (p < end && *p != '"') p += *p == '\\' ? 2 : 1;
  if (p >= end) return {};
  return {after_quote - 1, static_cast<size_t>(p + 1 - (after_quote - 1))};
}

std::string_view WithoutQuotes(std::string_view token) { return token.substr(1, token.size() - 2); }

template <size_t n>
size_t FindMember(const std::string_view (&members)[n], std::string_view name) {
  return static_cast<size_t>(std::find(std::begin(members), std::end(members), name) -
                             std::begin(members));
}

bool TakeTimestamp(ondemand::value value, std::string* scratch, int64_t* out) {
  if (!TakeText(value, scratch)) return false;
  const absl::StatusOr<int64_t> parsed = ParseTimestamp(*scratch);
  if (parsed.ok()) *out = *parsed;
  return parsed.ok();
}

void Clear(Body* body) {
  body->source.clear();
  body->schema.clear();
  body->table.clear();
  body->operation = Operation::kInsert;
  body->commit_us = 0;
  body->unchanged.clear();
  body->transactions.clear();
  body->relation = RelationDefinition();
  body->data_columns.clear();
  body->data_offsets.assign(1, 0);
  body->key_columns.clear();
  body->key_offsets.assign(1, 0);
}

// The transactions of a group: as many rows as the message has, positions and versions rising.
absl::Status CheckTransactions(const Body& body) {
  if (body.transactions.size() < 2)
    return absl::InvalidArgumentError("body: a group needs two transactions or more");
  uint64_t rows = 0;
  const TransactionEntry* before = nullptr;
  for (const TransactionEntry& entry : body.transactions) {
    if (entry.rows == 0)
      return absl::InvalidArgumentError("body: a transaction of a group has no rows");
    if (before != nullptr && (entry.position <= before->position ||
                              entry.hlc.value - before->rows < before->hlc.value)) {
      return absl::InvalidArgumentError("body: the transactions of a group are not in order");
    }
    rows += entry.rows;
    before = &entry;
  }
  if (rows != body.changes()) {
    return absl::InvalidArgumentError(
        "body: the rows of the transactions do not add up to those of the message");
  }
  return absl::OkStatus();
}

// What each member may be is checked while reading; this is what they must be together.
absl::Status CheckTogether(const Body& body, unsigned seen) {
  const bool control = IsWithoutTable(body.operation);
  for (const Member member : {kSource, kSchema, kTable, kOperation, kTimestamp}) {
    if ((seen & Bit(member)) != 0 || (control && (member == kSchema || member == kTable))) continue;
    return absl::InvalidArgumentError(
        absl::StrFormat("body: member %s is missing", kMembers[member]));
  }
  if (body.schema.empty() != control || body.table.empty() != control) {
    return absl::InvalidArgumentError("body: schema and table do not fit the operation");
  }
  for (const Member member : kRelationMembers) {
    if (((seen & Bit(member)) != 0) == (body.operation == Operation::kRelation)) continue;
    return absl::InvalidArgumentError(
        absl::StrFormat("body: member %s does not fit the operation", kMembers[member]));
  }
  const bool has_keys = (seen & Bit(kKeys)) != 0;
  if (((seen & Bit(kData)) != 0) != CarriesData(body.operation) ||
      (has_keys && !MayCarryKeys(body.operation)) ||
      (!has_keys && body.operation == Operation::kDelete) ||
      ((seen & Bit(kUnchanged)) != 0 && body.operation != Operation::kUpdate)) {
    return absl::InvalidArgumentError("body: data, keys or unchanged do not fit the operation");
  }
  const bool is_rows = CarriesData(body.operation) || MayCarryKeys(body.operation);
  if (is_rows && body.changes() == 0) return absl::InvalidArgumentError("body: there are no rows");
  if (has_keys && CarriesData(body.operation) && body.key_rows() != body.data_rows()) {
    return absl::InvalidArgumentError("body: data and keys differ in their number of rows");
  }
  return (seen & Bit(kTransactions)) != 0 ? CheckTransactions(body) : absl::OkStatus();
}

}  // namespace

// The members of one body, read into *body in whatever order they come.
struct BodyReader::Parser {
  ondemand::parser json;
  std::string scratch;
  std::vector<std::string_view> names;  // scratch of HasColumnTwice
  std::deque<std::string> unescaped;    // likewise: the same name may be escaped in two ways
  const char* end = nullptr;            // of the bytes being read

  absl::Status ReadMember(size_t member, ondemand::value value, Body* body);
  absl::Status ReadRows(ondemand::value value, std::vector<RawColumn>* columns,
                        std::vector<uint32_t>* offsets);
  bool ReadRow(ondemand::object row, size_t previous, std::vector<RawColumn>* columns);
  bool HasColumnTwice(std::span<const RawColumn> row);
  bool ReadUnchanged(ondemand::value value, std::vector<std::string>* unchanged);
  bool ReadTransactions(ondemand::value value, std::vector<TransactionEntry>* transactions);
  bool ReadTransaction(ondemand::object object, TransactionEntry* entry);
  bool ReadEntryMember(size_t member, ondemand::value value, TransactionEntry* entry);
};

BodyReader::BodyReader() : parser_(std::make_unique<Parser>()) {}
BodyReader::~BodyReader() = default;

absl::Status BodyReader::Read(std::string* bytes, Body* body) {
  Clear(body);
  const size_t padded = bytes->size() + simdjson::SIMDJSON_PADDING;
  if (bytes->capacity() < padded) bytes->reserve(padded);
  parser_->end = bytes->data() + bytes->size();
  ondemand::document document;
  ondemand::object object;
  if (auto error =
          parser_->json.iterate(bytes->data(), bytes->size(), bytes->capacity()).get(document))
    return NotJson(error);
  if (auto error = document.get_object().get(object)) return NotJson(error);
  unsigned seen = 0;
  for (auto result : object) {
    ondemand::field field;
    if (auto error = std::move(result).get(field)) return NotJson(error);
    const std::string_view name = NameToken(field.key().raw(), parser_->end);
    if (!IsStringToken(name)) return Malformed("the name of a member");
    const size_t member = FindMember(kMembers, WithoutQuotes(name));
    if (member == std::size(kMembers)) {
      if (!PassOver(field.value())) return Malformed("an unknown member");
      continue;
    }
    if ((seen & Bit(member)) != 0)
      return absl::InvalidArgumentError(
          absl::StrFormat("body: member %s comes twice", kMembers[member]));
    seen |= Bit(member);
    RETURN_IF_ERROR(parser_->ReadMember(member, field.value(), body));
  }
  if (document.current_location().error() != simdjson::OUT_OF_BOUNDS) {
    return absl::InvalidArgumentError("body: something follows the JSON object");
  }
  return CheckTogether(*body, seen);
}

absl::Status BodyReader::Parser::ReadMember(size_t member, ondemand::value value, Body* body) {
  bool ok = false;
  switch (static_cast<Member>(member)) {
    case kSource:
      ok = TakeText(value, &body->source) && IsSourceName(body->source);
      break;
    case kSchema:
      ok = TakeText(value, &body->schema);
      break;
    case kTable:
      ok = TakeText(value, &body->table);
      break;
    case kOperation:
      ok = TakeText(value, &scratch) && ParseOperation(scratch, &body->operation);
      break;
    case kTimestamp:
      ok = TakeTimestamp(value, &scratch, &body->commit_us);
      break;
    case kData:
      return ReadRows(value, &body->data_columns, &body->data_offsets);
    case kKeys:
      return ReadRows(value, &body->key_columns, &body->key_offsets);
    case kUnchanged:
      ok = ReadUnchanged(value, &body->unchanged);
      break;
    case kTransactions:
      ok = ReadTransactions(value, &body->transactions);
      break;
    case kColumns:
      ok = ReadRelationColumns(value, &body->relation.columns);
      break;
    case kIdentity:
      ok = TakeText(value, &scratch) && ParseReplicaIdentity(scratch, &body->relation.identity);
      break;
    case kFingerprint:
      ok = TakeText(value, &body->relation.fingerprint) && !body->relation.fingerprint.empty();
      break;
  }
  return ok ? absl::OkStatus() : Malformed(kMembers[member]);
}

absl::Status BodyReader::Parser::ReadRows(ondemand::value value, std::vector<RawColumn>* columns,
                                          std::vector<uint32_t>* offsets) {
  ondemand::array rows;
  if (auto error = value.get_array().get(rows)) return NotJson(error);
  size_t previous = 0;
  for (auto result : rows) {
    ondemand::object row;
    if (auto error = std::move(result).get_object().get(row)) return NotJson(error);
    if (!ReadRow(row, previous, columns))
      return Malformed(absl::StrFormat("row %d", offsets->size() - 1));
    previous = offsets->back();
    offsets->push_back(static_cast<uint32_t>(columns->size()));
  }
  return absl::OkStatus();
}

// Rows mostly have the columns of the row before (whose columns begin at `previous`): then a
// comparison of bytes is all it takes to know where a name ends, that it is well formed and that no
// name comes twice.
bool BodyReader::Parser::ReadRow(ondemand::object row, size_t previous,
                                 std::vector<RawColumn>* columns) {
  const size_t first = columns->size();
  bool names_known = true;
  for (auto result : row) {
    ondemand::field field;
    if (std::move(result).get(field)) return false;
    const char* const quote = field.key().raw() - 1;
    RawColumn column;
    const size_t same = previous + (columns->size() - first);
    if (same < first) column.name = (*columns)[same].name;
    if (column.name.empty() || static_cast<size_t>(end - quote) < column.name.size() ||
        std::memcmp(quote, column.name.data(), column.name.size()) != 0) {
      column.name = NameToken(quote + 1, end);
      if (!IsStringToken(column.name)) return false;
      names_known = false;
    }
    if (!TakeScalar(field.value(), &column.value)) return false;
    columns->push_back(column);
  }
  return names_known || !HasColumnTwice({columns->data() + first, columns->size() - first});
}

bool BodyReader::Parser::HasColumnTwice(std::span<const RawColumn> row) {
  names.clear();
  unescaped.clear();
  for (const RawColumn& column : row) {
    names.push_back(WithoutQuotes(column.name));
    if (names.back().find('\\') == std::string_view::npos) continue;
    unescaped.emplace_back();
    PMOVES_CHECK(AppendTokenText(column.name, &unescaped.back()).ok());
    names.back() = unescaped.back();
  }
  std::sort(names.begin(), names.end());
  return std::adjacent_find(names.begin(), names.end()) != names.end();
}

bool BodyReader::Parser::ReadUnchanged(ondemand::value value, std::vector<std::string>* unchanged) {
  ondemand::array array;
  if (value.get_array().get(array)) return false;
  for (auto result : array) {
    ondemand::value name;
    if (std::move(result).get(name)) return false;
    unchanged->emplace_back();
    if (!TakeText(name, &unchanged->back()) || unchanged->back().empty()) return false;
  }
  return !unchanged->empty();
}

bool BodyReader::Parser::ReadTransactions(ondemand::value value,
                                          std::vector<TransactionEntry>* transactions) {
  ondemand::array array;
  if (value.get_array().get(array)) return false;
  for (auto result : array) {
    ondemand::object object;
    if (std::move(result).get_object().get(object)) return false;
    transactions->emplace_back();
    if (!ReadTransaction(object, &transactions->back())) return false;
  }
  return true;
}

bool BodyReader::Parser::ReadTransaction(ondemand::object object, TransactionEntry* entry) {
  unsigned seen = 0;
  for (auto result : object) {
    ondemand::field field;
    if (std::move(result).get(field)) return false;
    const std::string_view name = NameToken(field.key().raw(), end);
    if (!IsStringToken(name)) return false;
    const size_t member = FindMember(kEntryMembers, WithoutQuotes(name));
    if (member == std::size(kEntryMembers)) {
      if (!PassOver(field.value())) return false;
      continue;
    }
    if ((seen & Bit(member)) != 0 || !ReadEntryMember(member, field.value(), entry)) return false;
    seen |= Bit(member);
  }
  return seen == Bit(std::size(kEntryMembers)) - 1;
}

bool BodyReader::Parser::ReadEntryMember(size_t member, ondemand::value value,
                                         TransactionEntry* entry) {
  switch (static_cast<EntryMember>(member)) {
    case kEntryPosition: {
      if (!TakeText(value, &scratch)) return false;
      const absl::StatusOr<Lsn> position = Lsn::Parse(scratch);
      if (position.ok()) entry->position = *position;
      return position.ok() && !position->IsNone();
    }
    case kEntryXid:
      return TakeInteger(value, &entry->xid);
    case kEntryTimestamp:
      return TakeTimestamp(value, &scratch, &entry->commit_us);
    case kEntryHlc:
      return TakeText(value, &scratch) && ParseDecimal(scratch, &entry->hlc.value);
    case kEntryRows:
      return TakeInteger(value, &entry->rows);
  }
  return false;
}

}  // namespace pmoves::proto
