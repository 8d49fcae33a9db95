// ProcessMetrics: the standard process_* metrics, which prometheus-cpp does not bring, read from
// /proc/self.
//
// Invariant: a value that cannot be read keeps its last state; nothing here fails.
// Thread:    any: scrapes may come at once (HttpCallbacks::before_metrics).
#ifndef PMOVES_COMMON_IO_PROCESS_METRICS_H_
#define PMOVES_COMMON_IO_PROCESS_METRICS_H_

#include <prometheus/registry.h>

#include "common/base/mutex.h"

namespace prometheus {
class Counter;
class Gauge;
}  // namespace prometheus

namespace pmoves {

class ProcessMetrics {
 public:
  // The registry must outlive this.
  explicit ProcessMetrics(prometheus::Registry& registry);
  void Update();

 private:
  Mutex mutex_;  // so that two of them do not count the same CPU time twice
  prometheus::Counter& cpu_seconds_;
  prometheus::Gauge& resident_bytes_;
  prometheus::Gauge& open_fds_;
  prometheus::Gauge& start_time_;
};

}  // namespace pmoves

#endif  // PMOVES_COMMON_IO_PROCESS_METRICS_H_
