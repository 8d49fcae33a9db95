// suite: the rounds of one rule case, as the convergence test and the mutants run them.
// Thread: one.
#ifndef PMOVES_TESTS_SUBSCRIBER_CONFLICTS_SUITE_H_
#define PMOVES_TESTS_SUBSCRIBER_CONFLICTS_SUITE_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "tests/subscriber/conflicts/centre.h"
#include "tests/subscriber/conflicts/rule_cases.h"

namespace pmoves::conflicts {

struct Effort {
  uint64_t seed = 0;
  double size = 1;  // 1: about 300 histories and orders of each rule case
};
// PMOVES_TEST_SEED and PMOVES_TEST_SIZE; by default a random seed and 1.
Effort EffortFromEnvironment();

// Empty when every round ends as the model says; else the first divergence, shortened.
absl::StatusOr<std::string> FindDivergence(Centre& centre, const RuleCase& rule,
                                           const Effort& effort);

}  // namespace pmoves::conflicts

#endif  // PMOVES_TESTS_SUBSCRIBER_CONFLICTS_SUITE_H_
