// rule_cases: every rule with every delete policy and truncate policy, as the configuration could
// have them. One table each.
// Thread: any. Pure.
#ifndef PMOVES_TESTS_SUBSCRIBER_CONFLICTS_RULE_CASES_H_
#define PMOVES_TESTS_SUBSCRIBER_CONFLICTS_RULE_CASES_H_

#include <ostream>
#include <string>
#include <vector>

#include "subscriber/core/conflict_rule.h"

namespace pmoves::conflicts {

struct RuleCase {
  std::string name;  // of the table, too
  TablePolicy policy;
  // By row version a partial update is laid over whatever row is there, so it is tested with
  // registers only.
  bool partial = false;
  // The key is citext instead of numeric, and respelled beyond ASCII: only the database knows that
  // such keys are equal.
  bool citext = false;
};

inline void PrintTo(const RuleCase& rule, std::ostream* out) { *out << rule.name; }

const std::vector<RuleCase>& AllRuleCases();

// Who writes. Their order by bytes is not that of most collations.
const std::vector<std::string>& Sources();

}  // namespace pmoves::conflicts

#endif  // PMOVES_TESTS_SUBSCRIBER_CONFLICTS_RULE_CASES_H_
