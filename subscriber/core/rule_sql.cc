#include "subscriber/core/rule_sql.h"

#include <algorithm>
#include <cstdint>

#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "subscriber/core/merge_sql.h"
#include "subscriber/core/sql_array.h"

namespace pmoves {

namespace {

constexpr const char kNewest[] = "c.v DESC, c.source DESC";

std::string TextOf(const RuleColumn& at) {
  return absl::StrFormat("(c.image->>%s)", SqlLiteral(at.column.name));
}

std::string ValueOf(const RuleColumn& at) {
  return absl::StrFormat("%s::%s", TextOf(at), at.column.type);
}

// Of a rule for the row the newest report. Of a column's own rule the newest value: a report of the
// centre that leaves the column alone does not renew it.
std::string NewestOrder(const RuleColumn& at) {
  if (!HasOwnRule(at)) return kNewest;
  return absl::StrFormat("COALESCE((c.versions->>%s)::bigint, c.v) DESC, c.source DESC",
                         SqlLiteral(at.column.name));
}

std::string FirstOrder(const RuleColumn&) { return "c.first_version, c.source"; }

std::string SourceOrder(const RuleColumn& at) {
  return absl::StrFormat("array_position(%s, c.source::text) NULLS LAST, %s",
                         TextArray(at.rule.priority), NewestOrder(at));
}

std::string CentralOrder(const RuleColumn& at) {
  return absl::StrFormat("(c.source = %s) DESC, %s", SqlLiteral(kCentralSource), NewestOrder(at));
}

std::string ValueOrder(const RuleColumn& at) {
  if (at.rule.scope == ValueScope::kSource) {
    return absl::StrFormat("%s, %s", ValueRank(at.rule.values, "c.image", at.column.name),
                           NewestOrder(at));
  }
  const std::string peak = absl::StrFormat("c.peaks->%s->>", SqlLiteral(at.column.name));
  return absl::StrFormat(
      "(%s'e')::numeric DESC NULLS LAST, (%s'r')::bigint, (%s'v')::bigint DESC, c.source DESC",
      peak, peak, peak);
}

std::string GreatestOrder(const RuleColumn& at) {
  return absl::StrFormat("%s DESC NULLS LAST, %s", ValueOf(at), NewestOrder(at));
}

std::string LeastOrder(const RuleColumn& at) {
  return absl::StrFormat("%s NULLS LAST, %s", ValueOf(at), NewestOrder(at));
}

// {p} stands for the collected value.
Combination Sum(const RuleColumn& at) {
  return {absl::StrFormat("sum(%s ORDER BY c.source) FILTER (WHERE c.counts)", ValueOf(at)),
          "{p}::text"};
}

Combination Union(const RuleColumn& at) {
  const std::string text = TextOf(at);
  const bool json = at.column.base_type == "json" || at.column.base_type == "jsonb";
  const std::string merged =
      json ? std::string(
                 "COALESCE(jsonb_agg(DISTINCT e ORDER BY e), '[]')::text FROM unnest({p}) "
                 "AS t(x), jsonb_array_elements(t.x::jsonb) AS e")
           : absl::StrFormat(
                 "COALESCE(array_agg(DISTINCT e ORDER BY e), '{}')::text FROM "
                 "unnest({p}) AS t(x), unnest(t.x::%s) AS e",
                 at.column.type);
  // One source alone is shown as it wrote: a union would sort it.
  return {
      absl::StrFormat("array_agg(%s ORDER BY c.source) FILTER (WHERE c.counts AND %s IS NOT NULL)",
                      text, text),
      absl::StrFormat(
          "CASE WHEN {p} IS NULL OR cardinality({p}) = 1 THEN ({p})[1] ELSE (SELECT %s) END",
          merged)};
}

Combination MergeJson(const RuleColumn& at) {
  const std::string name = SqlLiteral(at.column.name);
  return {
      absl::StrFormat("jsonb_agg(jsonb_build_object('i', c.image->>%s, 'm', c.versions->%s, "
                      "'s', c.source) ORDER BY c.source) FILTER (WHERE c.counts AND c.image ? %s)",
                      name, name, name),
      "CASE WHEN jsonb_array_length({p}) <= 1 THEN {p}->0->>'i' WHEN {p} @? '$[*].i ? (@ != "
      "null)' THEN (SELECT COALESCE(jsonb_object_agg(m, value) FILTER (WHERE value IS NOT "
      "NULL), '{}')::text FROM "
      "(SELECT DISTINCT ON (members.m) members.m, (r->>'i')::jsonb->members.m AS value FROM "
      "jsonb_array_elements({p}) AS r, jsonb_each_text(r->'m') AS members(m, version) ORDER BY "
      "members.m, members.version::bigint DESC, (r->>'s') COLLATE \"C\" DESC) AS winners) "
      "END"};
}

Combination Fold(const RuleColumn& at) {
  return {
      absl::StrFormat("pmoves_sync.%s(%s ORDER BY %s) FILTER (WHERE c.counts AND %s IS NOT NULL)",
                      SqlIdentifier(ExpressionName(at.rule, at.column)), ValueOf(at),
                      NewestOrder(at), TextOf(at)),
      "{p}::text"};
}

}  // namespace

const std::vector<RuleInfo>& AllRules() {
  static const std::vector<RuleInfo> rules = {
      {RuleKind::kLastWriteWins, "last-write-wins", true, true, "", "maximum by (version, source)",
       NewestOrder, nullptr},
      {RuleKind::kFirstWriteWins, "first-write-wins", true, true, "",
       "minimum by (version of the first report, source)", FirstOrder, nullptr},
      {RuleKind::kSourcePriority, "source-priority", true, true, "priority",
       "maximum by (rank of the source, version, source)", SourceOrder, nullptr},
      {RuleKind::kValuePriority, "value-priority", false, true, "values",
       "maximum by (rank of the value, version, source)", ValueOrder, nullptr},
      {RuleKind::kGreatest, "greatest", false, true, "", "maximum of the sources' latest values",
       GreatestOrder, nullptr},
      {RuleKind::kLeast, "least", false, true, "", "minimum of the sources' latest values",
       LeastOrder, nullptr},
      {RuleKind::kSumOfSources, "sum-of-sources", false, true, "",
       "sum of the sources' latest values", nullptr, Sum},
      {RuleKind::kSetUnion, "set-union", false, true, "", "union of the sources' latest sets",
       nullptr, Union},
      {RuleKind::kJsonMerge, "json-merge", false, true, "",
       "maximum by (version, source) of each member", nullptr, MergeJson},
      {RuleKind::kAppendOnly, "append-only", true, false, "",
       "minimum by (version, source) of the inserts", nullptr, nullptr},
      {RuleKind::kKeepCentral, "keep-central", true, true, "",
       "maximum by (written in the centre, version, source)", CentralOrder, nullptr},
      {RuleKind::kManual, "manual", true, false, "",
       "maximum by (version, source), the others kept", NewestOrder, nullptr},
      {RuleKind::kExpression, "expression", false, true, "expression",
       "fold of merge(a, b) over the sources' latest values", nullptr, Fold},
  };
  return rules;
}

const RuleInfo& InfoOf(RuleKind kind) { return AllRules()[static_cast<size_t>(kind)]; }

std::vector<ColumnRule> OwnRules(const TargetTable& table) {
  std::vector<ColumnRule> rules = table.policy.columns;
  if (table.policy.granularity != Granularity::kColumn) return rules;
  std::vector<std::string> named;
  for (const ColumnRule& entry : rules)
    named.insert(named.end(), entry.columns.begin(), entry.columns.end());
  for (size_t i = 0; i < table.columns.size(); ++i) {
    const TargetColumn& column = table.columns[i];
    const bool in_key =
        std::find(table.key.begin(), table.key.end(), static_cast<int>(i)) != table.key.end();
    if (column.generated || in_key) continue;
    if (std::find(named.begin(), named.end(), column.name) != named.end()) continue;
    rules.push_back({{column.name}, table.policy.row});
  }
  return rules;
}

bool HasOwnRule(const RuleColumn& at) {
  const std::vector<ColumnRule> rules = OwnRules(at.table);
  return std::any_of(rules.begin(), rules.end(), [&](const ColumnRule& rule) {
    return rule.columns.front() == at.column.name;
  });
}

TablePlan PlanOf(const TargetTable& table) {
  TablePlan plan;
  for (const ColumnRule& entry : OwnRules(table)) {
    if (entry.rule.kind == RuleKind::kLastWriteWins)
      plan.tracked.push_back({entry.columns.front(), entry.columns});
    if (entry.rule.kind == RuleKind::kJsonMerge) plan.merged_json.push_back(entry.columns.front());
    if (entry.rule.kind == RuleKind::kValuePriority && entry.rule.scope != ValueScope::kSource) {
      const bool epoch = entry.rule.scope == ValueScope::kEpoch;
      plan.peaks.push_back(
          {entry.columns.front(), epoch ? entry.rule.epoch_column : "", entry.rule.values});
    }
  }
  return plan;
}

std::string ValueRank(const std::vector<std::string>& values, const std::string& image,
                      const std::string& column) {
  return absl::StrFormat("COALESCE(array_position(%s, %s->>%s), 2147483647)", TextArray(values),
                         image, SqlLiteral(column));
}

std::string ExpressionName(const Rule& rule, const TargetColumn& column) {
  // FNV-1a: stable over runs and machines, which absl::Hash is not.
  uint64_t hash = 0xcbf29ce484222325u;
  for (const std::string* text : {&rule.expression, &column.type_identity}) {
    for (char c : *text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
    hash *= 0x100000001b3u;
  }
  return absl::StrFormat("merge_%016x", hash);
}

}  // namespace pmoves
