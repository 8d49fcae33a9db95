// register_sql: APPLY as text for tables whose conflict policy needs registers. Golden-tested.
//
// In the flow:  batch (EffectGroup) -> register_sql -> pg_target prepares and runs
//
// pmoves_sync.register keeps the latest report of every source for every key (conflict_rule.h says
// why). A batch goes two steps:
//   1. every change is folded into the register of its own source, by the statements Register...;
//      each adds the keys that it changed to the temporary table pmoves_touched.
//   2. Recompute makes the row of each touched key from the registers of that key: one aggregate
//      per column or group of columns, each a function of a set. Neither the order in which the
//      registers were written nor the cut into batches can show.
//
// A register holds, besides version and image (column name -> text of the value, JSON null):
//   - first_version: the version at which this source began to report the key (again);
//   - versions: for a column or group with last-write-wins of its own, the version at which this
//     source last gave it another value; for json-merge the same per member;
//   - peaks: for value-priority of scope epoch or absorbing, the strongest image ever reported;
//   - deleted: the source's latest report is a delete. The last image stays, for update-wins.
//
// A later report of the same source has a higher version always (the source's hlc is a fold over
// its own order), so a register that is not older hides a change: that is redelivery.
// Thread: any. Pure.
#ifndef PMOVES_SUBSCRIBER_CORE_REGISTER_SQL_H_
#define PMOVES_SUBSCRIBER_CORE_REGISTER_SQL_H_

#include <string>
#include <vector>

#include "subscriber/core/merge_sql.h"
#include "subscriber/core/target_table.h"

namespace pmoves {

// True when what a register keeps depends on every single change, so that several changes of one
// key and source in a batch cannot be collapsed into the last.
bool NeedsEveryChange(const TablePolicy& policy);

// Session-wide temporary table of the keys to compute again. Emptied at commit.
std::string CreateTouched();

// From a stage (as merge_sql makes it), or one row with the same parameters as the statements of
// merge_sql of the same kind. Rows affected: the changes that were not hidden.
std::string RegisterFromStage(const TargetTable& table, const Shape& shape,
                              const std::string& stage);
std::string RegisterDeleteFromStage(const TargetTable& table, const Shape& shape,
                                    const std::string& stage);
RowStatement RegisterRow(const TargetTable& table, const Shape& shape);
RowStatement RegisterDelete(const TargetTable& table, const Shape& shape);
// Lays the columns of the shape over the source's own image.
RowStatement RegisterPartial(const TargetTable& table, const Shape& shape);
// A new register under the new key with the columns that did not travel from the old one.
RowStatement RegisterMove(const TargetTable& table, const Shape& shape);
RowStatement RegisterWhyUntouched(const TargetTable& table);
// Parameters: source, committed, version. own-rows: the source's live registers count as deleted.
RowStatement RegisterTruncate(const TargetTable& table);

// The rows of all touched keys, from their registers. Result: type, resolution and number of the
// conflicts that were logged.
std::string Recompute(const TargetTable& table);

// What Recompute would write, at most `limit` rows: each as an image, and its source.
std::string RowsToBe(const TargetTable& table, int limit);

}  // namespace pmoves

#endif  // PMOVES_SUBSCRIBER_CORE_REGISTER_SQL_H_
