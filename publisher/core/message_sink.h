// MessageSink: PORT. Where messages become stored, in order, each once.
//
// "Stored" means: JetStream acknowledged the message with the sequence that was expected. Every
// message is fenced by the expected last sequence, so after any failure all later ones are refused
// too: the sink then stays failed (corked) until a new one is made from the stream's tail. There is
// no retry inside but one: a stream that is full says no and stays as it is, so the message that
// it refused, and those behind it, are sent again until there is room. (To begin again from the
// tail would store a large transaction from its first message each time.)
// Thread:       publish loop only.
#ifndef PMOVES_PUBLISHER_CORE_MESSAGE_SINK_H_
#define PMOVES_PUBLISHER_CORE_MESSAGE_SINK_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/lsn.h"
#include "publisher/core/message_plan.h"

namespace pmoves {

struct StoredMessage {
  Lsn position;
  bool last = false;  // completes its transaction
  uint64_t sequence = 0;
  uint32_t changes = 0;
  int64_t commit_us = 0;
  int64_t took_ns = 0;  // from Publish to its ack
};

class MessageSink {
 public:
  virtual ~MessageSink() = default;
  // True while the in-flight window (messages and bytes) has room for another message.
  virtual bool HasRoom() const = 0;
  // Hands one message over; does not wait for its ack. REQUIRES HasRoom().
  virtual absl::Status Publish(OutgoingMessage message) = 0;
  // Appends what was acknowledged since the last call, in order. A non-OK status corks the sink:
  //   kUnavailable        disconnect, timeout, no responders, resources, too many requests:
  //                       begin again from the tail
  //   kAborted            wrong last sequence: the stream moved without us; look at the tail for
  //                       who did it
  virtual absl::Status TakeAcks(std::vector<StoredMessage>* acks) = 0;
  // kResourceExhausted, with the server's words, while the stream is full (discard new): nothing
  // has room, TakeAcks tries again from time to time, the WAL keeps the rest.
  virtual absl::Status full() const = 0;
  // Stored bytes of the transaction whose last message is not stored yet.
  virtual size_t open_transaction_bytes() const = 0;
  virtual size_t in_flight_messages() const = 0;
  virtual size_t in_flight_bytes() const = 0;
};

}  // namespace pmoves

#endif  // PMOVES_PUBLISHER_CORE_MESSAGE_SINK_H_
