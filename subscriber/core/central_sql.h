// central_sql: what writes in the centre itself leave behind. Golden-tested.
//
// In the flow:  TargetTable -> central_sql -> central_triggers (init); coordinator -> SettleBuried
//
// People and services write the configured tables directly, as source `central`:
//   - an INSERT is stamped by the defaults of the inline columns. Not by a trigger: a BEFORE INSERT
//     row trigger, even one that does not fire, makes COPY insert row by row, and workers COPY;
//   - an UPDATE is stamped by a trigger, above the version of the row that its writer saw;
//   - a DELETE, the old key of an UPDATE that changes it, and a TRUNCATE leave what an edge's do:
//     a tombstone, or a register (central_register_sql).
// A write in the centre is newer than everything that the centre had of its key: an edge whose
// clock is ahead does not take back what a person decides after having seen its change.
//
// One trigger function per table, because it must make the same keys and images as the workers.
// Every key that may have raced with a worker goes into pmoves_sync.recompute_queue in the same
// transaction; within about a second the coordinator settles it, alone with the table: SettleBuried
// here, Recompute where the table has registers. So nobody's open transaction holds a lock that
// workers wait for, beyond those of the rows that it wrote.
//
// Applied changes do not fire the triggers: workers are replicas, or (postgres.triggers: true) have
// set kApplyingSetting.
// Thread: any. Pure.
#ifndef PMOVES_SUBSCRIBER_CORE_CENTRAL_SQL_H_
#define PMOVES_SUBSCRIBER_CORE_CENTRAL_SQL_H_

#include <string>
#include <utility>
#include <vector>

#include "subscriber/core/target_table.h"

namespace pmoves {

// 'on' in sessions that apply.
inline constexpr char kApplyingSetting[] = "pmoves_sync.applying";

// Of the table's trigger function, without its schema.
std::string CentralFunctionName(const TargetTable& table);
// PL/pgSQL. Two are equal exactly when the function need not be made again.
std::string CentralFunctionBody(const TargetTable& table);
// `settings`: under which values must become text.
std::string CreateCentralFunction(const TargetTable& table,
                                  const std::vector<std::pair<std::string, std::string>>& settings);

struct CentralTrigger {
  std::string name;
  std::string create;
};
std::vector<CentralTrigger> CentralTriggers(const TargetTable& table);

// Tables merged by row version: of the touched keys, the rows that a newer tombstone or truncate
// should have buried go. They are there when a write in the centre and a worker's did not see each
// other.
std::string SettleBuried(const TargetTable& table);

}  // namespace pmoves

#endif  // PMOVES_SUBSCRIBER_CORE_CENTRAL_SQL_H_
