// MessagePlan: PLAN. Row changes of transactions -> messages with subject, envelope and body.
//
// In the flow:  TransactionOrder -> MessagePlan -> MessageSink
//
// A run is a message being filled: consecutive row changes of one transaction, one table, one
// operation, one set of columns. Several runs of DIFFERENT tables are open at once, so that a
// transaction that alternates between tables does not become one message per row; a table has one
// open run at a time, so the order per key stays that of the WAL (inside an atomic transaction no
// other order matters). TRUNCATE closes all runs first (it may cascade). A run is emitted when the
// next row would not fit max_message_bytes, when all open runs together pass max_open_bytes or
// become too many (the oldest goes first), when its table changes operation or columns, and at
// COMMIT. The last message is known only at COMMIT, so a full run waits for the row that overflows
// it.
//
// A transaction that fits one message may share it with its neighbours of the same table, operation
// and columns: a group. The caller decides when a group must not wait any longer (FlushGroup): as
// long as messages are in flight the group may grow, when nothing is in flight it leaves at once
// (Nagle's rule: no latency when idle, few messages when behind). Whatever cannot join flushes the
// group first: order is kept.
//
// Before the first change of a table, and after each change of its definition, a RELATION message
// describes it (a chunk of the transaction; a transaction that has one is not held in a group).
//
// A row larger than a message is sent alone in parts (Envelope.part/parts), each part a chunk.
//
// Versions: hlc is folded in the order of EMISSION inside a transaction,
// h = max(h + 1, commit_ms << 16), so row i of a message has hlc + i. That is as good as WAL order:
// per key the two agree, and a transaction that is sent again after a crash was applied nowhere
// before (S2).
//
// Invariant:    positions and hlc rise from message to message; chunk counts from 0 per
//               transaction; exactly one message of a transaction has last.
//               Memory is bounded by max_open_bytes + one message + one row (promise R1).
// Thread:       publish loop only. Pure.
#ifndef PMOVES_PUBLISHER_CORE_MESSAGE_PLAN_H_
#define PMOVES_PUBLISHER_CORE_MESSAGE_PLAN_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "common/base/hlc.h"
#include "common/base/lsn.h"
#include "proto/change_message.h"
#include "publisher/core/relation.h"
#include "publisher/core/wal2json_decoder.h"

namespace pmoves {

struct OutgoingMessage {
  std::string subject;
  proto::Envelope envelope;
  std::string body;
  uint32_t changes = 0;   // row changes inside, for metrics
  int64_t commit_us = 0;  // commit time of the (last) transaction
};

class MessagePlan {
 public:
  struct Options {
    std::string source;
    uint32_t epoch = 1;
    std::string origin;                     // Envelope.origin
    std::string writer;                     // Envelope.writer
    size_t max_message_bytes = 256 * 1024;  // body bytes
    size_t max_open_bytes = 1024 * 1024;    // of all open runs together
    size_t max_group_transactions = 1000;
  };

  // previous and hlc continue those of the stream's last message.
  MessagePlan(Options options, Lsn previous, Hlc hlc);
  ~MessagePlan();

  void Begin(Lsn position, uint32_t xid, int64_t commit_us);
  // REQUIRES: a transaction is open; change is I, U, D, T or a snapshot; relation describes its
  // table.
  void Add(const WalChange& change, const Relation& relation);
  void Commit();
  // Emits the held group, if any.
  void FlushGroup();
  // A message without rows that moves the position while the database is idle. REQUIRES: no
  // transaction is open, position > the last. Flushes the group first. The hlc does not tick.
  // caught_up_ms: Envelope's; 0 or less: not known.
  void AddProgress(Lsn position, int64_t now_us, int64_t caught_up_ms);

  // Messages ready to be published, in order. The caller pops from the front.
  std::deque<OutgoingMessage>& ready() { return ready_; }
  bool holds_group() const;
  bool in_transaction() const;
  // Bytes held in open runs and the group (not in ready()).
  size_t open_bytes() const;
  Lsn previous() const;  // position of the last emitted or held transaction
  Hlc hlc() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
  std::deque<OutgoingMessage> ready_;
};

}  // namespace pmoves

#endif  // PMOVES_PUBLISHER_CORE_MESSAGE_PLAN_H_
