// Decide: where a publisher session goes on, or why it must not. The heart of promises P2 and P3.
//
// In the flow:  stream tail, state row, slot, applied position -> Decide -> MessagePlan,
// TransactionOrder, HandoffLedger, sink The rules (design 4.2, 4.3):
//   - the stream is the memory: epoch, position and hlc come from its last own message
//   - the database must know the writer of that message, or its history does not continue what the
//   stream holds (a clone, a
//     restored backup): refuse
//   - nothing was ever confirmed past the tail, so a tail behind the slot means that JetStream lost
//   acknowledged messages: go
//     on only if the centre has applied all that the slot has forgotten
// Invariant:    a refusal changes nothing anywhere. Every start continues strictly above what is
// stored.
// Thread:       any. Pure.
#ifndef PMOVES_PUBLISHER_CORE_START_DECISION_H_
#define PMOVES_PUBLISHER_CORE_START_DECISION_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/base/hlc.h"
#include "common/base/lsn.h"
#include "proto/subject.h"

namespace pmoves {

// What the stream's end says.
struct StreamTail {
  uint64_t last_sequence = 0;  // of the stream, whoever wrote it: what the next publish must expect
  bool has_own_message =
      false;  // the fields below are those of the newest message with valid headers of this source
  uint32_t epoch = 0;
  std::string origin;
  std::string writer;
  Lsn position;  // newest position stored COMPLETELY; 0/0 when there is none
  Lsn landmark;  // newest position of a transaction with rows that is stored completely, if it was
                 // found near the end
  Lsn before_landmark;  // what its message follows: a stream that starts here brings it again
  Lsn newest;  // newest position of which anything is stored (the unfinished transaction's, if
               // there is one)
  Hlc hlc;     // version of the last row change up to `position`
  bool unfinished =
      false;  // a transaction at the tail has no last message: it is sent again from its chunk 0
  uint32_t foreign_messages = 0;  // messages behind it that are not ours
};

// The row of this source in pmoves_sync.publisher_state.
struct WriterRow {
  uint32_t epoch = 1;
  std::string writer;
  std::string previous_writer;              // empty: none
  std::vector<std::string> former_writers;  // earlier runs, oldest first, bounded
  Lsn epoch_start;                          // the slot's position when the epoch began
};

struct SlotFacts {
  bool exists = false;
  bool lost = false;   // invalidated: its WAL is gone
  std::string reason;  // why it is unusable otherwise (other plugin, other database); empty: usable
  Lsn confirmed;       // confirmed_flush_lsn
};

struct StartFacts {
  std::string source;
  std::string slot_name;
  std::string origin;  // "<system identifier>/<timeline>/<slot>" of the database at hand
  Lsn wal_end;         // how far its WAL reaches now
  StreamTail tail;
  std::optional<WriterRow> row;
  SlotFacts slot;
  std::optional<proto::Applied> applied;  // what the centre has reported
};

struct StartDecision {
  enum class Action { kStart, kCreateSlot, kRefuse };
  // kCreateSlot: nothing of this source exists anywhere: make the slot, gather the facts again and
  // decide again.
  Action action = Action::kRefuse;
  const char* refusal = "";  // stable name of the reason, for metrics and logs
  std::string reason;        // sentence for the operator, with what to do

  // kStart:
  uint32_t epoch = 1;
  Lsn previous;  // goes on behind this position; transactions up to it are skipped
  Hlc hlc;
  uint64_t expected_sequence = 0;
  std::string previous_writer;  // for the state row
  bool covered_by_centre =
      false;  // the stream lost acknowledged messages, all of which the centre has applied
};

StartDecision Decide(const StartFacts& facts);

}  // namespace pmoves

#endif  // PMOVES_PUBLISHER_CORE_START_DECISION_H_
