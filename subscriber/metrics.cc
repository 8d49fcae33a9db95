#include "subscriber/metrics.h"

namespace pmoves {
namespace {

using prometheus::BuildCounter;
using prometheus::BuildGauge;
using prometheus::BuildHistogram;
using prometheus::Histogram;

const Histogram::BucketBoundaries kSeconds = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
                                              0.25,  0.5,    1,     2.5,  5,     10,   30};
const Histogram::BucketBoundaries kLagSeconds = {
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 21600, 86400};
const Histogram::BucketBoundaries kRows = {1, 10, 100, 1000, 10000, 100000};

constexpr const char kCentralWrites[] =
    "Rows written in the centre itself, by what their settling came to: settled, put_off";

prometheus::Family<prometheus::Counter>& Counters(prometheus::Registry& registry, const char* name,
                                                  const char* help) {
  return BuildCounter().Name(name).Help(help).Register(registry);
}

prometheus::Family<prometheus::Gauge>& Gauges(prometheus::Registry& registry, const char* name,
                                              const char* help) {
  return BuildGauge().Name(name).Help(help).Register(registry);
}

double Seconds(absl::Time time) {
  return time == absl::InfinitePast() ? 0 : absl::ToDoubleSeconds(time - absl::UnixEpoch());
}

}  // namespace

SubscriberMetrics::SubscriberMetrics()
    : registry(std::make_shared<prometheus::Registry>()),
      source_transactions(Counters(*registry, "pmoves_sync_apply_transactions_total",
                                   "Source transactions committed in the centre")),
      source_changes(
          Counters(*registry, "pmoves_sync_apply_changes_total",
                   "Row changes by outcome: applied, hidden by a newer version, dead_lettered")),
      source_superseded(Counters(*registry, "pmoves_sync_dead_letters_superseded_total",
                                 "Dead letters that a later whole image of the row settled")),
      source_duplicates(Counters(*registry, "pmoves_sync_duplicates_total",
                                 "Messages recognised as already applied")),
      source_gaps(Counters(*registry, "pmoves_sync_sequence_gaps_total",
                           "Missing stretches found in the stream of a source")),
      source_prefixes(Counters(
          *registry, "pmoves_sync_prefixes_dropped_total",
          "Beginnings of transactions that can never be completed, because they were sent anew")),
      too_late(Counters(*registry, "pmoves_sync_too_late_total",
                        "Row changes set aside because they are older than deletes that are "
                        "forgotten")),
      clock_clamped(Counters(*registry, "pmoves_sync_clock_clamped_total",
                             "Row changes whose stamp lay too far in the future and was replaced "
                             "by the time of storing")),
      clock_backsteps(Counters(*registry, "pmoves_sync_clock_backsteps_total",
                               "Commit times of a source more than a second below the one before")),
      conflicts(Counters(*registry, "pmoves_sync_conflicts_total",
                         "Conflicts written to the conflict log")),
      batches(
          Counters(*registry, "pmoves_sync_apply_batches_total", "Central transactions committed")
              .Add({})),
      batch_retries(
          Counters(*registry, "pmoves_sync_apply_retries_total", "Batches tried again").Add({})),
      batch_splits(Counters(*registry, "pmoves_sync_apply_splits_total",
                            "Batches halved to find a change that cannot be written")
                       .Add({})),
      batches_altered(Counters(*registry, "pmoves_sync_apply_altered_total",
                               "Batches made anew because a table was altered in the centre")
                          .Add({})),
      halves_dropped(Counters(*registry, "pmoves_sync_memory_halves_dropped_total",
                              "Incomplete transactions that were dropped to make room, to be read "
                              "again when they are complete")
                         .Add({})),
      connections_lost(Counters(*registry, "pmoves_sync_target_connections_lost_total",
                                "Connections to the central database that broke")
                           .Add({})),
      refetch_asked(Counters(*registry, "pmoves_sync_refetch_asked_total",
                             "Questions to edges for rows that the centre does not have whole")
                        .Add({})),
      central_settled(Counters(*registry, "pmoves_sync_central_writes_total", kCentralWrites)
                          .Add({{"outcome", "settled"}})),
      central_failed(Counters(*registry, "pmoves_sync_central_writes_total", kCentralWrites)
                         .Add({{"outcome", "put_off"}})),
      dead_letters_forgotten(
          Counters(*registry, "pmoves_sync_dead_letters_forgotten_total",
                   "Settled dead letters removed after conflicts.letter_retention")
              .Add({})),
      messages(
          Counters(*registry, "pmoves_sync_fetch_messages_total", "Messages read from the streams")
              .Add({})),
      batch_changes(BuildHistogram()
                        .Name("pmoves_sync_apply_batch_changes")
                        .Help("Row changes per central transaction")
                        .Register(*registry)
                        .Add({}, kRows)),
      batch_duration(BuildHistogram()
                         .Name("pmoves_sync_apply_batch_duration_seconds")
                         .Help("BEGIN to COMMIT in the centre")
                         .Register(*registry)
                         .Add({}, kSeconds)),
      end_to_end(BuildHistogram()
                     .Name("pmoves_sync_end_to_end_latency_seconds")
                     .Help("Commit at the source to commit in the centre, by both clocks")
                     .Register(*registry)
                     .Add({}, kLagSeconds)),
      nats_up(Gauges(*registry, "pmoves_sync_dependency_up", "1 while a usable connection exists")
                  .Add({{"dependency", "nats"}})),
      postgres_up(
          Gauges(*registry, "pmoves_sync_dependency_up", "1 while a usable connection exists")
              .Add({{"dependency", "target"}})),
      dead_letters_open(Gauges(*registry, "pmoves_sync_dead_letter_messages",
                               "Dead letters that wait for an operator")
                            .Add({})),
      tombstones(Gauges(*registry, "pmoves_sync_tombstones",
                        "Deletes that are remembered: tombstones and deleted registers, as the "
                        "planner estimates")
                     .Add({})),
      horizon_lag(Gauges(*registry, "pmoves_sync_tombstone_horizon_lag_seconds",
                         "Now minus the newest version that every source heard of has passed: how "
                         "far back changes may still come from")
                      .Add({})),
      lag(Gauges(*registry, "pmoves_sync_apply_lag_seconds",
                 "Age of the oldest message of a source that is not applied, or time since a "
                 "silent source was last heard")),
      pending(Gauges(*registry, "pmoves_sync_consumer_pending_messages",
                     "Messages of a source that wait in its stream")),
      blocked(Gauges(*registry, "pmoves_sync_source_blocked",
                     "1 while a source waits for an operator")),
      waiting(Gauges(*registry, "pmoves_sync_source_waiting",
                     "1 while a transaction of a source is not applied because it is not complete, "
                     "or waits for its turn among the large ones")),
      owned(Gauges(*registry, "pmoves_sync_source_owned", "1 if this process applies the source")),
      position(Gauges(*registry, "pmoves_sync_apply_position_lsn_bytes",
                      "Applied position of a source")),
      last_commit(Gauges(*registry, "pmoves_sync_apply_last_commit_timestamp_seconds",
                         "Commit time at the source of the newest applied transaction")),
      last_applied(Gauges(*registry, "pmoves_sync_apply_last_success_timestamp_seconds",
                          "When a transaction of the source was last applied")),
      last_seen(Gauges(*registry, "pmoves_sync_edge_last_heartbeat_timestamp_seconds",
                       "When a source was last heard: heartbeat or message")),
      clock_skew(Gauges(*registry, "pmoves_sync_source_clock_skew_seconds",
                        "Commit time at the source minus time of storing, of the newest applied "
                        "message")) {
  BuildGauge()
      .Name("pmoves_sync_build_info")
      .Help("Always 1")
      .Register(*registry)
      .Add({{"version", PMOVES_SYNC_VERSION}, {"role", "subscriber"}})
      .Set(1);
}

SourceMetrics SubscriberMetrics::Of(const std::string& source) {
  const std::map<std::string, std::string> label = {{"source", source}};
  auto outcome = [&](const char* name) -> prometheus::Counter& {
    return source_changes.Add({{"source", source}, {"outcome", name}});
  };
  return {
      source_transactions.Add(label), outcome("applied"),           outcome("hidden"),
      outcome("dead_lettered"),       source_superseded.Add(label), source_duplicates.Add(label),
      source_gaps.Add(label),         source_prefixes.Add(label),   too_late.Add(label),
      clock_clamped.Add(label),       clock_backsteps.Add(label),   clock_skew.Add(label)};
}

void SubscriberMetrics::Refresh(const FleetState& fleet, absl::Time now) {
  for (const SourceState& state : fleet.Snapshot()) {
    const std::map<std::string, std::string> label = {{"source", state.source}};
    lag.Add(label).Set(absl::ToDoubleSeconds(FleetState::Lag(state, now)));
    pending.Add(label).Set(static_cast<double>(state.pending));
    blocked.Add(label).Set(state.blocked ? 1 : 0);
    waiting.Add(label).Set(FleetState::WaitsFor(state, now).empty() ? 0 : 1);
    owned.Add(label).Set(state.owned ? 1 : 0);
    position.Add(label).Set(static_cast<double>(state.position.value));
    last_commit.Add(label).Set(static_cast<double>(state.last_commit_us) / 1e6);
    last_applied.Add(label).Set(Seconds(state.applied_at));
    last_seen.Add(label).Set(Seconds(state.last_seen));
  }
}

}  // namespace pmoves
