#include "subscriber/core/conflict_rule.h"

namespace pmoves {

bool UsesRegisters(const TablePolicy& policy) {
  if (policy.identity == Identity::kPerSource) return false;  // nobody else writes the row
  if (policy.row.kind == RuleKind::kAppendOnly) return false;
  const bool by_row = policy.row.kind == RuleKind::kLastWriteWins &&
                      policy.granularity == Granularity::kRow && policy.columns.empty();
  const bool plain_delete =
      policy.on_delete == DeletePolicy::kLastWriteWins || policy.on_delete == DeletePolicy::kIgnore;
  return !by_row || !plain_delete;
}

}  // namespace pmoves
