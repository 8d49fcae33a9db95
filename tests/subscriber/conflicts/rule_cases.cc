#include "tests/subscriber/conflicts/rule_cases.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace pmoves::conflicts {
namespace {

struct Named {
  const char* name;
  TablePolicy policy;
};

template <typename T>
struct Choice {
  const char* name;
  T value;
};

constexpr Choice<DeletePolicy> kDeletes[] = {
    {"delete_newest", DeletePolicy::kLastWriteWins},
    {"delete_wins", DeletePolicy::kDeleteWins},
    {"update_wins", DeletePolicy::kUpdateWins},
    {"delete_own", DeletePolicy::kOwnOnly},
    {"delete_soft", DeletePolicy::kSoft},
    {"delete_ignored", DeletePolicy::kIgnore},
};
constexpr const Choice<DeletePolicy>& kSoftDelete = kDeletes[4];
constexpr Choice<TruncatePolicy> kTruncates[] = {
    {"truncate_own", TruncatePolicy::kOwnRows},
    {"truncate_all", TruncatePolicy::kAll},
    {"truncate_ignored", TruncatePolicy::kIgnore},
};

Rule Of(RuleKind kind) {
  Rule rule;
  rule.kind = kind;
  return rule;
}

Rule Priority(std::vector<std::string> sources) {
  Rule rule = Of(RuleKind::kSourcePriority);
  rule.priority = std::move(sources);
  return rule;
}

Rule Values(ValueScope scope, std::vector<std::string> values) {
  Rule rule = Of(RuleKind::kValuePriority);
  rule.scope = scope;
  rule.values = std::move(values);
  if (scope == ValueScope::kEpoch) rule.epoch_column = "run";
  return rule;
}

Rule Greatest() {
  Rule rule = Of(RuleKind::kExpression);
  rule.expression = "GREATEST(a, b)";
  return rule;
}

TablePolicy Row(Rule rule, std::vector<ColumnRule> columns = {},
                Granularity granularity = Granularity::kRow) {
  TablePolicy policy;
  policy.row = std::move(rule);
  policy.columns = std::move(columns);
  policy.granularity = granularity;
  return policy;
}

TablePolicy PerSource(RuleKind kind) {
  TablePolicy policy = Row(Of(kind));
  policy.identity = Identity::kPerSource;
  return policy;
}

// Rules of columns stand together, several in one table: each column is compared for itself.
std::vector<Named> RegisterPolicies() {
  const Rule newest = Of(RuleKind::kLastWriteWins);
  const ColumnRule tags{{"tags"}, Of(RuleKind::kSetUnion)};
  const ColumnRule doc{{"doc"}, Of(RuleKind::kJsonMerge)};
  return {
      {"newest", Row(newest)},
      {"newest_by_column", Row(newest, {}, Granularity::kColumn)},
      {"first", Row(Of(RuleKind::kFirstWriteWins))},
      {"source_priority", Row(Priority({"b", "central"}))},
      {"keep_central", Row(Of(RuleKind::kKeepCentral))},
      {"manual", Row(Of(RuleKind::kManual))},
      {"value_priority",
       Row(newest, {{{"status", "worker"}, Values(ValueScope::kSource, {"running", "done"})},
                    {{"n", "b"}, Of(RuleKind::kGreatest)},
                    {{"m"}, Of(RuleKind::kLeast)},
                    {{"a"}, Of(RuleKind::kFirstWriteWins)},
                    tags,
                    doc})},
      {"value_priority_epoch",
       Row(newest,
           {{{"status", "worker", "run"}, Values(ValueScope::kEpoch, {"done", "running"})},
            {{"n"}, Of(RuleKind::kSumOfSources)},
            {{"m"}, Greatest()},
            {{"b"}, Priority({"central", "a-z"})},
            doc},
           Granularity::kColumn)},
      {"value_priority_absorbing",
       Row(Of(RuleKind::kFirstWriteWins),
           {{{"status", "worker"}, Values(ValueScope::kAbsorbing, {"running"})},
            {{"n"}, Of(RuleKind::kLeast)},
            {{"m"}, Of(RuleKind::kSumOfSources)},
            {{"a"}, Of(RuleKind::kKeepCentral)},
            {{"b", "run"}, newest},
            tags})},
  };
}

bool IsByRow(const TablePolicy& policy) {
  if (policy.row.kind == RuleKind::kAppendOnly) return true;
  if (policy.identity == Identity::kPerSource) return true;
  return policy.row.kind == RuleKind::kLastWriteWins && policy.columns.empty() &&
         policy.granularity == Granularity::kRow &&
         (policy.on_delete == DeletePolicy::kLastWriteWins ||
          policy.on_delete == DeletePolicy::kIgnore);
}

RuleCase Make(const Named& base, const Choice<DeletePolicy>& on_delete,
              const Choice<TruncatePolicy>& truncate) {
  RuleCase made{absl::StrCat(base.name, "_", on_delete.name, "_", truncate.name), base.policy};
  made.policy.on_delete = on_delete.value;
  made.policy.truncate = truncate.value;
  if (on_delete.value == DeletePolicy::kSoft) made.policy.soft_delete_column = "deleted_at";
  made.partial = !IsByRow(made.policy);
  made.citext = !made.partial && truncate.value == TruncatePolicy::kIgnore;
  // A batch is collapsed across sources only where no conflict is logged.
  if (truncate.value == TruncatePolicy::kOwnRows) made.policy.log = ConflictLog::kOff;
  if (truncate.value == TruncatePolicy::kAll) made.policy.log = ConflictLog::kAll;
  return made;
}

std::vector<RuleCase> MakeCases() {
  std::vector<RuleCase> cases;
  const Named append_only{"append_only", Row(Of(RuleKind::kAppendOnly))};
  for (const auto& truncate : kTruncates) cases.push_back(Make(append_only, kDeletes[0], truncate));
  for (const auto& truncate : kTruncates) {
    cases.push_back(
        Make({"per_source", PerSource(RuleKind::kLastWriteWins)}, kDeletes[0], truncate));
  }
  cases.push_back(
      Make({"per_source", PerSource(RuleKind::kLastWriteWins)}, kSoftDelete, kTruncates[0]));
  cases.push_back(Make({"per_source_append_only", PerSource(RuleKind::kAppendOnly)}, kDeletes[0],
                       kTruncates[2]));
  size_t turn = 0;
  for (const Named& base : RegisterPolicies()) {
    for (const auto& on_delete : kDeletes) {
      const bool by_row = !Make(base, on_delete, kTruncates[0]).partial;
      // Where rows carry versions every truncate policy is another piece of SQL; registers take
      // them all the same way.
      for (size_t i = 0; i < (by_row ? 3 : 1); ++i)
        cases.push_back(Make(base, on_delete, kTruncates[turn++ % 3]));
    }
    ++turn;  // so that a delete policy meets another truncate policy with each rule
  }
  return cases;
}

}  // namespace

const std::vector<RuleCase>& AllRuleCases() {
  static const std::vector<RuleCase> cases = MakeCases();
  return cases;
}

const std::vector<std::string>& Sources() {
  static const std::vector<std::string> sources = {"a-z", "ab", "b", "central"};
  return sources;
}

}  // namespace pmoves::conflicts
