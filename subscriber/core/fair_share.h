// FairShare: which sources this process should give back, and which it should ask for, so that all
// live processes carry about the same, and no source is left that somebody may own.
//
// In the flow:  coordinator (streams, live processes, locks) -> FairShare -> Worker::Claim, Release
//
// Processes may have different lists of sources. A source that k processes may own counts as 1/k
// for each of them, and a process owns at most the sum, rounded up. Such shares can always be dealt
// out, but not by each process taking what is next: so what only one may own is taken whatever the
// share, what many may own is given back first, and a source that stays free for a while is taken
// beyond the share. What was taken so is not given back until the processes change, so that nothing
// wanders for ever.
// Invariant: with unchanged processes and sources it asks for nothing more after some turns, and
//            then no known source is free.
// Thread:    its owner's. Pure.
#ifndef PMOVES_SUBSCRIBER_CORE_FAIR_SHARE_H_
#define PMOVES_SUBSCRIBER_CORE_FAIR_SHARE_H_

#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace pmoves {

class FairShare {
 public:
  struct View {
    std::set<std::string> known;  // streams that there are and this process may own
    // What each live process may own, this one too; an empty set: every source.
    std::vector<std::set<std::string>> processes;
    std::set<std::string> owned;  // by this process
    std::set<std::string> free;   // of the known ones: by nobody
  };
  struct Plan {
    std::vector<std::string> release;
    std::vector<std::string> claim;  // for several the lock may say no: somebody was faster
  };
  // A source that nobody owned for so many turns is taken by whoever may.
  static constexpr int kPatience = 3;

  Plan Turn(const View& view);

 private:
  std::vector<std::set<std::string>> processes_;
  std::set<std::string> kept_;
  std::map<std::string, int> free_for_;  // turns
};

}  // namespace pmoves

#endif  // PMOVES_SUBSCRIBER_CORE_FAIR_SHARE_H_
