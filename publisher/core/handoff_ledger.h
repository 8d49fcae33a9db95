// HandoffLedger tells how far Postgres may forget its WAL.
//
// In the flow:  MessageSink acks, applied positions of the centre -> HandoffLedger
//               -> WalSource::Report
// The rule:     (design 4.4) a transaction may be confirmed when every message of it AND of all
//               before it is stored, and either the centre has applied it or it has been stored
//               for `hold`. JetStream acknowledges before it syncs to disk; the WAL held back is
//               what heals a lost tail.
// Invariant:    SafePosition() never moves back, and never passes a transaction of which any
//               message is not stored, nor the stream's tail.
// Thread:       publish loop only. Pure: time comes in as an argument.
#ifndef PMOVES_PUBLISHER_CORE_HANDOFF_LEDGER_H_
#define PMOVES_PUBLISHER_CORE_HANDOFF_LEDGER_H_

#include <cstdint>
#include <deque>

#include "absl/time/time.h"
#include "common/base/lsn.h"

namespace pmoves {

class HandoffLedger {
 public:
  // kStored: the hold alone decides; what the centre reports does not shorten it.
  enum class ConfirmAfter { kApplied, kStored };
  struct Options {
    ConfirmAfter confirm_after = ConfirmAfter::kApplied;
    absl::Duration stored_hold = absl::Seconds(150);
    // Entries kept at most; beyond, neighbours are merged (the merged entry is as late as its later
    // half: safe, only slower to confirm).
    size_t max_entries = 100000;
  };
  // `confirmed` is the slot's position at the start; `tail` the newest position stored before this
  // run (stored at an unknown time: its hold starts at `now`).
  HandoffLedger(Options options, Lsn confirmed, Lsn tail, absl::Time now);

  // The last message of the transaction at `position` (and so all of it) is stored.
  // REQUIRES: position rises from call to call, from above `confirmed` and `tail`.
  void Stored(Lsn position, absl::Time now);
  // The centre has applied up to `position` (of this epoch). It may go back, or be ahead of what
  // is known to be stored: an applied position can arrive before the ack.
  void Applied(Lsn position);
  // The position that may be confirmed at `now`.
  Lsn SafePosition(absl::Time now);
  // When SafePosition could next grow by time alone; InfiniteFuture when nothing waits.
  absl::Time NextDeadline() const;

  Lsn stored() const { return stored_; }
  Lsn applied() const { return applied_; }
  size_t waiting() const { return entries_.size(); }  // transactions stored, not yet safe

 private:
  struct Entry {
    Lsn position;
    absl::Time stored_at;
  };
  void MergeNeighbours();

  Options options_;
  std::deque<Entry> entries_;
  Lsn safe_;
  Lsn stored_;
  Lsn applied_;
};

}  // namespace pmoves

#endif  // PMOVES_PUBLISHER_CORE_HANDOFF_LEDGER_H_
