// ReadTail: what the end of SYNC_<source> says. The stream is the publisher's memory (design 4.2).
//
// In the flow:  JetStream -> ReadTail -> Decide
// An unfinished transaction at the end is resolved from its own first chunk: its Sync-Previous is
// the last complete position, and one tick before its Sync-Hlc is a version from which the fold
// gives its rows the same stamps again. So nothing before it is needed (the subscriber may have
// purged it). Thread:       publish loop only (one request per message looked at; at most
// kMaxTailSteps).
#ifndef PMOVES_PUBLISHER_IO_STREAM_TAIL_H_
#define PMOVES_PUBLISHER_IO_STREAM_TAIL_H_

#include <string>

#include "absl/status/statusor.h"
#include "common/io/jetstream.h"
#include "publisher/core/start_decision.h"

namespace pmoves {

inline constexpr int kMaxTailSteps = 1000;

// kNotFound: the stream does not exist. kFailedPrecondition: more than kMaxTailSteps foreign
// messages behind our last one.
absl::StatusOr<StreamTail> ReadTail(JetStream& jetstream, const std::string& stream,
                                    const std::string& source);

// Version of the last row change in a stored message.
absl::StatusOr<Hlc> LastHlc(const proto::Envelope& envelope, StoredRecord* record);

}  // namespace pmoves

#endif  // PMOVES_PUBLISHER_IO_STREAM_TAIL_H_
