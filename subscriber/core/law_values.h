// law_values: values to try the laws of conflict rules on, as text.
//
// In the flow:  io/law_pool (keeps those that the column's type takes) -> expression_check,
// rule_trials
// The edges of each type, values that are equal and look different (1.0 and 1.00, a and A), and
// some by chance. Nothing here comes from a table: such values may be printed.
// Thread: any. Pure.
#ifndef PMOVES_SUBSCRIBER_CORE_LAW_VALUES_H_
#define PMOVES_SUBSCRIBER_CORE_LAW_VALUES_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "subscriber/core/target_table.h"

namespace pmoves {

// Candidates for values of the column, which is no array: its type may refuse some. `labels`: of an
// enum. The first ones are the simplest.
std::vector<std::string> LawValues(const TargetColumn& column,
                                   const std::vector<std::string>& labels, uint64_t seed);

// Where a text that chooses by literals (LiteralsOf) may change its mind: they, the numbers beside
// them, and JSON objects with such members. So few that others have room beside them.
std::vector<std::string> ValuesAround(const TargetColumn& column,
                                      const std::vector<std::string>& literals);
// Of such elements.
std::vector<std::string> ArrayValues(const std::vector<std::string>& elements);

// Of those, what the rule can be tried on: arrays for a union, no sums that overflow.
bool SuitsRule(const TargetColumn& column, const Rule& rule, const std::string& value);

// The n-th of many distinct values of a key column; none for types that have too few.
std::optional<std::string> LawKey(const TargetColumn& column, int n);

}  // namespace pmoves

#endif  // PMOVES_SUBSCRIBER_CORE_LAW_VALUES_H_
