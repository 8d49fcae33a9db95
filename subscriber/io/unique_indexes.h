// What the catalog says about the unique indexes of a table in the centre, beside its primary key.
//
// In the flow:  pg_target (a row was refused), pg_preflight -> unique_indexes -> unique_sql
// Thread:       its connection's.
#ifndef PMOVES_SUBSCRIBER_IO_UNIQUE_INDEXES_H_
#define PMOVES_SUBSCRIBER_IO_UNIQUE_INDEXES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/io/pg_connection.h"
#include "subscriber/core/unique_sql.h"

namespace pmoves {

absl::StatusOr<std::vector<UniqueIndex>> SecondaryUniqueIndexes(PgConnection& connection,
                                                                uint32_t table_oid);
absl::StatusOr<GeneratedColumns> GeneratedColumnsOf(PgConnection& connection, uint32_t table_oid);
// Is `constraint` (ConstraintOf) such an index of the table, or of one of its partitions?
absl::StatusOr<bool> IsSecondaryUnique(PgConnection& connection, uint32_t table_oid,
                                       const std::string& constraint);

}  // namespace pmoves

#endif  // PMOVES_SUBSCRIBER_IO_UNIQUE_INDEXES_H_
