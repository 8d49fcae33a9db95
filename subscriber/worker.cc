#include "subscriber/worker.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "common/base/check.h"
#include "common/base/reaction.h"
#include "common/base/status.h"
#include "common/io/log.h"
#include "proto/subject.h"
#include "subscriber/core/bisect.h"

namespace pmoves {
namespace {

constexpr absl::Duration kIdleWait = absl::Seconds(1);
// A half-received oversized transaction holds a central transaction open: not longer than this without a new message.
constexpr absl::Duration kPieceWait = absl::Seconds(10);

// Signals between SetAside and HandleFailure that the batch must be made anew: the policy of the table was carried out.
constexpr const char kRebuildPayload[] = "pmoves/rebuild";

absl::Status Rebuild() {
  absl::Status status = absl::AbortedError("the batch is made anew");
  status.SetPayload(kRebuildPayload, absl::Cord("1"));
  return status;
}

bool IsRebuild(const absl::Status& status) { return status.GetPayload(kRebuildPayload).has_value(); }

}  // namespace

Worker::Worker(int index, Shared shared)
    : index_(index), shared_(shared), backoff_(shared.config.retry.initial, shared.config.retry.max, static_cast<uint32_t>(index) + 17) {}

Worker::~Worker() { Stop(); }

void Worker::Start() {
  thread_ = std::thread([this] { Run(); });
}

void Worker::Stop() {
  stop_ = true;
  {
    MutexLock lock(mutex_);
    wake_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

void Worker::Claim(const std::string& source) {
  MutexLock lock(mutex_);
  claims_.insert(source);
  wake_.notify_all();
}

void Worker::Release(const std::string& source) {
  MutexLock lock(mutex_);
  releases_.insert(source);
  wake_.notify_all();
}

void Worker::Ready(const std::string& stream) {
  MutexLock lock(mutex_);
  ready_.insert(stream);
  wake_.notify_all();
}

void Worker::WaitForWork(absl::Time deadline) {
  MutexLock lock(mutex_);
  const auto until = absl::ToChronoTime(deadline);
  while (!stopping() && claims_.empty() && releases_.empty() && ready_.empty()) {
    if (wake_.wait_until(mutex_, until) == std::cv_status::timeout) return;
  }
}

void Worker::Run() {
  while (!stopping()) {
    if (!EnsureConnection().ok()) {
      WaitForWork(std::max(connect_at_, absl::Now() + absl::Milliseconds(50)));
      {
        MutexLock lock(mutex_);  // nothing can be claimed without a connection; the coordinator asks again
        claims_.clear();
        ready_.clear();
      }
      continue;
    }
    CarryOutRequests();
    if (connection_ != nullptr) OpenSources();
    if (connection_ == nullptr) continue;
    if (BuildBatch()) {
      if (absl::Status status = CommitBatch(); !status.ok()) HandleFailure(status);
      continue;
    }
    absl::Time deadline = absl::Now() + kIdleWait;
    for (const auto& [name, owned] : sources_) {
      if (!owned->open) deadline = std::min(deadline, std::max(owned->open_at, absl::Now() + absl::Milliseconds(10)));
    }
    WaitForWork(deadline);
  }
  while (!sources_.empty()) GiveUp(std::string(sources_.begin()->first));
}

// Gathers whole transactions, source by source in turn. True when there is something to commit.
bool Worker::BuildBatch() {
  pending_.Clear();
  auto next = sources_.upper_bound(turn_);
  for (size_t visited = 0; visited < sources_.size(); ++visited) {
    if (next == sources_.end()) next = sources_.begin();
    Owned& owned = *next->second;
    ++next;
    if (!owned.open) continue;
    PumpSource(owned);
    while (owned.open && owned.feed.HasNext()) {
      const bool full = static_cast<int64_t>(pending_.set.changes.size()) >= shared_.config.batch.max_rows ||
                        static_cast<int64_t>(pending_.set.bytes()) >= 2 * shared_.config.batch.max_bytes;
      if (full) return true;
      turn_ = owned.source;
      if (absl::Status status = AddTransaction(owned, owned.feed.Next()); !status.ok()) {
        Block(owned, status, "");
        break;
      }
      if (!owned.feed.HasNext()) PumpSource(owned);
    }
    if (owned.open && owned.feed.Oversized() && pending_.progress.empty()) {
      turn_ = owned.source;
      if (absl::Status status = StreamOversized(owned); !status.ok()) HandleFailure(status);
      if (connection_ == nullptr) return false;
      pending_.Clear();
    }
  }
  return !pending_.progress.empty() || !pending_.letters.empty();
}

// All of the transaction, or a status (then nothing of it is in the batch) because the source must wait.
absl::Status Worker::AddTransaction(Owned& owned, FedTransaction transaction) {
  if (transaction.quarantine.has_value()) {
    LogWarn("message.quarantined", transaction.quarantine->message,
            {{"source", owned.source}, {"sequence", transaction.sequence}, {"reason", transaction.quarantine->reason}});
    owned.metrics.dead_lettered.Increment();
    pending_.letters.push_back(*std::move(transaction.quarantine));
    if (auto found = pending_.progress.find(&owned); found != pending_.progress.end()) {
      found->second.sequence = transaction.sequence;
    } else {
      SourceProgress& progress = pending_.progress[&owned];
      progress = {owned.source, owned.epoch, owned.position, owned.epoch, owned.position, Hlc{}, owned.stream_created, transaction.sequence, "", 0, 0, 0};
    }
    return absl::OkStatus();
  }
  ChangeSet& set = pending_.set;
  const size_t changes = set.changes.size();
  const size_t letters = pending_.letters.size();
  const size_t messages = set.messages.size();
  for (auto& message : transaction.messages) {
    if (absl::Status status = AddMessage(owned, transaction, std::move(message)); !status.ok()) {
      set.changes.resize(changes);
      pending_.letters.resize(letters);
      set.messages.resize(messages);
      return status;
    }
  }
  Advance(owned, transaction);
  pending_.progress[&owned].changes += static_cast<int64_t>(set.changes.size() - changes);
  return absl::OkStatus();
}

void Worker::Advance(Owned& owned, const FedTransaction& transaction) {
  auto [found, inserted] = pending_.progress.try_emplace(&owned);
  SourceProgress& progress = found->second;
  if (inserted) {
    progress.source = owned.source;
    progress.old_epoch = owned.epoch;
    progress.old_position = owned.position;
    progress.stream_created = owned.stream_created;
  }
  progress.epoch = transaction.epoch;
  progress.position = transaction.position;
  progress.origin = transaction.origin;
  progress.sequence = transaction.sequence;
  ++progress.transactions;
}

absl::Status Worker::AddMessage(Owned& owned, const FedTransaction& transaction, std::unique_ptr<ReceivedMessage> message) {
  ReceivedMessage& received = *message;
  auto refuse = [&](const char* reason, const absl::Status& why) {
    DeadLetter letter = DeadLetterOf(owned.source, received, reason, why);
    letter.schema = body_.schema;
    letter.table = body_.table;
    letter.commit_us = body_.commit_us;
    LogWarn("message.quarantined", MessageOf(why), {{"source", owned.source}, {"sequence", received.sequence}, {"reason", reason}});
    owned.metrics.dead_lettered.Increment();
    TableActivity& activity = pending_.activity[&owned][letter.table.empty() ? "*" : letter.table];
    ++activity.set_aside;
    pending_.letters.push_back(std::move(letter));
    return absl::OkStatus();
  };
  body_ = proto::Body();
  if (absl::Status status = body_reader_.Read(&received.body, &body_); !status.ok()) return refuse("malformed", status);
  auto subject = proto::ParseSubject(received.subject);
  if (!subject.ok()) return refuse("malformed", subject.status());
  SourceProgress& progress = pending_.progress.try_emplace(&owned, SourceProgress{owned.source, owned.epoch, owned.position, owned.epoch, owned.position, Hlc{},
                                                                                  owned.stream_created, owned.sequence, "", 0, 0, 0}).first->second;
  progress.hlc = std::max(progress.hlc, Hlc{received.envelope.hlc.value + static_cast<int64_t>(body_.changes())});
  for (const proto::TransactionEntry& entry : body_.transactions) progress.hlc = std::max(progress.hlc, Hlc{entry.hlc.value + entry.rows});
  if (body_.operation == proto::Operation::kProgress) return absl::OkStatus();
  if (subject->schema != body_.schema || subject->table != body_.table || subject->operation != body_.operation || body_.source != owned.source) {
    return refuse("forged", absl::InvalidArgumentError("the body names another table, operation or source than the subject"));
  }
  if (owned.set_aside.count(transaction.position) > 0) {
    return refuse("transaction", absl::InvalidArgumentError("another change of its transaction could not be written (on_error: transaction)"));
  }
  auto table = catalog_->Find(body_.schema, body_.table);
  if (table.status().code() == absl::StatusCode::kNotFound) return refuse("not_configured", table.status());
  RETURN_IF_ERROR(table.status());
  if (catalog_->generation() != catalog_generation_) {
    target_->ForgetStatements();
    catalog_generation_ = catalog_->generation();
  }
  if (!(*table)->Allows(owned.source)) {
    return refuse("not_allowed", absl::InvalidArgumentError(absl::StrFormat("source %s may not write %s (tables[].sources)", owned.source, (*table)->Name())));
  }
  const size_t before = pending_.set.changes.size();
  absl::Status status = decoder_.Append(body_, received, &owned.source, *table, transaction.after, &pending_.set);
  if (status.code() == absl::StatusCode::kInvalidArgument) return refuse("malformed", status);
  RETURN_IF_ERROR(status);
  progress.commit_us = std::max(progress.commit_us, body_.commit_us);
  if (pending_.oldest_commit_us == 0) pending_.oldest_commit_us = body_.commit_us;
  pending_.activity[&owned][body_.table].changes += static_cast<int64_t>(pending_.set.changes.size() - before);
  pending_.set.message_bytes += received.body.size();
  pending_.set.messages.push_back(std::move(message));
  return absl::OkStatus();
}

absl::Status Worker::CommitBatch() {
  const absl::Time begun = absl::Now();
  absl::Status status = ApplyPending(false);
  for (int attempt = 0; !status.ok() && !stopping(); ++attempt) {
    const Reaction reaction = ReactionTo(status).reaction;
    if (IsRebuild(status)) return status;
    if (reaction == Reaction::kReconnect || reaction == Reaction::kStop || !connection_->IsOpen()) return status;
    target_->Rollback();
    if (MessageOf(status).rfind("fenced", 0) == 0) return status;
    if (reaction == Reaction::kRetry) {
      shared_.metrics.batch_retries.Increment();
      LogLimited(LogLevel::kWarn, "batch.retry", LoggableMessage(status), {{"worker", index_}, {"sqlstate", SqlStateOf(status)}});
      MutexLock lock(mutex_);
      wake_.wait_until(mutex_, absl::ToChronoTime(absl::Now() + backoff_.Next()), [this] { return stopping(); });
    } else {
      shared_.metrics.batch_splits.Increment();
      LogLimited(LogLevel::kWarn, "batch.split", LoggableMessage(status), {{"worker", index_}, {"sqlstate", SqlStateOf(status)}});
    }
    status = ApplyPending(reaction != Reaction::kRetry);
    if (!status.ok() && reaction != Reaction::kRetry && ReactionTo(status).reaction != Reaction::kRetry) return status;
  }
  if (!status.ok()) return status;
  AfterCommit(begun);
  return absl::OkStatus();
}

absl::Status Worker::ApplyPending(bool separating) {
  RETURN_IF_ERROR(target_->Begin());
  const size_t letters = pending_.letters.size();
  absl::Status status = separating ? ApplySeparating(0, pending_.set.changes.size()) : target_->Apply(&pending_.set, 0, pending_.set.changes.size());
  if (status.ok()) status = target_->AddDeadLetters(pending_.letters);
  std::vector<SourceProgress> progress;
  for (const auto& [owned, source] : pending_.progress) progress.push_back(source);
  if (status.ok() && !progress.empty()) status = target_->Advance(progress);
  if (status.ok()) status = target_->Commit();
  if (!status.ok()) pending_.letters.resize(std::min(letters, pending_.letters.size()));
  return status;
}

absl::Status Worker::ApplySeparating(size_t begin, size_t end) {
  BisectCallbacks callbacks;
  callbacks.try_range = [this](size_t from, size_t to) { return target_->ApplyInSavepoint(&pending_.set, from, to); };
  callbacks.splits_on = [this](const absl::Status& status) {
    if (!connection_->IsOpen()) return false;
    const Reaction reaction = ReactionTo(status).reaction;
    return reaction == Reaction::kSplit || reaction == Reaction::kBlock;
  };
  callbacks.set_aside = [this](size_t index, const absl::Status& why) { return SetAside(index, why); };
  return Bisect(begin, end, callbacks);
}

// What becomes of one change that cannot be written: its table's on_error says.
absl::Status Worker::SetAside(size_t index, const absl::Status& why) {
  const Change& change = pending_.set.changes[index];
  Owned& owned = *sources_.at(*change.source);
  if (ReactionTo(why).reaction == Reaction::kBlock || change.table->on_error == OnError::kBlock) {
    target_->Rollback();
    Block(owned, absl::Status(why.code(), absl::StrFormat("%s: %s", change.table->Name(), LoggableMessage(why))), change.table->table);
    return Rebuild();
  }
  if (change.table->on_error == OnError::kTransaction) {
    target_->Rollback();
    owned.set_aside.insert(change.message->envelope.position);
    return Rebuild();
  }
  DeadLetter letter = DeadLetterOf(change, why);
  LogWarn("change.set_aside", "a change could not be written and was set aside",
          {{"source", owned.source}, {"table", change.table->Name()}, {"reason", letter.reason}, {"sqlstate", letter.sql_state}, {"position", letter.position.ToString()}});
  owned.metrics.dead_lettered.Increment();
  ++pending_.activity[&owned][change.table->table].set_aside;
  pending_.letters.push_back(std::move(letter));
  return absl::OkStatus();
}

void Worker::AfterCommit(absl::Time begun) {
  const absl::Time now = absl::Now();
  backoff_.Reset();
  shared_.metrics.batches.Increment();
  shared_.metrics.batch_changes.Observe(static_cast<double>(pending_.set.changes.size()));
  shared_.metrics.batch_duration.Observe(absl::ToDoubleSeconds(now - begun));
  if (pending_.oldest_commit_us != 0) {
    shared_.metrics.end_to_end.Observe(absl::ToDoubleSeconds(now - absl::FromUnixMicros(pending_.oldest_commit_us)));
  }
  const int64_t hidden = target_->hidden();
  for (auto& [owned, progress] : pending_.progress) {
    owned->epoch = progress.epoch;
    owned->position = progress.position;
    owned->sequence = progress.sequence;
    owned->from_start = false;
    owned->set_aside.erase(owned->set_aside.begin(), owned->set_aside.upper_bound(progress.position));
    owned->metrics.transactions.Increment(static_cast<double>(progress.transactions));
    owned->metrics.applied.Increment(static_cast<double>(progress.changes));
    shared_.fleet.Update(owned->source, [&, moved = progress, source = owned](SourceState& state) {
      state.blocked = false;
      state.reason.clear();
      state.blocked_table.clear();
      state.epoch = moved.epoch;
      state.position = moved.position;
      state.hlc = std::max(state.hlc, moved.hlc);
      state.sequence = moved.sequence;
      state.last_commit_us = std::max(state.last_commit_us, moved.commit_us);
      state.applied_at = now;
      state.waiting_since_us = source->feed.waiting_since_us();
      for (const auto& [table, activity] : pending_.activity[source]) {
        state.tables[table].changes += activity.changes;
        state.tables[table].set_aside += activity.set_aside;
      }
    });
  }
  if (hidden > 0 && pending_.progress.size() == 1) pending_.progress.begin()->first->metrics.hidden.Increment(static_cast<double>(hidden));
  pending_.Clear();
}

// A batch could not be committed: nothing of it is. Its sources are read again from the positions in the centre.
void Worker::HandleFailure(const absl::Status& status) {
  const Reaction reaction = ReactionTo(status).reaction;
  if (connection_ == nullptr) return;
  if (!connection_->IsOpen() || (reaction == Reaction::kReconnect && !IsRebuild(status))) return DropConnection(status);
  target_->Rollback();
  const bool fenced = MessageOf(status).rfind("fenced", 0) == 0;
  if (!IsRebuild(status)) {
    LogLimited(LogLevel::kError, fenced ? "batch.fenced" : "batch.failed", LoggableMessage(status), {{"worker", index_}, {"sqlstate", SqlStateOf(status)}});
  }
  // An unfinished large transaction is applied from its start at each attempt: not too often.
  const absl::Duration pause = IsRebuild(status)                                            ? absl::ZeroDuration()
                               : status.code() == absl::StatusCode::kDeadlineExceeded ? absl::Seconds(30)
                                                                                      : absl::Seconds(1);
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

// One source transaction that is larger than a batch: its pieces go into one open central transaction (S2), as they come.
absl::Status Worker::StreamOversized(Owned& owned) {
  const absl::Time begun = absl::Now();
  pending_.Clear();
  (void)owned.feed.TakeRestarted();
  RETURN_IF_ERROR(target_->Begin());
  absl::Status status = StreamPieces(owned);
  std::vector<SourceProgress> progress;
  for (const auto& [source, moved] : pending_.progress) progress.push_back(moved);
  if (status.ok()) status = target_->AddDeadLetters(pending_.letters);
  if (status.ok()) status = target_->Advance(progress);
  if (status.ok()) status = target_->Commit();
  if (status.ok()) {
    AfterCommit(begun);
    return status;
  }
  pending_.progress.try_emplace(&owned);  // so that HandleFailure resets this source
  return status;
}

absl::Status Worker::StreamPieces(Owned& owned) {
  bool complete = false;
  FedTransaction head;
  while (!complete) {
    auto piece = owned.feed.TakePiece(&complete, &head);
    ChangeSet& set = pending_.set;
    for (auto& message : piece) RETURN_IF_ERROR(AddMessage(owned, head, std::move(message)));
    pending_.progress[&owned].changes += static_cast<int64_t>(set.changes.size());
    if (absl::Status status = target_->ApplyInSavepoint(&set, 0, set.changes.size()); !status.ok()) {
      const Reaction reaction = ReactionTo(status).reaction;
      if (reaction != Reaction::kSplit && reaction != Reaction::kBlock) return status;
      shared_.metrics.batch_splits.Increment();
      RETURN_IF_ERROR(ApplySeparating(0, set.changes.size()));
    }
    // Dead letters are written piece by piece: they must not pile up in memory.
    RETURN_IF_ERROR(target_->AddDeadLetters(pending_.letters));
    pending_.letters.clear();
    set.Clear();
    absl::Time deadline = absl::Now() + kPieceWait;
    while (!complete && !owned.feed.Oversized()) {
      if (stopping()) return absl::CancelledError("stopping");
      {
        MutexLock lock(mutex_);
        if (ready_.erase(owned.stream) > 0) owned.ready = true;
        if (!owned.ready) {
          if (absl::Now() > deadline) return absl::DeadlineExceededError("the rest of a large transaction did not arrive");
          wake_.wait_until(mutex_, absl::ToChronoTime(std::min(deadline, absl::Now() + kIdleWait)));
          continue;
        }
      }
      PumpSource(owned);
      if (!owned.open) return absl::AbortedError("the reading broke inside a large transaction");
      if (owned.feed.TakeRestarted()) return absl::AbortedError("the source sends a large transaction anew");
      if (owned.feed.HalfComplete()) break;
      deadline = absl::Now() + kPieceWait;
    }
  }
  Advance(owned, head);
  return absl::OkStatus();
}

}  // namespace pmoves
