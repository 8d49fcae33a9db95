// Bisect: which change of a failed batch is the bad one.
//
// In the flow:  pg_target (a batch failed with Reaction::kSplit) -> Bisect -> every good change
// written, every bad one named Halves the range until a failing piece is one change. `try_range`
// writes changes [begin, end) inside a savepoint: OK means they are written; a status that
// SplitsOn() means nothing of the range is written; any other status ends the search. Cost: about 2
// * bad * log2(n) pieces. Thread: one worker. Pure: all effects are in the callbacks.
#ifndef PMOVES_SUBSCRIBER_CORE_BISECT_H_
#define PMOVES_SUBSCRIBER_CORE_BISECT_H_

#include <cstddef>
#include <functional>

#include "absl/status/status.h"
#include "subscriber/core/change.h"

namespace pmoves {

struct BisectCallbacks {
  std::function<absl::Status(size_t begin, size_t end)> try_range;
  std::function<bool(const absl::Status&)> splits_on;
  // One change that cannot be written. A non-OK return ends the search.
  std::function<absl::Status(size_t index, const absl::Status& why)> set_aside;
  // Where a range of more than one change is cut, begin < cut < end. Not set: in the middle.
  std::function<size_t(size_t begin, size_t end)> cut = nullptr;
};

absl::Status Bisect(size_t begin, size_t end, const BisectCallbacks& callbacks);

// The end of a source transaction nearest to the middle of [begin, end), else the middle: changes
// that are right only together (values that change hands under a deferred constraint) are parted
// last. REQUIRES: end - begin > 1.
size_t CutBetweenTransactions(const ChangeSet& set, size_t begin, size_t end);

}  // namespace pmoves

#endif  // PMOVES_SUBSCRIBER_CORE_BISECT_H_
