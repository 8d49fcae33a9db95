// Round: many cases side by side, delivered to the centre and compared with the model.
//
// A case is a history with an order of arrival. All cases of a round arrive mixed, so that one
// batch holds some changes of most of them, and are cut into batches at random places.
// Thread: one.
#ifndef PMOVES_TESTS_SUBSCRIBER_CONFLICTS_ROUND_H_
#define PMOVES_TESTS_SUBSCRIBER_CONFLICTS_ROUND_H_

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "tests/subscriber/conflicts/centre.h"
#include "tests/subscriber/conflicts/conflict_model.h"
#include "tests/subscriber/conflicts/history.h"
#include "tests/subscriber/conflicts/rule_cases.h"

namespace pmoves::conflicts {

inline constexpr size_t kAllCases = SIZE_MAX;

// One transaction of one case on its way; a truncate is that of all cases.
struct Step {
  size_t case_index = 0;
  int source = 0;
  Transaction transaction;
  size_t batch = 0;  // rises
};

struct Round {
  size_t cases = 0;
  std::vector<Step> steps;
  bool faults = true;        // workers die, are replaced, forget
  bool prefixes = false;     // compare after each batch, not only at the end
  bool replay = false;       // at the end, apply everything once more from the start
  bool two_workers = false;  // at once, each with some of the sources
  bool collect = false;      // forget deletes after each batch
};

// A key whose row is not what the model says.
struct Divergence {
  size_t case_index = 0;
  int key = 0;
  size_t batch = 0;  // after it
  bool replayed = false;
  std::optional<ModelRow> expected;
  std::optional<ModelRow> found;
};

struct RoundShape {
  size_t histories = 0;
  size_t orders = 0;  // of each history, at most
  int changes = 6;    // of each source, at most
  bool truncates = false;
  bool two_workers = false;
  bool collect = false;  // then nothing is replayed, which would come too late
};
Round MakeRound(Random& random, const RuleCase& rule, const RoundShape& shape);

// The first divergences, one per case; empty when all is as it must be. A status is an error of
// the centre.
absl::StatusOr<std::vector<Divergence>> Run(Centre& centre, const RuleCase& rule,
                                            const Round& round, Random& random);

// The steps of one case, truncates included, as a round of its own.
Round Extract(const Round& round, size_t case_index);
// The history of a round of one case.
History HistoryOf(const Round& round);

// The round with fewer changes that still diverges, as text: what arrived, what the model expects
// and what is there.
absl::StatusOr<std::string> Shrink(Centre& centre, const RuleCase& rule, const Round& round,
                                   const Divergence& divergence);

}  // namespace pmoves::conflicts

#endif  // PMOVES_TESTS_SUBSCRIBER_CONFLICTS_ROUND_H_
