// Arrays in statements. ArrayBody: items as the text of an array, for parameters. ArrayOf: the same
// as a literal, for EXECUTE of statements that take one array per column. TextArray: an expression,
// to be read in a statement that is prepared.
//
// In the flow:  pg_target, status_writer, central_writes; rule_sql, pick_sql -> here
// Thread: any. Pure.
#ifndef PMOVES_SUBSCRIBER_CORE_SQL_ARRAY_H_
#define PMOVES_SUBSCRIBER_CORE_SQL_ARRAY_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "subscriber/core/merge_sql.h"

namespace pmoves {

// An element of any type; NULL is the bare word.
inline std::string ArrayElement(std::string_view text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted.push_back('\\');
    quoted.push_back(c);
  }
  quoted.push_back('"');
  return quoted;
}

// {...} of what `write` makes of each item.
template <typename Item, typename Write>
std::string ArrayBody(const std::vector<Item>& items, const Write& write) {
  std::vector<std::string> written;
  written.reserve(items.size());
  for (const Item& item : items) written.push_back(write(item));
  return absl::StrFormat("{%s}", absl::StrJoin(written, ","));
}

// A literal '{...}': read by the server once, while ARRAY[...] would be planned.
template <typename Item, typename Write>
std::string ArrayOf(const std::vector<Item>& items, const Write& write) {
  return SqlLiteral(ArrayBody(items, write));
}

// ARRAY['a', 'b']::text[]
inline std::string TextArray(const std::vector<std::string>& texts) {
  std::vector<std::string> literals;
  literals.reserve(texts.size());
  for (const std::string& text : texts) literals.push_back(SqlLiteral(text));
  return absl::StrFormat("ARRAY[%s]::text[]", absl::StrJoin(literals, ", "));
}

}  // namespace pmoves

#endif  // PMOVES_SUBSCRIBER_CORE_SQL_ARRAY_H_
