#include "subscriber/core/expression_sql.h"

#include <algorithm>
#include <cctype>
#include <cstddef>
#include <utility>

#include "absl/strings/str_format.h"
#include "subscriber/core/merge_sql.h"
#include "subscriber/core/rule_sql.h"

namespace pmoves {
namespace {

bool IsWord(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

// The place behind the quoted text that begins at `begin`, or npos when it does not end.
size_t BehindQuoted(std::string_view text, size_t begin) {
  const char quote = text[begin];
  const bool escapes = quote == '\'' && begin > 0 && (text[begin - 1] | 0x20) == 'e' &&
                       (begin == 1 || !IsWord(text[begin - 2]));
  for (size_t i = begin + 1; i < text.size(); ++i) {
    if (escapes && text[i] == '\\') {
      ++i;
    } else if (text[i] == quote) {
      if (i + 1 == text.size() || text[i + 1] != quote) return i + 1;
      ++i;
    }
  }
  return std::string_view::npos;
}

}  // namespace

std::string CheckExpressionText(std::string_view text) {
  std::string open;
  bool empty = true;
  for (size_t i = 0; i < text.size();) {
    const char c = text[i];
    const char next = i + 1 < text.size() ? text[i + 1] : '\0';
    empty = empty && std::isspace(static_cast<unsigned char>(c)) != 0;
    if (c == '\0') return "has a NUL character";
    if (c == '\'' || c == '"') {
      i = BehindQuoted(text, i);
      if (i == std::string_view::npos) return absl::StrFormat("has a %c that is not closed", c);
      continue;
    }
    if (c == ';') return "has a ';': it must be one expression";
    if ((c == '-' && next == '-') || (c == '/' && next == '*')) return "has a comment";
    if (c == '$') return "has a '$': write quoted text with single quotes";
    if (c == '(' || c == '[') open += c;
    if (c == ')' || c == ']') {
      if (open.empty() || open.back() != (c == ')' ? '(' : '['))
        return absl::StrFormat("has a '%c' that nothing opens: it must be one expression", c);
      open.pop_back();
    }
    if (c == ',' && open.empty()) return "has a ',' at its top: it must be one expression";
    ++i;
  }
  if (empty) return "is empty";
  return open.empty() ? "" : absl::StrFormat("has a '%c' that is not closed", open.back());
}

std::vector<std::string> LiteralsOf(std::string_view text) {
  std::vector<std::string> literals;
  auto add = [&literals](std::string literal) {
    if (std::find(literals.begin(), literals.end(), literal) == literals.end())
      literals.push_back(std::move(literal));
  };
  for (size_t i = 0; i < text.size();) {
    size_t end = i + 1;
    if (text[i] == '\'' || text[i] == '"') {
      end = BehindQuoted(text, i);
      if (end == std::string_view::npos) break;
      std::string literal;
      for (size_t at = i + 1; at + 1 < end; ++at) {
        literal += text[at];
        if (text[at] == '\'' && text[at + 1] == '\'' && at + 2 < end) ++at;  // it stands for one
      }
      if (text[i] == '\'') add(std::move(literal));
    } else if (IsWord(text[i])) {
      const bool number = std::isdigit(static_cast<unsigned char>(text[i])) != 0;
      while (end < text.size() && (IsWord(text[end]) || (number && text[end] == '.'))) ++end;
      const bool negative = number && i > 0 && text[i - 1] == '-';
      if (number) add(std::string(text.substr(negative ? i - 1 : i, end - i + (negative ? 1 : 0))));
    }
    i = end;
  }
  return literals;
}

std::string ExpressionBody(const Rule& rule) {
  return absl::StrFormat("SELECT (%s)", rule.expression);
}

std::string CreateExpressionFunction(const Rule& rule, const TargetColumn& column) {
  return absl::StrFormat(
      "CREATE OR REPLACE FUNCTION pmoves_sync.%s(a %s, b %s) RETURNS %s LANGUAGE sql IMMUTABLE "
      "STRICT SET search_path FROM CURRENT AS %s",
      SqlIdentifier(ExpressionName(rule, column)), column.type, column.type, column.type,
      SqlLiteral(ExpressionBody(rule)));
}

std::string CreateExpressionAggregate(const Rule& rule, const TargetColumn& column) {
  const std::string name = SqlIdentifier(ExpressionName(rule, column));
  return absl::StrFormat(
      "CREATE OR REPLACE AGGREGATE pmoves_sync.%s(%s) (SFUNC = pmoves_sync.%s, STYPE = %s)", name,
      column.type, name, column.type);
}

std::string CreateExpressionProbe(const Rule& rule, const TargetColumn& column) {
  return absl::StrFormat(
      "CREATE TEMP TABLE pmoves_probe (a %s, b %s, merged %s GENERATED ALWAYS AS ((%s)) STORED)",
      column.type, column.type, column.type, rule.expression);
}

}  // namespace pmoves
