// PublishLoop: the one loop of a session: WAL in, messages out, acks and applied positions back,
// reports to Postgres.
//
//   WalSource -> ChangePump -> MessagePlan -> MessageSink -> acks -> HandoffLedger ->
//   WalSource::Report
//
// Why one loop: every step has one owner and no queue between. Back-pressure is simply not reading
// the WAL while the sink is full; reports still go out on their timer, so Postgres never takes a
// busy publisher for a dead one.
//
// Invariant:    what Postgres is told never passes HandoffLedger::SafePosition, and that never
// passes the stream (promise P1).
//               One turn does a bounded amount of work, so timers run also inside a transaction of
//               millions of rows.
// Thread:       publish loop (main). Timers are monotonic: the wall clock of an edge steps.
#ifndef PMOVES_PUBLISHER_PUBLISH_LOOP_H_
#define PMOVES_PUBLISHER_PUBLISH_LOOP_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/io/jetstream.h"
#include "common/io/nats_client.h"
#include "common/io/stop.h"
#include "publisher/change_pump.h"
#include "publisher/config.h"
#include "publisher/core/handoff_ledger.h"
#include "publisher/core/message_plan.h"
#include "publisher/core/message_sink.h"
#include "publisher/core/stuck_place.h"
#include "publisher/io/applied_feed.h"
#include "publisher/io/pg_wal_source.h"
#include "publisher/metrics.h"
#include "publisher/refetcher.h"
#include "publisher/status.h"

namespace pmoves {

// Name of the refusal when reading fails again and again at one place.
inline constexpr char kStuckRefusal[] = "stuck_transaction";

// A clock that never steps, as an absl::Time of no meaning beyond differences.
absl::Time MonotonicNow();

class PublishLoop {
 public:
  // What the loop works with; all must outlive it.
  struct Parts {
    const PublisherConfig& config;
    PgWalSource& source;
    ChangePump& pump;
    Refetcher& refetcher;
    MessagePlan& plan;
    MessageSink& sink;
    HandoffLedger& ledger;
    PgCatalog& catalog;
    RelationHistory& history;
    AppliedFeed& applied;
    NatsClient& nats;
    JetStream& jetstream;
    StatusBoard& board;
    Metrics& metrics;
    StopSignal& stop;
    StuckPlace& stuck;
    bool unfinished_tail = false;  // the stream ended inside a transaction
  };
  PublishLoop(Parts parts, uint32_t epoch, Lsn confirmed);

  // Turns until something is in doubt. OK: stopping was asked for, and what could be finished in 5
  // s is.
  absl::Status Run();
  // The loop has published and caught up at least once: the next failure starts with a short pause
  // again.
  bool was_streaming() const { return was_streaming_; }

 private:
  absl::Status Turn();
  absl::Status TakeAcks();
  void TakeApplied();
  absl::Status ReadWal();
  absl::Status ReadEvents();
  absl::Status TakeKeepalive(const WalEvent& event);
  absl::Status PublishReady();
  absl::Status FlushWhenQuiet();
  absl::Status MaybeProgress();
  int64_t CaughtUpMs() const;
  absl::Status MaybeReport();
  absl::Status Report();
  void MaybeHeartbeat();
  std::string Trouble(const std::vector<std::string>& missing) const;
  void ShowStatus();
  // Why nothing is published although all is connected; "" when that is not so.
  const std::string& NoRoom();
  void Wait();
  absl::Duration GatherTime() const;
  absl::Status Drain();

  Parts parts_;
  const uint32_t epoch_;
  absl::Time now_;

  bool blocked_ = false;  // the sink is full: the WAL is not read
  bool reading_failed_ = false;
  bool drained_ = false;  // the WAL had nothing more to read
  bool was_streaming_ = false;
  absl::Time started_at_;
  absl::Time drained_at_;

  int64_t events_in_transaction_ = 0;  // read of the transaction that is open

  Lsn received_;
  Lsn reported_;  // flush position that Postgres was told last
  bool reply_requested_ = false;
  absl::Time report_due_;
  absl::Time advance_due_;  // not before: a report only because the safe position advanced

  Lsn idle_position_;  // WAL read with nothing of it left to publish: where a progress message may
                       // move to
  absl::Time flush_due_;  // the group may leave, if nothing is in flight
  absl::Time progress_due_;
  absl::Time heartbeat_due_;
  absl::Time status_due_;
  absl::Time catalog_due_;

  std::string no_room_;
  absl::Time look_at_room_;

  std::vector<StoredMessage> acks_;
  uint64_t received_bytes_ = 0;  // not yet counted in the metrics
  uint64_t counted_transactions_ = 0;
  uint64_t counted_reads_ = 0;
  int64_t last_commit_us_ = 0;
  int64_t last_ack_us_ = 0;
  bool heard_server_ = false;
};

}  // namespace pmoves

#endif  // PMOVES_PUBLISHER_PUBLISH_LOOP_H_
