// conflict_log_sql: conflicts as rows of pmoves_sync.conflict_log, written by the statements that
// resolve them.
//
// In the flow:  recompute_sql, merge_sql -> conflict_log_sql
// A conflict is a change of one source that meets a row which another source reported too: edges
// never see each other's writes, so all such writes are concurrent. It is lossy when something that
// was reported is not shown afterwards. Types carry PostgreSQL's names.
// Invariant: written in the transaction that applies the change, behind the check of the position:
// a redelivered change is not applied, so it logs nothing.
// Thread: any. Pure.
#ifndef PMOVES_SUBSCRIBER_CORE_CONFLICT_LOG_SQL_H_
#define PMOVES_SUBSCRIBER_CORE_CONFLICT_LOG_SQL_H_

#include <string>

#include "subscriber/core/merge_sql.h"
#include "subscriber/core/target_table.h"

namespace pmoves {

// "INSERT INTO pmoves_sync.conflict_log ..." for the touched keys in r of a Recompute: r.key,
// r.alive, r.writers, r.sources (whose registers changed), and r.v0.. , the row to be.
std::string LogOfRecompute(const TargetTable& table, const std::string& new_image,
                           const std::string& old_matches);

// Tables merged by row version: logs what changes of `kind` will meet, before they are merged. Rows
// of another source, and tombstones of another source. Result: type, resolution and number of the
// conflicts that were logged. `fresh`: the changes begin with an insert.
std::string LogBeforeStage(const TargetTable& table, const Shape& shape, const std::string& stage,
                           bool deletes, bool fresh);
RowStatement LogBeforeRow(const TargetTable& table, const Shape& shape, bool deletes, bool fresh);

}  // namespace pmoves

#endif  // PMOVES_SUBSCRIBER_CORE_CONFLICT_LOG_SQL_H_
