// Steady time: the clock of every deadline, pause and interval. It never steps, as the wall clock
// of a box without a battery does, by hours or years. Thread: any.
#ifndef PMOVES_COMMON_IO_STEADY_TIME_H_
#define PMOVES_COMMON_IO_STEADY_TIME_H_

#include <algorithm>
#include <chrono>

#include "absl/time/time.h"

namespace pmoves {

using SteadyTime = std::chrono::steady_clock::time_point;

inline SteadyTime SteadyNow() { return std::chrono::steady_clock::now(); }

// `wait` from now; a wait beyond a year is a year.
inline SteadyTime SteadyIn(absl::Duration wait) {
  constexpr absl::Duration kLongest = absl::Hours(24 * 365);
  return SteadyNow() + absl::ToChronoNanoseconds(std::min(wait, kLongest));
}

// The same clock as an absl::Time, for deadlines that are kept and compared as one. It is no time
// of day: never shown, stored or compared with one.
inline absl::Time MonotonicTime() {
  return absl::UnixEpoch() + absl::FromChrono(SteadyNow().time_since_epoch());
}

// What is left until then; negative when it has passed.
inline absl::Duration SteadyUntil(SteadyTime deadline) {
  return absl::FromChrono(deadline - SteadyNow());
}

}  // namespace pmoves

#endif  // PMOVES_COMMON_IO_STEADY_TIME_H_
