// Makes a divergence short enough to be read. See round.h.
#include <algorithm>
#include <functional>
#include <utility>

#include "absl/strings/str_format.h"
#include "common/base/status.h"
#include "tests/subscriber/conflicts/round.h"

namespace pmoves::conflicts {
namespace {

constexpr int kTriesMax = 600;
// A few rows go to the centre one by one, many through a stage: some divergences need a crowd.
constexpr size_t kCrowds[] = {1, 64, 400};
constexpr uint64_t kReplaySeeds = 3;

// The same case under many keys.
Round Multiply(const Round& one, size_t copies) {
  Round many = one;
  many.cases = copies;
  many.steps.clear();
  for (const Step& step : one.steps) {
    const size_t wanted = step.case_index == kAllCases ? 1 : copies;
    for (size_t copy = 0; copy < wanted; ++copy) {
      many.steps.push_back(step);
      if (step.case_index != kAllCases) many.steps.back().case_index = copy;
    }
  }
  return many;
}

std::string Describe(const Round& round) {
  std::string text;
  for (const Step& step : round.steps) {
    for (const Op& op : step.transaction) {
      absl::StrAppendFormat(&text, "  batch %d: %s\n", step.batch,
                            conflicts::Describe(Sources()[static_cast<size_t>(step.source)], op));
    }
  }
  return text;
}

std::string Describe(const std::optional<ModelRow>& row) {
  if (!row.has_value()) return "no row";
  return absl::StrFormat("%s@%d%s", row->source, row->version, conflicts::Describe(row->image));
}

std::string Describe(const Divergence& divergence) {
  return absl::StrFormat("%s  key %d, model:  %s\n  key %d, centre: %s\n",
                         divergence.replayed ? "  (then everything once more)\n" : "",
                         divergence.key, Describe(divergence.expected), divergence.key,
                         Describe(divergence.found));
}

class Shrinker {
 public:
  Shrinker(Centre& centre, const RuleCase& rule) : centre_(centre), rule_(rule) {}

  // False when the case alone does not diverge.
  bool Reproduce(const Round& round) {
    Round apart = round;  // as when a batch was split
    for (size_t i = 0; i < apart.steps.size(); ++i) apart.steps[i].batch = i;
    for (size_t crowd : kCrowds) {
      crowd_ = crowd;
      if (Try(round) || Try(apart)) return true;
    }
    return false;
  }

  void Reduce() {
    ForgetColumns();
    for (bool shorter = true; shorter && tries_ < kTriesMax;) {
      shorter = DropSteps();
      shorter = DropOps() || shorter;
      shorter = JoinBatches() || shorter;
    }
    ForgetColumns();
  }

  std::string Text() const {
    return absl::StrFormat(
        "%s%s%s", Describe(best_),
        crowd_ > 1 ? absl::StrFormat("  (in %d keys at once)\n", crowd_) : std::string(),
        Describe(found_));
  }

 private:
  // Keeps the candidate when it diverges.
  bool Try(const Round& candidate) {
    if (!IsPlausible(HistoryOf(candidate), true) || ++tries_ > kTriesMax) return false;
    for (uint64_t seed = 0; seed < (candidate.replay ? kReplaySeeds : 1); ++seed) {
      Random random(seed);
      auto divergences = Run(centre_, rule_, Multiply(candidate, crowd_), random);
      if (!divergences.ok() || divergences->empty()) continue;
      best_ = candidate;
      found_ = divergences->front();
      return true;
    }
    return false;
  }

  bool DropSteps() {
    bool shorter = false;
    for (size_t i = best_.steps.size(); i-- > 0;) {
      Round candidate = best_;
      candidate.steps.erase(candidate.steps.begin() + static_cast<ptrdiff_t>(i));
      shorter = Try(candidate) || shorter;
    }
    return shorter;
  }

  bool DropOps() {
    bool shorter = false;
    for (size_t i = best_.steps.size(); i-- > 0;) {
      for (size_t k = best_.steps[i].transaction.size(); k-- > 0;) {
        if (best_.steps[i].transaction.size() == 1) continue;
        Round candidate = best_;
        Transaction& transaction = candidate.steps[i].transaction;
        transaction.erase(transaction.begin() + static_cast<ptrdiff_t>(k));
        shorter = Try(candidate) || shorter;
      }
    }
    return shorter;
  }

  bool JoinBatches() {
    bool shorter = false;
    for (size_t i = best_.steps.size(); i-- > 1;) {
      const size_t joined = best_.steps[i].batch - best_.steps[i - 1].batch;
      if (joined == 0) continue;
      Round candidate = best_;
      for (size_t k = i; k < candidate.steps.size(); ++k) candidate.steps[k].batch -= joined;
      shorter = Try(candidate) || shorter;
    }
    return shorter;
  }

  // Columns that do not matter become NULL.
  void ForgetColumns() {
    for (size_t column = 0; column < kColumns; ++column) {
      Round candidate = best_;
      for (Step& step : candidate.steps) {
        for (Op& op : step.transaction) {
          op.image[column].reset();
          op.left_out &= ~(1U << column);
        }
      }
      Try(candidate);
    }
  }

  Centre& centre_;
  const RuleCase& rule_;
  Round best_;
  Divergence found_;
  size_t crowd_ = 1;
  int tries_ = 0;
};

std::string Headline(const RuleCase& rule, const Divergence& divergence) {
  return absl::StrFormat("diverged: %s%s\n", rule.name, divergence.replayed ? ", on replay" : "");
}

}  // namespace

absl::StatusOr<std::string> Shrink(Centre& centre, const RuleCase& rule, const Round& round,
                                   const Divergence& divergence) {
  Round extracted = Extract(round, divergence.case_index);
  if (!divergence.replayed) {
    extracted.replay = false;
    auto& steps = extracted.steps;
    steps.erase(std::remove_if(steps.begin(), steps.end(),
                               [&](const Step& step) { return step.batch > divergence.batch; }),
                steps.end());
  }
  Shrinker shrinker(centre, rule);
  if (shrinker.Reproduce(extracted)) {
    shrinker.Reduce();
    return Headline(rule, divergence) + shrinker.Text();
  }
  return absl::StrFormat("%s  (only among the other cases of its round)\n%s%s",
                         Headline(rule, divergence), Describe(extracted), Describe(divergence));
}

}  // namespace pmoves::conflicts
