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

#include "subscriber/core/target_table.h"

namespace pmoves {

// Column name -> text of each column of `alias` that is not generated, as jsonb.
std::string RowImage(const TargetTable& table, const std::string& alias);

// "INSERT INTO pmoves_sync.conflict_log ..." for the touched keys in r of a Recompute: r.key,
// r.alive, r.writers, r.sources (whose registers changed), and r.v0.. , the row to be.
std::string LogOfRecompute(const TargetTable& table, const std::string& new_image,
                           const std::string& old_matches);

}  // namespace pmoves

#endif  // PMOVES_SUBSCRIBER_CORE_CONFLICT_LOG_SQL_H_
