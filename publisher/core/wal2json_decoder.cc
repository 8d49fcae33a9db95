#include "publisher/core/wal2json_decoder.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <iterator>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_format.h"
#include "common/base/status.h"
#include "common/base/time_text.h"
#include "proto/decimal.h"
#include "proto/json_token.h"
#include "simdjson.h"

namespace pmoves {
namespace {

namespace ondemand = simdjson::ondemand;

// The buffer that fits nearly all payloads. One that had to grow past it for a giant row is given
// back afterwards (promise R1).
constexpr size_t kUsualBytes = size_t{1} << 20;
constexpr size_t kLeastBytes = size_t{1} << 12;

// The members that mean something here, as bits, so that "which are there" is one number.
enum Member : uint32_t {
  kNone = 0,
  kAction = 1 << 0,
  kXid = 1 << 1,
  kTimestamp = 1 << 2,
  kNextLsn = 1 << 3,
  kSchema = 1 << 4,
  kTable = 1 << 5,
  kColumns = 1 << 6,
  kIdentity = 1 << 7,
  kTransactional = 1 << 8,
  kPrefix = 1 << 9,
  kContent = 1 << 10,
};

struct MemberName {
  std::string_view name;
  Member member;
};

constexpr MemberName kMembers[] = {
    {"action", kAction},   {"xid", kXid},           {"timestamp", kTimestamp},
    {"nextlsn", kNextLsn}, {"schema", kSchema},     {"table", kTable},
    {"columns", kColumns}, {"identity", kIdentity}, {"transactional", kTransactional},
    {"prefix", kPrefix},   {"content", kContent},
};

struct ActionRule {
  std::string_view token;
  WalAction action;
  uint32_t required;
};

constexpr ActionRule kActions[] = {
    {"\"B\"", WalAction::kBegin, kXid | kTimestamp | kNextLsn},
    {"\"I\"", WalAction::kInsert, kSchema | kTable | kColumns},
    {"\"U\"", WalAction::kUpdate, kSchema | kTable | kColumns | kIdentity},
    {"\"D\"", WalAction::kDelete, kSchema | kTable | kIdentity},
    {"\"T\"", WalAction::kTruncate, kSchema | kTable},
    {"\"M\"", WalAction::kMessage, kTransactional | kPrefix | kContent},
    {"\"C\"", WalAction::kCommit, kXid | kTimestamp | kNextLsn},
};

// A name written with escapes is taken for an unknown one: wal2json never does that to its own
// names.
Member MemberOf(const ondemand::raw_json_string& name) {
  for (const MemberName& row : kMembers) {
    if (row.name.front() == *name.raw() && name.unsafe_is_equal(row.name)) return row.member;
  }
  return kNone;
}

std::string_view NameOf(uint32_t members) {
  for (const MemberName& row : kMembers) {
    if (members & row.member) return row.name;
  }
  return "?";
}

absl::Status Malformed(std::string_view what) {
  return absl::InvalidArgumentError(absl::StrFormat("wal2json: %s", what));
}

absl::Status Malformed(simdjson::error_code error) {
  return Malformed(std::string_view(simdjson::error_message(error)));
}

absl::Status BadMember(uint32_t member, std::string_view what) {
  return absl::InvalidArgumentError(absl::StrFormat("wal2json: \"%s\" %s", NameOf(member), what));
}

// A string without escapes needs no second look: simdjson has checked its quotes, control
// characters and UTF-8.
bool IsScalar(std::string_view token) {
  if (token.size() >= 2 && token.front() == '"' && token.back() == '"' &&
      std::memchr(token.data(), '\\', token.size()) == nullptr) {
    return true;
  }
  return proto::IsScalarToken(token);
}

// Takes a value that must be one well-formed scalar. On-Demand looks at a value only as far as it
// is asked to, so what stands there, and that a separator follows, is checked here. The buffer's
// padding makes the byte behind readable.
bool TakeScalar(ondemand::value value, std::string_view* token) {
  std::string_view raw = value.raw_json_token();
  const char next = raw.data()[raw.size()];
  if (next != ',' && next != '}' && next != ']') return false;
  while (!raw.empty() &&
         (raw.back() == ' ' || raw.back() == '\n' || raw.back() == '\r' || raw.back() == '\t')) {
    raw.remove_suffix(1);
  }
  *token = raw;
  return IsScalar(raw);
}

// REQUIRES: a string token.
std::string_view Unquoted(std::string_view token) {
  return token.size() < 2 ? std::string_view() : token.substr(1, token.size() - 2);
}

// Of a logical message of ours with all that wal2json puts around it.
constexpr size_t kMostMessageBytes = 64 * 1024;

// Anybody may call pg_logical_emit_message, with bytes that are not UTF-8: such a message must not
// be able to stop the stream. It is taken for a message without prefix, which is nobody's. wal2json
// always writes the action first.
bool IsWholeMessage(std::string_view payload) {
  return payload.starts_with("{\"action\":\"M\"") && payload.ends_with('}');
}

// One object as simdjson wants it: in a buffer with padding behind it.
class PaddedBuffer {
 public:
  // Copies `payload`. The views into what was here before end.
  void Load(std::string_view payload) {
    const size_t wanted = payload.size() + simdjson::SIMDJSON_PADDING;
    const bool too_large = capacity_ > kUsualBytes && wanted <= kUsualBytes;
    if (capacity_ < wanted || too_large) {
      bytes_.reset();
      // Powers of two, so that payloads of slowly growing size do not each allocate; a giant gets
      // what it needs.
      capacity_ = wanted > kUsualBytes ? wanted : std::bit_ceil(std::max(wanted, kLeastBytes));
      bytes_ = std::make_unique_for_overwrite<char[]>(capacity_);
    }
    if (!payload.empty()) std::memcpy(bytes_.get(), payload.data(), payload.size());
    std::memset(bytes_.get() + payload.size(), 0, simdjson::SIMDJSON_PADDING);
  }
  const char* data() const { return bytes_.get(); }
  size_t capacity() const { return capacity_; }

 private:
  std::unique_ptr<char[]> bytes_;
  size_t capacity_ = 0;
};

}  // namespace

struct Wal2JsonDecoder::State {
  PaddedBuffer buffer;
  ondemand::parser parser;
  WalChange change;
  uint32_t seen = kNone;
  std::string_view action;       // raw token
  std::string_view commit_time;  // raw token, of any action

  void Clear();
  absl::Status Read(std::string_view payload);
  absl::Status ReadMembers(ondemand::document* document);
  absl::Status ReadMember(Member member, ondemand::value value);
  absl::Status ReadXid(std::string_view token);
  absl::Status ReadPosition(std::string_view token);
  absl::Status ReadText(std::string_view token, std::string* text);
  absl::Status ReadFlag(std::string_view token);
  absl::Status ReadColumns(ondemand::value value, std::vector<proto::RawColumn>* columns);
  absl::Status ReadColumn(ondemand::object object, proto::RawColumn* column);
  absl::Status Finish();
};

void Wal2JsonDecoder::State::Clear() {
  seen = kNone;
  action = {};
  commit_time = {};
  change.action = WalAction::kMessage;
  change.xid = 0;
  change.commit_us = 0;
  change.position = Lsn{};
  change.schema.clear();
  change.table.clear();
  change.columns.clear();
  change.identity.clear();
  change.transactional = false;
  change.prefix.clear();
  change.content.clear();
}

absl::Status Wal2JsonDecoder::State::Read(std::string_view payload) {
  Clear();
  // Anybody may write one of any size; ours are small. Not even copied.
  if (payload.size() > kMostMessageBytes && IsWholeMessage(payload)) return absl::OkStatus();
  buffer.Load(payload);
  // The parser's own tables follow the buffer's size, down as well as up.
  if (parser.capacity() != buffer.capacity()) {
    if (parser.capacity() > buffer.capacity()) parser = ondemand::parser();
    if (const auto error = parser.allocate(buffer.capacity())) return Malformed(error);
  }
  ondemand::document document;
  const simdjson::padded_string_view text(buffer.data(), payload.size(), buffer.capacity());
  if (const auto error = parser.iterate(text).get(document)) {
    if (error == simdjson::UTF8_ERROR && IsWholeMessage(payload)) return absl::OkStatus();
    return Malformed(error);
  }
  RETURN_IF_ERROR(ReadMembers(&document));
  if (document.current_location().error() != simdjson::OUT_OF_BOUNDS) {
    return Malformed("something follows the object");
  }
  return Finish();
}

absl::Status Wal2JsonDecoder::State::ReadMembers(ondemand::document* document) {
  ondemand::object object;
  if (const auto error = document->get_object().get(object)) return Malformed(error);
  for (auto item : object) {
    ondemand::field field;
    if (const auto error = std::move(item).get(field)) return Malformed(error);
    const Member member = MemberOf(field.key());
    if (member == kNone) continue;
    if ((seen & member) != 0) return BadMember(member, "is there twice");
    seen |= member;
    RETURN_IF_ERROR(ReadMember(member, field.value()));
  }
  return absl::OkStatus();
}

absl::Status Wal2JsonDecoder::State::ReadMember(Member member, ondemand::value value) {
  if (member == kColumns) return ReadColumns(value, &change.columns);
  if (member == kIdentity) return ReadColumns(value, &change.identity);
  std::string_view token;
  if (!TakeScalar(value, &token)) return BadMember(member, "is not a scalar");
  switch (member) {
    case kAction:
      action = token;
      return absl::OkStatus();
    case kXid:
      return ReadXid(token);
    case kTimestamp:
      commit_time = token;
      return absl::OkStatus();
    case kNextLsn:
      return ReadPosition(token);
    case kSchema:
      return ReadText(token, &change.schema);
    case kTable:
      return ReadText(token, &change.table);
    case kTransactional:
      return ReadFlag(token);
    case kPrefix:
      return ReadText(token, &change.prefix);
    case kContent:
      return ReadText(token, &change.content);
    default:
      return BadMember(member, "is not expected");
  }
}

// In a message outside of transactions it is null.
absl::Status Wal2JsonDecoder::State::ReadXid(std::string_view token) {
  if (token == "null") {
    seen &= ~kXid;
    return absl::OkStatus();
  }
  if (!proto::ParseDecimal(token, &change.xid)) return BadMember(kXid, "is not a transaction id");
  return absl::OkStatus();
}

absl::Status Wal2JsonDecoder::State::ReadPosition(std::string_view token) {
  absl::StatusOr<Lsn> position = Lsn::Parse(Unquoted(token));
  if (!position.ok() || position->IsNone()) return BadMember(kNextLsn, "is not a WAL position");
  change.position = *position;
  return absl::OkStatus();
}

absl::Status Wal2JsonDecoder::State::ReadText(std::string_view token, std::string* text) {
  if (token.front() != '"') return Malformed("a name or a message is not a string");
  if (std::memchr(token.data(), '\\', token.size()) == nullptr) {
    text->assign(Unquoted(token));
    return absl::OkStatus();
  }
  return proto::AppendTokenText(token, text).status();
}

absl::Status Wal2JsonDecoder::State::ReadFlag(std::string_view token) {
  if (token != "true" && token != "false") return BadMember(kTransactional, "is not a boolean");
  change.transactional = token == "true";
  return absl::OkStatus();
}

absl::Status Wal2JsonDecoder::State::ReadColumns(ondemand::value value,
                                                 std::vector<proto::RawColumn>* columns) {
  ondemand::array array;
  if (const auto error = value.get_array().get(array)) return Malformed(error);
  for (auto item : array) {
    ondemand::object object;
    if (const auto error = item.get_object().get(object)) return Malformed(error);
    RETURN_IF_ERROR(ReadColumn(object, &columns->emplace_back()));
  }
  return absl::OkStatus();
}

absl::Status Wal2JsonDecoder::State::ReadColumn(ondemand::object object, proto::RawColumn* column) {
  for (auto item : object) {
    ondemand::field field;
    if (const auto error = std::move(item).get(field)) return Malformed(error);
    const ondemand::raw_json_string key = field.key();
    const bool is_name = key.unsafe_is_equal("name");
    if (!is_name && !key.unsafe_is_equal("value")) continue;
    std::string_view* const target = is_name ? &column->name : &column->value;
    if (!target->empty()) return Malformed("a column's name or value is there twice");
    if (!TakeScalar(field.value(), target) || (is_name && target->front() != '"')) {
      return Malformed("a column's name is not a string, or its value not a scalar");
    }
  }
  if (column->name.empty() || column->value.empty()) {
    return Malformed("a column without name or value");
  }
  return absl::OkStatus();
}

absl::Status Wal2JsonDecoder::State::Finish() {
  const auto* const rule = std::find_if(std::begin(kActions), std::end(kActions),
                                        [this](const ActionRule& r) { return r.token == action; });
  if (rule == std::end(kActions)) return BadMember(kAction, "is missing or unknown");
  change.action = rule->action;
  const uint32_t missing = rule->required & ~seen;
  if (missing != 0) return BadMember(missing, "is missing");
  if (((rule->required & kSchema) != 0 && change.schema.empty()) ||
      ((rule->required & kTable) != 0 && change.table.empty())) {
    return BadMember(kTable, "or its schema is an empty name");
  }
  if (change.action == WalAction::kDelete && change.identity.empty())
    return BadMember(kIdentity, "of a deleted row is empty");
  // With include-timestamp every action carries one; only that of the transaction counts.
  if ((rule->required & kTimestamp) == 0) return absl::OkStatus();
  absl::StatusOr<int64_t> commit_us = ParseTimestamp(Unquoted(commit_time));
  if (!commit_us.ok()) return BadMember(kTimestamp, "is not a timestamp with time zone");
  change.commit_us = *commit_us;
  return absl::OkStatus();
}

Wal2JsonDecoder::Wal2JsonDecoder() : state_(std::make_unique<State>()) {}
Wal2JsonDecoder::~Wal2JsonDecoder() = default;

absl::StatusOr<const WalChange*> Wal2JsonDecoder::Decode(std::string_view payload) {
  RETURN_IF_ERROR(state_->Read(payload));
  return &state_->change;
}

}  // namespace pmoves
