// WhyFull: what a person must know when the stream of the source takes nothing more.
//
// In the flow:  MessageSink::full -> WhyFull -> status, heartbeat, log
// Thread:       publish loop (one request to the server).
#ifndef PMOVES_PUBLISHER_IO_STREAM_ROOM_H_
#define PMOVES_PUBLISHER_IO_STREAM_ROOM_H_

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "common/io/jetstream.h"

namespace pmoves {

// What to say when the stream's limit is not the configured one, which only counts when the stream
// is made; "" when they are the same.
std::string SizeDifference(const StreamInfo& info, int64_t configured_max_bytes);
// The command that changes it, in the centre.
std::string ResizeCommand(const std::string& source, int64_t max_bytes);

struct FullStream {
  std::string source;
  int64_t configured_max_bytes = 0;
  absl::Status refusal;               // the server's words
  size_t open_transaction_bytes = 0;  // stored of the transaction that is not complete
  // The stream ended inside a transaction when this session began: that is sent anew.
  bool unfinished_tail = false;
  size_t in_flight_bytes = 0;  // that follow next
};
std::string WhyFull(const FullStream& full, const absl::StatusOr<StreamInfo>& info);

}  // namespace pmoves

#endif  // PMOVES_PUBLISHER_IO_STREAM_ROOM_H_
