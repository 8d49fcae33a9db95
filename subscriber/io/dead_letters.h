// DeadLetterStore: the operator's side of pmoves_sync.dead_letter: list, show, retry, discard.
//
// In the flow:  `pmoves-sync-subscriber dead-letters ...`, over a connection of its own, while
// workers run A retry goes the way of every change: decoder, plan, merge, guarded by its version.
// So it can never overwrite something newer: then it changes nothing and is resolved as superseded.
// The changes of one row are retried in their order.
// Thread:       main of that verb.
#ifndef PMOVES_SUBSCRIBER_IO_DEAD_LETTERS_H_
#define PMOVES_SUBSCRIBER_IO_DEAD_LETTERS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/io/pg_connection.h"
#include "subscriber/config.h"
#include "subscriber/core/change.h"

namespace pmoves {

struct DeadLetterRow {
  int64_t id = 0;
  std::string source, kind, position, table, operation, reason, sql_state, message, state,
      created_at, resolution;
  std::string payload, key;  // only from Show: contain row values
  std::string refetch;       // only from Show: what the edge says that was asked for the row
};

class DeadLetterStore {
 public:
  DeadLetterStore(PgConnection& connection, const SubscriberConfig& config)
      : connection_(connection), config_(config) {}

  // Open ones, or all; oldest first, at most `limit`.
  absl::StatusOr<std::vector<DeadLetterRow>> List(bool all, int limit);
  // kNotFound when there is none.
  absl::StatusOr<DeadLetterRow> Show(int64_t id);
  struct RetryResult {
    int64_t id = 0;
    absl::Status status;  // OK: applied, or hidden by something newer
    bool superseded = false;
  };
  // One (or all open ones, in the order of the source), each in a transaction of its own. One that
  // fails again stays open; if it is for want of the row, the edge is asked again. One that comes
  // too late (collector.h) is applied only if it is asked for by its id.
  absl::StatusOr<std::vector<RetryResult>> Retry(std::optional<int64_t> id);
  absl::Status Discard(int64_t id, const std::string& reason);

 private:
  absl::StatusOr<bool> RetryOne(int64_t id, bool asked_for);
  absl::StatusOr<bool> IsTooLate(const TargetTable& table, const ChangeSet& set);

  PgConnection& connection_;
  const SubscriberConfig& config_;
};

}  // namespace pmoves

#endif  // PMOVES_SUBSCRIBER_IO_DEAD_LETTERS_H_
