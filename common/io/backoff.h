// Backoff: pauses between attempts: doubling, capped, with jitter so that a fleet does not come
// back in one instant. Thread: its owner's. Pure but for the random numbers, which come from the
// generator it is given.
#ifndef PMOVES_COMMON_IO_BACKOFF_H_
#define PMOVES_COMMON_IO_BACKOFF_H_

#include <algorithm>
#include <random>

#include "absl/time/time.h"

namespace pmoves {

class Backoff {
 public:
  Backoff(absl::Duration initial, absl::Duration max, uint32_t seed)
      : initial_(initial), max_(max), next_(initial), random_(seed) {}
  // Between half and the whole of the current step; the step then doubles up to max.
  absl::Duration Next() {
    const absl::Duration step = next_;
    next_ = std::min(next_ * 2, max_);
    return step * std::uniform_real_distribution<double>(0.5, 1.0)(random_);
  }
  void Reset() { next_ = initial_; }

 private:
  absl::Duration initial_;
  absl::Duration max_;
  absl::Duration next_;
  std::minstd_rand random_;
};

}  // namespace pmoves

#endif  // PMOVES_COMMON_IO_BACKOFF_H_
