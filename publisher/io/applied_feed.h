// AppliedFeed: what the centre reports as applied, as something the publish loop can poll.
//
// In the flow:  subscriber -> supabase.sync-applied.<source> -> AppliedFeed -> HandoffLedger
// Invariant:    keeps only the newest report: nothing here can grow.
// Thread:       the handler runs on a thread of the NATS library and only stores; Take on the
// publish loop.
#ifndef PMOVES_PUBLISHER_IO_APPLIED_FEED_H_
#define PMOVES_PUBLISHER_IO_APPLIED_FEED_H_

#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "common/base/mutex.h"
#include "common/io/jetstream.h"
#include "common/io/nats_client.h"
#include "proto/subject.h"

namespace pmoves {

// The last report, kept by the stream SYNC-APPLIED. nullopt: the centre never reported on this
// source.
absl::StatusOr<std::optional<proto::Applied>> ReadLastApplied(JetStream& jetstream,
                                                              const std::string& source);

class AppliedFeed {
 public:
  // `client` must outlive the feed.
  static absl::StatusOr<std::unique_ptr<AppliedFeed>> Subscribe(NatsClient& client,
                                                                const std::string& source);
  ~AppliedFeed();
  // The newest report since the last call.
  std::optional<proto::Applied> Take();
  // Readable when Take has something. An eventfd.
  int fd() const { return event_fd_; }

 private:
  explicit AppliedFeed(int event_fd) : event_fd_(event_fd) {}
  void Store(const std::string& source, std::string_view bytes);

  const int event_fd_;
  Mutex mutex_;
  std::optional<proto::Applied> newest_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<NatsSubscription> subscription_;  // last: its handler uses the rest
};

}  // namespace pmoves

#endif  // PMOVES_PUBLISHER_IO_APPLIED_FEED_H_
