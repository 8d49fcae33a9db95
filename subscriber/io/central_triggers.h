// central_triggers: the triggers by which writes in the centre count as those of source `central`.
//
// In the flow:  init -> InstallCentralTriggers; check, run -> LookAtCentralTriggers
// The function of a table holds the names of its columns and what its policy needs: an ALTER TABLE
// or another rule makes it out of date.
// Thread: its caller's.
#ifndef PMOVES_SUBSCRIBER_IO_CENTRAL_TRIGGERS_H_
#define PMOVES_SUBSCRIBER_IO_CENTRAL_TRIGGERS_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/io/pg_connection.h"
#include "subscriber/core/target_table.h"

namespace pmoves {

enum class CentralTriggerState {
  kCurrent,
  kOutdated,  // they are there, their function is that of other columns or another policy
  kMissing,   // or disabled
};
absl::StatusOr<CentralTriggerState> LookAtCentralTriggers(PgConnection& connection,
                                                          const TargetTable& table);

// Of a table that has its triggers only the function is replaced, which takes no lock on the table.
absl::Status InstallCentralTriggers(PgConnection& connection, const TargetTable& table);

}  // namespace pmoves

#endif  // PMOVES_SUBSCRIBER_IO_CENTRAL_TRIGGERS_H_
