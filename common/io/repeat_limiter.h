// RepeatLimiter: says which repetitions of a log line are written: the first at once, then one a
// minute with the number left out since.
//
// In the flow:  LogLimited -> RepeatLimiter -> Log
// Invariant:    at most kMaxKeys keys are remembered; when full, the longest silent one goes.
// Thread:       its owner's. Pure: the time is an argument.
#ifndef PMOVES_COMMON_IO_REPEAT_LIMITER_H_
#define PMOVES_COMMON_IO_REPEAT_LIMITER_H_

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>

namespace pmoves {

class RepeatLimiter {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  static constexpr size_t kMaxKeys = 1000;
  static constexpr std::chrono::seconds kInterval{60};

  // nullopt: leave the line out. Otherwise write it; the number tells how many were left out before
  // it.
  std::optional<int64_t> Admit(const std::string& key, TimePoint now) {
    const auto found = entries_.find(key);
    if (found == entries_.end()) {
      if (entries_.size() >= kMaxKeys) ForgetOldest();
      entries_.emplace(key, Entry{now, now, 0});
      return 0;
    }
    Entry& entry = found->second;
    entry.seen = now;
    if (now - entry.written < kInterval) {
      ++entry.left_out;
      return std::nullopt;
    }
    const int64_t left_out = entry.left_out;
    entry.written = now;
    entry.left_out = 0;
    return left_out;
  }

  size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    TimePoint written;
    TimePoint seen;
    int64_t left_out;
  };

  void ForgetOldest() {
    auto oldest = entries_.begin();
    for (auto it = entries_.begin(); it != entries_.end(); ++it) {
      if (it->second.seen < oldest->second.seen) oldest = it;
    }
    entries_.erase(oldest);
  }

  std::map<std::string, Entry> entries_;
};

}  // namespace pmoves

#endif  // PMOVES_COMMON_IO_REPEAT_LIMITER_H_
