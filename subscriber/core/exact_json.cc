#include "subscriber/core/exact_json.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "proto/json_token.h"

namespace pmoves {
namespace {

// The server's stack ends long before.
constexpr size_t kMostDepth = 100000;

// The string that begins at `begin`, with its quotes; to the end if it has none.
std::string_view StringAt(std::string_view json, size_t begin) {
  size_t end = begin + 1;
  while (end < json.size() && json[end] != '"') end += json[end] == '\\' ? 2 : 1;
  return json.substr(begin, std::min(end + 1, json.size()) - begin);
}

// What jsonb sorts names by.
bool IsAbove(std::string_view name, std::string_view before) {
  if (name.size() != before.size()) return name.size() > before.size();
  return name > before;
}

struct Object {
  bool is_object = false;
  bool at_name = false;
  // Names in the order that jsonb prints them in are different: mostly there is no need for a set.
  std::vector<std::string_view> ordered;
  absl::flat_hash_set<std::string> seen;

  bool Add(std::string_view token) {
    const bool escaped = token.find('\\') != std::string_view::npos;
    if (seen.empty() && !escaped && (ordered.empty() || IsAbove(token, ordered.back()))) {
      ordered.push_back(token);
      return true;
    }
    for (const std::string_view name : ordered) seen.emplace(name.substr(1, name.size() - 2));
    ordered.clear();
    std::string name;
    if (!proto::AppendTokenText(token, &name).ok()) return true;  // refused
    return seen.insert(std::move(name)).second;
  }
};

}  // namespace

bool NamesAreUnique(std::string_view json) {
  if (json.find(':') == std::string_view::npos) return true;
  std::vector<Object> open;
  for (size_t i = 0; i < json.size(); ++i) {
    switch (json[i]) {
      case '{':
      case '[':
        if (open.size() == kMostDepth) return true;
        open.emplace_back();
        open.back().is_object = open.back().at_name = json[i] == '{';
        break;
      case '}':
      case ']':
        if (open.empty()) return true;
        open.pop_back();
        break;
      case ',':
        if (!open.empty()) open.back().at_name = open.back().is_object;
        break;
      case '"': {
        const std::string_view token = StringAt(json, i);
        i += token.size() - 1;
        if (open.empty() || !open.back().at_name) break;
        open.back().at_name = false;
        if (!open.back().Add(token)) return false;
        break;
      }
      default:
        break;
    }
  }
  return true;
}

}  // namespace pmoves
