#include "subscriber/core/exact_value.h"

#include <algorithm>
#include <charconv>
#include <string>

#include "absl/strings/ascii.h"
#include "subscriber/core/exact_json.h"
#include "subscriber/core/exact_number.h"
#include "subscriber/core/exact_time.h"

namespace pmoves {
namespace {

using Kind = ValueLimit::Kind;

constexpr int32_t kMicroseconds = 6;  // PostgreSQL keeps no smaller part of a second
constexpr int32_t kNumericDigits = 16383;
constexpr size_t kNameBytes = 63;

bool Contains(std::initializer_list<std::string_view> words, std::string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

struct SimpleType {
  std::string_view type;
  Kind kind;
};
constexpr SimpleType kSimpleTypes[] = {
    {"name", Kind::kName},         {"char", Kind::kOneByte}, {"varbit", Kind::kVarBits},
    {"int2", Kind::kInteger},      {"int4", Kind::kInteger}, {"int8", Kind::kInteger},
    {"oid", Kind::kUnsigned},      {"xid", Kind::kUnsigned}, {"cid", Kind::kUnsigned},
    {"xid8", Kind::kUnsigned},     {"bool", Kind::kBool},    {"float4", Kind::kFloat4},
    {"float8", Kind::kFloat8},     {"money", Kind::kMoney},  {"date", Kind::kDate},
    {"macaddr8", Kind::kMacaddr8}, {"jsonb", Kind::kJsonb},
};

size_t CodePoints(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  }));
}

bool FitsChars(std::string_view text, int32_t most) {
  const size_t limit = static_cast<size_t>(most);
  return text.size() <= limit || CodePoints(text) <= limit;
}

// Blanks at the end of a char(n) are no part of the value: it has as many as there is room for. A
// text that ends with some and is not that long may be of another type, where they are.
bool FitsPadded(std::string_view text, int32_t most) {
  if (most == ValueLimit::kUnlimited) return true;
  if (!text.ends_with(' ')) return FitsChars(text, most);
  return CodePoints(text) == static_cast<size_t>(most);
}

// The server pads and cuts them only with a cast, as merges with registers have one.
bool FitsBits(std::string_view text, int32_t least, int32_t most) {
  const auto bits = static_cast<int64_t>(text.size());
  if (most != ValueLimit::kUnlimited && (bits < least || bits > most)) return false;
  return std::all_of(text.begin(), text.end(), [](char c) { return c == '0' || c == '1'; });
}

// oid takes -1 for 4294967295, xid takes anything.
bool IsUnsigned(std::string_view text) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() &&
         (text.size() == 1 || text[0] != '0');
}

// A bool shows yes, on and 1 as t.
bool IsBool(std::string_view text) {
  if (Contains({"true", "false", "t", "f"}, text)) return true;
  std::string word(text);
  absl::StripAsciiWhitespace(&word);
  absl::AsciiStrToLower(&word);
  if (word.empty()) return true;  // refused
  for (const std::string_view known : {"true", "false", "yes", "no", "on", "off", "1", "0"}) {
    if (known.starts_with(word)) return false;
  }
  return true;  // refused
}

// Reads "a", "b\"c" and ""d"" of the text forms of arrays, composite values and ranges.
class Elements {
 public:
  explicit Elements(std::string_view text) : rest_(text) {}

  bool AtEnd() const { return rest_.empty(); }
  char Peek() const { return rest_.empty() ? '\0' : rest_[0]; }
  bool Take(char c) {
    if (Peek() != c || rest_.empty()) return false;
    rest_.remove_prefix(1);
    return true;
  }
  // Up to one of `ends` outside of quotes; *quoted: some of it is in quotes.
  void Next(std::string_view ends, std::string* element, bool* quoted) {
    element->clear();
    *quoted = false;
    bool inside = false;
    while (!rest_.empty()) {
      const char c = rest_[0];
      if (!inside && ends.find(c) != std::string_view::npos) return;
      rest_.remove_prefix(1);
      if (c == '\\' && !rest_.empty()) {
        *element += rest_[0];
        rest_.remove_prefix(1);
      } else if (c == '"') {
        if (inside && Peek() == '"') {
          *element += '"';
          rest_.remove_prefix(1);
        } else {
          inside = !inside;
          *quoted = true;
        }
      } else {
        *element += c;
      }
    }
  }
  void SkipTo(char c) {
    const size_t found = rest_.find(c);
    rest_.remove_prefix(found == std::string_view::npos ? rest_.size() : found);
  }

 private:
  std::string_view rest_;
};

// {1,NULL,"a b"}, {{1,2},{3,4}}, [2:3]={1,2}
bool HoldsArray(const ValueLimit& limit, std::string_view text) {
  Elements elements(text);
  if (elements.Peek() == '[') elements.SkipTo('{');
  const std::string ends = std::string("{}") + limit.delimiter;
  std::string element;
  bool quoted = false;
  while (!elements.AtEnd()) {
    if (elements.Take('{') || elements.Take('}') || elements.Take(limit.delimiter)) continue;
    elements.Next(ends, &element, &quoted);
    if (!quoted && element == "NULL") continue;
    if (!HoldsExactly(limit.parts[0], element)) return false;
  }
  return true;
}

// (1,,"a b"): nothing is NULL, "" is an empty text.
bool HoldsComposite(const ValueLimit& limit, std::string_view text) {
  Elements elements(text);
  if (!elements.Take('(')) return true;  // refused
  std::string field;
  bool quoted = false;
  for (const ValueLimit& part : limit.parts) {
    elements.Next(",)", &field, &quoted);
    if ((quoted || !field.empty()) && !HoldsExactly(part, field)) return false;
    if (!elements.Take(',')) break;
  }
  return true;
}

// empty, [1,2), (,"2026-01-01 00:00:00"], and several of them in {}
bool HoldsRanges(const ValueLimit& bound, std::string_view text) {
  Elements elements(text);
  std::string element;
  bool quoted = false;
  while (!elements.AtEnd()) {
    if (elements.Take('{') || elements.Take('}') || elements.Take('[') || elements.Take('(') ||
        elements.Take(',') || elements.Take(']') || elements.Take(')'))
      continue;
    elements.Next("{}[](),", &element, &quoted);
    if (!quoted && (element == "empty" || element.empty())) continue;
    if (!HoldsExactly(bound, element)) return false;
  }
  return true;
}

std::string_view FirstCodePoints(std::string_view text, size_t most) {
  size_t length = 0;
  for (size_t points = 0; length < text.size(); ++length) {
    const bool begins = (static_cast<unsigned char>(text[length]) & 0xc0) != 0x80;
    if (begins && points++ == most) break;
  }
  return text.substr(0, length);
}

}  // namespace

ValueLimit LimitOf(std::string_view type, int32_t modifier) {
  constexpr int32_t kHeader = 4;  // of the modifiers of these types
  ValueLimit limit;
  for (const SimpleType& simple : kSimpleTypes) {
    if (simple.type == type) limit.kind = simple.kind;
  }
  if (type == "varchar" && modifier >= kHeader) {
    limit.kind = Kind::kChars;
    limit.most = modifier - kHeader;
  } else if (type == "bpchar" && modifier >= kHeader) {
    limit.kind = Kind::kPaddedChars;
    limit.most = modifier - kHeader;
  } else if (type == "bit" || type == "varbit") {
    limit.kind = type == "bit" ? Kind::kBits : Kind::kVarBits;
    if (modifier >= 0) limit.most = modifier;
  } else if (type == "numeric") {
    limit.kind = Kind::kNumeric;
    limit.most = kNumericDigits;
    // The scale has 11 bits, the highest is its sign.
    if (modifier >= kHeader) limit.most = (((modifier - kHeader) & 0x7ff) ^ 1024) - 1024;
  } else if (type == "interval") {
    limit.kind = Kind::kInterval;
    limit.most = kMicroseconds;
    if (modifier >= 0) {
      limit.fields = (modifier >> 16) & 0x7fff;
      limit.most = std::min(modifier & 0xffff, kMicroseconds);
    }
  } else if (Contains({"time", "timetz", "timestamp", "timestamptz"}, type)) {
    limit.kind = type == "time"        ? Kind::kTime
                 : type == "timetz"    ? Kind::kTimetz
                 : type == "timestamp" ? Kind::kTimestamp
                                       : Kind::kTimestamptz;
    limit.most = modifier >= 0 ? modifier : kMicroseconds;
  }
  return limit;
}

bool CanLoseParts(const ValueLimit& part) {
  switch (part.kind) {
    case Kind::kNone:
    case Kind::kInteger:
    case Kind::kUnsigned:
    case Kind::kBool:
      return false;
    case Kind::kNumeric:
      return part.most != kNumericDigits;
    default:
      return true;
  }
}

bool HoldsExactly(const ValueLimit& limit, std::string_view text) {
  switch (limit.kind) {
    case Kind::kNone:
      return true;
    case Kind::kChars:
      return FitsChars(text, limit.most);
    case Kind::kPaddedChars:
      return FitsPadded(text, limit.most);
    case Kind::kName:
      return text.size() <= kNameBytes;
    case Kind::kOneByte:
      return text.size() <= 1;
    case Kind::kBits:
      return FitsBits(text, limit.most, limit.most);
    case Kind::kVarBits:
      return FitsBits(text, 0, limit.most);
    case Kind::kInteger:
      return IsExactInteger(text);
    case Kind::kUnsigned:
      return IsUnsigned(text);
    case Kind::kBool:
      return IsBool(text);
    case Kind::kNumeric:
      return IsExactNumeric(text, limit.most);
    case Kind::kFloat4:
      return IsExactFloat4(text);
    case Kind::kFloat8:
      return IsExactFloat8(text);
    case Kind::kMoney:
      return IsExactMoney(text);
    case Kind::kDate:
      return IsExactDate(text);
    case Kind::kTime:
    case Kind::kTimetz:
      return IsExactTime(text, limit.kind == Kind::kTimetz, limit.most);
    case Kind::kTimestamp:
    case Kind::kTimestamptz:
      return IsExactTimestamp(text, limit.kind == Kind::kTimestamptz, limit.most);
    case Kind::kInterval:
      return IsExactInterval(text, limit.fields, limit.most);
    case Kind::kMacaddr8:
      return text.size() == std::string_view("08:00:2b:01:02:03:04:05").size();
    case Kind::kJsonb:
      return NamesAreUnique(text);
    case Kind::kArray:
      return HoldsArray(limit, text);
    case Kind::kComposite:
      return HoldsComposite(limit, text);
    case Kind::kRange:
    case Kind::kMultirange:
      return HoldsRanges(limit.parts[0], text);
  }
  return true;
}

std::string_view CutTo(const ValueLimit& limit, std::string_view text) {
  switch (limit.kind) {
    case Kind::kChars:
    case Kind::kPaddedChars:
      return FirstCodePoints(text, static_cast<size_t>(limit.most));
    default:
      return text;
  }
}

}  // namespace pmoves
