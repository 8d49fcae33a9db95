// Metrics: every number that the publisher shows on /metrics. A metric is a member: one that is not
// registered does not compile.
//
// Built once at start, so that all series exist from the first scrape. docs/metrics.md lists the
// same names (a test compares). Cheap on the hot path: counters move per message or per loop turn,
// never per row. Thread:       members are safe from any thread; the functions say theirs.
#ifndef PMOVES_PUBLISHER_METRICS_H_
#define PMOVES_PUBLISHER_METRICS_H_

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "absl/status/status.h"

namespace pmoves {

// Closed sets of label values. One-hot families have one child per name.
class OneHot {
 public:
  OneHot(prometheus::Family<prometheus::Gauge>& family, const char* label,
         const std::vector<std::string>& names, const prometheus::Labels& more = {});
  // 1 for `name`, 0 for all others.
  void Set(std::string_view name);

 private:
  std::vector<std::pair<std::string, prometheus::Gauge*>> gauges_;
};

// A gauge that is absent while it has no value.
class OptionalGauge {
 public:
  OptionalGauge(prometheus::Family<prometheus::Gauge>& family, prometheus::Labels labels);
  void Set(double value);
  void Clear();

 private:
  prometheus::Family<prometheus::Gauge>& family_;
  prometheus::Labels labels_;
  prometheus::Gauge* gauge_ = nullptr;
};

struct Metrics {
  Metrics(std::shared_ptr<prometheus::Registry> registry, const std::string& version,
          const std::string& slot);

  std::shared_ptr<prometheus::Registry> registry;
  using Counter = prometheus::Counter;
  using Gauge = prometheus::Gauge;
  using Histogram = prometheus::Histogram;

  OneHot state;
  Gauge& source_up;
  Gauge& nats_up;
  Counter& sessions;
  Gauge& loop_turned;

  Counter& source_transactions;
  Counter& source_received_bytes;
  Counter& source_nonfinite_reads;
  Counter& source_nonfinite_unread;
  Gauge& source_repeated_failures;
  Gauge& tables_waiting;
  Gauge& source_wal_lsn;
  Gauge& source_received_lsn;
  Gauge& source_published_lsn;
  Gauge& source_confirmed_lsn;
  Gauge& source_applied_lsn;
  Gauge& source_last_message;
  Gauge& source_last_commit;
  Histogram& capture_latency;

  Counter& published_acked;
  Counter& published_failed;
  Counter& publish_bytes;
  Histogram& publish_ack_duration;
  Gauge& publish_in_flight;
  Gauge& publish_in_flight_limit;
  Gauge& publish_last_ack;
  Counter& progress_messages;
  Gauge& handoff_waiting;
  Counter& heartbeats_sent;
  Counter& heartbeats_failed;

  Counter& refetch_accepted;
  Counter& refetch_refused;
  Counter& refetch_dropped;
  Counter& refetch_rows;
  Counter& refetch_gone;
  Counter& refetch_failed;

  Gauge& slot_exists;
  Gauge& slot_active;
  OneHot slot_wal_status;
  OptionalGauge slot_retained_wal;
  OptionalGauge slot_unconfirmed_wal;
  OptionalGauge slot_safe_wal;
  Gauge& slot_limit;
  OptionalGauge slot_headroom;
  Gauge& wal_rate;
  Gauge& slot_xmin_age;
  Counter& slot_spilled_transactions;
  Counter& slot_spilled_bytes;
  Gauge& slot_polled;

  // Row changes of one message, by its subject. Publish loop only.
  void CountChanges(const std::string& subject, uint32_t changes);
  // A session ended with this status; `refusal` is Decide's name for it, if it was that. Publish
  // loop only.
  void CountSessionFailure(const absl::Status& status, std::string_view refusal);
  // Publishing failed. Publish loop only.
  void CountPublishError(const absl::Status& status);

 private:
  prometheus::Family<Counter>& changes_family_;
  prometheus::Family<Counter>& failures_family_;
  prometheus::Family<Counter>& errors_family_;
  std::unordered_map<std::string, Counter*> changes_by_subject_;
};

}  // namespace pmoves

#endif  // PMOVES_PUBLISHER_METRICS_H_
