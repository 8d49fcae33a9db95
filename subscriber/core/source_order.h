// SourceOrder: ORDER. The reader's rule of the wire protocol, for one source.
//
// In the flow:  JetStreamSource -> SourceOrder -> RowDecoder
//
//   - epoch < mine: kStale, ignore. epoch > mine: only its first message (previous 0/0) may open
//   it.
//   - position <= W: kDuplicate, ignore.
//   - previous <= W: next. Chunk 0 (re)starts the transaction (a half-received one is dropped);
//     chunk k must follow chunk k-1.
//   - previous > W: kGap, something between is missing.
//
// W is the position up to which this reader has taken whole transactions. It runs ahead of the
// position that is committed in the centre: after any failure the caller makes a new SourceOrder
// from the committed row and reads the stream again from there. Why <= : positions are ENDS of
// commit records, so the transaction that ends exactly at W is inside W; and previous == W is the
// ordinary next one, while previous < W happens when the publisher, after a lost tail, links to an
// older message than the one we have applied.
//
// A message that carries a group of transactions is judged by its last position; when W lies inside
// the group, the caller leaves out what is at or below W (TransactionEntry.position), so the cut is
// always at a transaction boundary.
//
// Invariant: W rises strictly within an epoch; Judge alone changes nothing.
// Thread:    one worker. Pure.
#ifndef PMOVES_SUBSCRIBER_CORE_SOURCE_ORDER_H_
#define PMOVES_SUBSCRIBER_CORE_SOURCE_ORDER_H_

#include <cstdint>
#include <string_view>

#include "common/base/lsn.h"
#include "proto/change_message.h"

namespace pmoves {

enum class Verdict {
  kStale,      // of an older epoch: ignore
  kDuplicate,  // applied already: ignore
  kStart,      // first chunk: drop what is half-received of this source, then take it
  kContinue,   // the expected next chunk: take it
  kGap,  // a stretch is missing: block this source unless reading again from further back fills it
  kForeignEpoch,  // a newer epoch that does not begin with its first message: the stretch before is
                  // missing
};

std::string_view VerdictName(Verdict verdict);

class SourceOrder {
 public:
  SourceOrder() = default;
  SourceOrder(uint32_t epoch, Lsn applied) : epoch_(epoch), applied_(applied) {}

  Verdict Judge(const proto::Envelope& envelope) const;
  // The caller takes a message judged kStart or kContinue.
  void Take(const proto::Envelope& envelope);
  // The half-received transaction is dropped (its source is read again from further back, or went
  // silent).
  void DropHalf() { half_ = Lsn{}; }

  uint32_t epoch() const { return epoch_; }
  Lsn applied() const { return applied_; }
  bool in_transaction() const { return !half_.IsNone(); }

 private:
  uint32_t epoch_ = 0;  // 0: nothing applied yet, any epoch may open
  Lsn applied_;
  Lsn half_;  // position of the half-received transaction; none: none
  uint32_t half_epoch_ = 0;
  uint32_t next_chunk_ = 0;
};

}  // namespace pmoves

#endif  // PMOVES_SUBSCRIBER_CORE_SOURCE_ORDER_H_
