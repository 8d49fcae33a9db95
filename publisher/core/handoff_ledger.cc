#include "publisher/core/handoff_ledger.h"

#include <algorithm>

#include "common/base/check.h"

namespace pmoves {

HandoffLedger::HandoffLedger(Options options, Lsn confirmed, Lsn tail, absl::Time now)
    : options_(options), safe_(confirmed), stored_(std::max(confirmed, tail)) {
  // Merging needs a pair.
  options_.max_entries = std::max<size_t>(options_.max_entries, 2);
  if (tail > confirmed) entries_.push_back({tail, now});
}

void HandoffLedger::Stored(Lsn position, absl::Time now) {
  PMOVES_CHECK(position > stored_);
  stored_ = position;
  if (entries_.size() >= options_.max_entries) MergeNeighbours();
  entries_.push_back({position, now});
}

void HandoffLedger::Applied(Lsn position) { applied_ = std::max(applied_, position); }

Lsn HandoffLedger::SafePosition(absl::Time now) {
  while (!entries_.empty()) {
    const Entry& entry = entries_.front();
    const bool applied =
        options_.confirm_after == ConfirmAfter::kApplied && entry.position <= applied_;
    if (!applied && now < entry.stored_at + options_.stored_hold) break;
    safe_ = entry.position;
    entries_.pop_front();
  }
  return safe_;
}

absl::Time HandoffLedger::NextDeadline() const {
  if (entries_.empty()) return absl::InfiniteFuture();
  return entries_.front().stored_at + options_.stored_hold;
}

// Halves the number of entries. It is linear, and runs again only after as many calls of Stored as
// it has removed: O(1) amortised.
void HandoffLedger::MergeNeighbours() {
  size_t kept = 0;
  for (size_t i = 0; i < entries_.size(); i += 2) {
    Entry merged = entries_[i];
    if (i + 1 < entries_.size()) {
      merged = entries_[i + 1];
      // A clock that stepped back must not make the pair look older than its first half.
      merged.stored_at = std::max(merged.stored_at, entries_[i].stored_at);
    }
    entries_[kept++] = merged;
  }
  entries_.resize(kept);
}

}  // namespace pmoves
