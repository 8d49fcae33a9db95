#include "subscriber/core/batch.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "subscriber/core/letter_meeting.h"
#include "subscriber/core/register_sql.h"

namespace pmoves {
namespace {

struct KeyId {
  const TargetTable* table;
  std::string_view key;  // REQUIRES: ChangeSet::text does not grow while planning

  const std::string* source;  // with registers: a source touches its own alone; else null

  bool operator==(const KeyId&) const = default;
  template <typename H>
  friend H AbslHashValue(H h, const KeyId& id) {
    return H::combine_contiguous(H::combine(std::move(h), id.table, id.source), id.key.data(),
                                 id.key.size());
  }
};

bool IsWholeImage(ChangeKind kind) {
  return kind == ChangeKind::kWhole || kind == ChangeKind::kDelete;
}

// Which of two sources' changes is kept is decided where it can be logged: in the database.
bool LogsConflict(const Change& a, const Change& b) {
  return *a.source != *b.source && a.table->policy.log != ConflictLog::kOff;
}

class Planner {
 public:
  Planner(ChangeSet* set, size_t expected) : set_(set) { by_key_.reserve(expected); }

  void Add(const Change& change) {
    if (IsLeftOut(change)) return;
    if (change.kind == ChangeKind::kTruncate || change.kind == ChangeKind::kMove) {
      CloseStep();
      effects_.push_back({&change, change.kind, change.shape, change.first_value});
      CloseStep();
      return;
    }
    const bool registers = UsesRegisters(change.table->policy);
    auto [found, inserted] = by_key_.try_emplace(
        KeyId{change.table, set_->Key(change), registers ? change.source : nullptr},
        effects_.size());
    if (inserted) {
      effects_.push_back({&change, change.kind, change.shape, change.first_value, change.inserted});
      return;
    }
    Effect& earlier = effects_[found->second];
    const int round = earlier.round;
    if (registers ? CombineReports(change, &earlier) : Combine(change, &earlier)) {
      earlier.round = round;
      return;
    }
    if (registers || LogsConflict(change, *earlier.change)) {
      found->second = effects_.size();
      effects_.push_back(
          {&change, change.kind, change.shape, change.first_value, change.inserted, round + 1});
      return;
    }
    CloseStep();
    Add(change);
  }

  std::vector<MergeStep> Finish() {
    CloseStep();
    return std::move(steps_);
  }

 private:
  // False when the two cannot be one effect.
  bool Combine(const Change& change, Effect* effect) {
    if (LogsConflict(change, *effect->change)) return false;
    if (change.table->policy.row.kind == RuleKind::kAppendOnly) {
      if (IsNewer(change, *effect->change)) return true;
      *effect = {&change, change.kind, change.shape, change.first_value, effect->fresh};
      return true;
    }
    // The row stays, so what came before the delete is still needed.
    if (change.kind == ChangeKind::kDelete && change.table->policy.on_delete == DeletePolicy::kSoft)
      return false;
    const bool newer = IsNewer(change, *effect->change);
    if (newer && IsWholeImage(change.kind)) {
      const bool fresh = effect->fresh && change.kind == ChangeKind::kWhole;
      *effect = {&change, change.kind, change.shape, change.first_value, fresh};
      return true;
    }
    if (!newer && IsWholeImage(effect->kind)) return true;  // the older one is hidden
    const Effect other{&change, change.kind, change.shape, change.first_value};
    const Effect& top = newer ? other : *effect;  // a partial update
    const Effect& base = newer ? *effect : other;
    if (base.kind == ChangeKind::kDelete || *base.change->source != *top.change->source) {
      return false;
    }
    *effect = Overlay(base, top);
    return true;
  }

  // Two reports of one source, in its order. A register that depends on every change gets each.
  bool CombineReports(const Change& change, Effect* effect) {
    if (NeedsEveryChange(change.table->policy)) return false;
    if (effect->kind != ChangeKind::kWhole && effect->kind != ChangeKind::kPartial) return false;
    if (change.kind == ChangeKind::kWhole) {
      *effect = {&change, change.kind, change.shape, change.first_value};
      return true;
    }
    if (change.kind != ChangeKind::kPartial) return false;
    *effect = Overlay(*effect, {&change, change.kind, change.shape, change.first_value});
    return true;
  }

  // The columns of `base` with those of `top` laid over, under the version of `top`.
  Effect Overlay(const Effect& base, const Effect& top) {
    std::vector<int> columns = base.shape->columns;
    std::vector<Value> values(
        set_->values.begin() + static_cast<ptrdiff_t>(base.first_value),
        set_->values.begin() + static_cast<ptrdiff_t>(base.first_value + columns.size()));
    for (size_t i = 0; i < top.shape->columns.size(); ++i) {
      const Value& value = set_->values[top.first_value + i];
      auto found = std::find(columns.begin(), columns.end(), top.shape->columns[i]);
      if (found != columns.end()) {
        values[static_cast<size_t>(found - columns.begin())] = value;
      } else {
        columns.push_back(top.shape->columns[i]);
        values.push_back(value);
      }
    }
    Effect result{top.change, base.kind, &top.change->table->Intern(std::move(columns)),
                  set_->values.size(), base.fresh};
    set_->values.insert(set_->values.end(), values.begin(), values.end());
    return result;
  }

  void CloseStep() {
    const size_t first = steps_.size();
    for (const Effect& effect : effects_) {
      const size_t step = first + static_cast<size_t>(effect.round);
      if (steps_.size() <= step) steps_.resize(step + 1);
      Place(effect, &steps_[step]);
    }
    for (size_t step = first; step < steps_.size(); ++step) {
      for (EffectGroup& group : steps_[step]) SortByKey(&group);
    }
    effects_.clear();
    by_key_.clear();
  }

  static void Place(const Effect& effect, MergeStep* step) {
    auto found = std::find_if(step->begin(), step->end(), [&](const EffectGroup& group) {
      return group.table == effect.change->table && group.kind == effect.kind &&
             group.shape == effect.shape && group.fresh == effect.fresh;
    });
    if (found == step->end()) {
      step->push_back({effect.change->table, effect.kind, effect.shape, effect.fresh, {}});
      found = step->end() - 1;
    }
    found->effects.push_back(effect);
  }

  void SortByKey(EffectGroup* group) const {
    std::sort(group->effects.begin(), group->effects.end(),
              [this](const Effect& a, const Effect& b) {
                return set_->Key(*a.change) < set_->Key(*b.change);
              });
  }

  ChangeSet* set_;
  absl::flat_hash_map<KeyId, size_t> by_key_;
  std::vector<Effect> effects_;
  std::vector<MergeStep> steps_;
};

}  // namespace

bool IsNewer(const Change& a, const Change& b) {
  if (a.hlc != b.hlc) return a.hlc > b.hlc;
  return *a.source > *b.source;
}

std::vector<MergeStep> PlanMerge(ChangeSet* set, size_t begin, size_t end) {
  Planner planner(set, end - begin);
  for (size_t i = begin; i < end; ++i) planner.Add(set->changes[i]);
  return planner.Finish();
}

}  // namespace pmoves
