// rule_change: what follows when a table is configured with another rule than the one that made its
// rows.
//
// In the flow:  pmoves_sync.table_rule, TablePolicy -> rule_change -> table_rules (run, check)
//   - registers to registers: every row is computed again from the reports; rows that are newer
//   than
//     those (somebody put them there behind our back, or a change by which they had none is turned
//     back) become one first;
//   - row version to registers: the rows become the reports of their _source, the tombstones those
//     of who deleted. What they had replaced before is not known;
//   - registers to row version: the rows stay as they are shown, with the version of their newest
//     report; what is gone leaves tombstones. The registers go: kept, they would be out of date
//     when the rule is changed back;
//   - row version to row version: the rows stay.
// When versions come from another clock, each source's goes on above what the one before gave:
// else its next changes would be older than its own rows.
// Thread: any. Pure.
#ifndef PMOVES_SUBSCRIBER_CORE_RULE_CHANGE_H_
#define PMOVES_SUBSCRIBER_CORE_RULE_CHANGE_H_

#include <cstdint>
#include <optional>
#include <string>

#include "subscriber/core/conflict_rule.h"
#include "subscriber/core/merge_sql.h"
#include "subscriber/core/target_table.h"

namespace pmoves {

// The rule that made a table's rows.
struct RecordedRule {
  int64_t version = 0;
  std::string policy;  // PolicyText; empty: recorded by an earlier version, it is not known
  bool uses_registers = false;
  bool unfinished = false;  // a change to it was begun and not ended
  std::string clock = {};   // ClockName; empty: not known
};

enum class RuleChange { kNone, kRecord, kAdopt, kRecompute, kForget };
// `recorded`: none, the table is new to this program.
RuleChange ChangeOf(const std::optional<RecordedRule>& recorded, const TablePolicy& policy);
// Where the versions of its changes come from: "commit", "column" or "arrival".
std::string ClockName(const TablePolicy& policy);
// True when that is another one now, or may be.
bool ChangesClock(const std::optional<RecordedRule>& recorded, const TablePolicy& policy);
// True when a truncate of all rows may have buried reports under it.
bool BuriesAll(const RecordedRule& recorded);
// What it does to the rows, for people.
std::string Describe(RuleChange change);

// Raises the clock that the table's policy reads, of every source, to the one of name `before`;
// when that is not known, to the highest of all.
std::string RaiseClocks(const TargetTable& table, const std::string& before);

// Statements that go through the keys of a table in order, a bounded number at a time. Parameter:
// the last key of the piece before, at first empty. They put the keys of the next piece into
// pmoves_touched, under no source, so that nothing is logged. One row: the last key; none: done.
RowStatement TouchNextRegisters(const TargetTable& table, int limit);
RowStatement TouchNextTombstones(const TargetTable& table, int limit);

// Registers for the rows in a range of pages, under their _source and version, where that is newer
// than all registers of the key. Parameters: first tid, tid behind the last.
RowStatement AdoptRows(const TargetTable& table);
// Registers for the touched keys that have a tombstone newer than all their registers.
std::string AdoptTombstones(const TargetTable& table);
// First of a piece that makes rows: people's writes lock the row, then its registers.
std::string LockTouchedRows(const TargetTable& table);
// The touched registers get the versions and peaks that the policy needs. Where that has no
// truncate of all rows, those that one has buried are deleted: its floor is not looked at any more.
std::string CompleteRegisters(const TargetTable& table);
std::string ForgetFloor(const TargetTable& table);
// The registers of the touched keys go; keys that are not in the table leave tombstones.
std::string ForgetRegisters(const TargetTable& table);

}  // namespace pmoves

#endif  // PMOVES_SUBSCRIBER_CORE_RULE_CHANGE_H_
