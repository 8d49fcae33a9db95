#include "subscriber/core/policy_text.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "proto/json_token.h"

namespace pmoves {
namespace {

using Items = std::vector<std::string>;

std::string List(const std::vector<std::string>& texts) {
  Items quoted;
  for (const std::string& text : texts) quoted.push_back(proto::JsonString(text));
  return absl::StrFormat("[%s]", absl::StrJoin(quoted, ", "));
}

Items RuleItems(const Rule& rule) {
  Items items = {absl::StrFormat("conflict: %s", InfoOf(rule.kind).name)};
  if (!rule.priority.empty()) items.push_back("priority: " + List(rule.priority));
  if (!rule.values.empty()) items.push_back("values: " + List(rule.values));
  if (rule.scope == ValueScope::kEpoch) {
    items.push_back(
        absl::StrFormat("scope: epoch, epoch_column: %s", proto::JsonString(rule.epoch_column)));
  }
  if (rule.scope == ValueScope::kAbsorbing) items.emplace_back("scope: absorbing");
  if (!rule.expression.empty())
    items.push_back("expression: " + proto::JsonString(rule.expression));
  return items;
}

std::string Column(const ColumnRule& column) {
  Items items = RuleItems(column.rule);
  if (column.columns.size() > 1)
    items.push_back("group: " + List({column.columns.begin() + 1, column.columns.end()}));
  return absl::StrFormat("%s: {%s}", proto::JsonString(column.columns.front()),
                         absl::StrJoin(items, ", "));
}

// nullptr: the default.
const char* Name(VersionSource version) {
  return version == VersionSource::kArrival ? "arrival" : nullptr;
}

const char* Name(DeletePolicy policy) {
  switch (policy) {
    case DeletePolicy::kLastWriteWins:
      return nullptr;
    case DeletePolicy::kDeleteWins:
      return "delete-wins";
    case DeletePolicy::kUpdateWins:
      return "update-wins";
    case DeletePolicy::kOwnOnly:
      return "own-only";
    case DeletePolicy::kSoft:
      return "soft";
    case DeletePolicy::kIgnore:
      return "ignore";
  }
  return nullptr;
}

const char* Name(TruncatePolicy policy) {
  switch (policy) {
    case TruncatePolicy::kOwnRows:
      return nullptr;
    case TruncatePolicy::kAll:
      return "all";
    case TruncatePolicy::kIgnore:
      return "ignore";
    case TruncatePolicy::kQuarantine:
      return "quarantine";
  }
  return nullptr;
}

}  // namespace

std::string PolicyText(const TablePolicy& policy) {
  Items items = RuleItems(policy.row);
  auto add = [&items](const char* option, const char* value) {
    if (value != nullptr) items.push_back(absl::StrFormat("%s: %s", option, value));
  };
  add("granularity", policy.granularity == Granularity::kColumn ? "column" : nullptr);
  Items columns;
  for (const ColumnRule& column : policy.columns) columns.push_back(Column(column));
  std::sort(columns.begin(), columns.end());  // their order means nothing
  if (!columns.empty())
    items.push_back(absl::StrFormat("columns: {%s}", absl::StrJoin(columns, ", ")));
  if (policy.version == VersionSource::kColumn)
    items.push_back("version: " + proto::JsonString("column:" + policy.version_column));
  add("version", Name(policy.version));
  add("delete", Name(policy.on_delete));
  if (!policy.soft_delete_column.empty())
    items.push_back("soft_delete_column: " + proto::JsonString(policy.soft_delete_column));
  add("truncate", Name(policy.truncate));
  add("identity", policy.identity == Identity::kPerSource ? "per-source" : nullptr);
  return absl::StrJoin(items, ", ");
}

}  // namespace pmoves
