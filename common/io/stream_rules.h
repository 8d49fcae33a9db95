// stream_rules: may a stream hold what must not be lost? What its configuration forgets, bends or
// refuses, by name, with what mends it.
//
// In the flow:  JetStream::GetStream -> StreamInfo -> FaultsOf -> publisher (session, check),
//               subscriber (before it reads a stream, check)
// A stream outlives the programs, and others can make or edit it. What it drops leaves no trace but
// a gap, long after; so it is refused before anything is stored in it or read from it.
// Thread: any. Pure.
#ifndef PMOVES_COMMON_IO_STREAM_RULES_H_
#define PMOVES_COMMON_IO_STREAM_RULES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"

namespace pmoves {

// The members of a stream's configuration that matter for that; as the server's JSON has them.
struct StreamSettings {
  std::string retention;
  std::string storage;
  std::string discard;
  std::string persist_mode;
  int64_t max_bytes = -1;
  int64_t max_msgs = -1;
  int64_t max_msgs_per_subject = -1;
  int64_t max_msg_size = -1;
  int64_t max_age_ns = 0;
  int64_t max_consumers = -1;
  int64_t delete_marker_ttl_ns = 0;
  bool discard_new_per_subject = false;
  bool no_ack = false;
  bool sealed = false;
  bool deny_purge = false;
  bool allow_rollup = false;
  bool counter = false;
  bool mirror = false;
  bool sources = false;
  bool subject_transform = false;
};

enum class StreamUse {
  kChanges,    // SYNC_<source>: nothing is dropped but by us
  kLastValue,  // SYNC-APPLIED: the last message of each subject stays
};

struct StreamFault {
  std::string what;  // "max_age is 1h: older messages are dropped"
  std::string fix;
};

// `largest_message`: with its headers, 0: not known.
std::vector<StreamFault> FaultsOf(const std::string& name, const StreamSettings& settings,
                                  StreamUse use, int64_t largest_message);

// All of them in one message; OK when there is none.
absl::Status StreamFaults(const std::string& name, const StreamSettings& settings, StreamUse use,
                          int64_t largest_message);

}  // namespace pmoves

#endif  // PMOVES_COMMON_IO_STREAM_RULES_H_
