// JetStream: the few API requests that we use, typed, as raw JSON over core NATS.
//
// Raw JSON because nats.c 3.4.1 marshals only the fields that it knows: an update through it would
// drop newer servers' settings.
//
// Thread: any (each call is one request).
#ifndef PMOVES_COMMON_IO_JETSTREAM_H_
#define PMOVES_COMMON_IO_JETSTREAM_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/io/nats_client.h"
#include "common/io/stream_rules.h"
#include "proto/change_message.h"
#include "proto/message_codec.h"

namespace pmoves {

struct StreamInfo {
  std::string name;
  std::string created;  // as the server gives it; changes when the stream is recreated
  uint64_t first_sequence = 0;
  uint64_t last_sequence = 0;
  uint64_t messages = 0;
  uint64_t bytes = 0;
  int64_t max_bytes = -1;
  std::vector<std::string> subjects;
  StreamSettings settings;
};

struct StreamConfig {
  std::string name;
  std::vector<std::string> subjects;
  int64_t max_bytes = -1;                 // discard new: a full stream refuses, it never forgets
  int64_t max_messages_per_subject = -1;  // 1 for the last-value stream
  int replicas = 1;
  int64_t largest_message = 0;  // that will be stored, with its headers; 0: not known

  StreamUse use() const {
    return max_messages_per_subject > 0 ? StreamUse::kLastValue : StreamUse::kChanges;
  }
};

// A stored message, as read back by sequence.
struct StoredRecord {
  std::string subject;
  uint64_t sequence = 0;
  int64_t stored_us = 0;  // when JetStream stored it, microseconds since 1970
  std::vector<std::pair<std::string, std::string>> headers;
  std::string data;

  proto::HeaderLookup Lookup() const;
};

class JetStream {
 public:
  // `domain` is empty for the server we are connected to, else its JetStream domain: the API prefix
  // becomes $JS.<domain>.API.
  JetStream(NatsClient& client, std::string domain, absl::Duration timeout = absl::Seconds(5));

  // kNotFound: no such stream (or message). kUnavailable: JetStream does not answer. Other API
  // errors: kFailedPrecondition with the server's text.
  absl::StatusOr<StreamInfo> GetStream(const std::string& name);
  // Creates it, or leaves an existing one as it is. kFailedPrecondition says what to do when the
  // name is taken by a stream that does not cover our subjects or may lose messages
  // (stream_rules.h), or when another stream already has our subjects.
  absl::Status EnsureStream(const StreamConfig& config);
  // Changes how many bytes the stream may hold, and nothing else: settings that this program does
  // not know stay as they are. kFailedPrecondition: it holds more than that already (the server
  // would drop messages), or the server refuses.
  absl::StatusOr<StreamInfo> ResizeStream(const std::string& name, int64_t max_bytes);
  // With all its messages.
  absl::Status RemoveStream(const std::string& name);
  absl::StatusOr<std::vector<std::string>> ListStreams();  // all names, paged inside
  absl::StatusOr<StoredRecord> GetMessage(const std::string& stream, uint64_t sequence);
  absl::StatusOr<StoredRecord> GetLastMessage(const std::string& stream,
                                              const std::string& subject);
  // Ephemeral pull consumer without acks, in memory, unfiltered, starting at `start_sequence` (0
  // means 1). The caller must not go beyond last + 1: servers up to 2.10 clamp to that, 2.11 and
  // later deliver nothing until the stream has got there.
  absl::Status CreateConsumer(const std::string& stream, const std::string& consumer,
                              uint64_t start_sequence);
  absl::Status DeleteConsumer(const std::string& stream, const std::string& consumer);
  // Removes messages below `sequence`, of the stream that was made at `created`. Guarded:
  // kInvalidArgument for sequence < 2 or > last (both would empty the stream); kAborted: the stream
  // is another one, of the same name. The server has no purge that says which one is meant, so one
  // that is made between our look and the purge (a round trip) would be hit; the gap shows.
  absl::Status PurgeBelow(const std::string& stream, const std::string& created, uint64_t sequence);
  const std::string& api_prefix() const { return prefix_; }

 private:
  // The answer's JSON, or the Status of the error object in it.
  absl::StatusOr<std::string> Call(const std::string& verb, const std::string& body);
  absl::StatusOr<StoredRecord> ReadMessage(const std::string& stream, const std::string& request);
  NatsClient& client_;
  std::string prefix_;
  absl::Duration timeout_;
};

}  // namespace pmoves

#endif  // PMOVES_COMMON_IO_JETSTREAM_H_
