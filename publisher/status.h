// PublisherStatus: what the publisher knows of itself, for /status, /readyz, the heartbeat and the
// `status` verb.
//
// In the flow:  Session, SlotMonitor -> StatusBoard -> HTTP handlers, heartbeat
// Thread:       StatusBoard from any; the publish loop writes at most a few times a second.
#ifndef PMOVES_PUBLISHER_STATUS_H_
#define PMOVES_PUBLISHER_STATUS_H_

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "common/base/lsn.h"
#include "common/base/mutex.h"

namespace pmoves {

// The slot as pg_replication_slots shows it, and what follows from it.
struct SlotStatus {
  bool polled = false;  // the numbers below are from a poll that worked
  int64_t polled_us = 0;
  std::string error;  // why the last poll failed
  bool exists = false;
  bool active = false;
  int64_t active_pid = 0;
  std::string wal_status;                    // reserved, extended, unreserved, lost
  Lsn wal_end;                               // of the server ...
  int64_t server_us = 0;                     // ... a moment after this, by its clock
  std::optional<int64_t> retained_bytes;     // kept for the slot
  std::optional<int64_t> unconfirmed_bytes;  // written since the confirmed position
  std::optional<int64_t>
      safe_bytes;  // may still be written before the slot may be lost; none: unlimited or lost
  std::optional<int64_t> limit_bytes;  // max_slot_wal_keep_size; none: unlimited
  double wal_bytes_per_second = 0;
  std::optional<double> headroom_hours;  // safe_bytes at that rate
  int64_t xmin_age = 0;
  int64_t spilled_transactions = 0;
  int64_t spilled_bytes = 0;
};

struct PublisherStatus {
  std::string source;
  std::string mode;
  std::string version;
  std::string writer;  // uuid of the session that publishes, or did last
  int64_t started_us = 0;
  std::string state =
      "starting";       // starting, catching_up, streaming, blocked, standalone, stopping
  std::string reason;   // of starting or blocked, or what waits while the rest streams; for people
  std::string refusal;  // stable name of a refusal, if it is one
  bool source_connected = false;
  bool nats_connected = false;
  uint32_t epoch = 0;
  Lsn received;
  Lsn published;               // all of it is acknowledged by JetStream
  Lsn applied;                 // reported by the centre
  Lsn confirmed;               // Postgres may forget up to here
  int64_t last_commit_us = 0;  // of the last transaction published
  int64_t last_ack_us = 0;
  uint64_t in_flight_messages = 0;
  uint64_t waiting_transactions = 0;  // stored, but Postgres must still keep them
  uint64_t sessions = 0;
  std::vector<std::string> waiting_tables;  // named, and not there
  SlotStatus slot;
};

class StatusBoard {
 public:
  explicit StatusBoard(PublisherStatus initial) : status_(std::move(initial)) {}
  void Update(const std::function<void(PublisherStatus&)>& change) {
    MutexLock lock(mutex_);
    change(status_);
  }
  // The main loop turned. Called at least once a second while it works, and between the steps of
  // opening a session.
  void Turned() { turned_.store(std::chrono::steady_clock::now(), std::memory_order_relaxed); }
  std::chrono::steady_clock::duration SinceTurn() const {
    return std::chrono::steady_clock::now() - turned_.load(std::memory_order_relaxed);
  }
  PublisherStatus Get() const {
    MutexLock lock(mutex_);
    return status_;
  }

 private:
  std::atomic<std::chrono::steady_clock::time_point> turned_{std::chrono::steady_clock::now()};
  mutable Mutex mutex_;
  PublisherStatus status_ ABSL_GUARDED_BY(mutex_);
};

// The JSON of /status. Members are only ever added.
std::string StatusJson(const PublisherStatus& status, int64_t now_us);
// The JSON of the heartbeat: what the centre wants to know of an edge.
std::string HeartbeatJson(const PublisherStatus& status, int64_t now_us);
// A page of lines for a terminal, from the JSON of /status. kInvalidArgument: not such a JSON.
absl::StatusOr<std::string> StatusText(const std::string& json);
// What /readyz says: "" when ready.
std::string NotReady(const PublisherStatus& status);

}  // namespace pmoves

#endif  // PMOVES_PUBLISHER_STATUS_H_
