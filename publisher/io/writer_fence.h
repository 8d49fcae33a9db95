// WriterFence: is another publisher writing this source right now? The first of the three fences of
// promise P3.
//
// A live publisher answers requests on supabase.sync-writer.<source>; one that starts asks first.
// Two that start in the same moment both hear nothing: the writer row and the expected sequence of
// every publish stop the second one. Thread:       Ask on the publish loop. Answers come from a
// thread of the NATS library.
#ifndef PMOVES_PUBLISHER_IO_WRITER_FENCE_H_
#define PMOVES_PUBLISHER_IO_WRITER_FENCE_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/io/nats_client.h"

namespace pmoves {

// OK when nobody answers. kFailedPrecondition: another writer does; the message says who.
// kUnavailable: the connection is gone.
absl::Status AskForWriter(NatsClient& client, const std::string& source, const std::string& own);

// Answers for `writer` as long as the subscription lives. `client` must outlive it.
absl::StatusOr<std::unique_ptr<NatsSubscription>> AnswerAsWriter(NatsClient& client,
                                                                 const std::string& source,
                                                                 const std::string& writer);

// A fresh random uuid.
std::string NewWriterId();

}  // namespace pmoves

#endif  // PMOVES_PUBLISHER_IO_WRITER_FENCE_H_
