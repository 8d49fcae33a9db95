// EdgeState: what the publisher keeps in the edge database: schema pmoves_sync, its row in
// publisher_state, and the slot.
//
// The row is a fence (promise P3): it names the run that may write the stream and the run before
// it. A clone or a restored backup has an older row than the stream has messages, and is refused by
// Decide.
//
// Invariant:    the row names a new writer before that writer publishes anything.
// Thread:       publish loop, or main for the verbs.
#ifndef PMOVES_PUBLISHER_IO_EDGE_STATE_H_
#define PMOVES_PUBLISHER_IO_EDGE_STATE_H_

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/io/pg_connection.h"
#include "publisher/core/start_decision.h"

namespace pmoves {

class EdgeState {
 public:
  // The connection must outlive this object.
  explicit EdgeState(PgConnection& connection) : connection_(connection) {}

  // Creates what is missing. True if something was created. kFailedPrecondition names the missing
  // right.
  absl::StatusOr<bool> EnsureSchema();
  // Waits for transactions that are writing right now. kFailedPrecondition with the fix where the
  // server refuses wal2json.
  absl::Status CreateSlot(const std::string& slot);
  absl::StatusOr<SlotFacts> ReadSlot(const std::string& slot);
  absl::StatusOr<std::optional<WriterRow>> ReadWriter(const std::string& source);
  // Replaces `before` (as ReadWriter gave it) by `after`. kAborted: another publisher changed the
  // row in between.
  absl::Status WriteWriter(const std::string& source, const std::optional<WriterRow>& before,
                           const WriterRow& after);

 private:
  PgConnection& connection_;
};

// The row that `writer` leaves when it takes over by `decision`.
WriterRow TakeOver(const std::optional<WriterRow>& before, const StartDecision& decision,
                   const SlotFacts& slot, const std::string& writer);

}  // namespace pmoves

#endif  // PMOVES_PUBLISHER_IO_EDGE_STATE_H_
