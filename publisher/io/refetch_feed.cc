#include "publisher/io/refetch_feed.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <utility>

#include "common/base/status.h"

namespace pmoves {

absl::StatusOr<std::unique_ptr<RefetchFeed>> RefetchFeed::Subscribe(NatsClient& client,
                                                                    const std::string& source) {
  const int event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (event_fd < 0) return absl::ResourceExhaustedError("no file descriptor for an eventfd");
  std::unique_ptr<RefetchFeed> feed(new RefetchFeed(event_fd));
  RefetchFeed* self = feed.get();
  ASSIGN_OR_RETURN(
      feed->subscription_,
      client.Subscribe(std::string(proto::kRefetchPrefix) + source, [self](NatsMsgPtr message) {
        self->Store({natsMsg_GetData(message.get()),
                     static_cast<size_t>(natsMsg_GetDataLength(message.get()))},
                    natsMsg_GetReply(message.get()));
      }));
  return feed;
}

RefetchFeed::~RefetchFeed() {
  subscription_.reset();
  close(event_fd_);
}

void RefetchFeed::Store(std::string_view bytes, const char* reply) {
  if (bytes.size() > kMostBytes) return;
  absl::StatusOr<proto::RefetchRequest> request = proto::DecodeRefetchRequest(bytes);
  if (!request.ok()) return;
  MutexLock lock(mutex_);
  if (held_.size() >= kMostHeld) return;
  held_.push_back({*std::move(request), reply == nullptr ? "" : reply});
  const uint64_t one = 1;
  (void)!write(event_fd_, &one, sizeof(one));
}

std::vector<AskedRow> RefetchFeed::Take() {
  MutexLock lock(mutex_);
  if (held_.empty()) return {};
  uint64_t count = 0;
  (void)!read(event_fd_, &count, sizeof(count));  // clears it
  return std::exchange(held_, {});
}

}  // namespace pmoves
