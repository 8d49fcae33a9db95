// CentralWrites: looks once more at the keys that people and services wrote in the centre.
//
// In the flow:  triggers (central_sql) -> pmoves_sync.recompute_queue -> CentralWrites -> rows
// A write in the centre and a worker's may not have seen each other. So its keys are settled alone
// with the table, under the lock that workers share: by the rules where the table has registers, by
// tombstones elsewhere. What the writer sees at once is his own row; what the rules say, within
// about a second.
// Several processes share the queue: each key is one process's.
// Invariant:  a key leaves the queue in the transaction that settles it. One that cannot be settled
// stays and is tried again later; it holds up nobody else.
// Thread:     coordinator, on its connection.
#ifndef PMOVES_SUBSCRIBER_IO_CENTRAL_WRITES_H_
#define PMOVES_SUBSCRIBER_IO_CENTRAL_WRITES_H_

#include <cstdint>
#include <map>
#include <string>
#include <tuple>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/io/pg_connection.h"
#include "subscriber/config.h"
#include "subscriber/core/target_table.h"

namespace pmoves {

class CentralWrites {
 public:
  // Keys in one transaction.
  static constexpr int kBatch = 1000;
  // Rows of the queue that nobody settled go after so long: those of tables that are not configured
  // any more.
  static constexpr absl::Duration kForget = absl::Hours(24 * 30);

  struct Settled {
    int64_t keys = 0;
    int64_t failed = 0;  // put off
    bool more = false;
    absl::Status problem;  // the first of the tables that could not be looked at
    // Conflicts logged: (table, type, resolution) -> rows.
    std::map<std::tuple<std::string, std::string, std::string>, int64_t> conflicts;
  };

  CentralWrites(PgConnection& connection, const SubscriberConfig& config)
      : connection_(connection), config_(config) {}

  // At most about `budget` long, at least one transaction per table that has something.
  absl::StatusOr<Settled> Settle(absl::Duration budget);
  absl::Status Forget();

 private:
  absl::Status SettleTable(const TableConfig& config, absl::Time end, Settled* settled);
  // The number of rows of the queue that were taken, at most `limit`.
  absl::StatusOr<int64_t> SettleBatch(const TargetTable& table, int limit, Settled* settled);
  absl::Status PutOff(const TargetTable& table, const absl::Status& why);

  PgConnection& connection_;
  const SubscriberConfig& config_;
};

}  // namespace pmoves

#endif  // PMOVES_SUBSCRIBER_IO_CENTRAL_WRITES_H_
