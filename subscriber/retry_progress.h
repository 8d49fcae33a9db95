// RetryProgress: what `dead-letters retry --all` says on stderr while it works.
//
// Thread:       main of that verb.
#ifndef PMOVES_SUBSCRIBER_RETRY_PROGRESS_H_
#define PMOVES_SUBSCRIBER_RETRY_PROGRESS_H_

#include <cstddef>
#include <cstdio>
#include <span>

#include "absl/time/time.h"
#include "common/io/steady_time.h"
#include "subscriber/io/letter_retry.h"

namespace pmoves {

class RetryProgress {
 public:
  explicit RetryProgress(size_t total) : total_(total), said_at_(SteadyNow()) {}
  void Add(std::span<const RetryResult> results) {
    for (const RetryResult& result : results) {
      ++done_;
      if (!result.status.ok()) ++open_;
    }
    if (SteadyUntil(said_at_) <= -kEvery) Say();
  }
  void Finish() {
    if (total_ > 1) Say();
  }

 private:
  static constexpr absl::Duration kEvery = absl::Seconds(1);

  void Say() {
    said_at_ = SteadyNow();
    std::fprintf(stderr, "%zu of %zu dead letters retried, %zu of them stay open\n", done_, total_,
                 open_);
  }

  const size_t total_;
  size_t done_ = 0;
  size_t open_ = 0;
  SteadyTime said_at_;
};

}  // namespace pmoves

#endif  // PMOVES_SUBSCRIBER_RETRY_PROGRESS_H_
