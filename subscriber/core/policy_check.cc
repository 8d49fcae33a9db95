#include "subscriber/core/policy_check.h"

#include <algorithm>
#include <initializer_list>
#include <string_view>

#include "absl/strings/str_format.h"

namespace pmoves {
namespace {

bool IsOneOf(const std::string& type, std::initializer_list<std::string_view> types) {
  return std::find(types.begin(), types.end(), type) != types.end();
}
bool IsTimestamp(const TargetColumn& column) {
  return IsOneOf(column.base_type, {"timestamptz", "timestamp"});
}
bool IsJson(const TargetColumn& column) { return IsOneOf(column.base_type, {"json", "jsonb"}); }

class Checker {
 public:
  explicit Checker(const TargetTable& table) : table_(table) {}

  std::vector<std::string> Run() {
    for (const ColumnRule& rule : table_.policy.columns) CheckColumnRule(rule);
    CheckVersion();
    CheckSoftDelete();
    CheckMapping();
    return std::move(problems_);
  }

 private:
  void Problem(const std::string& option, const std::string& what) {
    problems_.push_back(absl::StrFormat("%s: %s", option, what));
  }

  // The column, or null and a problem.
  const TargetColumn* Existing(const std::string& option, const std::string& name) {
    const int index = table_.Find(name);
    if (index >= 0) return &table_.columns[static_cast<size_t>(index)];
    Problem(option, absl::StrFormat("%s has no column \"%s\" in the centre", table_.Name(), name));
    return nullptr;
  }

  bool IsKey(const TargetColumn& column) const {
    return std::any_of(table_.key.begin(), table_.key.end(), [&](int index) {
      return &table_.columns[static_cast<size_t>(index)] == &column;
    });
  }

  // No column of the sources becomes it.
  bool IsSkipped(const std::string& name) const {
    const ColumnMapping& mapping = table_.mapping;
    return mapping.skip.count(name) > 0 &&
           std::none_of(mapping.rename.begin(), mapping.rename.end(),
                        [&](const auto& pair) { return pair.second == name; });
  }

  // The column, when it is one whose value can be chosen; or null and a problem.
  const TargetColumn* Writable(const std::string& option, const std::string& name) {
    const TargetColumn* const column = Existing(option, name);
    if (column == nullptr) return nullptr;
    if (IsKey(*column)) {
      Problem(option, absl::StrFormat("\"%s\" is in the primary key, which says which row it is; "
                                      "there is nothing to choose",
                                      name));
      return nullptr;
    }
    if (column->generated) {
      Problem(option, absl::StrFormat("\"%s\" is computed by the centre, nothing writes it", name));
      return nullptr;
    }
    return column;
  }

  void CheckColumnRule(const ColumnRule& entry) {
    const std::string option = absl::StrFormat("columns.%s", entry.columns[0]);
    for (size_t i = 1; i < entry.columns.size(); ++i) {
      Writable(option + ".group", entry.columns[i]);
    }
    if (!entry.rule.epoch_column.empty()) {
      const TargetColumn* const epoch = Existing(option + ".epoch_column", entry.rule.epoch_column);
      if (epoch != nullptr && epoch->category != 'N') {
        Problem(option + ".epoch_column",
                absl::StrFormat("\"%s\" must be a number, it is %s", epoch->name, epoch->type));
      }
    }
    const TargetColumn* const column = Writable(option, entry.columns[0]);
    if (column == nullptr) return;
    const char* const needed = NeededType(entry.rule.kind, *column);
    if (needed == nullptr) return;
    Problem(option + ".conflict",
            absl::StrFormat("'%s' needs %s, \"%s\" is %s", InfoOf(entry.rule.kind).name, needed,
                            column->name, column->type));
  }

  // What the type of the column should be instead; null when it will do.
  static const char* NeededType(RuleKind kind, const TargetColumn& column) {
    switch (kind) {
      case RuleKind::kGreatest:
      case RuleKind::kLeast:
        return column.orderable ? nullptr : "a type with an order";
      case RuleKind::kSumOfSources:
        return IsOneOf(column.base_type,
                       {"int2", "int4", "int8", "numeric", "float4", "float8", "money", "interval"})
                   ? nullptr
                   : "a number or an interval";
      case RuleKind::kSetUnion:
        if (IsJson(column)) return nullptr;
        return column.category == 'A' && column.orderable
                   ? nullptr
                   : "json, jsonb or an array of a type with an order";
      case RuleKind::kJsonMerge:
        return IsJson(column) ? nullptr : "json or jsonb";
      default:
        return nullptr;
    }
  }

  void CheckVersion() {
    if (table_.policy.version != VersionSource::kColumn) return;
    const std::string& name = table_.policy.version_column;
    const TargetColumn* const column = Existing("version", name);
    if (column == nullptr) return;
    if (!IsTimestamp(*column) && !IsOneOf(column->base_type, {"int4", "int8"})) {
      Problem("version", absl::StrFormat("\"%s\" must be a timestamp, or an integer (milliseconds "
                                         "since 1970); it is %s",
                                         name, column->type));
    } else if (table_.mapping.constants.count(name) > 0 || IsSkipped(name) || column->generated) {
      Problem("version",
              absl::StrFormat("\"%s\" does not come from the sources (constants, skip, or computed "
                              "by the centre), so it says nothing about their rows",
                              name));
    }
  }

  void CheckSoftDelete() {
    if (table_.policy.on_delete != DeletePolicy::kSoft) return;
    const TargetColumn* const column =
        Writable("soft_delete_column", table_.policy.soft_delete_column);
    if (column != nullptr && !IsTimestamp(*column)) {
      Problem("soft_delete_column",
              absl::StrFormat("\"%s\" must be a timestamp, it is %s", column->name, column->type));
    }
  }

  void CheckMapping() {
    const ColumnMapping& mapping = table_.mapping;
    for (const auto& [old_name, new_name] : mapping.rename) {
      Existing(absl::StrFormat("rename.%s", old_name), new_name);
    }
    for (const auto& [name, text] : mapping.constants) {
      Writable(absl::StrFormat("constants.%s", name), name);
    }
    for (int index : table_.key) {
      const std::string& name = table_.columns[static_cast<size_t>(index)].name;
      if (table_.columns[static_cast<size_t>(index)].generated) {
        Problem(
            "primary key",
            absl::StrFormat("\"%s\" of %s is GENERATED ALWAYS AS (...): the centre computes it, "
                            "so no change can say which row it is about; take it out of the "
                            "key, or make it a plain column here (ALTER COLUMN ... DROP "
                            "EXPRESSION)",
                            name, table_.Name()));
      }
      if (!IsSkipped(name)) continue;
      Problem("skip",
              absl::StrFormat("\"%s\" is in the primary key of %s, rows cannot do without it", name,
                              table_.Name()));
    }
  }

  const TargetTable& table_;
  std::vector<std::string> problems_;
};

}  // namespace

std::vector<std::string> CheckPolicy(const TargetTable& table) { return Checker(table).Run(); }

}  // namespace pmoves
