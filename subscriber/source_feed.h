// SourceFeed: the messages of one source, in order, as whole transactions.
//
// In the flow:  JetStreamSource -> SourceFeed (SourceOrder) -> worker
// Messages are judged by their envelopes alone and gathered until the transaction is complete;
// bodies are decoded later, by the worker. Of a transaction that outgrows the limits only the place
// is kept: its bodies are dropped, and when its last message was seen, Large() says where it begins
// and ends. Then it is read again (Stream) and handed out in pieces, to be applied inside one open
// central transaction. So an incomplete transaction, of whatever size, costs a few numbers.
// Invariant:  Next() gives transactions in the source's order, none twice and none left out since
// Reset; what breaks that is a Trouble. Thread:     its worker.
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
  // Nothing below `sequence` + 1 is needed any more: a transaction was begun and then sent anew, so
  // what was there of it can never be completed. Nothing to apply, but the hint moves.
  bool superseded = false;
};

// A complete transaction that is larger than a batch, and where it lies in the stream.
struct LargeTransaction {
  std::string stream_created;  // the stream that it is in; the worker's to fill in
  // The committed state in which it is the next.
  uint32_t epoch = 0;
  Lsn after;
  Lsn position;
  uint64_t first_sequence = 0;  // of its chunk 0, the newest one
  uint64_t last_sequence = 0;
  uint64_t bytes = 0;
  int64_t stored_us = 0;  // when JetStream stored its first message
};

class SourceFeed {
 public:
  SourceFeed(std::string source, size_t oversized_bytes)
      : source_(std::move(source)), oversized_bytes_(oversized_bytes) {}

  // Forgets everything and goes on from (epoch, applied).
  void Reset(uint32_t epoch, Lsn applied);
  // After Reset: the reading begins at a transaction that is known to be complete. It is handed out
  // with TakePiece.
  void Stream() { streaming_ = true; }
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
  // Of all messages held; what Pump takes from the reader is bounded by it.
  // While streaming, a row in parts counts when it is whole: it must be, before anything can be
  // done with it.
  size_t bytes() const { return ready_bytes_ + half_.bytes + (streaming_ ? 0 : JoiningBytes()); }
  // Memory that they take, and that of what DropHalf() would give back.
  size_t held() const;
  size_t half_held() const;
  // Keeps only the place of the transaction at hand, as if it were larger than a batch.
  void DropHalf();
  // A complete transaction that is larger than fits a batch is next: everything before it was taken
  // with Next(). What follows it in the stream is left out until the next Reset.
  bool HasLarge() const { return ready_.empty() && large_.has_value(); }
  const LargeTransaction& large() const { return *large_; }
  // Nothing more is taken: what was found must be carried away first.
  bool Full() const { return large_.has_value() || stream_complete_; }

  // While streaming: a piece is worth applying, or the last one is there.
  bool HasPiece() const { return half_.bytes >= oversized_bytes_ || stream_complete_; }
  std::vector<std::unique_ptr<ReceivedMessage>> TakePiece(bool* complete, FedTransaction* head);

  // Of the transaction at hand, which is not complete; messages 0: there is none.
  struct Incomplete {
    Lsn position;
    uint64_t messages = 0;
    uint64_t bytes = 0;
  };
  Incomplete incomplete() const;

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
  absl::Status Begin(const FetchedMessage& message, const proto::Envelope& envelope);
  absl::Status AppendPart(FetchedMessage message, const proto::Envelope& envelope);
  void Complete();
  size_t JoiningBytes() const { return joining_ == nullptr ? 0 : joining_->body.size(); }

  std::string source_;
  size_t oversized_bytes_;
  SourceOrder order_;
  FedTransaction half_;                       // being received
  std::unique_ptr<ReceivedMessage> joining_;  // a row in parts, not whole yet
  uint64_t half_first_ = 0;                   // sequence of its chunk 0
  uint64_t half_messages_ = 0;
  uint64_t half_bytes_ = 0;       // of all its bodies, also of those that were dropped
  bool dropping_ = false;         // it has outgrown a batch: no body is kept
  bool streaming_ = false;        // it is known to be complete: handed out in pieces
  bool stream_complete_ = false;  // and its last message is there
  std::optional<LargeTransaction> large_;
  std::deque<FedTransaction> ready_;
  size_t ready_bytes_ = 0;
  size_t ready_messages_ = 0;
  uint64_t pending_ = 0;
  uint64_t last_sequence_ = 0;
  int64_t duplicates_ = 0;
  absl::Status trouble_;
  uint64_t passed_sequence_ = 0;
  bool only_passed_ = true;  // since Reset
};

}  // namespace pmoves

#endif  // PMOVES_SUBSCRIBER_SOURCE_FEED_H_
