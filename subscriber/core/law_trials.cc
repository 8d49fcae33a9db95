#include "subscriber/core/law_trials.h"

#include <algorithm>
#include <random>

namespace pmoves {
namespace {

// 1970, 2026-11-22, and the far end of what a version may be.
constexpr int64_t kStamps[] = {1, int64_t{117660745298542592}, int64_t{1} << 62};

using Batch = std::vector<size_t>;

Batch ReportsOf(const LawHistory& history, int source) {
  Batch indexes;
  for (size_t i = 0; i < history.size(); ++i) {
    if (history[i].source == source) indexes.push_back(i);
  }
  return indexes;
}

void Append(const Batch& more, Batch* batch) {
  batch->insert(batch->end(), more.begin(), more.end());
}

std::vector<Batch> OneByOne(const Batch& indexes) {
  std::vector<Batch> batches;
  for (size_t index : indexes) batches.push_back({index});
  return batches;
}

}  // namespace

LawHistory MakeHistory(const std::vector<LawColumn>& columns, bool deletes, int n, uint64_t seed) {
  std::mt19937_64 random(seed + 7919 * static_cast<uint64_t>(n));
  const int64_t stamp = kStamps[n % 3];
  LawHistory history;
  for (int source = 0; source < kLawSources; ++source) {
    Hlc hlc{stamp + static_cast<int64_t>(random() % 2)};
    bool has_row = false;
    const int reports = n < 6 ? 1 : 1 + static_cast<int>(random() % 2);
    for (int i = 0; i < reports; ++i) {
      LawReport& report = history.emplace_back();
      report.source = source;
      report.hlc = hlc;
      report.deletes = deletes && random() % 4 == 0;
      report.inserts = !report.deletes && !has_row;
      has_row = !report.deletes;
      hlc.value += 1 + static_cast<int64_t>(random() % 2);
      for (const LawColumn& column : columns) {
        const size_t choice =
            std::min(column.texts.size(), static_cast<size_t>(3 + n)) + (column.nullable ? 1 : 0);
        const size_t pick = column.varied && choice > 0 ? random() % choice : 0;
        const bool null = pick >= column.texts.size() || (column.nullable && pick + 1 == choice);
        report.values.push_back(null ? std::nullopt : std::optional(column.texts[pick]));
      }
    }
  }
  return history;
}

const char* NameOf(LawSchedule::Law law) {
  switch (law) {
    case LawSchedule::Law::kCommutative:
      return "commutativity";
    case LawSchedule::Law::kAssociative:
      return "associativity";
    case LawSchedule::Law::kIdempotent:
      return "idempotence";
    case LawSchedule::Law::kBatch:
      return "batch equals fold";
  }
  return "?";
}

std::vector<LawSchedule> SchedulesOf(const LawHistory& history) {
  using Law = LawSchedule::Law;
  const Batch a = ReportsOf(history, 0);
  const Batch b = ReportsOf(history, 1);
  const Batch c = ReportsOf(history, 2);
  std::vector<LawSchedule> schedules;
  for (const auto& order :
       {std::vector{a, b, c}, {a, c, b}, {b, a, c}, {b, c, a}, {c, a, b}, {c, b, a}}) {
    Batch indexes;
    for (const Batch& of_source : order) Append(of_source, &indexes);
    schedules.push_back({Law::kCommutative, OneByOne(indexes)});
  }
  Batch in_turn;
  for (size_t i = 0; i < 2; ++i) {
    for (const Batch* of_source : {&c, &a, &b}) {
      if (i < of_source->size()) in_turn.push_back((*of_source)[i]);
    }
  }
  schedules.push_back({Law::kCommutative, OneByOne(in_turn)});
  Batch ab = a;
  Append(b, &ab);
  Batch bc = b;
  Append(c, &bc);
  schedules.push_back({Law::kAssociative, {ab, c}});
  schedules.push_back({Law::kAssociative, {a, bc}});
  schedules.push_back({Law::kAssociative, {bc, a}});
  Batch all = ab;
  Append(c, &all);
  schedules.push_back({Law::kIdempotent, {a, a, b, b, c, c}});
  schedules.push_back({Law::kIdempotent, {all, all}});
  schedules.push_back({Law::kIdempotent, {a, b, c, a, b, c}});
  schedules.push_back({Law::kIdempotent, {all, {a.front()}, {b.front()}, {c.front()}}});
  schedules.push_back({Law::kBatch, {all}});
  Batch backwards = c;
  Append(b, &backwards);
  Append(a, &backwards);
  schedules.push_back({Law::kBatch, {backwards}});
  return schedules;
}

}  // namespace pmoves
