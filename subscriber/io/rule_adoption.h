// AdoptRules: what a changed conflict rule needs before the first change is merged under it.
//
// In the flow:  Coordinator, at the start of a session and before any source is claimed ->
// pmoves_sync.table_rule, pmoves_sync.register
// - to a rule with registers: the rows that are there become registers of their _source, so that
//   the next report of another source meets them. What was overwritten before is not known any
//   more.
// - from a rule with registers: the rows stay as they are shown, the registers go.
// Invariant: each table in one transaction, under its exclusive lock; done once per change.
// Thread: its caller's.
#ifndef PMOVES_SUBSCRIBER_IO_RULE_ADOPTION_H_
#define PMOVES_SUBSCRIBER_IO_RULE_ADOPTION_H_

#include <vector>

#include "absl/status/status.h"
#include "common/io/pg_connection.h"
#include "subscriber/config.h"

namespace pmoves {

// Tables that cannot be read (missing, without a key) are left out: their sources wait with the
// reason.
absl::Status AdoptRules(PgConnection& connection, const std::vector<TableConfig>& tables);

}  // namespace pmoves

#endif  // PMOVES_SUBSCRIBER_IO_RULE_ADOPTION_H_
