#include "tests/subscriber/conflicts/suite.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "common/base/status.h"
#include "tests/subscriber/conflicts/round.h"

namespace pmoves::conflicts {
namespace {

// Large rounds go through stages and COPY, small ones row by row.
constexpr RoundShape kShapes[] = {
    {.histories = 12, .orders = 6},
    {.histories = 2, .orders = 60, .changes = 2},  // mostly all orders that there are
    {.histories = 8, .orders = 6, .truncates = true},
    {.histories = 2, .orders = 40, .changes = 2, .truncates = true},
    {.histories = 6, .orders = 4, .truncates = true, .two_workers = true},
    {.histories = 2, .orders = 4},
    {.histories = 2, .orders = 4, .truncates = true},
    {.histories = 2, .orders = 4, .truncates = true},
    // One case: of several, each from its start, there is always one that begins late.
    {.histories = 1, .orders = 1, .changes = 12, .collect = true},
    {.histories = 1, .orders = 1, .changes = 12, .truncates = true, .collect = true},
};

}  // namespace

Effort EffortFromEnvironment() {
  Effort effort;
  const char* seed = std::getenv("PMOVES_TEST_SEED");
  effort.seed = seed != nullptr ? std::strtoull(seed, nullptr, 10) : std::random_device()();
  if (const char* size = std::getenv("PMOVES_TEST_SIZE"); size != nullptr)
    effort.size = std::atof(size);
  return effort;
}

absl::StatusOr<std::string> FindDivergence(Centre& centre, const RuleCase& rule,
                                           const Effort& effort) {
  Random random(effort.seed + std::hash<std::string>()(rule.name));
  const auto repeats = static_cast<size_t>(std::max(1.0, std::round(effort.size)));
  for (size_t repeat = 0; repeat < repeats; ++repeat) {
    for (RoundShape shape : kShapes) {
      if (effort.size < 1)
        shape.histories =
            static_cast<size_t>(std::ceil(static_cast<double>(shape.histories) * effort.size));
      const Round round = MakeRound(random, rule, shape);
      ASSIGN_OR_RETURN(const auto divergences, Run(centre, rule, round, random));
      if (!divergences.empty()) return Shrink(centre, rule, round, divergences.front());
    }
  }
  return std::string();
}

}  // namespace pmoves::conflicts
