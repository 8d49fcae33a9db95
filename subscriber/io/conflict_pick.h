// PickSibling: a person says which source's report of a row is right (rule `manual`).
//
// In the flow:  `conflicts pick` -> PickSibling -> pmoves_sync.register (a report of the centre),
// the row, pmoves_sync.conflict_log
// Invariant:  one transaction under the table's exclusive lock, as a worker's: the report, the row
// computed from it, and all open conflicts of the row settled with a note; or nothing. A conflict
// that opened after the one that the person looked at is not settled unseen.
// Thread:     its caller's.
#ifndef PMOVES_SUBSCRIBER_IO_CONFLICT_PICK_H_
#define PMOVES_SUBSCRIBER_IO_CONFLICT_PICK_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "common/io/pg_connection.h"
#include "subscriber/config.h"

namespace pmoves {

struct Pick {
  int64_t conflict = 0;  // the newest of its row
  std::string source;
  std::string note;  // why; may be empty
};

// How many open conflicts are settled by it. kNotFound: no such conflict, or the source has never
// reported the row. kFailedPrecondition: the table's rules decide otherwise, or there is a newer
// conflict. kAborted: somebody writes the row meanwhile.
absl::StatusOr<int64_t> PickSibling(PgConnection& connection, const SubscriberConfig& config,
                                    const Pick& pick);

}  // namespace pmoves

#endif  // PMOVES_SUBSCRIBER_IO_CONFLICT_PICK_H_
