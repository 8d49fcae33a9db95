// DeadLetterStore: the operator's side of pmoves_sync.dead_letter: list, show, discard, and how
// long settled ones are kept; a retry is LetterRetry's.
//
// In the flow:  `pmoves-sync-subscriber dead-letters ...`, over a connection of its own, while
//               workers run; Forget by the coordinator
// Thread:       main of that verb, or the coordinator's.
#ifndef PMOVES_SUBSCRIBER_IO_DEAD_LETTERS_H_
#define PMOVES_SUBSCRIBER_IO_DEAD_LETTERS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/io/pg_connection.h"

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
  explicit DeadLetterStore(PgConnection& connection) : connection_(connection) {}

  // Open ones, or all; oldest first, at most `limit`.
  absl::StatusOr<std::vector<DeadLetterRow>> List(bool all, int limit);
  // kNotFound when there is none.
  absl::StatusOr<DeadLetterRow> Show(int64_t id);
  // Open ones, in the order of their sources.
  absl::StatusOr<std::vector<int64_t>> OpenLetters();
  absl::Status Discard(int64_t id, const std::string& reason);
  // Removes those that were settled longer ago than `retention`, at most kForgetAtOnce; how many.
  // Open ones stay.
  static constexpr int kForgetAtOnce = 10000;
  absl::StatusOr<int64_t> Forget(absl::Duration retention);

 private:
  PgConnection& connection_;
};

}  // namespace pmoves

#endif  // PMOVES_SUBSCRIBER_IO_DEAD_LETTERS_H_
