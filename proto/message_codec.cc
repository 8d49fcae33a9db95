// Struct -> bytes of bodies, and both ways of headers. The other way of bodies is body_reader.cc.
#include "proto/message_codec.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/str_format.h"
#include "common/base/check.h"
#include "common/base/status.h"
#include "common/base/time_text.h"
#include "proto/decimal.h"
#include "proto/subject.h"

namespace pmoves::proto {
namespace {

// ---------------------------------------------------------------------------------------- headers
// Every number and position has one text; whatever deviates is refused by the header's name.

// Origin and writer are compared, never taken apart: any short visible ASCII text will do.
constexpr size_t kOpaqueBytesMax = 200;

bool IsOpaqueText(std::string_view text) {
  return !text.empty() && text.size() <= kOpaqueBytesMax &&
         std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < '\x7F'; });
}

absl::Status Malformed(const char* name) {
  return absl::InvalidArgumentError(absl::StrFormat("header %s is malformed", name));
}

absl::StatusOr<std::string_view> Required(const HeaderLookup& lookup, const char* name) {
  const std::optional<std::string_view> value = lookup(name);
  if (!value.has_value()) {
    return absl::InvalidArgumentError(absl::StrFormat("header %s is missing", name));
  }
  return *value;
}

template <typename Integer>
absl::Status TakeNumber(const HeaderLookup& lookup, const char* name, Integer* out) {
  ASSIGN_OR_RETURN(const std::string_view text, Required(lookup, name));
  return ParseDecimal(text, out) ? absl::OkStatus() : Malformed(name);
}

absl::Status TakeLsn(const HeaderLookup& lookup, const char* name, Lsn* out) {
  ASSIGN_OR_RETURN(const std::string_view text, Required(lookup, name));
  const absl::StatusOr<Lsn> lsn = Lsn::Parse(text);
  if (!lsn.ok()) return Malformed(name);
  *out = *lsn;
  return absl::OkStatus();
}

absl::Status TakeOpaque(const HeaderLookup& lookup, const char* name, std::string* out) {
  ASSIGN_OR_RETURN(const std::string_view text, Required(lookup, name));
  if (!IsOpaqueText(text)) return Malformed(name);
  *out = text;
  return absl::OkStatus();
}

// "2/7"; absent means the only part.
absl::Status TakePart(const HeaderLookup& lookup, Envelope* envelope) {
  const std::optional<std::string_view> text = lookup(kHeaderPart);
  if (!text.has_value()) return absl::OkStatus();
  const size_t slash = text->find('/');
  if (slash == std::string_view::npos || !ParseDecimal(text->substr(0, slash), &envelope->part) ||
      !ParseDecimal(text->substr(slash + 1), &envelope->parts) || envelope->parts < 2 ||
      envelope->part >= envelope->parts) {
    return Malformed(kHeaderPart);
  }
  return absl::OkStatus();
}

absl::Status CheckProtocol(const HeaderLookup& lookup) {
  ASSIGN_OR_RETURN(const std::string_view text, Required(lookup, kHeaderProtocol));
  uint64_t version = 0;
  if (!ParseDecimal(text, &version) || version == 0) return Malformed(kHeaderProtocol);
  if (version > static_cast<uint64_t>(kProtocolVersion)) {
    return absl::UnimplementedError(absl::StrFormat(
        "header %s is %d, this program reads versions up to %d: a newer publisher stored it, so "
        "upgrade this program",
        kHeaderProtocol, version, kProtocolVersion));
  }
  return absl::OkStatus();
}

// What each header may be is checked above; this is what they must be together.
absl::Status CheckTogether(const Envelope& envelope) {
  if (envelope.epoch == 0) return Malformed(kHeaderEpoch);
  if (envelope.position.IsNone()) return Malformed(kHeaderPosition);
  if (envelope.previous >= envelope.position) {
    return absl::InvalidArgumentError(
        absl::StrFormat("header %s is not before %s", kHeaderPrevious, kHeaderPosition));
  }
  // Each part is a chunk of its own, and a transaction cannot end inside a row.
  if (envelope.part > envelope.chunk || (envelope.last && envelope.part + 1 != envelope.parts)) {
    return absl::InvalidArgumentError(absl::StrFormat("headers %s, %s and %s do not fit together",
                                                      kHeaderChunk, kHeaderLast, kHeaderPart));
  }
  return absl::OkStatus();
}

// ----------------------------------------------------------------------------------------- bodies
// On the hot path of every row: raw tokens are copied into buffers that the writer keeps.

char* Put(char* out, std::string_view text) {
  std::memcpy(out, text.data(), text.size());
  return out + text.size();
}

// Appends ,{"name":value,...} with one growth of the buffer: a call per token would cost more than
// the copying.
void AppendRow(std::span<const RawColumn> columns, std::string* buffer) {
  size_t bytes = 2 + (columns.empty()
                          ? 1
                          : columns.size() * 2);  // braces, the comma in front; ':' and ',' of each
  for (const RawColumn& column : columns) bytes += column.name.size() + column.value.size();
  const size_t old_size = buffer->size();
  buffer->resize(old_size + bytes);
  char* out = buffer->data() + old_size;
  *out++ = ',';
  *out++ = '{';
  for (const RawColumn& column : columns) {
    out = Put(out, column.name);
    *out++ = ':';
    out = Put(out, column.value);
    *out++ = ',';
  }
  if (columns.empty()) {
    *out++ = '}';
  } else {
    out[-1] = '}';
  }
  PMOVES_CHECK(out == buffer->data() + buffer->size());
}

// Rows were each written with a comma in front; the first one's is left out.
void AppendArray(std::string_view member, const std::string& rows, std::string* body) {
  body->append(member);
  if (!rows.empty()) body->append(rows, 1);
  body->push_back(']');
}

void AppendUnchanged(std::span<const std::string> unchanged, std::string* body) {
  body->append(R"(,"unchanged":[)");
  for (const std::string& name : unchanged) {
    AppendJsonString(name, body);
    body->push_back(',');
  }
  body->back() = ']';
}

void AppendTransactions(std::span<const TransactionEntry> transactions, std::string* body) {
  body->append(R"(,"transactions":[)");
  for (const TransactionEntry& entry : transactions) {
    absl::StrAppendFormat(body,
                          R"({"position":"%X/%X","xid":%d,"timestamp":"%s","hlc":"%d","rows":%d},)",
                          entry.position.value >> 32, entry.position.value & 0xFFFFFFFFu, entry.xid,
                          FormatRfc3339(entry.commit_us), entry.hlc.value, entry.rows);
  }
  body->back() = ']';
}

}  // namespace

Headers EncodeHeaders(const Envelope& envelope) {
  Headers headers;
  headers.reserve(13);
  headers.emplace_back(kHeaderProtocol, std::to_string(kProtocolVersion));
  headers.emplace_back(kHeaderSource, envelope.source);
  headers.emplace_back(kHeaderEpoch, std::to_string(envelope.epoch));
  headers.emplace_back(kHeaderOrigin, envelope.origin);
  headers.emplace_back(kHeaderWriter, envelope.writer);
  headers.emplace_back(kHeaderPosition, envelope.position.ToString());
  headers.emplace_back(kHeaderPrevious, envelope.previous.ToString());
  headers.emplace_back(kHeaderChunk, std::to_string(envelope.chunk));
  if (envelope.last) headers.emplace_back(kHeaderLast, "1");
  headers.emplace_back(kHeaderHlc, std::to_string(envelope.hlc.value));
  headers.emplace_back(kHeaderXid, std::to_string(envelope.xid));
  if (envelope.parts > 1) {
    headers.emplace_back(kHeaderPart, absl::StrFormat("%d/%d", envelope.part, envelope.parts));
  }
  if (envelope.caught_up_ms > 0) {
    headers.emplace_back(kHeaderCaughtUp, std::to_string(envelope.caught_up_ms));
  }
  return headers;
}

absl::StatusOr<Envelope> DecodeHeaders(const HeaderLookup& lookup) {
  Envelope envelope;
  RETURN_IF_ERROR(CheckProtocol(lookup));
  ASSIGN_OR_RETURN(const std::string_view source, Required(lookup, kHeaderSource));
  if (!IsSourceName(source)) return Malformed(kHeaderSource);
  envelope.source = source;
  RETURN_IF_ERROR(TakeNumber(lookup, kHeaderEpoch, &envelope.epoch));
  RETURN_IF_ERROR(TakeOpaque(lookup, kHeaderOrigin, &envelope.origin));
  RETURN_IF_ERROR(TakeOpaque(lookup, kHeaderWriter, &envelope.writer));
  RETURN_IF_ERROR(TakeLsn(lookup, kHeaderPosition, &envelope.position));
  RETURN_IF_ERROR(TakeLsn(lookup, kHeaderPrevious, &envelope.previous));
  RETURN_IF_ERROR(TakeNumber(lookup, kHeaderChunk, &envelope.chunk));
  const std::optional<std::string_view> last = lookup(kHeaderLast);
  if (last.has_value() && *last != "1") return Malformed(kHeaderLast);
  envelope.last = last.has_value();
  RETURN_IF_ERROR(TakeNumber(lookup, kHeaderHlc, &envelope.hlc.value));
  RETURN_IF_ERROR(TakeNumber(lookup, kHeaderXid, &envelope.xid));
  RETURN_IF_ERROR(TakePart(lookup, &envelope));
  if (lookup(kHeaderCaughtUp).has_value()) {
    RETURN_IF_ERROR(TakeNumber(lookup, kHeaderCaughtUp, &envelope.caught_up_ms));
  }
  RETURN_IF_ERROR(CheckTogether(envelope));
  return envelope;
}

void BodyWriter::Start(std::string_view source, std::string_view schema, std::string_view table,
                       Operation operation) {
  PMOVES_CHECK(schema.empty() == table.empty());
  rows_ = 0;
  operation_ = operation;
  data_.clear();
  keys_.clear();
  head_.assign(R"({"source":)");
  AppendJsonString(source, &head_);
  if (!table.empty()) {
    head_.append(R"(,"schema":)");
    AppendJsonString(schema, &head_);
    head_.append(R"(,"table":)");
    AppendJsonString(table, &head_);
  }
  head_.append(R"(,"operation":")").append(OperationName(operation)).append(R"(","timestamp":")");
}

void BodyWriter::AddRow(std::span<const RawColumn> data, std::span<const RawColumn> key) {
  PMOVES_CHECK(!head_.empty());
  PMOVES_CHECK(data.empty() || CarriesData(operation_));
  PMOVES_CHECK(key.empty() || MayCarryKeys(operation_));
  PMOVES_CHECK(!key.empty() || operation_ != Operation::kDelete);
  PMOVES_CHECK(rows_ == 0 || key.empty() == keys_.empty());
  if (CarriesData(operation_)) AppendRow(data, &data_);
  if (!key.empty()) AppendRow(key, &keys_);
  ++rows_;
}

void BodyWriter::AppendRows(const BodyWriter& other) {
  PMOVES_CHECK(!head_.empty() && operation_ == other.operation_);
  PMOVES_CHECK(rows_ == 0 || other.rows_ == 0 || keys_.empty() == other.keys_.empty());
  data_ += other.data_;
  keys_ += other.keys_;
  rows_ += other.rows_;
}

size_t BodyWriter::bytes() const {
  constexpr size_t kFrameBytesMax =
      64;  // timestamp, names and brackets of data and keys, the closing brace
  return head_.size() + data_.size() + keys_.size() + kFrameBytesMax;
}

std::string BodyWriter::Finish(int64_t commit_us, std::span<const std::string> unchanged,
                               std::span<const TransactionEntry> transactions) {
  PMOVES_CHECK(!head_.empty());
  PMOVES_CHECK(unchanged.empty() || operation_ == Operation::kUpdate);
  size_t extra = 16;
  for (const std::string& name : unchanged) extra += name.size() + 3;
  std::string body;
  body.reserve(bytes() + extra +
               (transactions.size() > 1 ? transactions.size() * kTransactionBytesMax : 0));
  body.append(head_).append(FormatRfc3339(commit_us)).push_back('"');
  if (CarriesData(operation_)) AppendArray(R"(,"data":[)", data_, &body);
  if (!keys_.empty()) AppendArray(R"(,"keys":[)", keys_, &body);
  if (!unchanged.empty()) AppendUnchanged(unchanged, &body);
  if (transactions.size() > 1) AppendTransactions(transactions, &body);
  body.push_back('}');
  head_.clear();
  data_.clear();
  keys_.clear();
  rows_ = 0;
  return body;
}

}  // namespace pmoves::proto
