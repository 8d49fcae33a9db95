#include "subscriber/config_conflicts.h"

#include <algorithm>
#include <map>
#include <span>

#include "absl/strings/str_format.h"
#include "common/io/config_values.h"
#include "common/io/nearest_name.h"
#include "subscriber/core/expression_sql.h"

namespace pmoves {
namespace {

constexpr size_t kMaxNameBytes = 63;  // NAMEDATALEN - 1

// An option that belongs to one rule.
struct RuleOption {
  const char* key;
  RuleKind rule;
  const char* example;
};
constexpr RuleOption kColumnOptions[] = {
    {"priority", RuleKind::kSourcePriority, "priority: [central, jetson-01]"},
    {"values", RuleKind::kValuePriority, "values: [running]"},
    {"scope", RuleKind::kValuePriority, "scope: source"},
    {"epoch_column", RuleKind::kValuePriority, "epoch_column: run_no"},
    {"expression", RuleKind::kExpression, "expression: \"GREATEST(a, b)\""},
};

constexpr std::span<const RuleOption> kRowOptions(kColumnOptions, 1);

std::string NameOf(RuleKind kind) { return std::string(InfoOf(kind).name); }

// Those that may stand at a row, or at a column.
std::vector<std::string> RuleNames(bool RuleInfo::*where) {
  std::vector<std::string> names;
  for (const RuleInfo& rule : AllRules()) {
    if (rule.*where) names.emplace_back(rule.name);
  }
  return names;
}

template <typename Enum>
void ReadEnum(ConfigReader& reader, const char* key, const std::vector<std::string>& names,
              Enum* out) {
  int index = static_cast<int>(*out);
  reader.Choice(key, names, &index);
  *out = static_cast<Enum>(index);
}

// *kind, and true; or false and a problem.
bool ReadRuleKind(ConfigReader& reader, bool RuleInfo::*where, RuleKind* kind) {
  std::string name = NameOf(*kind);
  reader.String("conflict", &name);
  const auto found = std::find_if(AllRules().begin(), AllRules().end(),
                                  [&](const RuleInfo& rule) { return rule.name == name; });
  if (found != AllRules().end() && (*found).*where) {
    *kind = found->kind;
    return true;
  }
  const std::vector<std::string> allowed = RuleNames(where);
  std::string hint = DidYouMean(name, allowed);
  if (found != AllRules().end()) {
    hint = where == &RuleInfo::per_row ? "; it is a rule for a column: columns.<name>.conflict"
                                       : "; it is a rule for whole rows: tables[].conflict";
  }
  reader.Problem("conflict", absl::StrFormat("'%s' is not allowed; one of %s%s", name,
                                             JoinCommas(allowed), hint));
  return false;
}

void CheckPriority(ConfigReader& reader, const std::vector<std::string>& priority,
                   const std::vector<std::string>& writers) {
  CheckListedTwice(reader, "priority", priority);
  for (size_t i = 0; i < priority.size(); ++i) {
    if (priority[i] == kCentralSource) continue;
    std::string wrong = CheckSourceName(priority[i]);
    if (wrong.empty() && !writers.empty() &&
        std::find(writers.begin(), writers.end(), priority[i]) == writers.end()) {
      wrong = absl::StrFormat("'%s' is not a source that may write this table: %s, %s", priority[i],
                              kCentralSource, JoinCommas(writers));
    }
    if (!wrong.empty()) reader.Problem("priority", i, wrong);
  }
}

// The rule needs its option, and no other rule's option may stand beside it.
void CheckOptions(ConfigReader& reader, std::span<const RuleOption> options, const Rule& rule) {
  const RuleInfo& info = InfoOf(rule.kind);
  for (const RuleOption& option : options) {
    const bool given = reader.Has(option.key);
    if (given && option.rule != rule.kind) {
      reader.Problem(option.key, absl::StrFormat("belongs to '%s'; '%s' does not use it",
                                                 NameOf(option.rule), info.name));
    }
    if (info.needs != option.key) continue;
    if (!given) {
      reader.Problem("conflict", absl::StrFormat("'%s' needs '%s', for example %s", info.name,
                                                 option.key, option.example));
    } else if (rule.values.empty() && rule.priority.empty() && rule.expression.empty()) {
      reader.Problem(option.key, absl::StrFormat("is empty; '%s' needs it", info.name));
    }
  }
}

void ReadScope(ConfigReader& column, const std::string& name, Rule* rule) {
  ReadEnum(column, "scope", {"source", "epoch", "absorbing"}, &rule->scope);
  column.String("epoch_column", &rule->epoch_column);
  if (rule->kind != RuleKind::kValuePriority) return;
  const bool by_epoch = rule->scope == ValueScope::kEpoch;
  if (by_epoch && rule->epoch_column.empty()) {
    column.Problem("scope", "'epoch' needs 'epoch_column', for example epoch_column: run_no");
  } else if (!by_epoch && column.Has("epoch_column")) {
    column.Problem("epoch_column", "belongs to scope: epoch");
  } else if (by_epoch) {
    const std::string wrong = rule->epoch_column == name
                                  ? absl::StrFormat("'%s' is the column itself", name)
                                  : CheckColumnName(rule->epoch_column);
    if (!wrong.empty()) column.Problem("epoch_column", wrong);
    column.Remark("scope", "a value of 'values' can never leave before epoch_column rises");
  } else if (rule->scope == ValueScope::kAbsorbing) {
    column.Remark("scope", "a value of 'values' can never leave again, whoever reports another");
  }
}

// True when the rule shows one of the reports, so that other columns can come from the same one.
bool PicksOneReport(RuleKind kind) {
  return kind != RuleKind::kSumOfSources && kind != RuleKind::kSetUnion &&
         kind != RuleKind::kJsonMerge && kind != RuleKind::kExpression;
}

ColumnRule ReadColumn(ConfigReader& column, const std::string& name,
                      const std::vector<std::string>& writers) {
  ColumnRule out;
  out.columns = {name};
  Rule& rule = out.rule;
  column.Required("conflict");
  const bool known = ReadRuleKind(column, &RuleInfo::per_column, &rule.kind);
  column.StringList("values", &rule.values);
  CheckListedTwice(column, "values", rule.values);
  column.StringList("priority", &rule.priority);
  CheckPriority(column, rule.priority, writers);
  column.String("expression", &rule.expression);
  if (const std::string wrong = CheckExpressionText(rule.expression);
      !rule.expression.empty() && !wrong.empty()) {
    column.Problem("expression", wrong);
  }
  ReadScope(column, name, &rule);
  if (known && column.Has("conflict")) CheckOptions(column, kColumnOptions, rule);
  std::vector<std::string> group;
  column.StringList("group", &group);
  CheckListedTwice(column, "group", group);
  if (!group.empty() && !PicksOneReport(rule.kind)) {
    column.Problem("group",
                   absl::StrFormat("'%s' makes one value of several reports, so no other column "
                                   "can move with it",
                                   NameOf(rule.kind)));
  }
  out.columns.insert(out.columns.end(), group.begin(), group.end());
  return out;
}

void CheckGroups(ConfigReader& columns, const std::vector<ColumnRule>& rules) {
  std::map<std::string, std::string> owner;  // of each column that has an entry or is in a group
  for (const ColumnRule& rule : rules) owner[rule.columns[0]] = rule.columns[0];
  for (const ColumnRule& rule : rules) {
    const std::string& name = rule.columns[0];
    ConfigReader& column = columns.Section(name.c_str());
    for (size_t i = 1; i < rule.columns.size(); ++i) {
      const std::string& member = rule.columns[i];
      std::string wrong = CheckColumnName(member);
      const auto [found, inserted] = owner.emplace(member, name);
      if (!wrong.empty() || inserted) {
      } else if (member == name) {
        wrong = absl::StrFormat("'%s' is the column itself", member);
      } else if (found->second == member) {
        wrong = absl::StrFormat("'%s' has an entry of its own in 'columns'", member);
      } else if (found->second != name) {
        wrong = absl::StrFormat("'%s' is in the group of '%s'", member, found->second);
      }
      if (!wrong.empty()) column.Problem("group", i - 1, wrong);
    }
  }
}

void ReadColumns(ConfigReader& entry, const std::vector<std::string>& writers,
                 TablePolicy* policy) {
  ConfigReader& columns = entry.Section("columns");
  for (const std::string& name : columns.Keys()) {
    const std::string wrong = CheckColumnName(name);
    if (!wrong.empty()) columns.Problem(name.c_str(), wrong);
    policy->columns.push_back(ReadColumn(columns.Section(name.c_str()), name, writers));
  }
  CheckGroups(columns, policy->columns);
}

void ReadVersion(ConfigReader& entry, TablePolicy* policy) {
  constexpr std::string_view kColumn = "column:";
  std::string text = "commit";
  entry.String("version", &text);
  std::string wrong;
  if (text.rfind(kColumn, 0) == 0) {
    policy->version = VersionSource::kColumn;
    policy->version_column = text.substr(kColumn.size());
    wrong = CheckColumnName(policy->version_column);
  } else {
    int index = 0;
    wrong = ParseChoice(text, {"commit", "arrival", "column:NAME"}, &index);
    policy->version = index == 1 ? VersionSource::kArrival : VersionSource::kCommit;
  }
  if (!wrong.empty()) entry.Problem("version", wrong);
}

void ReadDelete(ConfigReader& entry, TablePolicy* policy) {
  ReadEnum(entry, "delete",
           {"last-write-wins", "delete-wins", "update-wins", "own-only", "soft", "ignore"},
           &policy->on_delete);
  entry.String("soft_delete_column", &policy->soft_delete_column);
  const bool soft = policy->on_delete == DeletePolicy::kSoft;
  if (soft && policy->soft_delete_column.empty()) {
    entry.Problem("delete",
                  "'soft' needs 'soft_delete_column', for example soft_delete_column: deleted_at");
  } else if (!soft && entry.Has("soft_delete_column")) {
    entry.Problem("soft_delete_column", "belongs to delete: soft");
  } else if (soft) {
    const std::string wrong = CheckColumnName(policy->soft_delete_column);
    if (!wrong.empty()) entry.Problem("soft_delete_column", wrong);
    for (const ColumnRule& rule : policy->columns) {
      if (std::count(rule.columns.begin(), rule.columns.end(), policy->soft_delete_column) > 0) {
        entry.Problem("soft_delete_column",
                      absl::StrFormat("'%s' gets the time of the delete, so 'columns' cannot give "
                                      "it a rule",
                                      policy->soft_delete_column));
      }
    }
  }
}

// append-only keeps the first row of a key as it came.
void CheckAppendOnly(ConfigReader& entry, const TablePolicy& policy) {
  if (policy.row.kind != RuleKind::kAppendOnly) return;
  if (!policy.columns.empty()) {
    entry.Problem("columns",
                  "'append-only' keeps the first row of a key as it came; its columns have no "
                  "rules of their own");
  }
  if (policy.on_delete != DeletePolicy::kIgnore) {
    entry.Problem("delete", "'append-only' ignores deletes; leave this out, or write ignore");
  }
}

// per-source: only what needs no second writer.
void CheckPerSource(ConfigReader& entry, const TablePolicy& policy) {
  if (policy.identity != Identity::kPerSource) return;
  constexpr char kNobody[] = "with identity: per-source nobody else writes such a row";
  if (policy.row.kind != RuleKind::kLastWriteWins && policy.row.kind != RuleKind::kAppendOnly) {
    entry.Problem(entry.Has("conflict") ? "conflict" : "identity",
                  absl::StrFormat("%s, so '%s' has nothing to decide; allowed: last-write-wins, "
                                  "append-only",
                                  kNobody, NameOf(policy.row.kind)));
  }
  if (!policy.columns.empty()) {
    entry.Problem("columns", absl::StrFormat("%s, so its columns need no rules", kNobody));
  }
  if (policy.granularity == Granularity::kColumn) {
    entry.Problem("granularity",
                  absl::StrFormat("%s, so its columns need no versions of their own", kNobody));
  }
  if (policy.on_delete == DeletePolicy::kDeleteWins ||
      policy.on_delete == DeletePolicy::kUpdateWins || policy.on_delete == DeletePolicy::kOwnOnly) {
    entry.Problem("delete", absl::StrFormat("%s, so a delete meets no other report; allowed: "
                                            "last-write-wins, soft, ignore",
                                            kNobody));
  }
}

void ReadDefaults(ConfigReader& reader, absl::Duration* max_future, ConflictLog* log) {
  reader.Duration("max_future", absl::ZeroDuration(), absl::Hours(24), max_future);
  ReadEnum(reader, "log", {"off", "lossy", "all"}, log);
}

}  // namespace

void CheckListedTwice(ConfigReader& reader, const char* key, const std::vector<std::string>& list) {
  for (size_t i = 0; i < list.size(); ++i) {
    const auto here = list.begin() + static_cast<ptrdiff_t>(i);
    if (std::find(list.begin(), here, list[i]) != here) {
      reader.Problem(key, i, absl::StrFormat("'%s' is listed twice", list[i]));
    }
  }
}

std::string CheckColumnName(const std::string& name) {
  if (name.empty()) return "the name of a column is empty";
  if (name.size() > kMaxNameBytes) {
    return absl::StrFormat("'%s' is longer than 63 bytes, so no column can be called so", name);
  }
  if (IsInlineColumn(name)) {
    return absl::StrFormat("'%s' is written by the subscriber itself", name);
  }
  return "";
}

void ReadConflicts(ConfigReader& root, SubscriberConfig::Conflicts* out) {
  ConfigReader& conflicts = root.Section("conflicts");
  ReadDefaults(conflicts, &out->max_future, &out->log);
  const absl::Duration longest = absl::Hours(24) * 3650;
  conflicts.Duration("log_retention", absl::Hours(1), longest, &out->log_retention);
  conflicts.Duration("letter_retention", absl::Hours(1), longest, &out->letter_retention);
  conflicts.Duration("tombstone_retention", absl::Hours(1), longest, &out->tombstone_retention);
}

TablePolicy DefaultPolicy(const SubscriberConfig::Conflicts& defaults, RuleKind rule) {
  TablePolicy policy;
  policy.row.kind = rule;
  policy.max_future = defaults.max_future;
  policy.log = defaults.log;
  if (rule == RuleKind::kAppendOnly) policy.on_delete = DeletePolicy::kIgnore;
  return policy;
}

void ReadTablePolicy(ConfigReader& entry, const std::vector<std::string>& writers,
                     TablePolicy* policy) {
  const bool known = ReadRuleKind(entry, &RuleInfo::per_row, &policy->row.kind);
  policy->on_delete = policy->row.kind == RuleKind::kAppendOnly ? DeletePolicy::kIgnore
                                                                : DeletePolicy::kLastWriteWins;
  entry.StringList("priority", &policy->row.priority);
  CheckPriority(entry, policy->row.priority, writers);
  for (const char* key : {"values", "scope", "epoch_column", "expression", "group"}) {
    if (!entry.Has(key)) continue;
    entry.Problem(key, absl::StrFormat("is an option of a column: columns.<name>.%s", key));
  }
  if (known) CheckOptions(entry, kRowOptions, policy->row);
  ReadEnum(entry, "granularity", {"row", "column"}, &policy->granularity);
  if (policy->granularity == Granularity::kColumn && policy->row.kind != RuleKind::kLastWriteWins) {
    entry.Problem("granularity", absl::StrFormat("'column' belongs to 'last-write-wins'; '%s' "
                                                 "takes whole rows",
                                                 NameOf(policy->row.kind)));
  }
  ReadVersion(entry, policy);
  ReadColumns(entry, writers, policy);
  ReadDelete(entry, policy);
  ReadEnum(entry, "truncate", {"own-rows", "all", "ignore", "quarantine"}, &policy->truncate);
  ReadEnum(entry, "identity", {"undeclared", "shared", "per-source"}, &policy->identity);
  ReadDefaults(entry, &policy->max_future, &policy->log);
  entry.Bool("allow_divergence", &policy->allow_divergence);
  if (policy->row.kind == RuleKind::kManual && policy->log == ConflictLog::kOff) {
    entry.Problem(entry.Has("log") ? "log" : "conflict",
                  "'manual' needs conflicts to be logged, a person picks by them; allowed: log: "
                  "lossy, all");
  }
  CheckAppendOnly(entry, *policy);
  CheckPerSource(entry, *policy);
}

}  // namespace pmoves
