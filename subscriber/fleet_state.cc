#include "subscriber/fleet_state.h"

#include <algorithm>

namespace pmoves {
namespace {

// Publishers send a heartbeat every 10 s: three missed ones are silence.
constexpr absl::Duration kSilentAfter = absl::Seconds(35);

}  // namespace

std::vector<SourceState> FleetState::Snapshot() const {
  MutexLock lock(mutex_);
  std::vector<SourceState> all;
  for (const auto& [name, state] : sources_) all.push_back(state);
  return all;
}

std::vector<SourceState> FleetState::TakeDirty() {
  MutexLock lock(mutex_);
  std::vector<SourceState> dirty;
  for (auto& [name, state] : sources_) {
    if (!state.dirty) continue;
    dirty.push_back(state);
    state.dirty = false;
    state.tables.clear();
  }
  return dirty;
}

void FleetState::Forget(const std::string& source) {
  MutexLock lock(mutex_);
  sources_.erase(source);
}

absl::Duration FleetState::Lag(const SourceState& state, absl::Time now) {
  absl::Duration lag = absl::ZeroDuration();
  if (state.waiting_since_us != 0) lag = now - absl::FromUnixMicros(state.waiting_since_us);
  if (state.last_seen != absl::InfinitePast() && now - state.last_seen > kSilentAfter)
    lag = std::max(lag, now - state.last_seen);
  return std::max(lag, absl::ZeroDuration());
}

}  // namespace pmoves
