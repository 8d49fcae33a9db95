// A small batch from BEGIN to COMMIT in one pipeline. See pg_target.h.
//
// Four round trips are four times two processes that wait to be scheduled: that, and not the work,
// was most of what a small transaction took (docs/performance.md).
#include <map>
#include <utility>
#include <vector>

#include "common/base/check.h"
#include "common/base/reaction.h"
#include "common/base/status.h"
#include "subscriber/io/central_schema.h"
#include "subscriber/io/pg_target.h"

namespace pmoves {

bool PgTarget::FitsAtOnce(const ChangeSet& set, const std::map<uint32_t, Wanted>& wanted) const {
  if (set.changes.size() > kRowPathLimit) return false;
  for (const Change& change : set.changes) {
    const bool whole = change.kind == ChangeKind::kWhole || change.kind == ChangeKind::kDelete;
    if (!whole || UsesRegisters(change.table->policy) || change.inexact >= 0) return false;
    if (!change.table->unseen.empty()) return false;
  }
  for (const auto& [oid, want] : wanted) {
    if (!want.new_writers.empty() || known_.count(oid) == 0) return false;
  }
  return true;
}

absl::StatusOr<bool> PgTarget::ApplyAtOnce(ChangeSet* set,
                                           const std::vector<SourceProgress>& sources) {
  ForgetTransaction();
  hidden_ = 0;
  const std::map<uint32_t, Wanted> wanted = WantedLocks(*set, 0, set->changes.size());
  if (!FitsAtOnce(*set, wanted)) return false;
  for (const auto& [oid, want] : wanted) facts_[oid] = known_.at(oid);
  NoteTables(*set, 0, set->changes.size());
  NoteVersions(*set, 0, set->changes.size());
  const std::vector<MergeStep> steps = PlanMerge(set, 0, set->changes.size());
  // Prepared before the pipeline starts: preparing waits for its answer.
  std::vector<const EffectGroup*> groups;
  for (const MergeStep& step : steps) {
    for (const EffectGroup& group : step) groups.push_back(&group);
  }
  RETURN_IF_ERROR(PrepareRows(groups));
  RETURN_IF_ERROR(PrepareLocks());
  RETURN_IF_ERROR(PrepareAdvanceOne());

  PMOVES_CHECK(PQenterPipelineMode(connection_.raw()) == 1);
  absl::Status status = SendAtOnce(*set, steps, wanted, sources);
  std::vector<const Effect*> untouched;
  if (status.ok()) status = ReadPipeline(&untouched);
  if (status.ok() && connection_.transaction_status() != PQTRANS_IDLE)
    status = absl::InternalError("the pipeline ended inside its transaction");
  if (status.ok()) {
    hidden_ = static_cast<int64_t>(untouched.size());
    return true;
  }
  sent_.clear();
  if (!connection_.IsOpen() || PQpipelineStatus(connection_.raw()) != PQ_PIPELINE_OFF) {
    // Without the SQLSTATE of what was heard last: it says nothing of the transaction.
    return absl::UnknownError("the answer to a whole transaction was lost: " + MessageOf(status));
  }
  connection_.Rollback();
  if (ReactionTo(status).reaction == Reaction::kSplit) return false;
  return status;
}

absl::Status PgTarget::SendAtOnce(const ChangeSet& set, const std::vector<MergeStep>& steps,
                                  const std::map<uint32_t, Wanted>& wanted,
                                  const std::vector<SourceProgress>& sources) {
  RETURN_IF_ERROR(SendCommand("BEGIN"));
  for (const auto& [oid, want] : wanted) {
    binder_.Clear();
    binder_.Add(std::to_string(kTableLockClass));
    binder_.Add(std::to_string(static_cast<int32_t>(oid)));
    RETURN_IF_ERROR(SendPrepared(want.exclusive ? "pmoves_lock" : "pmoves_lock_shared", {}));
  }
  for (const MergeStep& step : steps) {
    for (const EffectGroup& group : step) {
      for (const Effect& effect : group.effects) RETURN_IF_ERROR(SendEffect(set, group, effect));
    }
  }
  RETURN_IF_ERROR(SendPositions(set, sources));
  return SendCommand("COMMIT");
}

}  // namespace pmoves
