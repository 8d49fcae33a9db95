// DeadLetterStore: the operator's side of pmoves_sync.dead_letter: list, show, discard; a retry is
// LetterRetry's.
//
// In the flow:  `pmoves-sync-subscriber dead-letters ...`, over a connection of its own, while
//               workers run
// Thread:       main of that verb.
#ifndef PMOVES_SUBSCRIBER_IO_DEAD_LETTERS_H_
#define PMOVES_SUBSCRIBER_IO_DEAD_LETTERS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
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

 private:
  PgConnection& connection_;
};

}  // namespace pmoves

#endif  // PMOVES_SUBSCRIBER_IO_DEAD_LETTERS_H_
