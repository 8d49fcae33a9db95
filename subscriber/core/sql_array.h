// ArrayOf: items as the text of an SQL array, for parameters of prepared statements that take one
// array per column.
//
// In the flow:  pg_target (positions), status_writer -> here
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

// A literal '{...}' of what `write` makes of each item: read by the server once, while ARRAY[...]
// would be planned.
template <typename Item, typename Write>
std::string ArrayOf(const std::vector<Item>& items, const Write& write) {
  std::vector<std::string> written;
  written.reserve(items.size());
  for (const Item& item : items) written.push_back(write(item));
  return SqlLiteral(absl::StrFormat("{%s}", absl::StrJoin(written, ",")));
}

}  // namespace pmoves

#endif  // PMOVES_SUBSCRIBER_CORE_SQL_ARRAY_H_
