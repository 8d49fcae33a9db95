// Transactions that are larger than a batch: found complete, handed over, applied alone. See
// worker.h and large_lane.h.
#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "common/base/reaction.h"
#include "common/base/status.h"
#include "common/io/log.h"
#include "common/io/steady_time.h"
#include "subscriber/batch_outcome.h"
#include "subscriber/worker.h"

namespace pmoves {
namespace {

using Steady = std::chrono::steady_clock;

// How often a source in the line looks whether it is its turn.
constexpr absl::Duration kLaneWait = absl::Milliseconds(100);
// All of a large transaction is in the stream: its next message cannot take longer.
constexpr absl::Duration kPieceWait = absl::Seconds(10);
// A large transaction that must wait for a person is applied from its start at each attempt: that
// may take a small part of the time only.
constexpr int kRestPerAttempt = 4;
constexpr absl::Duration kLeastRest = absl::Seconds(5);
constexpr absl::Duration kMostRest = absl::Minutes(2);
constexpr absl::Duration kRereadPause = absl::Seconds(1);

}  // namespace

void Worker::TakeOver(const std::string& source, Carried carried, Worker* home) {
  {
    MutexLock lock(mutex_);
    job_ = LargeJob{source, std::move(carried), home};
  }
  wake_.notify_all();
}

void Worker::KeepLarge(Owned& owned) {
  owned.large = owned.feed.large();
  owned.large->epoch = owned.epoch;
  owned.large->after = owned.position;
  owned.large->stream_created = owned.stream_created;
  LogInfo("source.large", "a transaction larger than a batch is complete in the stream",
          {{"source", owned.source},
           {"position", owned.large->position.ToString()},
           {"first_sequence", owned.large->first_sequence},
           {"last_sequence", owned.large->last_sequence},
           {"bytes", owned.large->bytes}});
  ResetSource(owned, absl::ZeroDuration());
}

void Worker::HandOver(const std::vector<std::string>& sources) {
  for (const std::string& source : sources) {
    Owned& owned = *sources_.at(source);
    if (!shared_.lane.TryEnter(source)) {
      owned.open_at = MonotonicTime() + kLaneWait;
      std::string reason = absl::StrFormat(
          "a large transaction (%d bytes) at %s waits until that of %s is applied",
          owned.large->bytes, owned.large->position.ToString(), shared_.lane.inside());
      if (reason == owned.waiting) continue;
      owned.waiting = reason;
      shared_.fleet.Update(source, [&](SourceState& state) { state.waiting = std::move(reason); });
      continue;
    }
    Carried carried;
    carried.large = std::exchange(owned.large, std::nullopt);
    carried.set_aside = std::move(owned.set_aside);
    carried.check_deferred = owned.check_deferred;
    GiveUp(source);
    shared_.large->TakeOver(source, std::move(carried), this);
  }
}

// ---- the large worker ----

void Worker::WorkLarge() {
  while (!stopping()) {
    std::optional<LargeJob> job;
    {
      MutexLock lock(mutex_);
      while (!stopping() && !job_.has_value()) wake_.wait(mutex_);
      job.swap(job_);
    }
    if (!job.has_value()) break;
    CarryOut(&*job);
    pending_.Clear();
    GiveUp(job->source);
    shared_.lane.Leave(job->source);
    job->home->Claim(job->source, std::move(job->carried));
  }
}

// Until it is applied, or must wait, or its place in the stream is not known any more.
void Worker::CarryOut(LargeJob* job) {
  do {
    const auto begun = Steady::now();
    job->carried.pause = absl::ZeroDuration();
    absl::Status status = OpenLarge(job);
    if (status.ok()) status = StreamLarge(*sources_.at(job->source));
    if (status.ok()) {
      job->carried = Carried{};
      return;
    }
    FailLarge(status, absl::FromChrono(Steady::now() - begun), job);
  } while (!stopping() && job->carried.large.has_value() &&
           job->carried.pause == absl::ZeroDuration());
}

absl::Status Worker::OpenLarge(LargeJob* job) {
  RETURN_IF_ERROR(EnsureConnection());
  if (sources_.count(job->source) == 0) RETURN_IF_ERROR(TryClaim(job->source, job->carried));
  const auto found = sources_.find(job->source);
  if (found == sources_.end()) {
    return absl::AbortedError("another subscriber has taken the source of a large transaction");
  }
  Owned& owned = *found->second;
  RETURN_IF_ERROR(ReadPosition(owned));
  ASSIGN_OR_RETURN(const StreamInfo info, shared_.jetstream.GetStream(owned.stream));
  const LargeTransaction& what = *job->carried.large;
  if (owned.epoch != what.epoch || owned.position != what.after ||
      info.created != what.stream_created || info.first_sequence > what.first_sequence) {
    return absl::AbortedError("a large transaction is not where it was found");
  }
  if (owned.stream_created != info.created) owned.sequence = 0;  // a hint into another stream
  owned.stream_created = info.created;
  owned.feed.Reset(owned.epoch, owned.position);
  owned.feed.Stream();
  RETURN_IF_ERROR(reader_->Open(owned.stream, what.first_sequence));
  owned.open = owned.ready = true;
  shared_.fleet.Update(owned.source, [&](SourceState& state) {
    state.stream_created = owned.stream_created;
    state.sequence = owned.sequence;
    state.waiting = absl::StrFormat("a large transaction (%d bytes) at %s is being applied",
                                    what.bytes, what.position.ToString());
  });
  return absl::OkStatus();
}

// Its pieces go into one open central transaction (S2).
absl::Status Worker::StreamLarge(Owned& owned) {
  const absl::Time begun = MonotonicTime();
  pending_.Clear();
  RETURN_IF_ERROR(target_->Begin());
  if (owned.check_deferred) target_->CheckDeferred();
  RETURN_IF_ERROR(StreamPieces(owned));
  RETURN_IF_ERROR(AdvanceSources());
  const absl::Status status = target_->Commit();
  if (RefusedAtCommit(status)) owned.check_deferred = true;
  if (status.ok()) AfterCommit(begun);
  return status;
}

absl::Status Worker::StreamPieces(Owned& owned) {
  bool complete = false;
  FedTransaction head;
  while (!complete) {
    RETURN_IF_ERROR(AwaitPiece(owned));
    auto piece = owned.feed.TakePiece(&complete, &head);
    RETURN_IF_ERROR(ApplyPieceOf(owned, head, std::move(piece)));
  }
  Advance(owned, head);
  return absl::OkStatus();
}

absl::Status Worker::AwaitPiece(Owned& owned) {
  auto heard = Steady::now();
  while (!owned.feed.HasPiece()) {
    if (stopping()) return absl::CancelledError("stopping");
    if (!owned.ready) {
      if (absl::FromChrono(Steady::now() - heard) > kPieceWait)
        return absl::DeadlineExceededError("NATS does not send the rest of a large transaction");
      AwaitMessages(kRequestWait);
      continue;
    }
    PumpSource(owned);
    // What is set aside inside it became a letter when it was found.
    while (owned.feed.HasNext()) (void)owned.feed.Next();
    if (!owned.open) return absl::AbortedError("the reading broke inside a large transaction");
    heard = Steady::now();
  }
  return absl::OkStatus();
}

absl::Status Worker::ApplyPieceOf(Owned& owned, const FedTransaction& head,
                                  std::vector<std::unique_ptr<ReceivedMessage>> piece) {
  ChangeSet& set = pending_.set;
  for (auto& message : piece) {
    const absl::Status status = AddMessage(owned, head, std::move(message));
    if (status.ok()) continue;
    if (!connection_->IsOpen()) return status;
    target_->Rollback();
    Block(owned, status, DisplayTable(body_.schema, body_.table));
    return Rebuild();
  }
  ProgressOf(owned).changes += static_cast<int64_t>(set.changes.size());
  // Dead letters are written piece by piece: they must not pile up in memory.
  RETURN_IF_ERROR(StoreLetters(pending_.letters));
  pending_.letters.clear();
  pending_.letter_bytes = 0;
  if (MeetsLetter(0, set.changes.size())) {
    RETURN_IF_ERROR(ApplySeparating(0, set.changes.size()));
  } else if (absl::Status status = target_->ApplyInSavepoint(&set, 0, set.changes.size());
             !status.ok()) {
    if (!SplitsOn(status)) return status;
    shared_.metrics.batch_splits.Increment();
    RETURN_IF_ERROR(ApplySeparating(0, set.changes.size()));
  }
  set.Clear();
  return absl::OkStatus();
}

// Nothing of it is committed. What is decided goes back with the source: `took` says how often it
// may be tried.
void Worker::FailLarge(const absl::Status& status, absl::Duration took, LargeJob* job) {
  Carried& carried = job->carried;
  const auto found = sources_.find(job->source);
  const bool owned = found != sources_.end();
  const bool open = owned && found->second->open;
  const bool checked = carried.check_deferred;
  if (owned) {
    carried.set_aside = found->second->set_aside;
    carried.check_deferred = found->second->check_deferred;
  }
  pending_.Clear();
  if (connection_ == nullptr || !connection_->IsOpen() ||
      (!IsRebuild(status) && ReactionTo(status).reaction == Reaction::kReconnect &&
       !SqlStateOf(status).empty())) {
    carried.pause = backoff_.Next();
    if (connection_ != nullptr) DropConnection(status);
    return;
  }
  target_->Rollback();
  if (IsRebuild(status)) {  // closed: a reason was found that blocks the source
    if (!open) carried.pause = std::clamp(took * kRestPerAttempt, kLeastRest, kMostRest);
    return;
  }
  if (IsFenced(status) || SqlStateOf(status).empty()) {
    LogLimited(LogLevel::kWarn, "source.large_lost", MessageOf(status), {{"source", job->source}});
    carried.large.reset();  // found again, wherever it is
    carried.pause = kRereadPause;
    return;
  }
  LogLimited(LogLevel::kError, "source.large_failed", LoggableMessage(status),
             {{"source", job->source}, {"sqlstate", SqlStateOf(status)}});
  if (carried.check_deferred && !checked) return;
  shared_.metrics.batch_retries.Increment();
  carried.pause = backoff_.Next();
  carried.waiting = absl::StrFormat(
      "a large transaction (%d bytes) at %s could not be applied, it is tried "
      "again: %s",
      carried.large->bytes, carried.large->position.ToString(), LoggableMessage(status));
}

}  // namespace pmoves
