#include "proto/subject.h"

#include <simdjson.h>

#include <iterator>
#include <utility>

#include "absl/strings/str_format.h"
#include "common/base/check.h"
#include "common/base/status.h"
#include "proto/decimal.h"
#include "proto/json_token.h"

namespace pmoves::proto {
namespace {

namespace ondemand = simdjson::ondemand;

constexpr std::string_view kControlToken = "~";
constexpr std::string_view kDefaultSchema = "public";

bool MustEncode(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte <= 0x20 || byte == 0x7F ||
         std::string_view(".*>%:~").find(c) != std::string_view::npos;
}

void AppendEncoded(std::string_view name, std::string* out) {
  constexpr char kHex[] = "0123456789ABCDEF";
  for (const char c : name) {
    if (MustEncode(c)) {
      out->push_back('%');
      out->push_back(kHex[c >> 4 & 0xF]);
      out->push_back(kHex[c & 0xF]);
    } else {
      out->push_back(c);
    }
  }
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// False for a broken escape. What needs no escape, or lacks one, is found later by encoding again.
bool Decode(std::string_view text, std::string* out) {
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out->push_back(text[i]);
      continue;
    }
    if (text.size() - i < 3) return false;
    const int high = HexDigit(text[i + 1]);
    const int low = HexDigit(text[i + 2]);
    if (high < 0 || low < 0) return false;
    out->push_back(static_cast<char>(high * 16 + low));
    i += 2;
  }
  return true;
}

bool IsName(std::string_view name) {
  return !name.empty() && name.find('\0') == std::string_view::npos &&
         simdjson::validate_utf8(name.data(), name.size());
}

bool DecodeTable(std::string_view token, Subject* subject) {
  const size_t colon = token.find(':');
  if (colon == std::string_view::npos) {
    subject->schema = kDefaultSchema;
    return Decode(token, &subject->table) && IsName(subject->table);
  }
  return Decode(token.substr(0, colon), &subject->schema) && IsName(subject->schema) &&
         Decode(token.substr(colon + 1), &subject->table) && IsName(subject->table);
}

// Takes the text before the next dot off the front; all of it when there is none.
std::string_view TakeToken(std::string_view* text) {
  const size_t dot = text->find('.');
  const std::string_view token = text->substr(0, dot);
  text->remove_prefix(dot == std::string_view::npos ? text->size() : dot + 1);
  return token;
}

constexpr std::string_view kAppliedMembers[] = {"source", "epoch", "position", "hlc"};

// Reads one of kAppliedMembers into *applied; false when its value is malformed.
bool ReadAppliedMember(std::string_view key, std::string_view token, Applied* applied) {
  if (key == "epoch") return ParseDecimal(token, &applied->epoch) && applied->epoch > 0;
  std::string text;
  if (!IsStringToken(token) || !AppendTokenText(token, &text).ok()) return false;
  if (key == "source") {
    applied->source = text;
    return IsSourceName(text);
  }
  if (key == "hlc") return ParseDecimal(text, &applied->hlc.value);
  const absl::StatusOr<Lsn> position = Lsn::Parse(text);
  if (position.ok()) applied->position = *position;
  return position.ok();
}

std::string_view Trim(std::string_view token) {
  const size_t last = token.find_last_not_of(" \t\r\n");
  return token.substr(0, last == std::string_view::npos ? 0 : last + 1);
}

}  // namespace

bool IsSourceName(std::string_view name) {
  if (name.empty() || name.size() > 32 || name.front() == '-') return false;
  for (const char c : name) {
    if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-') return false;
  }
  return true;
}

std::string MakeSubject(std::string_view schema, std::string_view table, Operation operation,
                        std::string_view source) {
  PMOVES_CHECK(schema.empty() == table.empty());
  std::string subject(kSubjectPrefix);
  if (table.empty()) {
    subject += kControlToken;
  } else {
    if (schema != kDefaultSchema) {
      AppendEncoded(schema, &subject);
      subject += ':';
    }
    AppendEncoded(table, &subject);
  }
  subject += '.';
  subject += OperationName(operation);
  subject += '.';
  subject += source;
  return subject;
}

std::string MakeControlSubject(Operation operation, std::string_view source) {
  PMOVES_CHECK(IsControl(operation));
  return MakeSubject("", "", operation, source);
}

absl::StatusOr<Subject> ParseSubject(std::string_view text) {
  std::string_view rest = text;
  if (rest.substr(0, kSubjectPrefix.size()) != kSubjectPrefix) {
    return absl::InvalidArgumentError("the subject does not begin with supabase.sync.");
  }
  rest.remove_prefix(kSubjectPrefix.size());
  const std::string_view table = TakeToken(&rest);
  const std::string_view operation = TakeToken(&rest);
  Subject subject;
  if (!IsSourceName(rest)) {
    return absl::InvalidArgumentError(
        "the subject does not end in a source name after <table>.<OPERATION>");
  }
  subject.source = rest;
  if (!ParseOperation(operation, &subject.operation)) {
    return absl::InvalidArgumentError("the subject names an unknown operation");
  }
  const bool control = table == kControlToken;
  if (control != IsControl(subject.operation)) {
    return absl::InvalidArgumentError(
        "the subject's operation and its table token do not fit together");
  }
  if (!control && !DecodeTable(table, &subject)) {
    return absl::InvalidArgumentError("the subject's table token is malformed");
  }
  // One table has one subject: what is escaped without need, or not escaped in spite of it, is not
  // ours.
  if (MakeSubject(subject.schema, subject.table, subject.operation, subject.source) != text) {
    return absl::InvalidArgumentError("the subject's table token is not in its canonical form");
  }
  return subject;
}

std::string StreamName(std::string_view source) {
  return std::string(kStreamPrefix).append(source);
}

std::string SourceWildcard(std::string_view source) {
  return std::string(kSubjectPrefix).append("*.*.").append(source);
}

std::string EncodeApplied(const Applied& applied) {
  return absl::StrFormat(R"({"source":"%s","epoch":%d,"position":"%s","hlc":"%d"})", applied.source,
                         applied.epoch, applied.position.ToString(), applied.hlc.value);
}

absl::StatusOr<Applied> DecodeApplied(std::string_view bytes) {
  const absl::Status malformed =
      absl::InvalidArgumentError("the applied position is not a JSON object of the known form");
  const simdjson::padded_string padded(bytes);
  ondemand::parser parser;
  ondemand::document document;
  ondemand::object object;
  if (parser.iterate(padded).get(document) || document.get_object().get(object)) return malformed;
  Applied applied;
  unsigned seen = 0;
  for (auto result : object) {
    ondemand::field field;
    std::string_view key;
    if (std::move(result).get(field) || field.unescaped_key().get(key)) return malformed;
    const std::string_view token = Trim(field.value().raw_json_token());
    for (size_t i = 0; i < std::size(kAppliedMembers); ++i) {
      if (key != kAppliedMembers[i]) continue;
      if ((seen & 1u << i) != 0 || !ReadAppliedMember(key, token, &applied)) return malformed;
      seen |= 1u << i;
    }
  }
  const bool at_end = document.current_location().error() == simdjson::OUT_OF_BOUNDS;
  if (!at_end || seen != (1u << std::size(kAppliedMembers)) - 1) return malformed;
  return applied;
}

}  // namespace pmoves::proto
