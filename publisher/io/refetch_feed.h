// RefetchFeed: what the centre asks for, as something the publish loop can poll.
//
// In the flow:  subscriber -> supabase.sync-refetch.<source> -> RefetchFeed -> Refetcher
// Invariant:    holds at most kMostHeld requests; what comes on top is dropped, the centre asks
// again.
// Thread:       the handler runs on a thread of the NATS library and only stores; Take on the
// publish loop.
#ifndef PMOVES_PUBLISHER_IO_REFETCH_FEED_H_
#define PMOVES_PUBLISHER_IO_REFETCH_FEED_H_

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "common/base/mutex.h"
#include "common/io/nats_client.h"
#include "proto/refetch.h"

namespace pmoves {

struct AskedRow {
  proto::RefetchRequest row;
  std::string reply;  // subject for the answer; "" when none is wanted
};

class RefetchFeed {
 public:
  static constexpr size_t kMostHeld = 256;
  static constexpr size_t kMostBytes = 64 * 1024;  // of one request

  // `client` must outlive the feed.
  static absl::StatusOr<std::unique_ptr<RefetchFeed>> Subscribe(NatsClient& client,
                                                                const std::string& source);
  ~RefetchFeed();
  // What came since the last call.
  std::vector<AskedRow> Take();
  // Readable when Take has something. An eventfd.
  int fd() const { return event_fd_; }

 private:
  explicit RefetchFeed(int event_fd) : event_fd_(event_fd) {}
  void Store(std::string_view bytes, const char* reply);

  const int event_fd_;
  Mutex mutex_;
  std::vector<AskedRow> held_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<NatsSubscription> subscription_;  // last: its handler uses the rest
};

}  // namespace pmoves

#endif  // PMOVES_PUBLISHER_IO_REFETCH_FEED_H_
