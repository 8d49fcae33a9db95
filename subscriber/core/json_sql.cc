#include "subscriber/core/json_sql.h"

#include <algorithm>

#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "subscriber/core/merge_sql.h"

namespace pmoves {

std::string JsonPair(std::string_view name, std::string_view value) {
  return absl::StrFormat("%s, %s", SqlLiteral(name), value);
}

std::string JsonObject(const std::vector<std::string>& pairs) {
  constexpr size_t kPairsPerObject = 48;
  if (pairs.empty()) return "'{}'::jsonb";
  std::vector<std::string> objects;
  for (size_t begin = 0; begin < pairs.size(); begin += kPairsPerObject) {
    const size_t end = std::min(begin + kPairsPerObject, pairs.size());
    objects.push_back(
        absl::StrFormat("jsonb_build_object(%s)",
                        absl::StrJoin(pairs.begin() + static_cast<ptrdiff_t>(begin),
                                      pairs.begin() + static_cast<ptrdiff_t>(end), ", ")));
  }
  return absl::StrJoin(objects, " || ");
}

std::string TextObject(const std::vector<TextPair>& pairs) {
  if (pairs.empty()) return "'{}'::jsonb";
  std::vector<std::string> names;
  std::vector<std::string> values;
  for (const TextPair& pair : pairs) {
    names.push_back(SqlLiteral(pair.name));
    values.push_back(pair.value + "::text");
  }
  return absl::StrFormat("jsonb_object(ARRAY[%s], ARRAY[%s])", absl::StrJoin(names, ", "),
                         absl::StrJoin(values, ", "));
}

std::string RowImage(const TargetTable& table, const std::string& alias) {
  std::vector<TextPair> pairs;
  for (const TargetColumn& column : table.columns) {
    if (column.generated) continue;
    pairs.push_back({column.name, absl::StrFormat("%s.%s", alias, SqlIdentifier(column.name))});
  }
  return TextObject(pairs);
}

std::string RowImage(const TargetTable& table, const Shape& shape, const std::string& alias) {
  std::vector<TextPair> pairs;
  for (int written : shape.written) {
    const TargetColumn& column =
        table.columns[static_cast<size_t>(shape.columns[static_cast<size_t>(written)])];
    pairs.push_back({column.name, absl::StrFormat("%s.%s", alias, SqlIdentifier(column.name))});
  }
  return TextObject(pairs);
}

}  // namespace pmoves
