// SlotMonitor: watches the slot and the WAL from a connection of its own, also while the
// replication session is down.
//
// In the flow:  pg_replication_slots -> SlotMonitor -> StatusBoard, Metrics
// Why apart:    a publisher that is blocked must still show how long the disk or the slot will
// last.
// Thread:       runs its own thread "slot-monitor" from construction to destruction.
#ifndef PMOVES_PUBLISHER_IO_SLOT_MONITOR_H_
#define PMOVES_PUBLISHER_IO_SLOT_MONITOR_H_

#include <chrono>
#include <condition_variable>
#include <memory>
#include <string>
#include <thread>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/mutex.h"
#include "common/io/pg_connection.h"
#include "common/io/steady_time.h"
#include "publisher/metrics.h"
#include "publisher/status.h"

namespace pmoves {

// One look at the slot. The rate and the headroom are left at 0: they need two looks.
absl::StatusOr<SlotStatus> ReadSlotStatus(PgConnection& connection, const std::string& slot);

class SlotMonitor {
 public:
  struct Options {
    std::string dsn;
    std::string password;
    std::string slot;
    absl::Duration interval = absl::Seconds(5);
    bool owns_source_up =
        false;  // standalone mode: nobody else reports whether the database answers
    absl::Duration touch_after = absl::Hours(1);  // WAL that stands still for so long is moved
  };
  // All references must outlive the monitor.
  SlotMonitor(Options options, StatusBoard& board, Metrics& metrics);
  ~SlotMonitor();

 private:
  void Run(std::stop_token stop);
  void Poll();
  absl::StatusOr<SlotStatus> Look();
  void AddRate(SlotStatus* status);
  void TouchWhenIdle(const SlotStatus& status);
  void Show(const SlotStatus& status);

  const Options options_;
  StatusBoard& board_;
  Metrics& metrics_;
  std::unique_ptr<PgConnection> connection_;
  SlotStatus last_;
  SteadyTime polled_at_;  // last_ was
  SteadyTime moved_at_;   // the WAL's end, when it was seen to move
  Mutex mutex_;
  std::condition_variable_any wake_;
  std::jthread thread_;  // last: uses all of the above
};

}  // namespace pmoves

#endif  // PMOVES_PUBLISHER_IO_SLOT_MONITOR_H_
