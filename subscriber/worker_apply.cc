// Committing batches, and what follows when that fails. See worker.h.
#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "common/base/reaction.h"
#include "common/base/status.h"
#include "common/io/log.h"
#include "common/io/steady_time.h"
#include "subscriber/batch_outcome.h"
#include "subscriber/core/bisect.h"
#include "subscriber/worker.h"

namespace pmoves {

absl::Status Worker::CommitBatch() {
  const absl::Time begun = MonotonicTime();
  absl::Status status = ApplyPending(false);
  for (int attempt = 0; !status.ok() && !stopping(); ++attempt) {
    const Reaction reaction = ReactionTo(status).reaction;
    if (IsRebuild(status)) return status;
    if (reaction == Reaction::kReconnect || reaction == Reaction::kStop || !connection_->IsOpen())
      return status;
    target_->Rollback();
    if (IsFenced(status)) return status;
    if (reaction == Reaction::kRetry && IsBusy(status, attempt)) return StepAside(status);
    if (reaction == Reaction::kRetry) {
      shared_.metrics.batch_retries.Increment();
      LogLimited(LogLevel::kWarn, "batch.retry", LoggableMessage(status),
                 {{"worker", index_}, {"sqlstate", SqlStateOf(status)}});
      AwaitMessages(absl::ZeroDuration());  // or its consumers would be forgotten in a long wait
      MutexLock lock(mutex_);
      wake_.wait_until(mutex_, SteadyIn(backoff_.Next()), [this] { return stopping(); });
    } else {
      if (TablesChanged()) return RebuildAltered();
      shared_.metrics.batch_splits.Increment();
      LogLimited(LogLevel::kWarn, "batch.split", LoggableMessage(status),
                 {{"worker", index_}, {"sqlstate", SqlStateOf(status)}});
    }
    const bool checked = pending_.check_deferred;
    status = ApplyPending(reaction != Reaction::kRetry);
    const bool again = status.ok() || ReactionTo(status).reaction == Reaction::kRetry ||
                       checked != pending_.check_deferred;
    if (reaction != Reaction::kRetry && !again) return status;
  }
  if (!status.ok()) return status;
  AfterCommit(begun);
  return absl::OkStatus();
}

absl::Status Worker::ApplyPending(bool separating) {
  pending_.settled.clear();
  pending_.superseded.clear();
  const size_t changes = pending_.set.changes.size();
  separating = separating || MeetsLetter(0, changes);
  const bool plain = !separating && !pending_.check_deferred && pending_.letters.empty() &&
                     pending_.busy_wait == absl::ZeroDuration();
  if (plain && !pending_.progress.empty()) {
    ASSIGN_OR_RETURN(const bool done, target_->ApplyAtOnce(&pending_.set, CurrentProgress()));
    if (done) return absl::OkStatus();
  }
  RETURN_IF_ERROR(BeginBatch());
  // First, so that the changes of the batch meet them.
  RETURN_IF_ERROR(StoreLetters(pending_.letters));
  RETURN_IF_ERROR(separating ? ApplySeparating(0, changes)
                             : target_->Apply(&pending_.set, 0, changes));
  if (!pending_.progress.empty()) RETURN_IF_ERROR(AdvanceSources());
  absl::Status status = target_->Commit();
  if (RefusedAtCommit(status)) pending_.check_deferred = true;
  return status;
}

std::vector<SourceProgress> Worker::CurrentProgress() {
  std::vector<SourceProgress> all;
  for (auto& [owned, progress] : pending_.progress) {
    progress.hlc = owned->clock.commit();
    progress.clocks = owned->clock.Changed();
    all.push_back(progress);
  }
  return all;
}

absl::Status Worker::AdvanceSources() {
  absl::Status status = target_->Advance(CurrentProgress());
  if (IsAltered(status)) {
    LogInfo("batch.altered", MessageOf(status), {{"worker", index_}});
    target_->Rollback();
    catalog_->Invalidate();
    return RebuildAltered();
  }
  if (!IsTooLate(status)) return status;
  // Made anew, the batch leaves them out: the target has learned the horizon.
  LogWarn("batch.too_late", MessageOf(status), {{"worker", index_}});
  target_->Rollback();
  return Rebuild();
}

absl::Status Worker::ApplySeparating(size_t begin, size_t end) {
  BisectCallbacks callbacks;
  callbacks.try_range = [this](size_t from, size_t to) { return ApplyPiece(from, to); };
  callbacks.splits_on = [this](const absl::Status& status) { return SplitsOn(status); };
  callbacks.cut = [this](size_t from, size_t to) {
    return CutBetweenTransactions(pending_.set, from, to);
  };
  callbacks.set_aside = [this](size_t index, const absl::Status& why) {
    return SetAside(index, why);
  };
  return Bisect(begin, end, callbacks);
}

bool Worker::SplitsOn(const absl::Status& status) const {
  if (!connection_->IsOpen()) return false;
  const Reaction reaction = ReactionTo(status).reaction;
  return reaction == Reaction::kSplit || reaction == Reaction::kBlock;
}

absl::Status Worker::RebuildAltered() {
  shared_.metrics.batches_altered.Increment();
  return Rebuild();
}

// What was refused may have been refused for what a table looked like when it was read.
bool Worker::TablesChanged() {
  std::set<const TargetTable*> tables;
  for (const Change& change : pending_.set.changes) tables.insert(change.table);
  if (tables.empty() || !catalog_->Reread(tables)) return false;
  LogInfo("batch.altered", "a table was altered in the centre since it was looked at",
          {{"worker", index_}});
  return true;
}

// What becomes of one change that cannot be written: its table's on_error says.
absl::Status Worker::SetAside(size_t index, const absl::Status& why) {
  const Change change = pending_.set.changes[index];
  Owned& owned = *sources_.at(*change.source);
  const std::string table = DisplayTable(change.table->SourceSchema(), change.table->SourceTable());
  if (ReactionTo(why).reaction == Reaction::kBlock || change.table->on_error == OnError::kBlock) {
    target_->Rollback();
    if (TablesChanged()) return RebuildAltered();
    Block(owned,
          absl::Status(why.code(),
                       absl::StrFormat("%s: %s", change.table->Name(), LoggableMessage(why))),
          table);
    return Rebuild();
  }
  if (change.table->on_error == OnError::kTransaction) {
    target_->Rollback();
    if (TablesChanged()) return RebuildAltered();
    owned.set_aside.emplace(change.position, why);
    return Rebuild();
  }
  DeadLetter letter = DeadLetterOf(pending_.set, change, why);
  // The row stays under its old key, so nothing that the new key alone says settles the letter.
  if (change.kind == ChangeKind::kMove && change.whole) letter.key.clear();
  if (change.kind == ChangeKind::kMove && absl::IsNotFound(why)) {
    RETURN_IF_ERROR(LeaveOldKey(change, &letter));
  }
  ASSIGN_OR_RETURN(const bool unique, target_->RefusedBySecondaryUnique(*change.table, why));
  if (unique) letter.reason = std::string(kUniqueConflict);
  LogWarn("change.set_aside", "a change could not be written and was set aside",
          {{"source", owned.source},
           {"table", change.table->Name()},
           {"reason", letter.reason},
           {"sqlstate", letter.sql_state},
           {"position", letter.position.ToString()}});
  owned.metrics.dead_lettered.Increment();
  ++pending_.activity[&owned][table].set_aside;
  RETURN_IF_ERROR(AddRowLetter(owned, letter));
  return unique ? target_->LogUniqueConflict(&pending_.set, index, letter) : absl::OkStatus();
}

// A letter that cannot be stored must not be lost, nor hold the other sources of the batch: its
// source waits.
absl::Status Worker::StoreLetters(const std::vector<DeadLetter>& letters) {
  for (const DeadLetter& letter : letters) {
    const absl::Status status = target_->AddDeadLetters({letter});
    if (status.ok()) continue;
    if (!SplitsOn(status)) return status;
    target_->Rollback();
    Block(*sources_.at(letter.source),
          absl::Status(status.code(),
                       absl::StrFormat("a dead letter (message %d of its stream) cannot be stored "
                                       "in pmoves_sync.dead_letter: %s",
                                       letter.sequence, LoggableMessage(status))),
          "");
    return Rebuild();
  }
  return absl::OkStatus();
}

void Worker::CountClock(Owned& owned) {
  owned.clock.Committed();
  const SourceClock::Tally tally = owned.clock.TakeTally();
  owned.metrics.clock_clamped.Increment(static_cast<double>(tally.clamped));
  owned.metrics.clock_backsteps.Increment(static_cast<double>(tally.backsteps));
  if (tally.skew_us.has_value())
    owned.metrics.clock_skew.Set(static_cast<double>(*tally.skew_us) / 1e6);
}

void Worker::AfterCommit(absl::Time begun) {
  const absl::Time now = absl::Now();
  backoff_.Reset();
  failed_ = false;
  shared_.metrics.batches.Increment();
  shared_.metrics.batch_changes.Observe(static_cast<double>(pending_.set.changes.size()));
  shared_.metrics.batch_duration.Observe(absl::ToDoubleSeconds(MonotonicTime() - begun));
  if (pending_.oldest_commit_us != 0) {
    shared_.metrics.end_to_end.Observe(
        absl::ToDoubleSeconds(now - absl::FromUnixMicros(pending_.oldest_commit_us)));
  }
  for (const auto& [what, count] : target_->conflicts()) {
    const auto& [table, type, resolution] = what;
    shared_.metrics.conflicts.Add({{"table", table}, {"type", type}, {"resolution", resolution}})
        .Increment(static_cast<double>(count));
  }
  const int64_t hidden = target_->hidden();
  for (const Settled& row : pending_.settled) {
    if (row.key.empty()) {
      row.owned->letters.RemoveTable(row.schema, row.table);
    } else {
      row.owned->letters.Remove(row.schema, row.table, row.key);
    }
  }
  for (const auto& [owned, letters] : pending_.superseded)
    owned->metrics.superseded.Increment(static_cast<double>(letters));
  for (auto& [owned, progress] : pending_.progress) {
    owned->epoch = progress.epoch;
    owned->position = progress.position;
    owned->sequence = progress.sequence;
    owned->from_start = false;
    NoteWritten(*owned);
    CountClock(*owned);
    owned->set_aside.erase(owned->set_aside.begin(),
                           owned->set_aside.upper_bound(progress.position));
    owned->metrics.transactions.Increment(static_cast<double>(progress.transactions));
    owned->metrics.applied.Increment(static_cast<double>(progress.changes));
    shared_.fleet.Update(owned->source, [&, moved = progress, source = owned](SourceState& state) {
      state.blocked = false;
      state.reason.clear();
      state.blocked_table.clear();
      state.epoch = moved.epoch;
      state.position = moved.position;
      state.hlc = std::max(state.hlc, moved.hlc);
      state.stream_created = moved.stream_created;
      state.sequence = std::max(state.sequence, moved.sequence);
      if (moved.purge_to > 0) {
        state.useless_in = moved.stream_created;
        state.useless = moved.purge_to;
      }
      state.waiting.clear();
      state.last_commit_us = std::max(state.last_commit_us, moved.commit_us);
      state.applied_at = now;
      state.waiting_since_us = source->feed.waiting_since_us();
      for (const auto& [table, activity] : pending_.activity[source]) {
        state.tables[table].changes += activity.changes;
        state.tables[table].set_aside += activity.set_aside;
      }
    });
  }
  if (hidden > 0 && pending_.progress.size() == 1)
    pending_.progress.begin()->first->metrics.hidden.Increment(static_cast<double>(hidden));
  pending_.Clear();
}

// A batch could not be committed: nothing of it is. Its sources are read again from the positions
// in the centre.
void Worker::HandleFailure(const absl::Status& status) {
  const Reaction reaction = ReactionTo(status).reaction;
  if (connection_ == nullptr) return;
  failed_ = true;
  if (!connection_->IsOpen() || (reaction == Reaction::kReconnect && !IsRebuild(status)))
    return DropConnection(status);
  target_->Rollback();
  const bool fenced = IsFenced(status);
  if (!IsRebuild(status)) {
    LogLimited(LogLevel::kError, fenced ? "batch.fenced" : "batch.failed", LoggableMessage(status),
               {{"worker", index_}, {"sqlstate", SqlStateOf(status)}});
  }
  const absl::Duration pause = IsRebuild(status) ? absl::ZeroDuration() : absl::Seconds(1);
  std::vector<std::string> touched;
  for (auto& [owned, progress] : pending_.progress) touched.push_back(owned->source);
  pending_.Clear();
  for (const std::string& source : touched) {
    auto found = sources_.find(source);
    if (found == sources_.end()) continue;
    if (fenced) {
      GiveUp(source);
    } else if (found->second->open) {
      ResetSource(*found->second, pause);
    }
  }
}

}  // namespace pmoves
