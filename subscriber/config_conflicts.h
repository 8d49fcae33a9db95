// config_conflicts: the conflict rules of one entry of `tables`, and what of them does not fit
// together.
//
// What only the live centre can answer (does the column exist, is it a number) is asked by
// subscriber/core/policy_check.
// Thread: start-up only.
#ifndef PMOVES_SUBSCRIBER_CONFIG_CONFLICTS_H_
#define PMOVES_SUBSCRIBER_CONFIG_CONFLICTS_H_

#include <string>
#include <vector>

#include "common/io/config_file.h"
#include "subscriber/config.h"

namespace pmoves {

// The section `conflicts`.
void ReadConflicts(ConfigReader& root, SubscriberConfig::Conflicts* out);

// The policy of a table that says nothing itself; `rule` is the default of tables[].conflict.
TablePolicy DefaultPolicy(const SubscriberConfig::Conflicts& defaults, RuleKind rule);

// Reads what `entry` says over *policy, which holds the defaults. `writers`: the sources that may
// write the table; empty: any.
void ReadTablePolicy(ConfigReader& entry, const std::vector<std::string>& writers,
                     TablePolicy* policy);

// "" or what is wrong with the name of a column of the centre.
std::string CheckColumnName(const std::string& name);

// For each entry of a list that stands there before: "'a' is listed twice".
void CheckListedTwice(ConfigReader& reader, const char* key, const std::vector<std::string>& list);

}  // namespace pmoves

#endif  // PMOVES_SUBSCRIBER_CONFIG_CONFLICTS_H_
