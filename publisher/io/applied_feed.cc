#include "publisher/io/applied_feed.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <utility>

#include "common/base/status.h"

namespace pmoves {

absl::StatusOr<std::optional<proto::Applied>> ReadLastApplied(JetStream& jetstream,
                                                              const std::string& source) {
  absl::StatusOr<StoredRecord> record = jetstream.GetLastMessage(
      std::string(proto::kAppliedStream), std::string(proto::kAppliedPrefix) + source);
  if (absl::IsNotFound(record.status())) return std::optional<proto::Applied>();
  if (!record.ok()) return record.status();
  absl::StatusOr<proto::Applied> applied = proto::DecodeApplied(record->data);
  // Somebody else's bytes on that subject are no report.
  if (!applied.ok() || applied->source != source) return std::optional<proto::Applied>();
  return std::optional<proto::Applied>(*applied);
}

absl::StatusOr<std::unique_ptr<AppliedFeed>> AppliedFeed::Subscribe(NatsClient& client,
                                                                    const std::string& source) {
  const int event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (event_fd < 0) return absl::ResourceExhaustedError("no file descriptor for an eventfd");
  std::unique_ptr<AppliedFeed> feed(new AppliedFeed(event_fd));
  AppliedFeed* self = feed.get();
  ASSIGN_OR_RETURN(
      feed->subscription_,
      client.Subscribe(
          std::string(proto::kAppliedPrefix) + source, [self, source](NatsMsgPtr message) {
            self->Store(source, {natsMsg_GetData(message.get()),
                                 static_cast<size_t>(natsMsg_GetDataLength(message.get()))});
          }));
  return feed;
}

AppliedFeed::~AppliedFeed() {
  subscription_.reset();
  close(event_fd_);
}

void AppliedFeed::Store(const std::string& source, std::string_view bytes) {
  absl::StatusOr<proto::Applied> applied = proto::DecodeApplied(bytes);
  if (!applied.ok() || applied->source != source) return;
  MutexLock lock(mutex_);
  // Reports of one epoch may arrive out of order after a reconnect of the centre; the newest
  // position wins.
  if (!newest_.has_value() || newest_->epoch != applied->epoch ||
      newest_->position < applied->position) {
    newest_ = *std::move(applied);
  }
  const uint64_t one = 1;
  (void)!write(event_fd_, &one,
               sizeof(one));  // cannot fail but by overflow, when it is readable anyway
}

std::optional<proto::Applied> AppliedFeed::Take() {
  MutexLock lock(mutex_);
  if (!newest_.has_value()) return std::nullopt;
  uint64_t count = 0;
  (void)!read(event_fd_, &count, sizeof(count));  // clears it
  return std::exchange(newest_, std::nullopt);
}

}  // namespace pmoves
