// pick_sql: a person's choice among the reports of a key, as one more report of the centre.
//
// In the flow:  `conflicts pick` -> conflict_pick -> here, then Recompute
// The choice is what a person would leave who writes the chosen columns into the row: a register of
// source `central`, newer than all that the centre has of the key. So it is the newest report until
// a source says something later, it stands whatever is delivered again, and the order of arrival
// does not show.
//   - columns under the rule of the row are the chosen source's; what it does not report stays as
//     it is shown;
//   - columns with a rule of their own are left out: they are not what is chosen among. What the
//     centre has reported of them before stays, under its version.
// Parameters of all statements: key as in registers; PickReport and PickDelete also the source.
// Thread: any. Pure.
#ifndef PMOVES_SUBSCRIBER_CORE_PICK_SQL_H_
#define PMOVES_SUBSCRIBER_CORE_PICK_SQL_H_

#include <string>

#include "subscriber/core/target_table.h"

namespace pmoves {

// Before all others, in this order, which is that of writes in the centre: what a person writes
// meanwhile is waited for, and seen by the statements that follow.
std::string LockPickedRow(const TargetTable& table);
std::string LockReportsOfPicked(const TargetTable& table);
// The session must not count as one that applies: the version is that of a write in the centre.
// Rows affected: 1; 0 when the source has no such report, or somebody writes the row meanwhile.
std::string PickReport(const TargetTable& table);  // of a source that reports the row
std::string PickDelete(const TargetTable& table);  // of one that deleted it
// The _source of the row; none when it is gone.
std::string PickedSource(const TargetTable& table);
// The key is computed again, without being logged.
std::string TouchPicked(const TargetTable& table);

}  // namespace pmoves

#endif  // PMOVES_SUBSCRIBER_CORE_PICK_SQL_H_
