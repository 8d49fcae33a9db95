// Subscriber: the daemon. Owns connections, threads and the order in which they start and end.
//
// Threads
//   main        coordinator: finds streams, shares sources with other processes, writes
//   sync_status, reports applied positions, purges. Ends on SIGTERM. worker N    applies
//   (worker.h). Ends after the batch at hand. NATS        library threads: queue messages, note
//   which stream is ready, take heartbeats. They never wait. HTTP        civetweb's: /metrics
//   /livez /readyz /status from FleetState.
//
// Sessions are crash-only: when the NATS connection is lost, workers end, everything on it is
// rebuilt with backoff, and reading goes on from the positions in the centre. A worker that loses
// its database connection rebuilds that alone.
#ifndef PMOVES_SUBSCRIBER_SUBSCRIBER_H_
#define PMOVES_SUBSCRIBER_SUBSCRIBER_H_

#include <atomic>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/base/mutex.h"
#include "common/io/steady_time.h"
#include "common/io/stop.h"
#include "common/io/systemd_notify.h"
#include "subscriber/config.h"
#include "subscriber/fleet_state.h"
#include "subscriber/metrics.h"

namespace pmoves {

class Subscriber {
 public:
  Subscriber(const SubscriberConfig& config, StopSignal& stop) : config_(config), stop_(stop) {}
  // Until SIGTERM; the exit code.
  int Run();
  // The same JSON that /status serves and `status --json` prints.
  std::string StatusJson() const;

 private:
  absl::Status Session();
  // Before anything is applied: changed rules of tables (table_rules.h).
  absl::Status CarryOutRules();
  // True: one that was left out can be carried out.
  bool RulesAreDue();
  std::string NotReady() const;
  void Turned() { last_turn_us_ = absl::ToUnixMicros(MonotonicTime()); }
  static absl::Time Now();

  const SubscriberConfig& config_;
  StopSignal& stop_;
  SystemdNotify systemd_;
  SubscriberMetrics metrics_;
  FleetState fleet_;
  bool rules_carried_out_ = false;  // of all tables
  absl::Time look_at_rules_ = absl::InfinitePast();
  std::atomic<int64_t> last_turn_us_{0};
  std::atomic<bool> nats_ready_{false};
  std::atomic<bool> target_ready_{false};
  mutable Mutex mutex_;
  std::string last_error_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace pmoves

#endif  // PMOVES_SUBSCRIBER_SUBSCRIBER_H_
