// JetStreamSource: reads any number of streams in order, each from a position of the caller's
// choice, over one subscription.
//
// In the flow:  streams SYNC_* -> JetStreamSource -> worker -> SourceOrder
//
// An own pull loop on core NATS. The library's Fetch overflows its array (3.4.1), needs a thread
// per stream, and its ordered consumer can restart at sequence 1. Each stream gets an ephemeral,
// unfiltered consumer without acks; nothing is ever redelivered, so nothing is reordered. Whatever
// breaks the run of messages (a gap in the consumer's own sequence, a deleted consumer, silence, a
// lost connection) ends the reading of that stream with a status, and the caller opens it again
// from the position that it has applied.
//
// Flow control: per stream at most 2 x messages and 2 x bytes are requested or queued, however slow
// the caller is (and at least one message of any size). A request is sent when the caller has TAKEN
// half a request's worth. An idle stream keeps one request open, which costs one renewal per
// `expires`.
//
// All streams share Options::memory. Three quarters of it are for those of which the server says
// that more waits; a quarter is divided into small requests that every stream may have open at all
// times. A stream that gets nothing stands in a line until others have taken what came.
//
// It has no thread of its own: the caller waits on the subscription himself (Await), which saves
// waking a thread up between the library's and his. What arrives while he is busy waits in the
// library, within the limits above; his silence is never taken for the server's.
//
// Invariant: a stream's messages come out of Take in the order of its sequence, none left out, or
//            an error comes instead.
// Thread:    its owner's (a worker).
#ifndef PMOVES_SUBSCRIBER_IO_JETSTREAM_SOURCE_H_
#define PMOVES_SUBSCRIBER_IO_JETSTREAM_SOURCE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/io/jetstream.h"
#include "common/io/nats_client.h"
#include "proto/change_message.h"

namespace pmoves {

struct FetchedMessage {
  std::string stream;
  uint64_t sequence = 0;  // in the stream
  int64_t stored_us = 0;  // when JetStream stored it, microseconds since 1970
  uint64_t pending = 0;   // messages of the stream behind this one, when the server sent it
  std::string subject;    // as stored: anybody may have written it
  // kInvalidArgument: not one of ours. Then `headers` has them all, for the quarantine.
  absl::StatusOr<proto::Envelope> envelope = absl::UnknownError("");
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;  // with spare capacity, as BodyReader likes it
};

class JetStreamSource {
 public:
  struct Options {
    int messages = 128;                          // per pull request
    int64_t bytes = 2 << 20;                     // per pull request
    int64_t memory = int64_t{1} << 40;           // for all streams, with what their owner holds
    absl::Duration expires = absl::Seconds(30);  // of a pull request; then it is renewed
    absl::Duration idle_heartbeat = absl::Seconds(5);  // silence for three of them is an error
  };

  // The connection and the JetStream must outlive the source.
  static absl::StatusOr<std::unique_ptr<JetStreamSource>> Create(NatsClient& client,
                                                                 JetStream& jetstream,
                                                                 Options options);
  ~JetStreamSource();

  // Starts (or restarts) the reading of `stream` at `start_sequence`, which must not be beyond last
  // + 1 (see JetStream::CreateConsumer). Waits for the server. kNotFound: no such stream. Other
  // statuses as JetStream::CreateConsumer.
  absl::Status Open(const std::string& stream, uint64_t start_sequence);
  // Stops the reading and drops what is queued. Does not wait for the server. No effect on a stream
  // that is not open.
  void Close(const std::string& stream);
  // Moves out queued messages, in order: at most max_messages, and no more once max_bytes of bodies
  // are reached (at least one, if there is any). An error comes when all messages before it have
  // been taken: kUnavailable, the reading broke, Open it again; kFailedPrecondition, the server
  // refuses our requests for good; kNotFound, the stream is not open. It is given again until Open
  // or Close.
  absl::Status Take(const std::string& stream, size_t max_messages, size_t max_bytes,
                    std::vector<FetchedMessage>* out);
  // Waits for at most `limit` until there is something new to Take, a message or an error (zero:
  // only receives what has arrived); not longer than the connection lives. Returns the streams of
  // which that is true; each comes once per change from nothing to something: after it, Take until
  // nothing comes. Call it at least once a second: it also renews requests and notices silence.
  std::set<std::string> Await(absl::Duration limit);

  // What the owner holds of what he took: it counts in Options::memory. While that is used up, no
  // stream gets more than a little.
  void SetHeld(int64_t bytes);
  // Requested, received and held.
  int64_t memory_used() const;

  // Received and not yet taken, of all streams (for tests).
  size_t queued_messages() const;
  size_t queued_bytes() const;

 private:
  struct State;
  explicit JetStreamSource(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace pmoves

#endif  // PMOVES_SUBSCRIBER_IO_JETSTREAM_SOURCE_H_
