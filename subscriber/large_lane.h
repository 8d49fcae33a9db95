// LargeLane: the line of sources in front of the one worker that applies large transactions.
//
// In the flow:  Worker (finds a complete large transaction) -> LargeLane -> the large worker
// A transaction that is larger than a batch takes a central transaction of its own, for as long as
// it needs. So that no other source waits for it, it is carried out by a worker that does nothing
// else, on a connection of its own. They come one after the other: first come, first served.
// Invariant:  at most one source is inside. Thread: any.
#ifndef PMOVES_SUBSCRIBER_LARGE_LANE_H_
#define PMOVES_SUBSCRIBER_LARGE_LANE_H_

#include <deque>
#include <string>

#include "absl/base/thread_annotations.h"
#include "common/base/mutex.h"

namespace pmoves {

class LargeLane {
 public:
  // True: it is the turn of `source`, until Leave. False: it stands in line now.
  bool TryEnter(const std::string& source);
  // Ends its turn, or gives up its place in the line.
  void Leave(const std::string& source);
  // Whose turn it is; "" when nobody's.
  std::string inside() const;

 private:
  mutable Mutex mutex_;
  std::string inside_ ABSL_GUARDED_BY(mutex_);
  std::deque<std::string> line_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace pmoves

#endif  // PMOVES_SUBSCRIBER_LARGE_LANE_H_
