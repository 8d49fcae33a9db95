// waiting_tables: named tables that do not exist (yet). Such a table waits alone: nothing of it can
// be lost, because wal2json gives out its changes from its creation on.
//
// Unless it was there before under another name: then rows of before would be missing in the centre
// without a word. So what is waited for is kept in pmoves_sync.waiting_table, with the newest oid
// of that time: a table that appears must be newer.
//
// In the flow:  Session, before it publishes -> UpdateWaitingTables -> PgCatalog (floors)
// Thread:       publish loop only.
#ifndef PMOVES_PUBLISHER_IO_WAITING_TABLES_H_
#define PMOVES_PUBLISHER_IO_WAITING_TABLES_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/io/pg_connection.h"
#include "publisher/core/captured_tables.h"
#include "publisher/io/pg_catalog.h"

namespace pmoves {

// Brings the list of the source up to date: what appeared anew leaves it, what is missing joins it.
// kFailedPrecondition: a table appeared that is older than its absence, or the list cannot be made.
absl::StatusOr<PgCatalog::Floors> UpdateWaitingTables(PgConnection& connection,
                                                      const std::string& source,
                                                      const CapturedTables& tables);

// A table below a "schema.*" lost an UPDATE or DELETE, because it has no usable key. Its copy in
// the centre is wrong from here on and is not continued; all other tables are.
absl::Status LeaveOut(PgConnection& connection, const std::string& source,
                      const std::string& schema, const std::string& table);
// Those that are left out. One that was made anew is not any more.
absl::StatusOr<PgCatalog::Names> ReadLeftOut(PgConnection& connection, const std::string& source);

// The sentence of a table that appeared under its name, but is older.
absl::Status CameByRename(const std::string& source, const std::string& schema,
                          const std::string& table);

}  // namespace pmoves

#endif  // PMOVES_PUBLISHER_IO_WAITING_TABLES_H_
