// collect_sql: which deleted registers can be forgotten, and the statements that do it.
//
// In the flow:  Collector -> collect_sql
//
// Registers of a key may go when what every later change makes of the key is the same without them.
// With all registers of the key deleted, and all of them older than whatever may still come, that
// is a question of the rule alone:
//   - the row is there or not: by a newest change, which a later one is; or by whether some
//   register
//     is live, to which a deleted one adds nothing. Not under delete-wins, where a delete keeps the
//     row away until its source comes back.
//   - its values are those of registers that count, and deleted ones do not. Under update-wins they
//     do as soon as another source brings the row back: there only a rule that looks at nothing but
//     the newest image cannot meet them.
//   - a register that begins again keeps nothing of what it was before its delete, but its peaks.
// A register that is live is none of that, though its row may be buried: its source goes on from
// it. Thread: any. Pure.
#ifndef PMOVES_SUBSCRIBER_CORE_COLLECT_SQL_H_
#define PMOVES_SUBSCRIBER_CORE_COLLECT_SQL_H_

#include <string>

#include "subscriber/core/conflict_rule.h"
#include "subscriber/core/target_table.h"

namespace pmoves {

// Whether a table has registers that can be forgotten.
bool ForgetsRegisters(const TablePolicy& policy);

// `bound`: WITH entries, the last of them bound (version): none or one row, everything below may be
// forgotten.
//
// The next `limit` keys that have a deleted register, behind $1. One row: how many, the last of
// them, and whether any of them can be forgotten.
std::string NextGraves(const TargetTable& table, const std::string& bound, int limit);
// Of the keys behind $1 and up to $2 forgets what can be, and remembers the horizon. Rows affected:
// the registers that went. REQUIRES: the table's lock, and a snapshot from after it: a worker that
// has not committed yet may have reported such a key from below the bound.
std::string ForgetGraves(const TargetTable& table, const std::string& bound);

}  // namespace pmoves

#endif  // PMOVES_SUBSCRIBER_CORE_COLLECT_SQL_H_
