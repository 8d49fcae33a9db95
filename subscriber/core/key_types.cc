#include "subscriber/core/key_types.h"

#include <algorithm>
#include <initializer_list>
#include <string_view>

#include "absl/strings/str_format.h"

namespace pmoves {
namespace {

bool IsOneOf(std::string_view type, std::initializer_list<std::string_view> types) {
  return std::find(types.begin(), types.end(), type) != types.end();
}

// Equal values have the same text in a session with pinned settings.
bool HasOneText(const KeyPart& part) {
  if (part.is_enum) return true;
  if (!part.built_in) return part.type == "ltree";
  return IsOneOf(part.type,
                 {"int2",      "int4",        "int8",   "oid",   "bool",    "uuid",     "text",
                  "varchar",   "name",        "char",   "bytea", "date",    "time",     "timetz",
                  "timestamp", "timestamptz", "inet",   "cidr",  "macaddr", "macaddr8", "bit",
                  "varbit",    "money",       "pg_lsn", "xid",   "xid8",    "tid"});
}

// What a value can look like besides.
std::string ExampleOf(const KeyPart& part) {
  if (part.type == "numeric") return "1.0 and 1.00";
  if (part.type == "float4" || part.type == "float8") return "0 and -0";
  if (part.type == "citext") return "a and A";
  if (part.type == "bpchar") return "'a' and 'a '";
  if (part.type == "interval") return "'1 day' and '24:00:00'";
  if (part.type == "jsonb") return "1.0 and 1.00";
  return "";
}

std::string ProblemOf(const KeyPart& part) {
  std::string why;
  if (!part.deterministic) {
    why = "its collation is not deterministic, so texts that differ are equal";
  } else if (HasOneText(part)) {
    return "";
  } else if (!part.nested && KeyTextOfType(part.type) != TargetColumn::KeyText::kPlain) {
    return "";
  } else if (const std::string example = ExampleOf(part); !example.empty()) {
    why = absl::StrFormat("%s%s are equal and look different", part.nested ? "inside it " : "",
                          example);
  } else {
    why = absl::StrFormat("of type %s it is not known that equal values look the same", part.type);
  }
  return absl::StrFormat(
      "primary key column \"%s\": %s, and changes are matched by the text of the key; give the "
      "table of the centre a key of another type or collation",
      part.column, why);
}

}  // namespace

TargetColumn::KeyText KeyTextOfType(const std::string& base_type) {
  if (base_type == "numeric") return TargetColumn::KeyText::kNumeric;
  if (base_type == "citext") return TargetColumn::KeyText::kCitext;
  if (base_type == "bpchar") return TargetColumn::KeyText::kBlankPadded;
  if (base_type == "float4" || base_type == "float8") return TargetColumn::KeyText::kFloat;
  return TargetColumn::KeyText::kPlain;
}

std::vector<std::string> KeyProblems(const std::vector<KeyPart>& parts) {
  std::vector<std::string> problems;
  std::string last;
  for (const KeyPart& part : parts) {
    if (part.column == last) continue;  // one is enough
    std::string problem = ProblemOf(part);
    if (problem.empty()) continue;
    last = part.column;
    problems.push_back(std::move(problem));
  }
  return problems;
}

}  // namespace pmoves
