#include "subscriber/core/fair_share.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace pmoves {
namespace {

// Sums of thirds and such are not exact.
constexpr double kTolerance = 1e-6;

size_t MayOwn(const std::vector<std::set<std::string>>& processes, const std::string& source) {
  const auto count = std::count_if(
      processes.begin(), processes.end(),
      [&](const std::set<std::string>& list) { return list.empty() || list.count(source) > 0; });
  return static_cast<size_t>(std::max<std::ptrdiff_t>(count, 1));  // this process may
}

}  // namespace

FairShare::Plan FairShare::Turn(const View& view) {
  std::vector<std::set<std::string>> processes = view.processes;
  std::sort(processes.begin(), processes.end());
  if (processes != processes_) {
    processes_ = std::move(processes);
    kept_.clear();
    free_for_.clear();
  }
  double share = 0;
  std::map<std::string, size_t> owners;
  for (const std::string& source : view.known) {
    owners[source] = MayOwn(processes_, source);
    share += 1.0 / static_cast<double>(owners[source]);
  }
  const auto fair = static_cast<size_t>(std::ceil(share - kTolerance));

  std::map<std::string, int> free_for;
  for (const std::string& source : view.free) free_for[source] = free_for_[source] + 1;
  free_for_ = std::move(free_for);

  Plan plan;
  size_t count = view.owned.size();
  // What the most processes may own goes first; what only this one may, or nobody took, stays.
  std::vector<std::pair<size_t, std::string>> spare;
  for (const std::string& source : view.owned) {
    const auto found = owners.find(source);
    const size_t many = found == owners.end() ? MayOwn(processes_, source) : found->second;
    if (many > 1 && kept_.count(source) == 0) spare.emplace_back(many, source);
  }
  std::stable_sort(spare.begin(), spare.end(),
                   [](const auto& a, const auto& b) { return a.first > b.first; });
  for (const auto& [many, source] : spare) {
    if (count <= fair) break;
    plan.release.push_back(source);
    --count;
  }
  // Below its share it asks for all free ones: what comes beyond is given back at the next turn.
  const bool has_room = count < fair;
  for (const auto& [source, turns] : free_for_) {
    if (view.owned.count(source) > 0) continue;
    const bool alone = owners.at(source) == 1;
    const bool left = turns > kPatience;
    if (left) kept_.insert(source);
    if (has_room || alone || left) plan.claim.push_back(source);
  }
  return plan;
}

}  // namespace pmoves
