// pg_preflight: gathers the facts for publisher/core/preflight_rules from the catalog, and prints
// what they say. Thread: publish loop, or main for `check`.
#ifndef PMOVES_PUBLISHER_IO_PG_PREFLIGHT_H_
#define PMOVES_PUBLISHER_IO_PG_PREFLIGHT_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/io/pg_connection.h"
#include "publisher/config.h"
#include "publisher/core/captured_tables.h"
#include "publisher/core/preflight_rules.h"

namespace pmoves {

absl::StatusOr<ServerFacts> ReadServerFacts(PgConnection& connection,
                                            const PublisherConfig& config);
absl::StatusOr<std::vector<TableFacts>> ReadTableFacts(PgConnection& connection,
                                                       const CapturedTables& tables);
// All checks of the database that need no more than the SQL connection.
absl::StatusOr<std::vector<CheckResult>> CheckDatabase(PgConnection& connection,
                                                       const PublisherConfig& config,
                                                       const CapturedTables& tables);

}  // namespace pmoves

#endif  // PMOVES_PUBLISHER_IO_PG_PREFLIGHT_H_
