// Hlc: the 64-bit hybrid logical clock that versions every row change: 48 bits of milliseconds
// since 1970, 16 bits of counter.
//
// It is a deterministic fold over the source's own commit order, h = max(h + 1, commit_ms << 16),
// one tick per row change, so a source's later change always has the higher stamp even when its
// wall clock steps back (promise C2). It is recovered from the stream's last message and never
// re-made from a clock: a re-sent transaction must carry the same stamps. Does not fit a JSON
// number (> 2^53): always decimal text on the wire.
#ifndef PMOVES_COMMON_BASE_HLC_H_
#define PMOVES_COMMON_BASE_HLC_H_

#include <algorithm>
#include <compare>
#include <cstdint>

namespace pmoves {

struct Hlc {
  int64_t value = 0;

  auto operator<=>(const Hlc&) const = default;
  int64_t Milliseconds() const { return value >> 16; }

  // The first stamp of that millisecond. Times before 1970 or beyond 48 bits are clamped, so the
  // stamp stays a positive int64.
  static Hlc AtMilliseconds(int64_t ms) {
    constexpr int64_t kMaxMilliseconds = (int64_t{1} << 47) - 1;
    return Hlc{std::clamp<int64_t>(ms, 0, kMaxMilliseconds) << 16};
  }

  // The stamp of the first row change after this one, for a transaction committed at commit_us
  // (microseconds since 1970).
  Hlc Next(int64_t commit_us) const {
    return Hlc{std::max(value + 1, AtMilliseconds(commit_us / 1000).value)};
  }
};

}  // namespace pmoves

#endif  // PMOVES_COMMON_BASE_HLC_H_
