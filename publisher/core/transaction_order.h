// TransactionOrder: ORDER. Which transactions of the WAL the stream still needs.
//
// In the flow:  Wal2JsonDecoder -> TransactionOrder -> MessagePlan
// Invariant:    accepted positions rise strictly; nothing at or below the stream's tail is
//               accepted again (promise P2).
// Thread:       publish loop only. Pure.
#ifndef PMOVES_PUBLISHER_CORE_TRANSACTION_ORDER_H_
#define PMOVES_PUBLISHER_CORE_TRANSACTION_ORDER_H_

#include "absl/status/statusor.h"
#include "common/base/lsn.h"

namespace pmoves {

class TransactionOrder {
 public:
  // `tail` is the newest position that the stream holds completely; 0/0 when the epoch is empty.
  // `landmark`: a transaction that the stream holds and the server must send again (none: no such).
  // If the WAL passes it by, this database's history parted from the one that wrote the stream: a
  // clone or a restored backup whose WAL grew beyond the tail (promise P3).
  explicit TransactionOrder(Lsn tail, Lsn landmark = Lsn{}) : tail_(tail), landmark_(landmark) {}

  enum class Verdict { kPublish, kSkip };  // kSkip: the stream has it
  // A transaction begins. kFailedPrecondition if the order of the WAL is broken: a begin inside a
  // transaction, or a position that is not above the one before it (the server's WAL went back:
  // another history).
  absl::StatusOr<Verdict> Begin(Lsn position);
  // The transaction ends. kFailedPrecondition unless it is the one that began.
  absl::Status Commit(Lsn position);

  bool in_transaction() const { return in_transaction_; }
  // Newest position read to its end from the WAL, skipped ones included.
  Lsn last_seen() const { return last_seen_; }
  Lsn tail() const { return tail_; }

 private:
  Lsn tail_;
  Lsn landmark_;  // none once it was seen
  Lsn last_seen_;
  Lsn current_;
  bool in_transaction_ = false;
};

}  // namespace pmoves

#endif  // PMOVES_PUBLISHER_CORE_TRANSACTION_ORDER_H_
