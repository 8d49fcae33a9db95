// Batch: PLAN. The net effect per key of a run of changes, in groups that one statement can merge.
//
// In the flow:  ChangeSet -> PlanMerge -> merge_sql / pg_target
//
// Postgres refuses to touch a row twice in one INSERT ... ON CONFLICT, so the changes of a key are
// collapsed first:
//   - a newer whole row or delete replaces whatever is older;
//   - a newer partial update is laid over an older whole row or partial update of the same source
//     (that is the row which the source has);
//   - whatever cannot be expressed so (a partial update over a delete or over another source's row,
//     a truncate, a move of a key) starts a new step. Steps run in order.
// "Newer" is (hlc, source), never arrival: the plan of a set of changes is the same in whatever
// order they came (promise C1). With registers one source's changes of a key are a unit: they are
// collapsed only where the register cannot tell, else the n-th goes into the n-th round. A replaced
// delete needs no tombstone: whatever is older than it is older than what replaced it.
//
// Invariant: a step has at most one effect per key (with registers: per key and source); groups are
// sorted by key, so that two workers lock rows in one order. Thread: one worker. Pure.
#ifndef PMOVES_SUBSCRIBER_CORE_BATCH_H_
#define PMOVES_SUBSCRIBER_CORE_BATCH_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "subscriber/core/change.h"

namespace pmoves {

// What becomes of one key. `change` gives table, kind, version and key; the values are `values[i]`
// for column i of `shape`.
struct Effect {
  const Change* change = nullptr;
  ChangeKind kind = ChangeKind::kWhole;
  const Shape* shape = nullptr;
  uint64_t first_value = 0;  // into ChangeSet::values (overlays are appended there)
  bool fresh = false;        // kWhole: begins with an insert, so the centre probably lacks the row
  int round = 0;             // with registers: how many changes of its key and source come before
};

// Effects of one table, kind, shape and freshness.
struct EffectGroup {
  TargetTable* table = nullptr;
  ChangeKind kind = ChangeKind::kWhole;
  const Shape* shape = nullptr;
  bool fresh = false;
  std::vector<Effect> effects;
};

using MergeStep = std::vector<EffectGroup>;

// (hlc, source) order, source by bytes, as COLLATE "C" does in the centre.
bool IsNewer(const Change& a, const Change& b);

// Plans changes[begin, end) of the set. May append overlaid rows to set->values.
std::vector<MergeStep> PlanMerge(ChangeSet* set, size_t begin, size_t end);

}  // namespace pmoves

#endif  // PMOVES_SUBSCRIBER_CORE_BATCH_H_
