// rule_sql: every conflict rule as SQL over the registers of a key.
//
// In the flow:  TablePolicy -> rule_sql -> register_sql (Recompute)
// The expressions see a register as alias c: c.image (column -> text), c.v (version of the image),
// c.first_version, c.source (COLLATE "C"), c.versions, c.peaks; and c.counts: whether the register
// takes part, which the delete policy decides.
// Invariant: every order ends in (c.v, c.source) or something as unique, so that no two registers
// are equal and the result is a function of the set.
// Thread: any. Pure.
#ifndef PMOVES_SUBSCRIBER_CORE_RULE_SQL_H_
#define PMOVES_SUBSCRIBER_CORE_RULE_SQL_H_

#include <string>
#include <vector>

#include "subscriber/core/conflict_rule.h"
#include "subscriber/core/target_table.h"

namespace pmoves {

// A rule at a column of a table.
struct RuleColumn {
  const TargetTable& table;
  const Rule& rule;
  const TargetColumn& column;
};

// The rules of single columns and groups, also those that granularity: column gives to columns that
// have no entry.
std::vector<ColumnRule> OwnRules(const TargetTable& table);
// True when one of them begins with at.column; false: it follows the rule of the row.
bool HasOwnRule(const RuleColumn& at);

struct Combination {
  std::string collect;  // aggregate over c; becomes p.<alias>
  std::string value;    // of the column, as text; {p} stands for p.<alias>
};

// Columns that have a version of their own in a register.
struct TrackedColumns {
  std::string name;  // of the first; key in register.versions
  std::vector<std::string> columns;
};

// value-priority of scope epoch or absorbing.
struct Peak {
  std::string name;
  std::string epoch_column;  // empty: absorbing
  std::vector<std::string> values;
};

// What the registers of a table keep besides images.
struct TablePlan {
  std::vector<TrackedColumns> tracked;
  std::vector<std::string> merged_json;  // columns under json-merge
  std::vector<Peak> peaks;
};
TablePlan PlanOf(const TargetTable& table);

// Rank of the value at `column` of `image`: 1 is the strongest, unlisted values the weakest.
std::string ValueRank(const std::vector<std::string>& values, const std::string& image,
                      const std::string& column);

// The name of the SQL function (a, b) that `config check-rules` makes of an expression at a column,
// and of the aggregate over it: both carry a hash of expression and type.
std::string ExpressionName(const Rule& rule, const TargetColumn& column);

}  // namespace pmoves

#endif  // PMOVES_SUBSCRIBER_CORE_RULE_SQL_H_
