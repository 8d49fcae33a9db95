#include "subscriber/fleet_state.h"

#include <algorithm>

#include "absl/strings/str_format.h"

namespace pmoves {
namespace {

// Publishers send a heartbeat every 10 s: three missed ones are silence.
constexpr absl::Duration kSilentAfter = absl::Seconds(35);
// The messages of a transaction are stored one right behind the other.
constexpr absl::Duration kIncompleteAfter = absl::Seconds(5);

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

std::string FleetState::WaitsFor(const SourceState& state, absl::Time now) {
  if (!state.owned || state.blocked) return "";
  if (!state.waiting.empty()) return state.waiting;
  const IncompleteTransaction& half = state.incomplete;
  if (half.position.IsNone() || now - half.since < kIncompleteAfter) return "";
  return absl::StrFormat(
      "the transaction at %s is not complete: %d messages (%d bytes) of it are stored, the first "
      "came %d s ago, the last %d s ago. It is applied when its publisher has stored the rest",
      half.position.ToString(), half.messages, half.bytes, absl::ToInt64Seconds(now - half.since),
      absl::ToInt64Seconds(now - std::max(state.last_message, half.since)));
}

absl::Duration FleetState::Lag(const SourceState& state, absl::Time now) {
  absl::Duration lag = absl::ZeroDuration();
  if (state.waiting_since_us != 0) lag = now - absl::FromUnixMicros(state.waiting_since_us);
  if (state.last_seen != absl::InfinitePast() && now - state.last_seen > kSilentAfter)
    lag = std::max(lag, now - state.last_seen);
  return std::max(lag, absl::ZeroDuration());
}

}  // namespace pmoves
