#include "subscriber/core/conflict_rule.h"

namespace pmoves {

bool UsesRegisters(const TablePolicy& policy) {
  if (policy.identity == Identity::kPerSource) return false;  // nobody else writes the row
  if (policy.row.kind == RuleKind::kAppendOnly) return false;
  const bool by_row = policy.row.kind == RuleKind::kLastWriteWins &&
                      policy.granularity == Granularity::kRow && policy.columns.empty();
  const bool plain_delete = policy.on_delete == DeletePolicy::kLastWriteWins ||
                            policy.on_delete == DeletePolicy::kIgnore ||
                            policy.on_delete == DeletePolicy::kSoft;
  return !by_row || !plain_delete;
}

const std::vector<RuleInfo>& AllRules() {
  static const std::vector<RuleInfo> rules = {
      {RuleKind::kLastWriteWins, "last-write-wins", true, true, "", "maximum by (version, source)"},
      {RuleKind::kFirstWriteWins, "first-write-wins", true, true, "",
       "minimum by (version of the first report, source)"},
      {RuleKind::kSourcePriority, "source-priority", true, true, "priority",
       "maximum by (rank of the source, version, source)"},
      {RuleKind::kValuePriority, "value-priority", false, true, "values",
       "maximum by (rank of the value, version, source)"},
      {RuleKind::kGreatest, "greatest", false, true, "", "maximum of the sources' latest values"},
      {RuleKind::kLeast, "least", false, true, "", "minimum of the sources' latest values"},
      {RuleKind::kSumOfSources, "sum-of-sources", false, true, "",
       "sum of the sources' latest values"},
      {RuleKind::kSetUnion, "set-union", false, true, "", "union of the sources' latest sets"},
      {RuleKind::kJsonMerge, "json-merge", false, true, "",
       "maximum by (version, source) of each member"},
      {RuleKind::kAppendOnly, "append-only", true, false, "", "minimum by (version, source)"},
      {RuleKind::kKeepCentral, "keep-central", true, true, "",
       "maximum by (written in the centre, version, source)"},
      {RuleKind::kManual, "manual", true, false, "", "maximum by (version, source), siblings kept"},
      {RuleKind::kExpression, "expression", false, true, "expression",
       "fold of merge(a, b); commutative, associative and idempotent by check-rules"},
  };
  return rules;
}

const RuleInfo& InfoOf(RuleKind kind) { return AllRules()[static_cast<size_t>(kind)]; }

}  // namespace pmoves
