#include "tests/subscriber/conflicts/round.h"

#include <algorithm>
#include <array>
#include <limits>
#include <map>
#include <thread>
#include <utility>

#include "common/base/status.h"

namespace pmoves::conflicts {
namespace {

constexpr size_t kDivergencesMax = 4;  // looked at, of one comparison
constexpr size_t kBatchesMax = 10;

bool IsTruncate(const Transaction& transaction) {
  return transaction.front().kind == Kind::kTruncate;
}

// The steps of all cases, mixed: each case's own order stays, and the truncates (which all cases
// have in one order) stand between.
class Mixer {
 public:
  Mixer(Random& random, size_t segments) : random_(random), segments_(segments) {}

  void Add(size_t case_index, const History& history, const Interleaving& order) {
    std::vector<size_t> taken(history.sources.size());
    std::vector<Step> steps;
    size_t segment = 0;
    for (int source : order) {
      const auto index = static_cast<size_t>(source);
      const Transaction& transaction = history.transactions[index][taken[index]++];
      if (IsTruncate(transaction)) {
        truncates_[segment] = {kAllCases, source, transaction, 0};
        Close(&steps, segment++);
      } else {
        steps.push_back({case_index, source, transaction, 0});
      }
    }
    Close(&steps, segment);
  }

  std::vector<Step> Take() {
    std::vector<Step> all;
    for (size_t segment = 0; segment < segments_.size(); ++segment) {
      for (auto& [place, step] : segments_[segment]) all.push_back(std::move(step));
      if (segment + 1 < segments_.size()) all.push_back(truncates_[segment]);
    }
    return all;
  }

 private:
  void Close(std::vector<Step>* steps, size_t segment) {
    std::vector<uint64_t> places;
    for (size_t i = 0; i < steps->size(); ++i) places.push_back(random_());
    std::sort(places.begin(), places.end());
    for (size_t i = 0; i < steps->size(); ++i)
      segments_[segment].emplace(places[i], std::move((*steps)[i]));
    steps->clear();
  }

  Random& random_;
  std::vector<std::multimap<uint64_t, Step>> segments_;
  std::map<size_t, Step> truncates_;
};

void CutIntoBatches(Random& random, std::vector<Step>* steps) {
  const size_t batches = 1 + Pick(random, kBatchesMax);
  std::vector<size_t> cuts;
  for (size_t i = 1; i < batches; ++i) cuts.push_back(Pick(random, steps->size() + 1));
  std::sort(cuts.begin(), cuts.end());
  for (size_t i = 0; i < steps->size(); ++i) {
    (*steps)[i].batch =
        static_cast<size_t>(std::upper_bound(cuts.begin(), cuts.end(), i) - cuts.begin());
  }
}

// What was delivered and what must follow from it.
class Progress {
 public:
  Progress(const RuleCase& rule, const Round& round) : rule_(rule) {
    arrived_.resize(round.cases);
    for (History& history : arrived_) {
      history.sources = Sources();
      history.transactions.resize(Sources().size());
    }
  }

  void Arrive(const Step& step) {
    const bool shared = step.case_index == kAllCases;
    const size_t first = shared ? 0 : step.case_index;
    const size_t end = shared ? arrived_.size() : first + 1;
    for (size_t i = first; i < end; ++i)
      arrived_[i].transactions[static_cast<size_t>(step.source)].push_back(step.transaction);
  }

  std::vector<Divergence> Compare(const std::map<RowKey, ModelRow>& rows, size_t batch) const {
    std::vector<Divergence> divergences;
    for (size_t i = 0; i < arrived_.size() && divergences.size() < kDivergencesMax; ++i) {
      std::optional<Divergence> divergence;
      if (rule_.policy.identity == Identity::kPerSource) {
        for (size_t source = 0; source < Sources().size() && !divergence; ++source)
          divergence = CompareKeys(i, WrittenBy(source, arrived_[i]), Sources()[source], rows);
      } else {
        divergence = CompareKeys(i, arrived_[i], "", rows);
      }
      if (!divergence) continue;
      divergence->batch = batch;
      divergences.push_back(*divergence);
    }
    return divergences;
  }

 private:
  // What makes the rows of one source, where each has its own: its changes, and all truncates.
  static History WrittenBy(size_t writer, History history) {
    for (size_t source = 0; source < history.transactions.size(); ++source) {
      auto& transactions = history.transactions[source];
      if (source == writer) continue;
      transactions.erase(std::remove_if(transactions.begin(), transactions.end(),
                                        [](const Transaction& t) { return !IsTruncate(t); }),
                         transactions.end());
    }
    return history;
  }

  std::optional<Divergence> CompareKeys(size_t case_index, const History& history,
                                        const std::string& owner,
                                        const std::map<RowKey, ModelRow>& rows) const {
    for (int key = 0; key < kKeys; ++key) {
      const std::optional<ModelRow> expected = Expected(rule_.policy, history, key);
      const auto at = rows.find({static_cast<int64_t>(case_index) * kKeys + key, owner});
      const std::optional<ModelRow> found =
          at == rows.end() ? std::nullopt : std::optional<ModelRow>(at->second);
      if (expected != found) return Divergence{case_index, key, 0, false, expected, found};
    }
    return std::nullopt;
  }

  const RuleCase& rule_;
  std::vector<History> arrived_;
};

// Positions rise within each source, in the order of its steps.
std::vector<Delivery> DeliveriesOf(const Round& round) {
  std::vector<uint64_t> last(Sources().size());
  std::vector<Delivery> deliveries;
  for (const Step& step : round.steps) {
    const int64_t first_key =
        step.case_index == kAllCases ? 0 : static_cast<int64_t>(step.case_index) * kKeys;
    deliveries.push_back(
        {&step.transaction, step.source, Lsn{++last[static_cast<size_t>(step.source)]}, first_key});
  }
  return deliveries;
}

Fault RandomFault(Random& random) {
  const auto fault = static_cast<Fault>(Pick(random, kFaults));
  // A new connection prepares everything anew, which takes its time.
  const bool rarer = fault == Fault::kReconnect && Chance(random, 0.8);
  return rarer ? Fault::kNone : fault;
}

// By source, the lowest version of its steps from `next` on.
std::vector<int64_t> LowestToCome(const Round& round, size_t next) {
  std::vector<int64_t> lowest(Sources().size(), std::numeric_limits<int64_t>::max());
  for (; next < round.steps.size(); ++next) {
    int64_t& of_source = lowest[static_cast<size_t>(round.steps[next].source)];
    for (const Op& op : round.steps[next].transaction) of_source = std::min(of_source, op.hlc);
  }
  return lowest;
}

// Batch after batch, with what befalls workers. Stops at a divergence after a batch.
absl::Status Deliver(Centre& centre, const RuleCase& rule, const Round& round, Random& random,
                     Progress* progress, std::vector<Divergence>* divergences) {
  const std::vector<Delivery> deliveries = DeliveriesOf(round);
  size_t previous = 0;  // where the batch before began
  for (size_t end = 0; end < round.steps.size() && divergences->empty();) {
    const size_t begin = end;
    const size_t batch = round.steps[begin].batch;
    for (; end < round.steps.size() && round.steps[end].batch == batch; ++end)
      progress->Arrive(round.steps[end]);
    const Fault fault = round.faults ? RandomFault(random) : Fault::kNone;
    // Who has forgotten how far he was is offered the batch before once more.
    const size_t from = fault == Fault::kForgotten ? previous : begin;
    const std::vector<Delivery> offered(deliveries.begin() + static_cast<ptrdiff_t>(from),
                                        deliveries.begin() + static_cast<ptrdiff_t>(end));
    RETURN_IF_ERROR(centre.worker().Offer(rule, offered, random(), fault));
    previous = begin;
    if (round.collect) RETURN_IF_ERROR(centre.Collect(rule, LowestToCome(round, end)));
    if (!round.prefixes) continue;
    ASSIGN_OR_RETURN(const auto rows, centre.Read(rule));
    *divergences = progress->Compare(rows, batch);
  }
  return absl::OkStatus();
}

// Two workers at once, each with every other source, batch after batch.
absl::Status DeliverByTwo(Centre& centre, const RuleCase& rule, const Round& round,
                          Progress* progress) {
  for (const Step& step : round.steps) progress->Arrive(step);
  const std::vector<Delivery> deliveries = DeliveriesOf(round);
  std::array<absl::Status, Centre::kWorkers> ends;
  std::vector<std::thread> threads;
  for (size_t worker = 0; worker < ends.size(); ++worker) {
    threads.emplace_back([&, worker] {
      std::map<size_t, std::vector<Delivery>> batches;
      for (size_t i = 0; i < deliveries.size(); ++i) {
        if (static_cast<size_t>(deliveries[i].source) % ends.size() == worker)
          batches[round.steps[i].batch].push_back(deliveries[i]);
      }
      for (const auto& [number, batch] : batches) {
        if (ends[worker].ok())
          ends[worker] = centre.worker(worker).Offer(rule, batch, 0, Fault::kNone);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const absl::Status& end : ends) RETURN_IF_ERROR(end);
  return absl::OkStatus();
}

// Everything once more, each source from its start, in another mixture and other batches. At no
// time may anything change.
absl::Status Replay(Centre& centre, const RuleCase& rule, const Round& round, Random& random,
                    const Progress& progress, std::vector<Divergence>* divergences) {
  RETURN_IF_ERROR(centre.ForgetPositions());
  std::vector<std::vector<Delivery>> waiting(Sources().size());
  for (const Delivery& delivery : DeliveriesOf(round))
    waiting[static_cast<size_t>(delivery.source)].push_back(delivery);
  std::vector<size_t> taken(waiting.size());
  size_t left = round.steps.size();
  const size_t most = Chance(random, 0.5) ? left : 1 + left / 8;  // of one batch
  while (left > 0 && divergences->empty()) {
    std::vector<Delivery> batch;
    const size_t wanted = std::min(left, 1 + Pick(random, most));
    while (batch.size() < wanted) {
      const size_t source = Pick(random, waiting.size());
      if (taken[source] < waiting[source].size()) batch.push_back(waiting[source][taken[source]++]);
    }
    left -= batch.size();
    RETURN_IF_ERROR(centre.worker().Offer(rule, batch, 0, Fault::kNone));
    ASSIGN_OR_RETURN(const auto rows, centre.Read(rule));
    *divergences = progress.Compare(rows, 0);
  }
  for (Divergence& divergence : *divergences) divergence.replayed = true;
  return absl::OkStatus();
}

}  // namespace

Round MakeRound(Random& random, const RuleCase& rule, const RoundShape& shape) {
  HistoryOptions options;
  options.sources = Sources();
  options.changes = shape.changes;
  options.partial = rule.partial;
  options.unseen = Chance(random, 0.3);
  if (shape.truncates) options.truncates = MakeTruncatePlan(random, Sources().size());
  Round round;
  round.prefixes = Chance(random, 0.3);
  round.replay = Chance(random, 0.3) && !shape.collect;
  round.collect = shape.collect;
  round.two_workers = shape.two_workers;
  Mixer mixer(random, options.truncates.size() + 1);
  for (size_t i = 0; i < shape.histories; ++i) {
    const History history = MakeHistory(random, options);
    for (const Interleaving& order :
         MakeInterleavings(random, history, options.truncates, shape.orders)) {
      mixer.Add(round.cases++, history, order);
    }
  }
  round.steps = mixer.Take();
  CutIntoBatches(random, &round.steps);
  return round;
}

absl::StatusOr<std::vector<Divergence>> Run(Centre& centre, const RuleCase& rule,
                                            const Round& round, Random& random) {
  RETURN_IF_ERROR(centre.Clear(rule));
  Progress progress(rule, round);
  std::vector<Divergence> divergences;
  RETURN_IF_ERROR(round.two_workers
                      ? DeliverByTwo(centre, rule, round, &progress)
                      : Deliver(centre, rule, round, random, &progress, &divergences));
  if (!divergences.empty()) return divergences;
  ASSIGN_OR_RETURN(const auto rows, centre.Read(rule));
  divergences = progress.Compare(rows, round.steps.empty() ? 0 : round.steps.back().batch);
  if (!divergences.empty() || !round.replay) return divergences;
  RETURN_IF_ERROR(Replay(centre, rule, round, random, progress, &divergences));
  return divergences;
}

Round Extract(const Round& round, size_t case_index) {
  Round extracted;
  extracted.cases = 1;
  extracted.prefixes = round.prefixes;
  extracted.replay = round.replay;
  extracted.collect = round.collect;
  extracted.faults = false;
  for (const Step& step : round.steps) {
    if (step.case_index != case_index && step.case_index != kAllCases) continue;
    extracted.steps.push_back(step);
    if (step.case_index == case_index) extracted.steps.back().case_index = 0;
  }
  return extracted;
}

History HistoryOf(const Round& round) {
  History history;
  history.sources = Sources();
  history.transactions.resize(Sources().size());
  for (const Step& step : round.steps)
    history.transactions[static_cast<size_t>(step.source)].push_back(step.transaction);
  return history;
}

}  // namespace pmoves::conflicts
