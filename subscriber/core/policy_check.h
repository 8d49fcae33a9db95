// policy_check: what of a table's configuration its table in the centre cannot carry out.
//
// In the flow:  TargetCatalog (a table as it is) -> CheckPolicy -> the table's sources wait;
// `check` What the configuration alone shows is refused when it is read
// (subscriber/config_conflicts). Thread: any. Pure.
#ifndef PMOVES_SUBSCRIBER_CORE_POLICY_CHECK_H_
#define PMOVES_SUBSCRIBER_CORE_POLICY_CHECK_H_

#include <string>
#include <vector>

#include "subscriber/core/target_table.h"

namespace pmoves {

// One text per problem, beginning with the option below tables[]: "columns.parts.conflict: ...".
// Empty: all is well.
std::vector<std::string> CheckPolicy(const TargetTable& table);

}  // namespace pmoves

#endif  // PMOVES_SUBSCRIBER_CORE_POLICY_CHECK_H_
