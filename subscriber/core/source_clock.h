// SourceClock: the version that each change of one source gets in the centre.
//
// In the flow:  row_decoder (the message's hlc) -> SourceClock -> batch, merge_sql
//
//   claimed   what the source says, by the table's version policy: commit, the message's hlc;
//             column, the row's version_column; arrival, when JetStream stored the message
//   believed  claimed; or the stored time, when claimed is more than max_future ahead of it
//   version   h = max(h + 1, believed)
//
// Why it is folded here again: an edge may have any clock. The stored time is the one stamp that it
// cannot set, so a box that lives in 2099 must not own every row that it touches. But a clamped
// stamp can be lower than the one before it, and a column can say anything, so the fold that keeps
// the source's own order (promise C2) comes after that. What the publisher folded rises strictly,
// so as long as nothing is clamped a commit version is the message's hlc, bit by bit.
//
// The states: one for commit, one for arrival, one for each table with a version column. They are
// committed in the transaction of the rows (pmoves_sync.source_position.hlc and source_clock), and
// every later change of the source gets a version above them: that is what the collection of
// tombstones stands on (tombstone_collector.h).
//
// Deletes, truncates and rows whose column is null claim the commit hlc, whatever the policy. The
// delete and the row of a key change have one version: for the database both keys may be equal.
//
// Invariant:  versions are a function of the source's stream alone: not of batches, restarts or
//             redelivery. A copy that is put back undoes everything since, the tally too.
// Thread:     one worker. Pure.
#ifndef PMOVES_SUBSCRIBER_CORE_SOURCE_CLOCK_H_
#define PMOVES_SUBSCRIBER_CORE_SOURCE_CLOCK_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "common/base/hlc.h"
#include "proto/change_message.h"
#include "subscriber/core/change.h"

namespace pmoves {

// A state beside the one for commit: of a table (schema.table), or of all arrivals ("").
struct RelationClock {
  std::string relation;
  Hlc hlc;

  bool operator==(const RelationClock&) const = default;
};

class SourceClock {
 public:
  // What is worth counting, since the last TakeTally.
  struct Tally {
    int64_t clamped = 0;             // changes whose claim was not believed
    int64_t backsteps = 0;           // commit times more than a second below the one before
    std::optional<int64_t> skew_us;  // newest message: commit time minus stored time
  };

  SourceClock() = default;
  // The states as they are committed.
  explicit SourceClock(Hlc commit, std::vector<RelationClock> others = {},
                       std::optional<int64_t> last_commit_us = std::nullopt);

  // Versions for the changes of one message, set->changes[first..], just appended by RowDecoder.
  void Stamp(ChangeSet* set, size_t first);
  // The same for row changes that are set aside as a whole message, `body`, so that they keep their
  // place before what follows. Transactions of a group at or below `after` are left out. The hlc
  // from which a retry folds: the message's own unless something had to be changed.
  Hlc Reserve(const proto::Body& body, const ReceivedMessage& message, Lsn after,
              absl::Duration max_future);
  // A progress message: all later versions of the publisher are above its hlc, and it may say up to
  // when the database has nothing older. So the state may move there. A clock that steps back
  // after that makes the fold tick where the publisher's did not have to.
  void Pass(const ReceivedMessage& message, int64_t commit_us, absl::Duration max_future);

  Hlc commit() const { return commit_; }
  // The other states that moved since Committed().
  std::vector<RelationClock> Changed() const;
  void Committed();
  Tally TakeTally();

 private:
  struct Other {
    RelationClock clock;
    bool changed = false;
  };
  Hlc* StateOf(const TargetTable& table);
  Other* Find(std::string_view relation);
  void Hear(int64_t commit_us, int64_t stored_us);

  Hlc commit_;
  std::vector<Other> others_;  // few: tables with a version column
  std::optional<int64_t> last_commit_us_;
  Tally tally_;
};

// The milliseconds since 1970 that a version column says: a timestamp with or without time zone as
// Postgres prints it with DateStyle ISO, or an integer. Infinities are the ends of the range;
// nullopt: not a time.
std::optional<int64_t> VersionMilliseconds(std::string_view text);

}  // namespace pmoves

#endif  // PMOVES_SUBSCRIBER_CORE_SOURCE_CLOCK_H_
