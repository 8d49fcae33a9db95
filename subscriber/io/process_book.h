// ProcessBook: the subscriber processes that are alive, and which sources each may own.
//
// A process is alive while its coordinator's connection holds the shared advisory lock of
// kInstanceLockClass: that goes with the connection, however the process ends. What it may own
// stands in pmoves_sync.subscriber, by the number of that connection's backend.
// Invariant: whoever holds the lock has a row of its own, or is of a version that owns every
// source. Thread:    its connection's.
#ifndef PMOVES_SUBSCRIBER_IO_PROCESS_BOOK_H_
#define PMOVES_SUBSCRIBER_IO_PROCESS_BOOK_H_

#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/io/pg_connection.h"

namespace pmoves {

class ProcessBook {
 public:
  explicit ProcessBook(PgConnection& connection) : connection_(connection) {}

  // This process is alive from now on, until the connection ends. `sources` as configured: empty
  // means every one. kFailedPrecondition: the schema is of an earlier version.
  absl::Status Enter(const std::vector<std::string>& sources);
  // What each live process may own; an empty set: every source.
  absl::StatusOr<std::vector<std::set<std::string>>> Live();
  // Those that no worker of any process holds.
  absl::StatusOr<std::set<std::string>> FreeOf(const std::set<std::string>& sources);

 private:
  PgConnection& connection_;
};

}  // namespace pmoves

#endif  // PMOVES_SUBSCRIBER_IO_PROCESS_BOOK_H_
