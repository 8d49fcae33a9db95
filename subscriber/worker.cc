#include "subscriber/worker.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "common/base/status.h"
#include "common/io/log.h"
#include "common/io/steady_time.h"
#include "proto/subject.h"
#include "subscriber/core/source_relation.h"

namespace pmoves {
namespace {

// At 10,000 transactions a second a temporary table is then 6 million old: far from what makes the
// server worry (autovacuum_freeze_max_age, 200 million).
constexpr absl::Duration kLongestStage = absl::Minutes(10);
constexpr absl::Duration kIdleWait = absl::Seconds(1);

absl::Status TransactionSetAside(const absl::Status& cause) {
  return WithSqlState(
      absl::InvalidArgumentError(absl::StrFormat(
          "a change of its transaction could not be written (on_error: transaction): %s",
          MessageOf(cause))),
      SqlStateOf(cause));
}

absl::Status TruncateSetAside() {
  return absl::InvalidArgumentError(
      "a TRUNCATE waits for a person (truncate: quarantine): a retry removes the rows that its "
      "source wrote last, up to then; discarded, they stay");
}

}  // namespace

Worker::Worker(int index, std::unique_ptr<JetStreamSource> reader, Shared shared)
    : index_(index),
      shared_(shared),
      reader_(std::move(reader)),
      backoff_(shared.config.retry.initial, shared.config.retry.max,
               static_cast<uint32_t>(index) + 17),
      memory_(static_cast<size_t>(MemoryOfWorker(shared.config))) {}

Worker::~Worker() { Stop(); }

void Worker::Start() {
  thread_ = std::thread([this] { Run(); });
}

void Worker::AskToStop() {
  stop_ = true;
  MutexLock lock(mutex_);
  wake_.notify_all();
}

void Worker::Stop() {
  AskToStop();
  if (thread_.joinable()) thread_.join();
}

void Worker::Claim(const std::string& source, Carried carried) {
  {
    MutexLock lock(mutex_);
    // What comes back from the large worker knows more than a claim of the coordinator.
    const auto [found, inserted] = claims_.try_emplace(source, carried);
    if (!inserted && carried.large.has_value()) found->second = std::move(carried);
  }
  wake_.notify_all();
}

void Worker::Release(const std::string& source) {
  {
    MutexLock lock(mutex_);
    releases_.insert(source);
  }
  wake_.notify_all();
}

bool Worker::HasRequests() const { return stopping() || !claims_.empty() || !releases_.empty(); }

bool Worker::IsAsked() {
  MutexLock lock(mutex_);
  return HasRequests();
}

bool Worker::Reads() const {
  return std::any_of(sources_.begin(), sources_.end(),
                     [](const auto& each) { return each.second->open; });
}

// News of a source may have come while another one was looked at.
bool Worker::HasNews() const {
  return std::any_of(sources_.begin(), sources_.end(),
                     [](const auto& each) { return each.second->open && each.second->ready; });
}

void Worker::WaitForWork(absl::Time deadline) {
  if (Reads()) {
    if (!HasNews() && !IsAsked()) {
      AwaitMessages(std::min(deadline - MonotonicTime(), kRequestWait));
    }
    return;
  }
  MutexLock lock(mutex_);
  const SteadyTime until = SteadyIn(deadline - MonotonicTime());
  while (!HasRequests()) {
    if (wake_.wait_until(mutex_, until) == std::cv_status::timeout) return;
  }
}

bool Worker::WaitForMore(std::chrono::steady_clock::time_point deadline) {
  while (Reads() && !IsAsked()) {
    if (HasNews()) return true;
    const auto left = absl::FromChrono(deadline - std::chrono::steady_clock::now());
    if (left <= absl::ZeroDuration()) return false;
    AwaitMessages(std::min(left, kRequestWait));
  }
  return false;
}

void Worker::Run() {
  shared_.large == nullptr ? WorkLarge() : Work();
  while (!sources_.empty()) GiveUp(std::string(sources_.begin()->first));
}

void Worker::Work() {
  while (!stopping()) {
    if (!EnsureConnection().ok()) {
      WaitForWork(std::max(connect_at_, MonotonicTime() + absl::Milliseconds(50)));
      // Nothing can be claimed without a connection; the coordinator asks again.
      MutexLock lock(mutex_);
      claims_.clear();
      releases_.clear();  // nothing is owned
      continue;
    }
    CarryOutRequests();
    if (connection_ != nullptr) OpenSources();
    if (connection_ == nullptr) continue;
    if (BuildBatch()) {
      if (absl::Status status = CommitBatch(); !status.ok()) HandleFailure(status);
      continue;
    }
    absl::Time deadline = MonotonicTime() + kIdleWait;
    for (const auto& [name, owned] : sources_) {
      if (!owned->open)
        deadline =
            std::min(deadline, std::max(owned->open_at, MonotonicTime() + absl::Milliseconds(10)));
    }
    WaitForWork(deadline);
  }
}

// True when there is something to commit.
bool Worker::BuildBatch() {
  pending_.Clear();
  target_->RenewStages(kLongestStage);
  const auto begun = std::chrono::steady_clock::now();
  while (!Gather() && !pending_.progress.empty() &&
         WaitForMore(begun + absl::ToChronoNanoseconds(PatienceNow()))) {
  }
  return connection_ != nullptr && (!pending_.progress.empty() || !pending_.letters.empty());
}

absl::Duration Worker::PatienceNow() const {
  absl::Duration patience = failed_ ? absl::ZeroDuration() : shared_.config.batch.max_wait;
  for (const auto& [name, owned] : sources_) {  // one that is closed must not wait for the others
    if (!owned->open) patience = std::min(patience, owned->open_at - MonotonicTime());
  }
  return std::max(patience, absl::ZeroDuration());
}

// Adds whole transactions, source by source in turn. True when the batch must not wait for more.
bool Worker::Gather() {
  AwaitMessages(absl::ZeroDuration());
  bool passed_over = false;  // its batch is the next one: this one must not wait
  auto next = sources_.upper_bound(turn_);
  for (size_t visited = 0; visited < sources_.size(); ++visited) {
    if (next == sources_.end()) next = sources_.begin();
    Owned& owned = *next->second;
    ++next;
    if (!owned.open) continue;
    if (!PassesAlone(owned)) {
      passed_over = passed_over || owned.ready || owned.feed.HasNext();
      continue;
    }
    PumpSource(owned);
    while (owned.open && owned.feed.HasNext()) {
      if (IsFull()) return true;
      turn_ = owned.source;
      if (absl::Status status = AddTransaction(owned, owned.feed.Next()); !status.ok()) {
        Block(owned, status, DisplayTable(body_.schema, body_.table));
        break;
      }
      CountHeld(owned);
      if (HasItsShare(owned)) return true;
      if (!owned.feed.HasNext()) {
        AwaitMessages(absl::ZeroDuration());
        PumpSource(owned);
      }
    }
    if (owned.alone > 0 && pending_.progress.count(&owned) > 0) return true;
    // What it waits for is told when all before that is committed.
    if (owned.open && !owned.feed.trouble().ok() && pending_.progress.count(&owned) > 0) {
      return true;
    }
    if (!owned.open || !owned.feed.HasLarge()) continue;
    if (pending_.progress.count(&owned) > 0) return true;  // what is before it comes first
    KeepLarge(owned);
  }
  return passed_over || IsFull();
}

bool Worker::IsFull() const {
  const auto rows = static_cast<int64_t>(pending_.set.changes.size() + pending_.letters.size());
  const auto bytes = static_cast<int64_t>(pending_.set.bytes() + pending_.letter_bytes);
  return rows >= shared_.config.batch.max_rows || bytes >= 2 * shared_.config.batch.max_bytes;
}

// Kept in memory until the batch is committed.
void Worker::AddLetter(DeadLetter letter) {
  pending_.letter_bytes += letter.payload.size();
  pending_.letters.push_back(std::move(letter));
}

// All of the transaction, or a status (then nothing of it is in the batch) because the source must
// wait.
absl::Status Worker::AddTransaction(Owned& owned, FedTransaction transaction) {
  if (transaction.quarantine.has_value()) {
    LogWarn("message.quarantined", transaction.quarantine->message,
            {{"source", owned.source},
             {"sequence", transaction.quarantine->sequence},
             {"reason", transaction.quarantine->reason}});
    owned.metrics.dead_lettered.Increment();
    AddLetter(*std::move(transaction.quarantine));
    SourceProgress& progress = ProgressOf(owned);
    progress.sequence = std::max(progress.sequence, transaction.sequence);
    return absl::OkStatus();
  }
  if (transaction.superseded) {
    LogInfo("source.superseded",
            "a transaction was begun and then sent anew; what there was of it is purged",
            {{"source", owned.source},
             {"position", transaction.position.ToString()},
             {"last_sequence", transaction.sequence}});
    owned.metrics.prefixes_dropped.Increment();
    SourceProgress& progress = ProgressOf(owned);
    progress.sequence = std::max(progress.sequence, transaction.sequence);
    progress.purge_to = progress.sequence;
    return absl::OkStatus();
  }
  ChangeSet& set = pending_.set;
  const size_t changes = set.changes.size();
  const size_t letters = pending_.letters.size();
  const size_t letter_bytes = pending_.letter_bytes;
  const size_t messages = set.messages.size();
  const bool in_batch = pending_.progress.count(&owned) > 0;
  const SourceClock clock = owned.clock;
  for (auto& message : transaction.messages) {
    if (absl::Status status = AddMessage(owned, transaction, std::move(message)); !status.ok()) {
      set.changes.resize(changes);
      pending_.letters.resize(letters);
      pending_.letter_bytes = letter_bytes;
      set.messages.resize(messages);
      owned.clock = clock;
      if (!in_batch) pending_.progress.erase(&owned);  // nothing of this source is committed
      return status;
    }
  }
  Advance(owned, transaction);
  ProgressOf(owned).changes += static_cast<int64_t>(set.changes.size() - changes);
  return absl::OkStatus();
}

// Until Advance, an entry that moves nothing.
SourceProgress& Worker::ProgressOf(Owned& owned) {
  auto [found, inserted] = pending_.progress.try_emplace(&owned);
  SourceProgress& progress = found->second;
  if (inserted) {
    progress.source = owned.source;
    progress.epoch = progress.old_epoch = owned.epoch;
    progress.position = progress.old_position = owned.position;
    progress.stream_created = owned.stream_created;
    progress.sequence = owned.sequence;
  }
  return progress;
}

void Worker::Advance(Owned& owned, const FedTransaction& transaction) {
  SourceProgress& progress = ProgressOf(owned);
  progress.epoch = transaction.epoch;
  progress.position = transaction.position;
  progress.origin = transaction.origin;
  progress.sequence = transaction.sequence;
  ++progress.transactions;
}

void Worker::Refuse(Owned& owned, const FedTransaction& transaction, const ReceivedMessage& message,
                    const char* reason, const absl::Status& why) {
  DeadLetter letter = DeadLetterOf(owned.source, message, reason, why);
  letter.schema = body_.schema;
  letter.table = body_.table;
  letter.commit_us = body_.commit_us;
  letter.hlc =
      owned.clock.Reserve(body_, message, transaction.after, shared_.config.conflicts.max_future);
  LogWarn("message.quarantined", MessageOf(why),
          {{"source", owned.source}, {"sequence", message.sequence}, {"reason", reason}});
  owned.metrics.dead_lettered.Increment();
  ++pending_
        .activity[&owned][letter.table.empty() ? "*" : DisplayTable(letter.schema, letter.table)]
        .set_aside;
  if (!letter.table.empty() && letter.reason != "forged") LackMessage(owned, letter);
  AddLetter(std::move(letter));
}

// Whatever comes later of the table must not rely on the rows of the message.
void Worker::LackMessage(Owned& owned, const DeadLetter& letter) {
  owned.letters.AddTable(letter.schema, letter.table);
  std::erase_if(pending_.settled, [&](const Settled& row) {
    return row.owned == &owned && row.key.empty() && row.table == letter.table &&
           row.schema == letter.schema;
  });
}

absl::Status Worker::AddMessage(Owned& owned, const FedTransaction& transaction,
                                std::unique_ptr<ReceivedMessage> message) {
  ReceivedMessage& received = *message;
  auto refuse = [&](const char* reason, const absl::Status& why) {
    Refuse(owned, transaction, received, reason, why);
    return absl::OkStatus();
  };
  body_ = proto::Body();
  if (absl::Status status = body_reader_.Read(&received.body, &body_); !status.ok())
    return refuse("malformed", status);
  auto subject = proto::ParseSubject(received.subject);
  if (!subject.ok()) return refuse("malformed", subject.status());
  if (body_.operation == proto::Operation::kProgress) {
    owned.clock.Pass(received, body_.commit_us, shared_.config.conflicts.max_future);
    return absl::OkStatus();
  }
  if (body_.operation == proto::Operation::kRelation) {
    if (subject->operation != body_.operation || body_.source != owned.source) {
      return refuse("forged", absl::InvalidArgumentError(
                                  "the body names another operation or source than the subject"));
    }
    ProgressOf(owned);
    const auto described = FindTable();
    // What is wrong with the table, or with its configuration, its rows will show.
    if (!described.ok() || !(*described)->Allows(owned.source)) return absl::OkStatus();
    return KeyMismatch(body_.relation, **described);
  }
  if (subject->schema != body_.schema || subject->table != body_.table ||
      subject->operation != body_.operation || body_.source != owned.source) {
    return refuse("forged",
                  absl::InvalidArgumentError(
                      "the body names another table, operation or source than the subject"));
  }
  auto table = FindTable();
  if (table.status().code() == absl::StatusCode::kNotFound)
    return refuse("not_configured", table.status());
  RETURN_IF_ERROR(table.status());
  if (!(*table)->Allows(owned.source)) {
    return refuse("not_allowed", absl::InvalidArgumentError(absl::StrFormat(
                                     "source %s may not write %s (tables[].sources)", owned.source,
                                     (*table)->Name())));
  }
  const size_t before = pending_.set.changes.size();
  absl::Status status =
      decoder_.Append(body_, received, &owned.source, *table, transaction.after, &pending_.set);
  if (absl::IsFailedPrecondition(status) || absl::IsInvalidArgument(status)) {
    // The centre may have been altered since its tables were read.
    catalog_->Invalidate();
    ASSIGN_OR_RETURN(TargetTable* const fresh, FindTable());
    if (fresh != *table)
      status =
          decoder_.Append(body_, received, &owned.source, fresh, transaction.after, &pending_.set);
  }
  if (status.code() == absl::StatusCode::kInvalidArgument) return refuse("malformed", status);
  RETURN_IF_ERROR(status);
  owned.clock.Stamp(&pending_.set, before);
  const bool quarantined = body_.operation == proto::Operation::kTruncate &&
                           (*table)->policy.truncate == TruncatePolicy::kQuarantine;
  const Hlc horizon = target_->HorizonOf(**table);
  if (quarantined || horizon.value > 0 || !owned.set_aside.empty()) {
    Divert(owned, before, horizon);
  }
  SourceProgress& progress = ProgressOf(owned);
  progress.commit_us = std::max(progress.commit_us, body_.commit_us);
  if (pending_.oldest_commit_us == 0) pending_.oldest_commit_us = body_.commit_us;
  pending_.activity[&owned][DisplayTable(body_.schema, body_.table)].changes +=
      static_cast<int64_t>(pending_.set.changes.size() - before);
  pending_.set.message_bytes += received.body.size();
  pending_.set.messages.push_back(std::move(message));
  return absl::OkStatus();
}

absl::StatusOr<TargetTable*> Worker::FindTable() {
  ASSIGN_OR_RETURN(TargetTable* const table, catalog_->Find(body_.schema, body_.table));
  if (catalog_->generation() != catalog_generation_) {
    target_->ForgetStatements();
    catalog_generation_ = catalog_->generation();
  }
  return table;
}

void Worker::Divert(Owned& owned, size_t first_change, Hlc horizon) {
  std::vector<Change>& changes = pending_.set.changes;
  auto diverted = [&](const Change& change) {
    const char* reason = nullptr;
    absl::Status why;
    if (const auto found = owned.set_aside.find(change.position); found != owned.set_aside.end()) {
      reason = "transaction";
      why = TransactionSetAside(found->second);
    } else if (change.kind == ChangeKind::kTruncate &&
               change.table->policy.truncate == TruncatePolicy::kQuarantine) {
      reason = "truncate";
      why = TruncateSetAside();
    } else if (change.hlc < horizon && !change.refetched) {
      reason = kTooLate.data();
      why = ComesTooLate(*change.table);
      owned.metrics.too_late.Increment();
    }
    if (reason == nullptr) return false;
    DeadLetter letter = DeadLetterOf(pending_.set, change, why);
    letter.reason = reason;
    if (!letter.key.empty()) owned.letters.Add(letter.schema, letter.table, letter.key);
    owned.metrics.dead_lettered.Increment();
    ++pending_
          .activity[&owned][DisplayTable(change.table->SourceSchema(), change.table->SourceTable())]
          .set_aside;
    AddLetter(std::move(letter));
    return true;
  };
  changes.erase(std::remove_if(changes.begin() + static_cast<ptrdiff_t>(first_change),
                               changes.end(), diverted),
                changes.end());
}

}  // namespace pmoves
