// law_trials: what several sources report of one row, and in which ways that can arrive.
//
// In the flow:  io/rule_trials (generated values) -> law_trials -> each way is applied to a copy of
// the table; the row must be the same after all of them
// Reports of one source arrive in their order, as the streams promise; everything else varies.
// Thread: any. Pure.
#ifndef PMOVES_SUBSCRIBER_CORE_LAW_TRIALS_H_
#define PMOVES_SUBSCRIBER_CORE_LAW_TRIALS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/base/hlc.h"

namespace pmoves {

inline constexpr int kLawSources = 3;
inline constexpr int kLawSchedules = 16;

// What a column may be given.
struct LawColumn {
  std::vector<std::string> texts;  // the simplest first
  bool nullable = true;
  bool varied = false;  // else it is always the first
};

struct LawReport {
  int source = 0;
  bool deletes = false;
  bool inserts = false;  // the source had no such row
  Hlc hlc;
  std::vector<std::optional<std::string>> values;  // in the order of the columns
};
// Those of one source in its order.
using LawHistory = std::vector<LawReport>;

// The n-th of a row of histories that grow: few values first, then more; versions of 1970, of now
// and near the end of time, ties between sources among them. `deletes`: some reports are deletes.
LawHistory MakeHistory(const std::vector<LawColumn>& columns, bool deletes, int n, uint64_t seed);

// What came of a law.
struct LawResult {
  std::string law;  // its name, a noun
  int64_t tried = 0;
  std::string broken = {};  // the smallest that breaks it, of generated values; empty: it holds
  std::string fix = {};
  bool admissible = false;  // allow_divergence: true admits the rule all the same
};

// One way to arrive: batches of indexes into the history.
struct LawSchedule {
  enum class Law { kCommutative, kAssociative, kIdempotent, kBatch } law = Law::kCommutative;
  std::vector<std::vector<size_t>> batches;
};
const char* NameOf(LawSchedule::Law law);

// All ways to try, so many. The first is what the others are compared with.
std::vector<LawSchedule> SchedulesOf(const LawHistory& history);

}  // namespace pmoves

#endif  // PMOVES_SUBSCRIBER_CORE_LAW_TRIALS_H_
