#include "subscriber/core/law_values.h"

#include <algorithm>
#include <initializer_list>
#include <limits>
#include <random>
#include <string_view>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "proto/json_token.h"

namespace pmoves {
namespace {

using Texts = std::vector<std::string>;

bool IsOneOf(std::string_view type, std::initializer_list<std::string_view> types) {
  return std::find(types.begin(), types.end(), type) != types.end();
}

bool IsInteger(const TargetColumn& column) {
  return IsOneOf(column.base_type, {"int2", "int4", "int8"});
}
bool IsJson(const TargetColumn& column) { return IsOneOf(column.base_type, {"json", "jsonb"}); }
bool IsText(const TargetColumn& column) {
  return IsOneOf(column.base_type, {"text", "varchar", "bpchar", "citext", "name", "char"});
}

// What stands for the types that have a list of their own.
struct TypeValues {
  std::string_view type;
  Texts values;
};

const std::vector<TypeValues>& ByType() {
  static const std::vector<TypeValues> lists = {
      {"int2", {"0", "1", "2", "-1", "3", "7", "10", "32767", "-32768"}},
      {"int4", {"0", "1", "2", "-1", "3", "7", "10", "2147483647", "-2147483648"}},
      {"int8",
       {"0", "1", "2", "-1", "3", "7", "10", "9223372036854775807", "-9223372036854775808"}},
      {"numeric",
       {"0", "1", "2", "1.0", "1.00", "-1", "3.5", "0.1", "NaN", "Infinity", "-Infinity",
        "12345678901234567890.123456789", "-0.000001"}},
      {"float4",
       {"0", "1", "2", "-0", "-1", "0.1", "3.5", "NaN", "Infinity", "-Infinity", "1e38", "1e-38"}},
      {"float8",
       {"0", "1", "2", "-0", "-1", "0.1", "3.5", "NaN", "Infinity", "-Infinity", "1e308",
        "1e-300"}},
      {"money", {"0", "1", "2.50", "-1", "1000000"}},
      {"bool", {"false", "true"}},
      {"uuid",
       {"00000000-0000-0000-0000-000000000000", "00000000-0000-0000-0000-000000000001",
        "ffffffff-ffff-ffff-ffff-ffffffffffff", "7c9e6679-7425-40de-944b-e07fc1f90ae7"}},
      {"timestamptz",
       {"1970-01-01 00:00:00+00", "2026-11-22 10:00:00+00", "2026-11-22 12:00:00+02",
        "2026-11-22 10:00:00.000001+00", "infinity", "-infinity", "4713-01-01 00:00:00+00 BC",
        "294276-12-31 23:59:59+00"}},
      {"timestamp",
       {"1970-01-01 00:00:00", "2026-11-22 10:00:00", "2026-11-22 10:00:00.000001", "infinity",
        "-infinity", "4713-01-01 00:00:00 BC", "294276-12-31 23:59:59"}},
      {"date",
       {"1970-01-01", "2026-11-22", "2026-11-23", "infinity", "-infinity", "4713-01-01 BC",
        "5874897-12-31"}},
      {"time", {"00:00:00", "12:30:00.5", "24:00:00", "12:30:00.500001"}},
      {"timetz", {"00:00:00+00", "12:30:00+02", "10:30:00+00", "24:00:00-12"}},
      {"interval",
       {"0", "1 day", "24:00:00", "1 mon", "30 days", "-1 day", "1 year 2 mons 3 days 04:05:06"}},
      {"bytea", {"\\x", "\\x00", "\\x01", "\\xff", "\\x00ff"}},
      {"inet", {"10.0.0.1", "10.0.0.0/8", "10.0.0.1/8", "::1", "192.168.0.1"}},
      {"cidr", {"10.0.0.0/8", "10.0.0.0/16", "::/0"}},
      {"macaddr", {"08:00:2b:01:02:03", "00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff"}},
      {"bit", {"0", "1", "10", "11", "10101010"}},
      {"varbit", {"0", "1", "101", "1010"}},
      {"point", {"(0,0)", "(1,1)", "(1,2)"}},
      {"jsonb",
       {"{}", R"({"a": 1})", R"({"a": 2})", R"({"b": 1})", R"({"a": 1, "b": 2})",
        R"({"a": 1.0, "b": null})", R"({"a": {"b": 1}})", R"({"\u00e4": "\u65e5"})", "[]", "[1, 2]",
        "[2, 1]", R"(["a", "A"])", "null", "1", R"("x")"}},
  };
  return lists;
}

const Texts& TextValues() {
  static const Texts values = {"a",          "b",
                               "A",          "",
                               "aa",         "ab",
                               "running",    "0",
                               "10",         "9",
                               " a",         "a ",
                               "\u00e4",     "a\u0308",
                               "\u00df",     "\u65e5\u672c",
                               "\U0001F600", "it's \"q\" \\"};
  return values;
}

void AddByChance(const TargetColumn& column, uint64_t seed, Texts* values) {
  std::mt19937_64 random(seed);
  for (int i = 0; i < 4; ++i) {
    const uint64_t bits = random();
    if (IsInteger(column) || IsOneOf(column.base_type, {"numeric", "float4", "float8"})) {
      values->push_back(absl::StrFormat("%d", static_cast<int64_t>(bits % 20001) - 10000));
    } else if (IsText(column)) {
      values->push_back(absl::StrFormat("%x", bits >> (16 + 8 * i)));
    } else if (column.base_type == "uuid") {
      values->push_back(
          absl::StrFormat("%08x-0000-4000-8000-%012x", bits >> 32, bits & 0xffffffff));
    } else if (IsOneOf(column.base_type, {"timestamptz", "timestamp", "date"})) {
      values->push_back(absl::StrFormat("20%02d-%02d-%02d %02d:00:00+00", bits % 90 + 10,
                                        bits / 97 % 12 + 1, bits / 1009 % 28 + 1,
                                        bits / 10007 % 24));
    }
  }
}

// {"x","y"} as an array's text.
std::string ArrayText(const Texts& elements) {
  std::string text = "{";
  for (const std::string& element : elements) {
    if (text.size() > 1) text += ',';
    text += '"';
    for (char c : element) {
      if (c == '"' || c == '\\') text += '\\';
      text += c;
    }
    text += '"';
  }
  return text + "}";
}

constexpr size_t kMostAround = 16;

void AddNumbersBeside(const std::string& literal, Texts* values) {
  int64_t whole = 0;
  double real = 0;
  if (absl::SimpleAtoi(literal, &whole)) {
    if (whole > std::numeric_limits<int64_t>::min()) values->push_back(absl::StrCat(whole - 1));
    if (whole < std::numeric_limits<int64_t>::max()) values->push_back(absl::StrCat(whole + 1));
  } else if (absl::SimpleAtod(literal, &real)) {
    values->push_back(absl::StrFormat("%.15g", real - 1));
    values->push_back(absl::StrFormat("%.15g", real + 1));
  }
}

void AddObjects(const Texts& literals, Texts* values) {
  for (const std::string& name : literals) {
    const std::string member = proto::JsonString(name);
    values->push_back(absl::StrFormat("{%s: 1}", member));
    values->push_back(absl::StrFormat("{%s: 2}", member));
    values->push_back(absl::StrFormat(R"({%s: 1, "z": 1})", member));
    // a->>'state' = 'done'
    for (const std::string& value : literals) {
      if (value != name)
        values->push_back(absl::StrFormat("{%s: %s}", member, proto::JsonString(value)));
    }
  }
}

}  // namespace

std::vector<std::string> LawValues(const TargetColumn& column,
                                   const std::vector<std::string>& labels, uint64_t seed) {
  if (!labels.empty()) return labels;
  if (column.category == 'R') {
    return {"empty",         "(,)", "[1,2)", "[1,5)", "[3,8)", "[2026-01-01,2026-02-01)",
            "[2026-01-15,)", "(,3)"};
  }
  const std::string type = column.base_type == "json" ? "jsonb" : column.base_type;
  Texts values;
  for (const TypeValues& list : ByType()) {
    if (list.type == type) values = list.values;
  }
  if (values.empty()) {
    values = TextValues();
    if (!IsText(column)) values.insert(values.end(), {"1", "2", "(0,0)", "(1,2)"});
  }
  AddByChance(column, seed, &values);
  return values;
}

std::vector<std::string> ValuesAround(const TargetColumn& column,
                                      const std::vector<std::string>& literals) {
  Texts values = literals;
  if (IsJson(column)) {
    AddObjects(literals, &values);
  } else {
    for (const std::string& literal : literals) AddNumbersBeside(literal, &values);
  }
  if (values.size() > kMostAround) values.resize(kMostAround);
  return values;
}

std::vector<std::string> ArrayValues(const std::vector<std::string>& elements) {
  Texts values = {"{}", "{NULL}"};
  for (size_t i = 0; i < elements.size() && i < 8; ++i) {
    values.push_back(ArrayText({elements[i]}));
    values.push_back(ArrayText({elements[i], elements[(i + 1) % elements.size()]}));
  }
  if (elements.size() > 1) values.push_back(ArrayText({elements[1], elements[0], elements[1]}));
  return values;
}

bool SuitsRule(const TargetColumn& column, const Rule& rule, const std::string& value) {
  if (IsJson(column) && rule.kind == RuleKind::kSetUnion) return value[0] == '[';
  if (IsJson(column) && rule.kind == RuleKind::kJsonMerge) return value[0] == '{';
  // Sums leave the range of the type sooner or later: that is no matter of order.
  if (rule.kind == RuleKind::kSumOfSources)
    return value.size() < 6 && value.find('e') == std::string::npos;
  return true;
}

std::optional<std::string> LawKey(const TargetColumn& column, int n) {
  if (IsInteger(column) || IsOneOf(column.base_type, {"numeric", "float4", "float8"}))
    return absl::StrFormat("%d", n + 1);
  if (IsOneOf(column.base_type, {"text", "citext"})) {
    // Letters alone, as narrow domains want them.
    return absl::StrFormat("key-%c%c%c", 'a' + n / 676 % 26, 'a' + n / 26 % 26, 'a' + n % 26);
  }
  if (column.base_type == "uuid") return absl::StrFormat("00000000-0000-4000-8000-%012x", n);
  if (IsOneOf(column.base_type, {"date", "timestamp", "timestamptz"}))
    return absl::StrFormat("%04d-01-01", 1000 + n);
  return std::nullopt;
}

}  // namespace pmoves
