// central_schema: schema pmoves_sync in the centre, and the inline columns and triggers of the
// tables that are written.
//
// In the flow:  `init` (and `check`) only; `run` refuses with a clear reason when something is
// missing. Invariant:    every step is idempotent; nothing that exists is changed or dropped, but
// for what an earlier version of this program made.
#ifndef PMOVES_SUBSCRIBER_IO_CENTRAL_SCHEMA_H_
#define PMOVES_SUBSCRIBER_IO_CENTRAL_SCHEMA_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/io/pg_connection.h"
#include "subscriber/config.h"
#include "subscriber/core/target_table.h"

namespace pmoves {

// Advisory lock classes of this program: (class, number).
inline constexpr int kSourceLockClass =
    0x706d5301;  // who applies a source: number = hash of its name
inline constexpr int kInstanceLockClass = 0x706d5302;  // which subscriber processes are alive
inline constexpr int kTableLockClass =
    0x706d5303;  // inserts beside deletes of one table: number = its oid
inline constexpr int kRuleLockClass = 0x706d5304;  // who changes the rules of tables: number 0

// A statement that takes the table alone, before others that change what its workers rely on, for
// the rest of the transaction.
std::string LockTable(const TargetTable& table);

// Creates what is missing. Returns one line per thing done or found ("created table
// pmoves_sync.tombstone", "column public.jobs._source: present").
absl::StatusOr<std::vector<std::string>> InitCentralSchema(PgConnection& connection,
                                                           const std::vector<TableConfig>& tables);

}  // namespace pmoves

#endif  // PMOVES_SUBSCRIBER_IO_CENTRAL_SCHEMA_H_
