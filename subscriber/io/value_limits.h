// ReadValueLimits: which values the columns of a table in the centre cannot hold as they are
// (exact_value.h), with domains, arrays, composite types and ranges looked through.
//
// In the flow:  TargetCatalog::Read. Thread: one worker (its connection).
#ifndef PMOVES_SUBSCRIBER_IO_VALUE_LIMITS_H_
#define PMOVES_SUBSCRIBER_IO_VALUE_LIMITS_H_

#include "absl/status/status.h"
#include "common/io/pg_connection.h"
#include "subscriber/core/target_table.h"

namespace pmoves {

// REQUIRES: table->oid and the names of the columns are set.
absl::Status ReadValueLimits(PgConnection& connection, TargetTable* table);

}  // namespace pmoves

#endif  // PMOVES_SUBSCRIBER_IO_VALUE_LIMITS_H_
