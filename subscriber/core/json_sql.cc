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

}  // namespace pmoves
