#include "publisher/metrics.h"

#include <utility>

#include "proto/subject.h"

namespace pmoves {
namespace {

using prometheus::Counter;
using prometheus::Family;
using prometheus::Gauge;
using prometheus::Histogram;
using prometheus::Registry;

Family<Counter>& Counters(Registry& registry, const char* name, const char* help) {
  return prometheus::BuildCounter().Name(name).Help(help).Register(registry);
}

Family<Gauge>& Gauges(Registry& registry, const char* name, const char* help) {
  return prometheus::BuildGauge().Name(name).Help(help).Register(registry);
}

Counter& OneCounter(Registry& registry, const char* name, const char* help,
                    const prometheus::Labels& labels = {}) {
  return Counters(registry, name, help).Add(labels);
}

Gauge& OneGauge(Registry& registry, const char* name, const char* help,
                const prometheus::Labels& labels = {}) {
  return Gauges(registry, name, help).Add(labels);
}

Histogram& OneHistogram(Registry& registry, const char* name, const char* help,
                        const Histogram::BucketBoundaries& buckets) {
  return prometheus::BuildHistogram().Name(name).Help(help).Register(registry).Add({}, buckets);
}

const Histogram::BucketBoundaries kLatencyBuckets = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
                                                     0.25,  0.5,    1,     2.5,  5,     10,   30,
                                                     60,    300,    900,   3600, 21600, 86400};
const Histogram::BucketBoundaries kAckBuckets = {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                                 0.1,    0.25,  0.5,    1,     2.5,  5,     10};

constexpr const char kDependencyHelp[] = "1 if a usable connection exists";
constexpr const char kPublishMessagesHelp[] =
    "Messages by outcome: stored, or given up by a session that ended";
constexpr const char kRefetchRequestsHelp[] =
    "Rows that the centre asked for, by what became of it";
constexpr const char kRefetchAnsweredHelp[] =
    "Rows that were read for the centre: sent, gone by then, or not readable";
constexpr const char kHeartbeatsHelp[] = "Heartbeats handed to the NATS connection";

}  // namespace

OneHot::OneHot(prometheus::Family<prometheus::Gauge>& family, const char* label,
               const std::vector<std::string>& names, const prometheus::Labels& more) {
  for (const std::string& name : names) {
    prometheus::Labels labels = more;
    labels[label] = name;
    gauges_.emplace_back(name, &family.Add(labels));
  }
}

void OneHot::Set(std::string_view name) {
  for (auto& [own, gauge] : gauges_) gauge->Set(own == name ? 1 : 0);
}

OptionalGauge::OptionalGauge(prometheus::Family<prometheus::Gauge>& family,
                             prometheus::Labels labels)
    : family_(family), labels_(std::move(labels)) {}

void OptionalGauge::Set(double value) {
  if (gauge_ == nullptr) gauge_ = &family_.Add(labels_);
  gauge_->Set(value);
}

void OptionalGauge::Clear() {
  if (gauge_ != nullptr) family_.Remove(gauge_);
  gauge_ = nullptr;
}

Metrics::Metrics(std::shared_ptr<prometheus::Registry> owner, const std::string& version,
                 const std::string& slot)
    : registry(std::move(owner)),
      state(Gauges(*registry, "pmoves_sync_state", "One-hot: what the publisher is doing"), "state",
            {"starting", "catching_up", "streaming", "blocked", "standalone", "stopping"}),
      source_up(OneGauge(*registry, "pmoves_sync_dependency_up", kDependencyHelp,
                         {{"dependency", "source"}})),
      nats_up(OneGauge(*registry, "pmoves_sync_dependency_up", kDependencyHelp,
                       {{"dependency", "nats"}})),
      sessions(OneCounter(*registry, "pmoves_sync_sessions_total",
                          "Publishing sessions begun; each loss of a connection begins another")),
      loop_turned(OneGauge(*registry, "pmoves_sync_loop_last_iteration_timestamp_seconds",
                           "Unix time at which the named loop last turned", {{"loop", "publish"}})),
      source_transactions(OneCounter(*registry, "pmoves_sync_source_transactions_total",
                                     "Transactions decoded that the stream did not have yet")),
      source_received_bytes(OneCounter(*registry, "pmoves_sync_source_received_bytes_total",
                                       "Bytes of wal2json output received")),
      source_nonfinite_reads(
          OneCounter(*registry, "pmoves_sync_source_nonfinite_reads_total",
                     "Rows read again because wal2json writes NaN and Infinity as null")),
      source_nonfinite_unread(OneCounter(
          *registry, "pmoves_sync_source_nonfinite_unread_total",
          "Rows that could not be read again in moments; the centre sets them aside and asks")),
      source_repeated_failures(
          OneGauge(*registry, "pmoves_sync_source_repeated_failures",
                   "How often in a row reading the WAL failed at one and the same place")),
      tables_waiting(OneGauge(*registry, "pmoves_sync_tables_waiting",
                              "Tables of postgres.tables that do not exist")),
      source_wal_lsn(OneGauge(*registry, "pmoves_sync_source_wal_lsn_bytes",
                              "End of the server's WAL at the last poll")),
      source_received_lsn(OneGauge(*registry, "pmoves_sync_source_received_lsn_bytes",
                                   "Last WAL position received")),
      source_published_lsn(
          OneGauge(*registry, "pmoves_sync_source_published_lsn_bytes",
                   "Last position whose messages are all acknowledged by JetStream")),
      source_confirmed_lsn(OneGauge(*registry, "pmoves_sync_source_confirmed_lsn_bytes",
                                    "Last position that Postgres was told it may forget")),
      source_applied_lsn(OneGauge(*registry, "pmoves_sync_source_applied_lsn_bytes",
                                  "Last position that the centre reported as applied")),
      source_last_message(
          OneGauge(*registry, "pmoves_sync_source_last_message_timestamp_seconds",
                   "Unix time of the last message of the walsender, keepalives included")),
      source_last_commit(OneGauge(*registry, "pmoves_sync_source_last_commit_timestamp_seconds",
                                  "Commit time of the last transaction published")),
      capture_latency(OneHistogram(*registry, "pmoves_sync_capture_latency_seconds",
                                   "Commit to published, both on the edge clock; one observation "
                                   "per message",
                                   kLatencyBuckets)),
      published_acked(OneCounter(*registry, "pmoves_sync_publish_messages_total",
                                 kPublishMessagesHelp, {{"outcome", "acked"}})),
      published_failed(OneCounter(*registry, "pmoves_sync_publish_messages_total",
                                  kPublishMessagesHelp, {{"outcome", "failed"}})),
      publish_bytes(OneCounter(*registry, "pmoves_sync_publish_bytes_total",
                               "Bytes of message bodies handed to the stream")),
      publish_ack_duration(OneHistogram(*registry, "pmoves_sync_publish_ack_duration_seconds",
                                        "Publish to acknowledgement", kAckBuckets)),
      publish_in_flight(OneGauge(*registry, "pmoves_sync_publish_in_flight_messages",
                                 "Unacknowledged publishes")),
      publish_in_flight_limit(
          OneGauge(*registry, "pmoves_sync_publish_in_flight_limit_messages", "Configured window")),
      publish_last_ack(OneGauge(*registry, "pmoves_sync_publish_last_ack_timestamp_seconds",
                                "Unix time of the last acknowledgement")),
      progress_messages(OneCounter(*registry, "pmoves_sync_progress_messages_total",
                                   "Messages that only move the position of an idle database")),
      handoff_waiting(OneGauge(*registry, "pmoves_sync_handoff_waiting_transactions",
                               "Transactions stored that Postgres must still keep")),
      heartbeats_sent(OneCounter(*registry, "pmoves_sync_heartbeats_sent_total", kHeartbeatsHelp,
                                 {{"outcome", "ok"}})),
      heartbeats_failed(OneCounter(*registry, "pmoves_sync_heartbeats_sent_total", kHeartbeatsHelp,
                                   {{"outcome", "failed"}})),
      refetch_accepted(OneCounter(*registry, "pmoves_sync_refetch_requests_total",
                                  kRefetchRequestsHelp, {{"outcome", "accepted"}})),
      refetch_refused(OneCounter(*registry, "pmoves_sync_refetch_requests_total",
                                 kRefetchRequestsHelp, {{"outcome", "refused"}})),
      refetch_dropped(OneCounter(*registry, "pmoves_sync_refetch_requests_total",
                                 kRefetchRequestsHelp, {{"outcome", "dropped"}})),
      refetch_rows(OneCounter(*registry, "pmoves_sync_refetch_answered_total", kRefetchAnsweredHelp,
                              {{"outcome", "row"}})),
      refetch_gone(OneCounter(*registry, "pmoves_sync_refetch_answered_total", kRefetchAnsweredHelp,
                              {{"outcome", "gone"}})),
      refetch_failed(OneCounter(*registry, "pmoves_sync_refetch_answered_total",
                                kRefetchAnsweredHelp, {{"outcome", "failed"}})),
      slot_exists(OneGauge(*registry, "pmoves_sync_slot_exists", "1 if the configured slot exists",
                           {{"slot", slot}})),
      slot_active(OneGauge(*registry, "pmoves_sync_slot_active", "1 if a walsender holds the slot",
                           {{"slot", slot}})),
      slot_wal_status(Gauges(*registry, "pmoves_sync_slot_wal_status",
                             "One-hot: is the WAL that the slot needs still there"),
                      "status", {"reserved", "extended", "unreserved", "lost"}, {{"slot", slot}}),
      slot_retained_wal(Gauges(*registry, "pmoves_sync_slot_retained_wal_bytes",
                               "WAL kept for the slot; absent when the slot is lost"),
                        {{"slot", slot}}),
      slot_unconfirmed_wal(Gauges(*registry, "pmoves_sync_slot_unconfirmed_wal_bytes",
                                  "WAL written since the confirmed position"),
                           {{"slot", slot}}),
      slot_safe_wal(Gauges(*registry, "pmoves_sync_slot_safe_wal_bytes",
                           "WAL that can still be written before the slot may be lost; absent when "
                           "unlimited or lost"),
                    {{"slot", slot}}),
      slot_limit(OneGauge(*registry, "pmoves_sync_slot_limit_bytes",
                          "max_slot_wal_keep_size; +Inf when unlimited", {{"slot", slot}})),
      slot_headroom(Gauges(*registry, "pmoves_sync_slot_headroom_seconds",
                           "slot_safe_wal_bytes at the present WAL rate; absent while the "
                           "database is idle or unlimited"),
                    {{"slot", slot}}),
      wal_rate(OneGauge(*registry, "pmoves_sync_source_wal_rate_bytes_per_second",
                        "WAL written per second, smoothed over about a minute")),
      slot_xmin_age(OneGauge(*registry, "pmoves_sync_slot_catalog_xmin_age_transactions",
                             "age(catalog_xmin): vacuum horizon held back by the slot",
                             {{"slot", slot}})),
      slot_spilled_transactions(OneCounter(*registry, "pmoves_sync_slot_spilled_transactions_total",
                                           "Transactions that decoding spilled to disk",
                                           {{"slot", slot}})),
      slot_spilled_bytes(OneCounter(*registry, "pmoves_sync_slot_spilled_bytes_total",
                                    "Bytes that decoding spilled to disk", {{"slot", slot}})),
      slot_polled(OneGauge(*registry, "pmoves_sync_poll_last_success_timestamp_seconds",
                           "Unix time of the last successful background poll",
                           {{"poller", "slot"}})),
      changes_family_(Counters(*registry, "pmoves_sync_source_changes_total",
                               "Row changes published, by table and operation")),
      failures_family_(Counters(*registry, "pmoves_sync_session_failures_total",
                                "Publishing sessions that ended, by reason")),
      errors_family_(Counters(*registry, "pmoves_sync_publish_errors_total",
                              "Publishes that failed, by reason")) {
  Gauges(*registry, "pmoves_sync_build_info", "Always 1; version and role")
      .Add({{"version", version}, {"role", "publisher"}})
      .Set(1);
  for (const char* reason :
       {"unavailable", "wrong_sequence", "stream_full", "too_large", "other"}) {
    errors_family_.Add({{"reason", reason}});
  }
  for (const char* reason : {"unavailable", "preflight", "fenced", "data_loss", "foreign_writer",
                             "slot_lost", "slot_missing", "stream", "tail_lost", "other"}) {
    failures_family_.Add({{"reason", reason}});
  }
}

void Metrics::CountChanges(const std::string& subject, uint32_t changes) {
  auto found = changes_by_subject_.find(subject);
  if (found == changes_by_subject_.end()) {
    absl::StatusOr<proto::Subject> parsed = proto::ParseSubject(subject);
    Counter* counter = nullptr;
    if (parsed.ok() && !parsed->schema.empty()) {
      std::string op(proto::OperationName(parsed->operation));
      for (char& c : op) c = static_cast<char>(c | 0x20);
      counter = &changes_family_.Add({{"table", parsed->schema + "." + parsed->table}, {"op", op}});
    }
    found = changes_by_subject_.emplace(subject, counter).first;
  }
  if (found->second != nullptr) found->second->Increment(changes);
}

void Metrics::CountSessionFailure(const absl::Status& status, std::string_view refusal) {
  std::string reason(refusal);
  if (reason.empty()) {
    reason = absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status) ? "unavailable"
             : absl::IsAborted(status)                                       ? "fenced"
             : absl::IsDataLoss(status)                                      ? "data_loss"
                                                                             : "other";
  }
  failures_family_.Add({{"reason", reason}}).Increment();
}

void Metrics::CountPublishError(const absl::Status& status) {
  const char* reason = absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status)
                           ? "unavailable"
                       : absl::IsAborted(status)           ? "wrong_sequence"
                       : absl::IsResourceExhausted(status) ? "stream_full"
                       : absl::IsInvalidArgument(status)   ? "too_large"
                                                           : "other";
  errors_family_.Add({{"reason", reason}}).Increment();
}

}  // namespace pmoves
