// PolicyText: a table's policy as one line, in the words of the configuration.
//
// In the flow:  TablePolicy -> policy_text -> pmoves_sync.table_rule (which rule made the rows)
// Only what decides rows is in it: not what is logged, nor how far ahead a clock may be. Two texts
// are equal exactly when the rows need not be looked at again.
// Thread: any. Pure.
#ifndef PMOVES_SUBSCRIBER_CORE_POLICY_TEXT_H_
#define PMOVES_SUBSCRIBER_CORE_POLICY_TEXT_H_

#include <string>

#include "subscriber/core/conflict_rule.h"

namespace pmoves {

std::string PolicyText(const TablePolicy& policy);

}  // namespace pmoves

#endif  // PMOVES_SUBSCRIBER_CORE_POLICY_TEXT_H_
