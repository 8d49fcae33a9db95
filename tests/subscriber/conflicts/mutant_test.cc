// The suite must be able to fail: this program is linked with one file of the merging code in which
// one thought was taken out (mutants.cmake). It passes when the suite reports a divergence; an
// error is none.
//
// PMOVES_MUTANT_RULES: what the names of the rule cases that are tried begin with; ctest sets it.
#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>

#include "gtest/gtest.h"
#include "tests/subscriber/conflicts/suite.h"
#include "tests/testing/status_matchers.h"

namespace pmoves::conflicts {
namespace {

constexpr int kPasses = 30;

TEST(MutantTest, IsFound) {
  Effort effort = EffortFromEnvironment();
  SCOPED_TRACE("PMOVES_TEST_SEED=" + std::to_string(effort.seed));
  const char* rules = std::getenv("PMOVES_MUTANT_RULES");
  ASSERT_NE(rules, nullptr);
  ASSERT_OK_AND_ASSIGN(const std::unique_ptr<Centre> centre, Centre::Start(AllRuleCases()));
  int tried = 0;
  absl::Status last;
  for (int pass = 0; pass < kPasses; ++pass, ++effort.seed) {
    for (const RuleCase& rule : AllRuleCases()) {
      if (rule.name.rfind(rules, 0) != 0) continue;
      ++tried;
      const auto divergence = FindDivergence(*centre, rule, effort);
      last = divergence.status();
      if (!divergence.ok() || divergence->empty()) continue;
      std::cout << "found after " << tried << " rule cases\n" << *divergence;
      return;
    }
  }
  ADD_FAILURE() << "the mutant survived " << tried << " rule cases; the last: " << last;
}

}  // namespace
}  // namespace pmoves::conflicts
