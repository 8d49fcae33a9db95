#include "common/io/nearest_name.h"

#include <algorithm>

#include "absl/strings/str_format.h"

namespace pmoves {

int EditDistance(std::string_view a, std::string_view b) {
  const size_t width = b.size() + 1;
  std::vector<int> table((a.size() + 1) * width);
  const auto at = [&](size_t i, size_t j) -> int& { return table[i * width + j]; };
  for (size_t i = 0; i <= a.size(); ++i) at(i, 0) = static_cast<int>(i);
  for (size_t j = 0; j <= b.size(); ++j) at(0, j) = static_cast<int>(j);
  for (size_t i = 1; i <= a.size(); ++i) {
    for (size_t j = 1; j <= b.size(); ++j) {
      const int replaced = at(i - 1, j - 1) + (a[i - 1] == b[j - 1] ? 0 : 1);
      at(i, j) = std::min({at(i - 1, j) + 1, at(i, j - 1) + 1, replaced});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        at(i, j) = std::min(at(i, j), at(i - 2, j - 2) + 1);
      }
    }
  }
  return at(a.size(), b.size());
}

std::string NearestName(std::string_view wrong, const std::vector<std::string>& candidates) {
  constexpr size_t kLongestName = 100;
  if (wrong.empty() || wrong.size() > kLongestName) return "";
  const std::string* best = nullptr;
  int best_distance = 0;
  for (const std::string& candidate : candidates) {
    const int distance = EditDistance(wrong, candidate);
    if (best == nullptr || distance < best_distance) {
      best = &candidate;
      best_distance = distance;
    }
  }
  const int limit = std::max<int>(1, static_cast<int>(wrong.size()) / 3);
  return best != nullptr && best_distance <= limit ? *best : "";
}

std::string DidYouMean(std::string_view wrong, const std::vector<std::string>& candidates) {
  const std::string nearest = NearestName(wrong, candidates);
  return nearest.empty() ? "" : absl::StrFormat("; did you mean '%s'?", nearest);
}

}  // namespace pmoves
