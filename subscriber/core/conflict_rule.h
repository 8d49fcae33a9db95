// ConflictRule: what an operator can say about a table that several sources write. Plain data.
//
// In the flow:  config (tables[].conflict, columns, delete, ...) -> TablePolicy in TargetTable ->
// row_decoder, batch, merge_sql, register_sql
//
// Two ways of merging exist, and every policy takes one of them (UsesRegisters):
//   - by row version: the row in the centre carries the version of its last writer, a newer whole
//     image replaces it. Cheap; enough for last-write-wins per row and for append-only.
//   - by registers: pmoves_sync.register keeps the latest report of every source for every key. A
//     register is a function of its own source's changes, which arrive in order and once; the row
//     that people see is a pure function of the registers of its key. So every rule converges
//     whatever the order of arrival across sources (promise C1), and a row that one source alone
//     writes equals that source (C2).
// Thread: any. Pure.
#ifndef PMOVES_SUBSCRIBER_CORE_CONFLICT_RULE_H_
#define PMOVES_SUBSCRIBER_CORE_CONFLICT_RULE_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"

namespace pmoves {

// The source under which rows written in the centre itself count.
inline constexpr std::string_view kCentralSource = "central";

enum class RuleKind {
  kLastWriteWins,   // the newest version
  kFirstWriteWins,  // the source that reported the key first
  kSourcePriority,  // the first of `priority` that reports the key, then the newest
  kValuePriority,   // the first of `values` that a source reports, then the newest
  kGreatest,        // of the sources' latest values
  kLeast,
  kSumOfSources,  // every source counts for itself
  kSetUnion,      // elements of an array, or of a JSON array
  kJsonMerge,     // last-write-wins per top-level member of a JSON object
  kAppendOnly,    // inserts alone; the oldest of one key stays
  kKeepCentral,   // what the centre wrote, then the newest
  kManual,        // the newest is shown, the others are kept until a person picks
  kExpression,    // user SQL over a and b, passed by `config check-rules`
};

// kValuePriority: over what a value counts as reported.
enum class ValueScope {
  kSource,     // each source's latest report: a source leaves the value by reporting another
  kEpoch,      // everything reported within the highest `epoch_column` (a run number)
  kAbsorbing,  // everything ever reported: the value never leaves again
};

enum class VersionSource {
  kCommit,   // the source's hybrid logical clock over its commit times
  kColumn,   // version_column of the row, folded per source
  kArrival,  // the time at which JetStream stored the message, folded per source
};

enum class DeletePolicy {
  kLastWriteWins,  // a delete counts by its version
  kDeleteWins,     // while any source's latest report is a delete the row is gone
  kUpdateWins,     // while any source still reports the row a delete is void
  kOwnOnly,        // a delete withdraws the report of its source
  kSoft,           // the row stays; soft_delete_column gets the time of the delete
  kIgnore,
};

enum class TruncatePolicy { kOwnRows, kAll, kIgnore, kQuarantine };

enum class Identity {
  kUndeclared,  // as shared; an insert over a row that another source inserted is a pk_collision
  kShared,      // sources write the same rows
  kPerSource,   // the central key is (_source, key)
};

enum class Granularity { kRow, kColumn };

// Which conflicts pmoves_sync.conflict_log keeps.
enum class ConflictLog { kOff, kLossy, kAll };

struct Rule {
  RuleKind kind = RuleKind::kLastWriteWins;
  std::vector<std::string> values = {};    // kValuePriority, the strongest first
  std::vector<std::string> priority = {};  // kSourcePriority, the strongest source first
  ValueScope scope = ValueScope::kSource;
  std::string epoch_column = {};  // ValueScope::kEpoch
  std::string expression = {};    // kExpression: SQL over a and b of the column's type

  bool operator==(const Rule&) const = default;
};

// Columns that move together under one rule. The first is the one that the rule looks at.
struct ColumnRule {
  std::vector<std::string> columns;
  Rule rule;

  bool operator==(const ColumnRule&) const = default;
};

struct TablePolicy {
  Rule row;  // of all columns that no entry of `columns` names
  // kColumn: under last-write-wins each such column has a version of its own, that of the change
  // in which its source last gave it another value.
  Granularity granularity = Granularity::kRow;
  std::vector<ColumnRule> columns;
  VersionSource version = VersionSource::kCommit;
  std::string version_column;
  absl::Duration max_future = absl::Seconds(60);
  DeletePolicy on_delete = DeletePolicy::kLastWriteWins;
  std::string soft_delete_column;
  TruncatePolicy truncate = TruncatePolicy::kOwnRows;
  Identity identity = Identity::kUndeclared;
  ConflictLog log = ConflictLog::kLossy;
  bool allow_divergence = false;  // admits a kExpression that breaks a law

  bool operator==(const TablePolicy&) const = default;
};

// True when the policy needs the registers of each key.
bool UsesRegisters(const TablePolicy& policy);

struct RuleColumn;
// What an aggregate over the registers of a key gives (rule_sql.h).
struct Combination;

// One line per rule: everything that there is to say about it. The table is in rule_sql.cc.
struct RuleInfo {
  RuleKind kind;
  std::string_view name;   // in the configuration
  bool per_row;            // may stand at tables[].conflict
  bool per_column;         // may stand at tables[].columns.<name>.conflict
  std::string_view needs;  // the option it cannot do without, or empty
  std::string_view laws;   // in words, for docs and `config check-rules`
  // A rule either puts the registers in an order, whose first gives the columns ...
  std::string (*order)(const RuleColumn&);
  // ... or combines one column of all of them.
  Combination (*combine)(const RuleColumn&);
};
// All rules, in the order of RuleKind.
const std::vector<RuleInfo>& AllRules();
const RuleInfo& InfoOf(RuleKind kind);

}  // namespace pmoves

#endif  // PMOVES_SUBSCRIBER_CORE_CONFLICT_RULE_H_
