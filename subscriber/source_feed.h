// SourceFeed: the messages of one source, in order, as whole transactions.
//
// In the flow:  JetStreamSource -> SourceFeed (SourceOrder) -> worker
// Messages are judged by their envelopes alone and gathered until the transaction is complete;
// bodies are decoded later, by the worker. A transaction that outgrows the limits is handed out in
// pieces (Oversized), to be applied inside one open central transaction. Invariant:  Next() gives
// transactions in the source's order, none twice and none left out since Reset; what breaks that is
// a Trouble. Thread:     its worker.
#ifndef PMOVES_SUBSCRIBER_SOURCE_FEED_H_
#define PMOVES_SUBSCRIBER_SOURCE_FEED_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "subscriber/core/change.h"
#include "subscriber/core/dead_letter.h"
#include "subscriber/core/source_order.h"
#include "subscriber/io/jetstream_source.h"

namespace pmoves {

// A whole source transaction (or several in one message), or a message that belongs to none and is
// set aside.
struct FedTransaction {
  std::vector<std::unique_ptr<ReceivedMessage>> messages;
  Lsn after;  // transactions at or below this are applied (cuts a group)
  uint32_t epoch = 0;
  Lsn position;
  std::string origin;
  uint64_t sequence = 0;
  int64_t stored_us = 0;
  size_t bytes = 0;
  std::optional<DeadLetter> quarantine;  // set: no transaction, only this
};

class SourceFeed {
 public:
  SourceFeed(std::string source, size_t oversized_bytes)
      : source_(std::move(source)), oversized_bytes_(oversized_bytes) {}

  // Forgets everything and goes on from (epoch, applied).
  void Reset(uint32_t epoch, Lsn applied);
  // Takes what `reader` has queued, at most about one batch's worth. A non-OK status: the reading
  // broke (open again); kDataLoss: a stretch of the stream is missing; kUnimplemented: a message is
  // of a protocol that we do not know. After the last two the feed takes nothing more until Reset;
  // what came before is handed out.
  absl::Status Pump(JetStreamSource& reader, const std::string& stream, size_t max_messages,
                    size_t max_bytes);
  // Puts one fetched message in its place. Public for tests.
  absl::Status Accept(FetchedMessage message);

  // What stopped the feed, see Pump.
  const absl::Status& trouble() const { return trouble_; }
  bool HasNext() const { return !ready_.empty(); }
  FedTransaction Next();
  // Of all whole messages held; what Pump takes from the reader is bounded by it. A row in parts
  // counts when it is whole: it must be, before anything can be done with it.
  size_t bytes() const { return ready_bytes_ + half_.bytes; }
  // The transaction at hand is larger than fits a batch and everything before it was taken with
  // Next().
  bool Oversized() const { return ready_.empty() && half_.bytes >= oversized_bytes_; }
  // The messages of the oversized transaction so far; more may follow unless *complete.
  std::vector<std::unique_ptr<ReceivedMessage>> TakePiece(bool* complete, FedTransaction* head);
  // Once: the source began the oversized transaction anew (its publisher restarted), so pieces
  // handed out must be undone.
  bool TakeRestarted() { return std::exchange(restarted_, false); }
  // The last message of an oversized transaction is there.
  bool HalfComplete() const { return half_complete_; }
  bool InTransaction() const { return order_.in_transaction(); }

  uint64_t pending() const { return pending_; }
  uint64_t last_sequence() const { return last_sequence_; }
  // Up to here the stream held nothing but what was applied when the feed was reset; 0: not known.
  uint64_t passed_sequence() const { return passed_sequence_; }
  // When JetStream stored the oldest message that was not handed out; 0 when there is none.
  int64_t waiting_since_us() const;
  int64_t duplicates() const { return duplicates_; }

 private:
  void Quarantine(FetchedMessage message, const char* reason, const absl::Status& why);
  absl::Status Place(FetchedMessage message);
  absl::Status AppendPart(FetchedMessage message, const proto::Envelope& envelope);

  std::string source_;
  size_t oversized_bytes_;
  SourceOrder order_;
  FedTransaction half_;                       // being received
  std::unique_ptr<ReceivedMessage> joining_;  // a row in parts, not whole yet
  bool half_complete_ = false;                // an oversized transaction got its last message
  bool half_given_ = false;                   // pieces of half_ were handed out
  bool restarted_ = false;
  std::deque<FetchedMessage>
      held_;  // arrived behind a complete oversized transaction that is not taken yet
  std::deque<FedTransaction> ready_;
  size_t ready_bytes_ = 0;
  uint64_t pending_ = 0;
  uint64_t last_sequence_ = 0;
  int64_t duplicates_ = 0;
  absl::Status trouble_;
  uint64_t passed_sequence_ = 0;
  bool only_passed_ = true;  // since Reset
};

}  // namespace pmoves

#endif  // PMOVES_SUBSCRIBER_SOURCE_FEED_H_
