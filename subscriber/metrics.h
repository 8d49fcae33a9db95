// SubscriberMetrics: every metric of the subscriber, as a member. Adding one: a member here, a line
// in the constructor, a call site, a row in docs/metrics.md.
//
// Thread: any (prometheus-cpp's counters are atomic). Never Family::Add per row: children are made
// once, per source or table.
#ifndef PMOVES_SUBSCRIBER_METRICS_H_
#define PMOVES_SUBSCRIBER_METRICS_H_

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <map>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "common/base/mutex.h"
#include "subscriber/fleet_state.h"

namespace pmoves {

struct SourceMetrics {
  prometheus::Counter& transactions;
  prometheus::Counter& applied;
  prometheus::Counter& hidden;
  prometheus::Counter& dead_lettered;
  prometheus::Counter& superseded;
  prometheus::Counter& duplicates;
  prometheus::Counter& gaps;
  prometheus::Counter& prefixes_dropped;
  prometheus::Counter& too_late;
  prometheus::Counter& clock_clamped;
  prometheus::Counter& clock_backsteps;
  prometheus::Gauge& clock_skew;
};

class SubscriberMetrics {
 public:
  SubscriberMetrics();

  std::shared_ptr<prometheus::Registry> registry;
  prometheus::Family<prometheus::Counter>& source_transactions;
  prometheus::Family<prometheus::Counter>& source_changes;
  prometheus::Family<prometheus::Counter>& source_superseded;
  prometheus::Family<prometheus::Counter>& source_duplicates;
  prometheus::Family<prometheus::Counter>& source_gaps;
  prometheus::Family<prometheus::Counter>& source_prefixes;
  prometheus::Family<prometheus::Counter>& too_late;
  prometheus::Family<prometheus::Counter>& clock_clamped;
  prometheus::Family<prometheus::Counter>& clock_backsteps;
  prometheus::Family<prometheus::Counter>& conflicts;
  prometheus::Counter& batches;
  prometheus::Counter& batch_retries;
  prometheus::Counter& batch_splits;
  prometheus::Counter& batches_altered;
  prometheus::Counter& halves_dropped;
  prometheus::Counter& connections_lost;
  prometheus::Counter& refetch_asked;
  prometheus::Counter& central_settled;
  prometheus::Counter& central_failed;
  prometheus::Counter& dead_letters_forgotten;
  prometheus::Counter& messages;
  prometheus::Histogram& batch_changes;
  prometheus::Histogram& batch_duration;
  prometheus::Histogram& end_to_end;
  prometheus::Gauge& nats_up;
  prometheus::Gauge& postgres_up;
  prometheus::Gauge& dead_letters_open;
  prometheus::Gauge& tombstones;
  prometheus::Gauge& horizon_lag;
  prometheus::Family<prometheus::Gauge>& lag;
  prometheus::Family<prometheus::Gauge>& pending;
  prometheus::Family<prometheus::Gauge>& blocked;
  prometheus::Family<prometheus::Gauge>& waiting;
  prometheus::Family<prometheus::Gauge>& owned;
  prometheus::Family<prometheus::Gauge>& position;
  prometheus::Family<prometheus::Gauge>& last_commit;
  prometheus::Family<prometheus::Gauge>& last_applied;
  prometheus::Family<prometheus::Gauge>& last_seen;
  prometheus::Family<prometheus::Gauge>& clock_skew;

  // The counters of one source, all created at first sight with 0.
  SourceMetrics Of(const std::string& source);
  // Sets the gauges per source; called before each scrape, so that ages grow also when nothing
  // happens.
  void Refresh(const FleetState& fleet, absl::Time now);
};

}  // namespace pmoves

#endif  // PMOVES_SUBSCRIBER_METRICS_H_
