// Publisher: the daemon of one edge. Starts everything, runs session after session, and never gives
// up.
//
// Threads
//   name           job                                         touches                    ends
//   main           sessions: the publish loop of dual-write    all of a Session           SIGTERM
//   slot-monitor   looks at the slot and the WAL every 5 s     own connection, board destructor
//   civetweb       /metrics /livez /readyz /status             board, registry destructor nats
//   acks, applied positions, fence answers      queues of their owners     with its session signals
//   SIGINT, SIGTERM -> StopSignal               the stop flag              process end watchdog
//   tells systemd that main still turns         board                      destructor; only under
//   systemd
//
// Modes: standalone has no slot and no session, only the monitor (a slot that nobody reads fills
// the disk); integrated has no local database: it says so and ends with 0; dual-write is the whole
// thing. Invariant:    only SIGINT or SIGTERM end the program once it runs. Whatever else happens,
// it shows the reason and tries again.
#ifndef PMOVES_PUBLISHER_PUBLISHER_H_
#define PMOVES_PUBLISHER_PUBLISHER_H_

#include <prometheus/registry.h>

#include <memory>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "common/io/http_server.h"
#include "common/io/process_metrics.h"
#include "common/io/stop.h"
#include "common/io/systemd_notify.h"
#include "publisher/config.h"
#include "publisher/core/captured_tables.h"
#include "publisher/io/slot_monitor.h"
#include "publisher/metrics.h"
#include "publisher/status.h"

namespace pmoves {

class Publisher {
 public:
  Publisher(PublisherConfig config, CapturedTables tables, StopSignal& stop);
  ~Publisher();

  // Runs until it is told to stop. kUnavailable: metrics.listen cannot be bound.
  absl::Status Run();

 private:
  absl::Status StartHttp();
  void StartWatchdog();
  void RunStandalone();
  void RunSessions();
  void ShowFailure(const absl::Status& status, const std::string& refusal, const char* step,
                   absl::Duration pause);

  const PublisherConfig config_;
  const CapturedTables tables_;
  StopSignal& stop_;
  SystemdNotify notify_;
  std::shared_ptr<prometheus::Registry> registry_;
  Metrics metrics_;
  ProcessMetrics process_metrics_;
  StatusBoard board_;
  std::unique_ptr<HttpServer> http_;
  std::unique_ptr<SlotMonitor> monitor_;
  std::jthread watchdog_;
};

// Of this build.
std::string PublisherVersion();
std::string ModeName(Mode mode);
// What is known before anything runs.
PublisherStatus InitialStatus(const PublisherConfig& config);

}  // namespace pmoves

#endif  // PMOVES_PUBLISHER_PUBLISHER_H_
