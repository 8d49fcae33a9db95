// Worker: one thread, one connection to the centre, some sources. Applies their transactions in
// order, many in one central transaction.
//
// In the flow:  JetStreamSource -> SourceFeed -> Worker -> RowDecoder -> PgTarget -> central
// Postgres
//
// A source belongs to one worker of all processes at a time, by a Postgres advisory lock of the
// worker's connection: when the process dies the lock goes with the connection and another takes
// over. The position row fences a worker that lost its lock without noticing. Crash-only: any doubt
// (connection broke, commit outcome unknown, fenced, a broken reading) drops what is in memory,
// reads the position row and the stream again from there. Invariant:  what is committed of a source
// is always a whole number of its transactions (S2), each once (S3).
//
// A transaction that is larger than a batch is carried out by another worker, the large one, which
// does nothing else (large_lane.h): the worker that finds it complete in the stream gives its
// source away for as long as that takes. So neither a large transaction nor half of one holds up
// others. Thread:     Claim, Release, TakeOver, AskToStop and Stop from any thread; everything else
// in the worker's own.
#ifndef PMOVES_SUBSCRIBER_WORKER_H_
#define PMOVES_SUBSCRIBER_WORKER_H_

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/base/mutex.h"
#include "common/io/backoff.h"
#include "common/io/jetstream.h"
#include "common/io/pg_connection.h"
#include "proto/message_codec.h"
#include "subscriber/config.h"
#include "subscriber/core/change.h"
#include "subscriber/core/open_letters.h"
#include "subscriber/core/row_decoder.h"
#include "subscriber/core/source_clock.h"
#include "subscriber/fleet_state.h"
#include "subscriber/io/jetstream_source.h"
#include "subscriber/io/pg_catalog.h"
#include "subscriber/io/pg_target.h"
#include "subscriber/large_lane.h"
#include "subscriber/metrics.h"
#include "subscriber/source_feed.h"

namespace pmoves {

class Worker {
 public:
  // All must outlive the worker.
  struct Shared {
    const SubscriberConfig& config;
    JetStream& jetstream;
    FleetState& fleet;
    SubscriberMetrics& metrics;
    LargeLane& lane;
    Worker* large = nullptr;  // the one for large transactions; none: this is it
  };
  // What is known of a source beside its row in the centre, when it goes from worker to worker.
  struct Carried {
    std::optional<LargeTransaction> large;  // is next
    // Transactions that go to the dead letters whole (on_error: transaction), and why.
    std::map<Lsn, absl::Status> set_aside;
    // The commit of a large transaction was refused: its pieces are checked one by one.
    bool check_deferred = false;
    absl::Duration pause;  // before it is tried again
    std::string waiting;   // why it was not applied, for people
  };
  Worker(int index, std::unique_ptr<JetStreamSource> reader, Shared shared);
  ~Worker();  // Stop()

  void Start();
  // Ends after the batch at hand; Stop waits for that. Safe to call twice.
  void AskToStop();
  void Stop();
  // Try to own this source / give it up. Carried out soon, in the worker's thread.
  void Claim(const std::string& source) { Claim(source, {}); }
  void Claim(const std::string& source, Carried carried);
  // Of the large worker: `home` has released a source, and gets it back. REQUIRES: it is the
  // source's turn in the lane.
  void TakeOver(const std::string& source, Carried carried, Worker* home);
  void Release(const std::string& source);
  int owned() const { return owned_count_.load(); }

 private:
  // Nothing but messages ends the wait for messages: how long a claim or a stop may wait for it.
  static constexpr absl::Duration kRequestWait = absl::Milliseconds(100);

  struct Owned {
    Owned(std::string name, size_t oversized_bytes, SourceMetrics source_metrics)
        : source(std::move(name)), feed(source, oversized_bytes), metrics(source_metrics) {}
    std::string source;
    std::string stream;
    SourceFeed feed;
    SourceClock clock;  // with the batch at hand; OpenSource reads the committed one
    SourceMetrics metrics;
    uint32_t epoch = 0;  // committed
    Lsn position;
    std::string stream_created;
    uint64_t sequence = 0;
    bool open = false;
    bool ready = false;        // the reader may have something
    bool cannot_open = false;  // the last try failed, and is shown
    bool from_start = false;   // read the stream from its first message: the hint led to a gap
    absl::Time open_at = absl::InfinitePast();  // not before
    std::optional<LargeTransaction> large;  // is next; until that is applied the source is closed
    std::map<Lsn, absl::Status> set_aside;  // see Carried
    OpenLetters letters;
    bool check_deferred = false;  // see Carried
    std::string waiting;          // see Carried
    // A lock or the like kept a batch of it from being written: until some are, it gets batches of
    // its own, of at most so many transactions. 0: it does not.
    int64_t alone = 0;
    absl::Duration busy_pause = absl::ZeroDuration();  // before the last try
    int64_t counted_duplicates = 0;
    size_t counted_held = 0;      // in held_
    size_t counted_half = 0;      // in halves_
    uint64_t shown_sequence = 0;  // of the newest message that the fleet state knows of
  };
  // A row whose letters this transaction settles; no key: a table without letters of messages.
  struct Settled {
    Owned* owned;
    std::string schema, table, key;
  };
  // One central transaction in the making.
  struct Pending {
    ChangeSet set;
    std::vector<DeadLetter> letters;  // of what never became a change
    std::vector<Settled> settled;
    std::map<Owned*, int64_t> superseded;
    std::map<Owned*, SourceProgress> progress;
    std::map<Owned*, std::map<std::string, TableActivity>> activity;
    size_t letter_bytes = 0;
    int64_t oldest_commit_us = 0;
    bool check_deferred = false;  // its commit was refused: pieces are checked one by one
    // Of a source that waits for a lock: how long the batch may wait for one. 0: as configured.
    absl::Duration busy_wait = absl::ZeroDuration();
    void Clear() {
      busy_wait = absl::ZeroDuration();
      set.Clear();
      letters.clear();
      letter_bytes = 0;
      settled.clear();
      superseded.clear();
      progress.clear();
      activity.clear();
      oldest_commit_us = 0;
      check_deferred = false;
    }
  };

  void Run();
  void Work();
  // Waits until there is something to do or `deadline`; while sources are read, not longer than a
  // claim or a stop may wait.
  void WaitForWork(absl::Time deadline);
  bool HasRequests() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool IsAsked();
  bool Reads() const;
  bool HasNews() const;
  // How long a batch that is not full may wait for more.
  absl::Duration PatienceNow() const;
  // Waits until the reader has more of an owned stream; false at `deadline`, or when there is
  // something else to do.
  bool WaitForMore(std::chrono::steady_clock::time_point deadline);
  bool stopping() const { return stop_.load(); }

  // worker_sources.cc: owning and reading
  absl::Status EnsureConnection();
  void DropConnection(const absl::Status& why);
  void CarryOutRequests();
  // Waits for at most `limit` until the reader has more of some stream, and notes of which. Renews
  // the reader's requests, too.
  void AwaitMessages(absl::Duration limit);
  absl::Status TryClaim(const std::string& source, Carried carried);
  void GiveUp(const std::string& source);
  void OpenSources();
  absl::Status OpenSource(Owned& owned);
  // Where the source stands in the centre.
  absl::Status ReadPosition(Owned& owned);
  absl::Status ReadClock(Owned& owned, Hlc commit, int64_t last_commit_us);
  void PumpSource(Owned& owned);
  void Block(Owned& owned, const absl::Status& why, const std::string& table);
  void ResetSource(Owned& owned, absl::Duration pause);
  void ShowWaiting(Owned& owned);
  void CountHeld(Owned& owned);
  void ShowHeld();

  // worker.cc: batches
  bool BuildBatch();
  bool Gather();
  void AddLetter(DeadLetter letter);
  bool IsFull() const;
  absl::Status AddTransaction(Owned& owned, FedTransaction transaction);
  // The table that body_ names, as the centre has it now.
  absl::StatusOr<TargetTable*> FindTable();
  // Changes that are not to be tried become dead letters.
  void Divert(Owned& owned, size_t first_change, Hlc horizon);
  absl::Status AddMessage(Owned& owned, const FedTransaction& transaction,
                          std::unique_ptr<ReceivedMessage> message);
  // A whole message becomes a dead letter.
  void Refuse(Owned& owned, const FedTransaction& transaction, const ReceivedMessage& message,
              const char* reason, const absl::Status& why);
  void LackMessage(Owned& owned, const DeadLetter& letter);
  SourceProgress& ProgressOf(Owned& owned);
  void Advance(Owned& owned, const FedTransaction& transaction);
  // How far all sources of the batch move, as PgTarget wants it.
  std::vector<SourceProgress> CurrentProgress();
  // Moves the sources of the batch, as its last statement.
  absl::Status AdvanceSources();
  absl::Status CommitBatch();
  // worker_busy.cc: what is locked in the centre
  static bool IsBusy(const absl::Status& status, int attempt);
  // The batch could not be written for now: its sources are tried apart, and the one that it is
  // about waits. Rebuild().
  absl::Status StepAside(const absl::Status& status);
  void HoldBusy(Owned& owned, const absl::Status& status, const TargetTable* table);
  std::string HolderOf(const TargetTable& table);
  static void NoteWritten(Owned& owned);
  bool PassesAlone(const Owned& owned) const;
  bool HasItsShare(Owned& owned);
  absl::Status BeginBatch();
  absl::Status ApplyPending(bool separating);
  absl::Status ApplySeparating(size_t begin, size_t end);
  bool SplitsOn(const absl::Status& status) const;
  absl::Status StoreLetters(const std::vector<DeadLetter>& letters);
  // Outside of a transaction. True: the batch must be made anew.
  bool TablesChanged();
  absl::Status RebuildAltered();
  absl::Status SetAside(size_t index, const absl::Status& why);
  void AfterCommit(absl::Time begun);
  void CountClock(Owned& owned);
  void HandleFailure(const absl::Status& status);

  // worker_large.cc: transactions that are larger than a batch
  // In the worker that found one: it is next, and everything before it is committed.
  void KeepLarge(Owned& owned);
  void HandOver(const std::vector<std::string>& sources);
  // In the large worker.
  struct LargeJob {
    std::string source;
    Carried carried;
    Worker* home;
  };
  void WorkLarge();
  void CarryOut(LargeJob* job);
  absl::Status OpenLarge(LargeJob* job);
  absl::Status StreamLarge(Owned& owned);
  absl::Status StreamPieces(Owned& owned);
  absl::Status ApplyPieceOf(Owned& owned, const FedTransaction& head,
                            std::vector<std::unique_ptr<ReceivedMessage>> piece);
  absl::Status AwaitPiece(Owned& owned);
  void FailLarge(const absl::Status& status, absl::Duration took, LargeJob* job);

  // worker_letters.cc: changes of rows that have open dead letters
  bool MeetsLetter(size_t begin, size_t end) const;
  bool MeetsLetter(const Change& change) const;
  // Inside a savepoint; changes that meet a letter must come one by one.
  absl::Status ApplyPiece(size_t begin, size_t end);
  absl::Status ApplyMeeting(size_t index);
  absl::Status ApplyRelying(size_t index);
  absl::Status ApplyFolded(size_t index);
  absl::Status ApplyRefetched(size_t index);
  absl::Status Supersede(const Change& change, const char* why);
  absl::Status SupersedeOldKey(const Change& move);
  absl::Status LeaveOldKey(const Change& change, DeadLetter* letter);
  absl::Status AddRowLetter(Owned& owned, const DeadLetter& letter);

  const int index_;
  Shared shared_;
  std::thread thread_;
  std::atomic<bool> stop_{false};
  std::atomic<int> owned_count_{0};

  Mutex mutex_;
  std::condition_variable_any wake_;
  std::map<std::string, Carried> claims_ ABSL_GUARDED_BY(mutex_);
  std::set<std::string> releases_ ABSL_GUARDED_BY(mutex_);
  std::optional<LargeJob> job_ ABSL_GUARDED_BY(mutex_);

  const std::unique_ptr<JetStreamSource> reader_;
  std::unique_ptr<PgConnection> connection_;
  std::unique_ptr<TargetCatalog> catalog_;
  std::unique_ptr<PgTarget> target_;
  int catalog_generation_ = 0;
  Backoff backoff_;
  absl::Time connect_at_ = absl::InfinitePast();
  std::map<std::string, std::unique_ptr<Owned>> sources_;
  size_t held_ = 0;    // memory of all feeds
  size_t halves_ = 0;  // and of that, of incomplete transactions
  const size_t memory_;
  std::string turn_;  // the source that was served last: the next batch begins behind it
  Pending pending_;
  bool failed_ = false;  // the last batch; what was in it has waited already
  RowDecoder decoder_;
  proto::BodyReader body_reader_;
  proto::Body body_;
};

}  // namespace pmoves

#endif  // PMOVES_SUBSCRIBER_WORKER_H_
