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

namespace pmoves {

struct BisectCallbacks {
  std::function<absl::Status(size_t begin, size_t end)> try_range;
  std::function<bool(const absl::Status&)> splits_on;
  // One change that cannot be written. A non-OK return ends the search.
  std::function<absl::Status(size_t index, const absl::Status& why)> set_aside;
};

absl::Status Bisect(size_t begin, size_t end, const BisectCallbacks& callbacks);

}  // namespace pmoves

#endif  // PMOVES_SUBSCRIBER_CORE_BISECT_H_
