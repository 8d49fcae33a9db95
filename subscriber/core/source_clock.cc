#include "subscriber/core/source_clock.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <utility>

#include "common/base/time_text.h"

namespace pmoves {
namespace {

constexpr std::string_view kArrivals = "";
constexpr int64_t kBackstepUs = 1000000;
constexpr int64_t kLatestMs = (int64_t{1} << 47) - 2;  // the year 6429

// What is believed of a claim.
struct Bound {
  // `stored_us` 0: not known, so everything that leaves room for the fold is believed.
  Bound(int64_t stored_us, absl::Duration max_future)
      : stored(Hlc::AtMilliseconds(stored_us / 1000)), latest_ms(kLatestMs) {
    if (stored_us == 0 || max_future == absl::InfiniteDuration()) return;
    const int64_t ahead_ms = std::min(absl::ToInt64Milliseconds(max_future), kLatestMs);
    latest_ms = std::min(latest_ms, stored.Milliseconds() + ahead_ms);
  }
  bool Exceeds(Hlc claimed) const { return claimed.Milliseconds() > latest_ms; }

  Hlc stored;
  int64_t latest_ms;
};

Hlc Fold(Hlc before, Hlc believed) { return Hlc{std::max(before.value + 1, believed.value)}; }

// The position of the version column in the change's row, or -1.
int VersionColumn(const Change& change) {
  if (change.table->policy.version != VersionSource::kColumn || change.shape == nullptr) return -1;
  const int column = change.table->Find(change.table->policy.version_column);
  const std::vector<int>& columns = change.shape->columns;
  const auto found = std::find(columns.begin(), columns.end(), column);
  return column < 0 || found == columns.end() ? -1 : static_cast<int>(found - columns.begin());
}

// `column` is that of VersionColumn.
Hlc Claimed(const ChangeSet& set, const Change& change, int column, const Bound& bound) {
  if (change.kind == ChangeKind::kDelete || change.kind == ChangeKind::kTruncate) return change.hlc;
  if (change.table->policy.version == VersionSource::kArrival && bound.stored.value != 0) {
    return bound.stored;
  }
  if (column < 0 || set.At(change, column).is_null) return change.hlc;
  const std::optional<int64_t> ms = VersionMilliseconds(set.Text(set.At(change, column)));
  return ms.has_value() ? Hlc::AtMilliseconds(*ms) : change.hlc;
}

}  // namespace

std::optional<int64_t> VersionMilliseconds(std::string_view text) {
  if (text == "infinity") return std::numeric_limits<int64_t>::max();
  if (text == "-infinity" || text.ends_with(" BC")) return 0;
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc() && end == text.data() + text.size()) return number;
  const bool has_zone = text.size() > 10 && text.find_first_of("+-Z", 10) != std::string_view::npos;
  const auto us = has_zone ? ParseTimestamp(text) : ParseTimestamp(std::string(text) + "Z");
  if (!us.ok()) return std::nullopt;
  return *us / 1000;
}

SourceClock::SourceClock(Hlc commit, std::vector<RelationClock> others,
                         std::optional<int64_t> last_commit_us)
    : commit_(commit), last_commit_us_(last_commit_us) {
  for (RelationClock& other : others) others_.push_back({std::move(other), false});
}

SourceClock::Other* SourceClock::Find(std::string_view relation) {
  for (Other& other : others_) {
    if (other.clock.relation == relation) return &other;
  }
  return nullptr;
}

Hlc* SourceClock::StateOf(const TargetTable& table) {
  if (table.policy.version == VersionSource::kCommit) return &commit_;
  const std::string relation =
      table.policy.version == VersionSource::kArrival ? std::string(kArrivals) : table.Name();
  Other* other = Find(relation);
  if (other == nullptr) other = &others_.emplace_back(Other{{relation, Hlc{}}, true});
  other->changed = true;
  return &other->clock.hlc;
}

void SourceClock::Stamp(ChangeSet* set, size_t first) {
  std::vector<Change>& changes = set->changes;
  if (first >= changes.size()) return;
  const TargetTable& table = *changes[first].table;
  const int64_t stored_us = changes[first].message->stored_us;
  const Bound bound(stored_us, table.policy.max_future);
  Hlc* const state = StateOf(table);
  const Shape* shape = nullptr;
  int column = -1;
  for (size_t i = first; i < changes.size(); ++i) {
    const bool key_change = i + 1 < changes.size() && changes[i + 1].row == changes[i].row;
    Change& change = changes[key_change ? i + 1 : i];
    if (change.shape != shape) {
      shape = change.shape;
      column = VersionColumn(change);
    }
    change.claimed = Claimed(*set, change, column, bound);
    change.clamped = bound.Exceeds(change.claimed);
    *state = change.hlc = Fold(*state, change.clamped ? bound.stored : change.claimed);
    if (change.clamped) ++tally_.clamped;
    if (change.commit_us < last_commit_us_.value_or(change.commit_us) - kBackstepUs) {
      ++tally_.backsteps;
    }
    last_commit_us_ = change.commit_us;
    if (!key_change) continue;
    Change& old = changes[i++];
    old.hlc = change.hlc;
    old.claimed = change.claimed;
    old.clamped = change.clamped;
  }
  Hear(changes.back().commit_us, stored_us);
}

Hlc SourceClock::Reserve(const proto::Body& body, const ReceivedMessage& message, Lsn after,
                         absl::Duration max_future) {
  const Bound bound(message.stored_us, max_future);
  std::optional<Hlc> moved;  // the first version, if it is another than claimed
  bool first = true;
  auto take = [&](Hlc claimed, int64_t changes) {
    if (changes == 0) return;
    const bool clamped = bound.Exceeds(claimed);
    const Hlc version = Fold(commit_, clamped ? bound.stored : claimed);
    commit_.value = version.value + changes - 1;
    if (clamped) tally_.clamped += changes;
    if (std::exchange(first, false) && version != claimed) moved = version;
  };
  if (body.transactions.empty()) {
    take(message.envelope.hlc, static_cast<int64_t>(body.changes()));
  }
  for (const proto::TransactionEntry& entry : body.transactions) {
    if (entry.position > after) take(entry.hlc, entry.rows);
  }
  return moved.value_or(message.envelope.hlc);
}

void SourceClock::Pass(const ReceivedMessage& message, int64_t commit_us,
                       absl::Duration max_future) {
  const Bound bound(message.stored_us, max_future);
  const Hlc claimed = message.envelope.hlc;
  commit_ = std::max(commit_, bound.Exceeds(claimed) ? bound.stored : claimed);
  const Hlc caught_up = Hlc::AtMilliseconds(message.envelope.caught_up_ms);
  if (!bound.Exceeds(caught_up)) commit_ = std::max(commit_, caught_up);
  if (Other* arrivals = Find(kArrivals); arrivals != nullptr) {
    arrivals->clock.hlc = std::max(arrivals->clock.hlc, bound.stored);
    arrivals->changed = true;
  }
  Hear(commit_us, message.stored_us);
}

void SourceClock::Hear(int64_t commit_us, int64_t stored_us) {
  if (stored_us != 0) tally_.skew_us = commit_us - stored_us;
}

std::vector<RelationClock> SourceClock::Changed() const {
  std::vector<RelationClock> changed;
  for (const Other& other : others_) {
    if (other.changed) changed.push_back(other.clock);
  }
  return changed;
}

void SourceClock::Committed() {
  for (Other& other : others_) other.changed = false;
}

SourceClock::Tally SourceClock::TakeTally() { return std::exchange(tally_, Tally{}); }

}  // namespace pmoves
