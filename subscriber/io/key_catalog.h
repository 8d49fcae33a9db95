// What the catalog says about the primary key of a table in the centre: the equality of each of its
// columns, and the types that they are made of.
//
// In the flow:  TargetCatalog -> key_catalog -> key_types
// Thread:       its connection's.
#ifndef PMOVES_SUBSCRIBER_IO_KEY_CATALOG_H_
#define PMOVES_SUBSCRIBER_IO_KEY_CATALOG_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/io/pg_connection.h"
#include "subscriber/core/target_table.h"

namespace pmoves {

// Sets TargetColumn::equals of the key columns. Result: KeyProblems.
absl::StatusOr<std::vector<std::string>> ReadKey(PgConnection& connection, TargetTable* table);

}  // namespace pmoves

#endif  // PMOVES_SUBSCRIBER_IO_KEY_CATALOG_H_
