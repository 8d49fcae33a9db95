// ReadUnseenConstraints: deferrable UNIQUE and EXCLUDE constraints that nobody checks.
//
// PostgreSQL checks a deferrable constraint by a trigger, and that does not fire for a session
// whose session_replication_role is replica: two rows that exclude each other would stand in the
// centre. So the rows of a batch are looked at when they are merged.
//
// In the flow:  TargetCatalog::Read -> TargetTable::unseen -> PgTarget::Apply
// Thread:       one worker (its connection).
#ifndef PMOVES_SUBSCRIBER_IO_UNSEEN_CONSTRAINTS_H_
#define PMOVES_SUBSCRIBER_IO_UNSEEN_CONSTRAINTS_H_

#include "absl/status/status.h"
#include "common/io/pg_connection.h"
#include "subscriber/core/target_table.h"

namespace pmoves {

// Of the session's own table. REQUIRES: oid, names and key of the table are set.
absl::Status ReadUnseenConstraints(PgConnection& connection, TargetTable* table);

}  // namespace pmoves

#endif  // PMOVES_SUBSCRIBER_IO_UNSEEN_CONSTRAINTS_H_
