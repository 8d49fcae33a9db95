// StatusWriter: keeps pmoves_sync.sync_status, and makes what was committed durable before it is
// reported.
//
// In the flow:  FleetState -> StatusWriter -> sync_status; afterwards the coordinator reports
// applied positions to the edges Workers commit with synchronous_commit = off. This session commits
// with it on, and its commit record lies behind all earlier ones in the WAL: once it returns, every
// position that a worker had committed before is on disk too. So positions may be reported (and
// messages purged) exactly after Write(). Thread:       coordinator.
#ifndef PMOVES_SUBSCRIBER_IO_STATUS_WRITER_H_
#define PMOVES_SUBSCRIBER_IO_STATUS_WRITER_H_

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "common/io/pg_connection.h"
#include "subscriber/config.h"
#include "subscriber/fleet_state.h"

namespace pmoves {

class StatusWriter {
 public:
  StatusWriter(PgConnection& connection, const std::vector<TableConfig>& tables)
      : connection_(connection), tables_(tables) {}

  // One synchronous commit with the state of these sources.
  absl::Status Write(const std::vector<SourceState>& sources);
  // Rows for sources that are expected and were never heard, so that they show as stale.
  absl::Status Expect(const std::vector<std::string>& sources);
  // Open dead letters by (source, table), kept in failed_records; the total is returned.
  absl::StatusOr<int64_t> RefreshFailures();

 private:
  PgConnection& connection_;
  const std::vector<TableConfig>& tables_;
};

}  // namespace pmoves

#endif  // PMOVES_SUBSCRIBER_IO_STATUS_WRITER_H_
