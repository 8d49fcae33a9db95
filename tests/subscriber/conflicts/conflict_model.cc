#include "tests/subscriber/conflicts/conflict_model.h"

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <map>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace pmoves::conflicts {
namespace {

struct Version {
  int64_t hlc = 0;
  std::string source;  // std::string compares bytes

  auto operator<=>(const Version&) const = default;
};

// What one source says about one key, change by change. A changed key is gone under the old one;
// the same key in another spelling stays.
struct Event {
  Kind kind = Kind::kInsert;
  Version version;
  int64_t commit_us = 0;
  Image image;
};

std::vector<Event> EventsOf(const History& history, size_t source, int key) {
  std::vector<Event> events;
  for (const Transaction& transaction : history.transactions[source]) {
    for (const Op& op : transaction) {
      Event event{op.kind, {op.hlc, history.sources[source]}, op.commit_us, op.image};
      if (op.kind == Kind::kTruncate || op.key == key) {
        events.push_back(event);
      } else if (op.old_key == key) {
        event.kind = Kind::kDelete;
        events.push_back(event);
      }
    }
  }
  return events;
}

// ---- by row version

bool IsByRow(const TablePolicy& policy) {
  if (policy.row.kind == RuleKind::kAppendOnly) return true;
  return policy.row.kind == RuleKind::kLastWriteWins && policy.granularity == Granularity::kRow &&
         policy.columns.empty() &&
         (policy.on_delete == DeletePolicy::kLastWriteWins ||
          policy.on_delete == DeletePolicy::kIgnore);
}

// True when a truncate of the history took the row of version `row` away.
bool IsTruncated(const TablePolicy& policy, const std::vector<Event>& truncates,
                 const Version& row) {
  return std::any_of(truncates.begin(), truncates.end(), [&](const Event& truncate) {
    if (policy.truncate == TruncatePolicy::kAll) return row < truncate.version;
    return policy.truncate == TruncatePolicy::kOwnRows && row.source == truncate.version.source &&
           row < truncate.version;
  });
}

std::optional<ModelRow> ByRow(const TablePolicy& policy, const History& history, int key) {
  const bool append_only = policy.row.kind == RuleKind::kAppendOnly;
  std::vector<Event> truncates;
  std::optional<Event> winner;
  for (size_t source = 0; source < history.sources.size(); ++source) {
    for (const Event& event : EventsOf(history, source, key)) {
      if (event.kind == Kind::kTruncate) {
        if (!append_only) truncates.push_back(event);
        continue;
      }
      if (append_only && event.kind != Kind::kInsert) continue;
      if (event.kind == Kind::kDelete && policy.on_delete == DeletePolicy::kIgnore) continue;
      const bool wins = !winner || (append_only ? event.version < winner->version
                                                : event.version > winner->version);
      if (wins) winner = event;
    }
  }
  if (!winner || winner->kind == Kind::kDelete) return std::nullopt;
  if (IsTruncated(policy, truncates, winner->version)) return std::nullopt;
  return ModelRow{winner->image, winner->version.source, winner->version.hlc};
}

// ---- registers

struct Member {
  Version version;
  Text value;  // nullopt: removed
};

// The latest report of one source.
struct Register {
  bool deleted = false;
  bool has_image = false;
  Image image;
  Version version;  // of the latest report, deletes included
  Version written;  // of the image
  Version first;    // at which it became live
  std::array<Version, kColumns> changed;
  std::map<std::string, Member> members;  // of doc
};

// Everything that one source ever reported.
struct Report {
  Image image;
  Version version;
};

// The members of an object of the generator, in Postgres's notation.
std::map<std::string, std::string> MembersOf(const Text& object) {
  std::map<std::string, std::string> members;
  if (!object.has_value() || *object == "{}") return members;
  const std::string inside = object->substr(1, object->size() - 2);
  for (const std::string& part : std::vector<std::string>(absl::StrSplit(inside, ", "))) {
    const size_t colon = part.find(": ");
    members[part.substr(1, colon - 2)] = part.substr(colon + 2);
  }
  return members;
}

void Stamp(const Image& image, const Version& version, bool new_life, Register* reg) {
  for (size_t column = 0; column < kColumns; ++column) {
    if (new_life || image[column] != reg->image[column]) reg->changed[column] = version;
  }
  if (new_life) reg->members.clear();
  const auto members = MembersOf(image[kDoc]);
  for (auto& [name, member] : reg->members) {
    if (members.count(name) == 0 && member.value.has_value()) member = {version, std::nullopt};
  }
  for (const auto& [name, value] : members) {
    auto [found, inserted] = reg->members.try_emplace(name, Member{version, value});
    if (!inserted && found->second.value != value) found->second = {version, value};
  }
  reg->image = image;
  reg->written = version;
}

// One source's changes of a key, folded in its order.
struct Folded {
  std::optional<Register> reg;
  std::vector<Report> reports;
};

void Write(const Event& event, const Image& image, Folded* folded) {
  const bool new_life = !folded->reg.has_value() || folded->reg->deleted;
  if (!folded->reg.has_value()) folded->reg.emplace();
  Register& reg = *folded->reg;
  Stamp(image, event.version, new_life || !reg.has_image, &reg);
  if (new_life) reg.first = event.version;
  reg.deleted = false;
  reg.has_image = true;
  reg.version = event.version;
  folded->reports.push_back({image, event.version});
}

void Delete(const TablePolicy& policy, const Event& event, Folded* folded) {
  if (policy.on_delete == DeletePolicy::kIgnore) return;
  if (policy.on_delete == DeletePolicy::kSoft) {
    if (!folded->reg.has_value()) return;
    Image image = folded->reg->image;
    image[kDeletedAt] = std::to_string(event.commit_us);
    Write(event, image, folded);
    folded->reports.pop_back();  // it repeats what was reported before
    return;
  }
  if (!folded->reg.has_value()) folded->reg.emplace();
  folded->reg->deleted = true;
  folded->reg->version = event.version;
}

Folded Fold(const TablePolicy& policy, const std::vector<Event>& events) {
  Folded folded;
  for (const Event& event : events) {
    switch (event.kind) {
      case Kind::kInsert:
      case Kind::kUpdate:
        Write(event, event.image, &folded);
        break;
      case Kind::kDelete:
        Delete(policy, event, &folded);
        break;
      case Kind::kTruncate:
        // Withdrawn, with the version of what it takes back: it wins over no later report.
        if (policy.truncate == TruncatePolicy::kOwnRows && folded.reg.has_value())
          folded.reg->deleted = true;
        break;
    }
  }
  return folded;
}

// ---- what registers make of a column

// The registers of a key that count, and everything that was ever reported for it.
struct Reports {
  std::vector<Register> counting;
  std::vector<Report> ever;
};

template <typename Rank>
const Register& Best(const std::vector<Register>& registers, const Rank& rank) {
  return *std::max_element(registers.begin(), registers.end(),
                           [&](const Register& a, const Register& b) { return rank(a) < rank(b); });
}

const Register& Newest(const std::vector<Register>& registers) {
  return Best(registers, [](const Register& reg) { return reg.written; });
}

const Register& ByPriority(const std::vector<Register>& registers,
                           const std::vector<std::string>& priority) {
  return Best(registers, [&](const Register& reg) {
    const auto at = std::find(priority.begin(), priority.end(), reg.written.source);
    return std::make_pair(priority.end() - at, reg.written);
  });
}

// Numbers rise, NULL is below all of them.
std::optional<int64_t> NumberOf(const Text& value) {
  return value.has_value() ? std::optional<int64_t>(std::atoll(value->c_str())) : std::nullopt;
}

int64_t RankOf(const Rule& rule, const Text& value) {
  if (!value.has_value()) return 0;
  return rule.values.end() - std::find(rule.values.begin(), rule.values.end(), *value);
}

const Image& ByValue(const Rule& rule, size_t column, const Reports& reports) {
  if (rule.scope == ValueScope::kSource) {
    return Best(reports.counting,
                [&](const Register& reg) {
                  return std::make_pair(RankOf(rule, reg.image[column]), reg.written);
                })
        .image;
  }
  auto rank = [&](const Report& report) {
    const Text& run = report.image[kRun];
    const bool by_run = rule.scope == ValueScope::kEpoch && run.has_value();
    return std::make_tuple(by_run ? std::atoll(run->c_str()) : INT64_MIN,
                           RankOf(rule, report.image[column]), report.version);
  };
  return std::max_element(reports.ever.begin(), reports.ever.end(),
                          [&](const Report& a, const Report& b) { return rank(a) < rank(b); })
      ->image;
}

using Combine = std::function<int64_t(int64_t, int64_t)>;
Text FoldNumbers(const std::vector<Register>& registers, size_t column, const Combine& combine) {
  std::optional<int64_t> result;
  for (const Register& reg : registers) {
    if (!reg.image[column].has_value()) continue;
    const int64_t value = std::atoll(reg.image[column]->c_str());
    result = result.has_value() ? combine(*result, value) : value;
  }
  return result.has_value() ? Text(std::to_string(*result)) : Text();
}

Text Union(const std::vector<Register>& registers, size_t column) {
  std::set<std::string> elements;
  std::vector<std::string> arrays;
  for (const Register& reg : registers) {
    const Text& array = reg.image[column];
    if (!array.has_value()) continue;
    arrays.push_back(*array);
    for (const auto& element : std::vector<std::string>(
             absl::StrSplit(array->substr(1, array->size() - 2), ',', absl::SkipEmpty()))) {
      elements.insert(element);
    }
  }
  if (arrays.empty()) return std::nullopt;
  if (arrays.size() == 1) return arrays.front();  // as its source wrote it
  return "{" + absl::StrJoin(elements, ",") + "}";
}

Text MergeMembers(const std::vector<Register>& registers) {
  std::map<std::string, Member> merged;
  bool any = false;
  for (const Register& reg : registers) {
    any = any || reg.image[kDoc].has_value();
    for (const auto& [name, member] : reg.members) {
      auto [found, inserted] = merged.try_emplace(name, member);
      if (!inserted && found->second.version < member.version) found->second = member;
    }
  }
  if (!any) return std::nullopt;
  std::vector<std::string> parts;
  for (const auto& [name, member] : merged) {
    if (member.value.has_value()) parts.push_back("\"" + name + "\": " + *member.value);
  }
  return "{" + absl::StrJoin(parts, ", ") + "}";
}

// Columns that move together under a rule. The first is the one that it looks at.
struct Group {
  Rule rule;
  std::vector<size_t> columns;
  bool versioned = false;  // with a version of its own under last-write-wins
};

// When a source last gave any column of the group another value.
Version ChangedIn(const Group& group, const Register& reg) {
  Version newest = reg.changed[group.columns.front()];
  for (size_t column : group.columns) newest = std::max(newest, reg.changed[column]);
  return newest;
}

// The image from which the columns of a group come together.
const Image& ImageOf(const Group& group, const Reports& reports) {
  const Rule& rule = group.rule;
  const std::vector<Register>& counting = reports.counting;
  switch (rule.kind) {
    case RuleKind::kFirstWriteWins:
      return std::min_element(
                 counting.begin(), counting.end(),
                 [](const Register& a, const Register& b) { return a.first < b.first; })
          ->image;
    case RuleKind::kSourcePriority:
      return ByPriority(counting, rule.priority).image;
    case RuleKind::kKeepCentral:
      return ByPriority(counting, {"central"}).image;
    case RuleKind::kGreatest:
      return Best(counting,
                  [&](const Register& reg) {
                    return std::make_pair(NumberOf(reg.image[group.columns.front()]), reg.written);
                  })
          .image;
    case RuleKind::kLeast:
      return Best(counting,
                  [&](const Register& reg) {
                    const std::optional<int64_t> number =
                        NumberOf(reg.image[group.columns.front()]);
                    return std::make_pair(number ? std::optional(-*number) : number, reg.written);
                  })
          .image;
    case RuleKind::kValuePriority:
      return ByValue(rule, group.columns.front(), reports);
    case RuleKind::kLastWriteWins:
      if (!group.versioned) return Newest(counting).image;
      return Best(counting, [&](const Register& reg) { return ChangedIn(group, reg); }).image;
    default:
      return Newest(counting).image;
  }
}

Text ValueOf(const Group& group, size_t column, const Reports& reports) {
  switch (group.rule.kind) {
    case RuleKind::kExpression:  // the cases say GREATEST(a, b)
      return FoldNumbers(reports.counting, column,
                         [](int64_t a, int64_t b) { return std::max(a, b); });
    case RuleKind::kSumOfSources:
      return FoldNumbers(reports.counting, column, std::plus<int64_t>());
    case RuleKind::kSetUnion:
      return Union(reports.counting, column);
    case RuleKind::kJsonMerge:
      return MergeMembers(reports.counting);
    default:
      return ImageOf(group, reports)[column];
  }
}

size_t ColumnNamed(std::string_view name) {
  size_t column = 0;
  while (Columns()[column].name != name) ++column;
  return column;
}

std::vector<Group> GroupsOf(const TablePolicy& policy) {
  std::vector<Group> groups;
  std::set<size_t> named;
  for (const ColumnRule& entry : policy.columns) {
    Group& group = groups.emplace_back(Group{entry.rule, {}, true});
    for (const std::string& name : entry.columns) group.columns.push_back(ColumnNamed(name));
    named.insert(group.columns.begin(), group.columns.end());
  }
  for (size_t column = 0; column < kColumns; ++column) {
    if (named.count(column) == 0)
      groups.push_back({policy.row, {column}, policy.granularity == Granularity::kColumn});
  }
  return groups;
}

Image Merge(const TablePolicy& policy, const Reports& reports) {
  Image image;
  for (const Group& group : GroupsOf(policy)) {
    for (size_t column : group.columns) image[column] = ValueOf(group, column, reports);
  }
  return image;
}

bool IsAlive(DeletePolicy policy, const std::vector<Register>& registers) {
  const auto is_live = [](const Register& reg) { return !reg.deleted; };
  const bool any = std::any_of(registers.begin(), registers.end(), is_live);
  switch (policy) {
    case DeletePolicy::kLastWriteWins:
    case DeletePolicy::kIgnore:  // only a truncate takes rows away
      return any && !Best(registers, [](const Register& reg) { return reg.version; }).deleted;
    case DeletePolicy::kDeleteWins:
      return any && std::all_of(registers.begin(), registers.end(), is_live);
    default:
      return any;
  }
}

std::optional<ModelRow> ByRegisters(const TablePolicy& policy, const History& history, int key) {
  std::vector<Register> registers;
  Reports reports;
  std::optional<Version> floor;
  for (size_t source = 0; source < history.sources.size(); ++source) {
    const std::vector<Event> events = EventsOf(history, source, key);
    Folded folded = Fold(policy, events);
    if (folded.reg.has_value()) registers.push_back(*std::move(folded.reg));
    reports.ever.insert(reports.ever.end(), folded.reports.begin(), folded.reports.end());
    for (const Event& event : events) {
      if (event.kind != Kind::kTruncate || policy.truncate != TruncatePolicy::kAll) continue;
      floor = floor.has_value() ? std::max(*floor, event.version) : event.version;
    }
  }
  for (Register& reg : registers) {
    if (floor.has_value() && reg.version < *floor) reg.deleted = true;
  }
  if (!IsAlive(policy.on_delete, registers)) return std::nullopt;
  for (const Register& reg : registers) {
    const bool voided = policy.on_delete == DeletePolicy::kUpdateWins && reg.has_image;
    if (!reg.deleted || voided) reports.counting.push_back(reg);
  }
  const Version& newest = Newest(reports.counting).written;
  return ModelRow{Merge(policy, reports), newest.source, newest.hlc};
}

}  // namespace

std::optional<ModelRow> Expected(const TablePolicy& policy, const History& arrived, int key) {
  return IsByRow(policy) ? ByRow(policy, arrived, key) : ByRegisters(policy, arrived, key);
}

}  // namespace pmoves::conflicts
