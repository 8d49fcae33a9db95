// JetStreamSink: the MessageSink over a real JetStream stream: pipelined publishes, each fenced by
// the expected last sequence.
//
// In the flow:  MessagePlan -> JetStreamSink -> stream SYNC_<source>; its acks -> HandoffLedger
//
// Message number i carries Nats-Expected-Last-Sequence = tail + i - 1 (also "0": the library cannot
// say that with its own options), so a message that is lost or refused makes the server refuse all
// later ones: the stream never holds a hole, and a second writer never gets between. No
// Nats-Msg-Id: the server's deduplication would answer for messages that it then refuses. The
// replies come to one wildcard inbox, "<inbox>.<i>".
//
// A full stream (discard new) is no failure: it refuses one message and, by the fence, all behind
// it. They are kept, at most the window, and sent again from that one on, under new numbers.
//
// Invariant: StoredMessages come out in order, each with exactly the sequence that its fence asked
//            for. Once failed, for ever failed (corked).
// Thread:    publish loop only. Acks wait in the library until TakeAcks: a thread for them would be
//            woken up for each in the very moment when its message travels on. So an ack's time is
//            when the loop saw it.
#ifndef PMOVES_PUBLISHER_IO_JETSTREAM_SINK_H_
#define PMOVES_PUBLISHER_IO_JETSTREAM_SINK_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/io/nats_client.h"
#include "publisher/core/message_sink.h"

namespace pmoves {

class JetStreamSink : public MessageSink {
 public:
  struct Options {
    size_t window_messages = 256;
    size_t window_bytes = 4 << 20;  // one message is always allowed, whatever its size
    absl::Duration ack_timeout = absl::Seconds(10);
  };

  // `expected_last_sequence` is that of the stream's last message, 0 for a stream that never had
  // one. `client` must outlive the sink.
  static absl::StatusOr<std::unique_ptr<JetStreamSink>> Create(NatsClient& client,
                                                               std::string stream,
                                                               uint64_t expected_last_sequence,
                                                               Options options);
  ~JetStreamSink() override;

  bool HasRoom() const override;
  // Beside the statuses of MessageSink: kInvalidArgument when the message is larger than the
  // server's max_payload.
  absl::Status Publish(OutgoingMessage message) override;
  // Also notices an overdue ack and a lost connection: call it at least once a second while
  // messages are in flight. Beside the statuses of MessageSink: kFailedPrecondition when the
  // stream's own settings refuse the message.
  absl::Status TakeAcks(std::vector<StoredMessage>* acks) override;
  absl::Status full() const override { return full_; }
  size_t open_transaction_bytes() const override { return open_transaction_bytes_; }
  size_t in_flight_messages() const override { return in_flight_.size(); }
  size_t in_flight_bytes() const override { return in_flight_bytes_; }

 private:
  class AckParser;
  struct Ack;
  struct InFlight {
    StoredMessage stored;  // with the sequence that its ack must name
    size_t bytes = 0;
    int64_t sent_ns = 0;
    bool acknowledged = false;
    // Kept until it is acknowledged: a full stream refuses it, and it is sent again.
    std::string subject;
    NatsClient::Headers headers;
    std::string body;
  };

  JetStreamSink(NatsClient& client, std::string stream, uint64_t expected_last_sequence,
                Options options);
  void Accept(const Ack& ack);
  absl::Status Send(InFlight* entry, uint64_t number);
  void Refused(size_t index, const absl::Status& why);
  void RetryWhenDue();
  void CheckOverdue();
  void Cork(absl::Status status);

  NatsClient& client_;
  const std::string stream_;
  const Options options_;
  std::string reply_;  // "<inbox>." and then the number of the message
  size_t reply_prefix_ = 0;
  uint64_t last_sequence_;     // the fence of the next message
  uint64_t first_number_ = 0;  // number of in_flight_.front()
  std::deque<InFlight> in_flight_;
  size_t in_flight_bytes_ = 0;
  absl::Status failed_;
  absl::Status full_;
  bool retried_ = false;       // the message that was refused is on its way again
  int64_t retry_ns_ = 0;       // not before
  uint64_t echoes_below_ = 0;  // numbers of messages that were refused with the one before them
  size_t open_transaction_bytes_ = 0;
  std::unique_ptr<AckParser> parser_;
  std::unique_ptr<NatsPolledSubscription> answers_;
};

}  // namespace pmoves

#endif  // PMOVES_PUBLISHER_IO_JETSTREAM_SINK_H_
