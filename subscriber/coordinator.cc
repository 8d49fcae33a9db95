#include "subscriber/coordinator.h"

#include <unistd.h>

#include <algorithm>

#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "common/base/reaction.h"
#include "common/base/status.h"
#include "common/io/log.h"
#include "proto/subject.h"
#include "subscriber/core/conflict_rule.h"
#include "subscriber/io/central_schema.h"
#include "subscriber/io/conflict_log.h"
#include "subscriber/io/dead_letters.h"
#include "subscriber/io/pg_target.h"
#include "subscriber/io/process_book.h"

namespace pmoves {
namespace {

constexpr absl::Duration kReportAll = absl::Seconds(30);
constexpr absl::Duration kFailures = absl::Seconds(2);
constexpr absl::Duration kCollect = absl::Minutes(1);
constexpr absl::Duration kCollectMore = absl::Seconds(1);
constexpr absl::Duration kMaintainLog = absl::Minutes(10);
constexpr absl::Duration kAsk = absl::Seconds(1);
constexpr absl::Duration kSettle = absl::Milliseconds(500);
// In the heartbeat of a publisher whose stream takes nothing more.
constexpr const char kSaysFull[] = "\"refusal\":\"stream_full\"";
constexpr absl::Duration kSettleBudget = absl::Milliseconds(500);

}  // namespace

std::string SourceOfStream(const std::string& stream, const SubscriberConfig& config) {
  if (stream.rfind(proto::kStreamPrefix, 0) != 0) return "";
  std::string source = stream.substr(proto::kStreamPrefix.size());
  // The name under which the centre's own rows count is no edge's to use.
  if (!proto::IsSourceName(source) || source == kCentralSource) return "";
  const std::vector<std::string>& wanted = config.sources;
  const bool is_wanted =
      wanted.empty() || std::find(wanted.begin(), wanted.end(), source) != wanted.end();
  return is_wanted ? source : "";
}

Coordinator::Coordinator(const SubscriberConfig& config, NatsClient& nats, JetStream& jetstream,
                         RefetchAsker& asker, FleetState& fleet, SubscriberMetrics& metrics,
                         std::vector<std::unique_ptr<Worker>>& workers)
    : config_(config),
      nats_(nats),
      jetstream_(jetstream),
      asker_(asker),
      fleet_(fleet),
      metrics_(metrics),
      workers_(workers),
      backoff_(config.retry.initial, config.retry.max, static_cast<uint32_t>(getpid())) {}

bool Coordinator::EnsureConnection(absl::Time now) {
  if (connected()) return true;
  if (now < connect_at_) return false;
  connection_.reset();
  auto made =
      PgConnection::Connect(TargetSessionOptions(config_, "pmoves-sync-subscriber coordinator"));
  absl::Status status = made.status();
  if (status.ok()) {
    connection_ = *std::move(made);
    status = ProcessBook(*connection_).Enter(config_.sources);
  }
  if (status.ok()) status = SetReplicationRole(*connection_, config_);
  if (!status.ok()) {
    connection_.reset();
    connect_at_ = now + backoff_.Next();
    LogLimited(LogLevel::kError, "target.connect_failed", MessageOf(status),
               {{"worker", "coordinator"}});
    return false;
  }
  backoff_.Reset();
  status_ = std::make_unique<StatusWriter>(*connection_, config_.tables);
  collector_ = std::make_unique<Collector>(*connection_, config_.tables,
                                           config_.conflicts.tombstone_retention);
  central_writes_ = std::make_unique<CentralWrites>(*connection_, config_);
  return true;
}

void Coordinator::Turn(absl::Time now) {
  if (!EnsureConnection(now)) return;
  if (now >= discover_at_) {
    Discover();
    discover_at_ = now + config_.discover_interval;
  }
  if (now >= report_at_) {
    const bool everything = now >= report_all_at_;
    if (everything) report_all_at_ = now + kReportAll;
    Report(absl::Now(), everything);
    report_at_ = now + config_.report_interval;
  }
  if (now >= failures_at_) {
    failures_at_ = now + kFailures;
    if (auto open = status_->RefreshFailures(); open.ok())
      metrics_.dead_letters_open.Set(static_cast<double>(*open));
  }
  if (now >= ask_at_) {
    ask_at_ = now + kAsk;
    AskForRows(now);
  }
  if (now >= settle_at_) {
    settle_at_ = now + kSettle;
    SettleCentralWrites();
  }
  if (now >= collect_at_) Collect(now);
  if (now >= maintain_log_at_) {
    ForgetLetters();
    maintain_log_at_ = now + kMaintainLog;
    const absl::StatusOr<int64_t> moved =
        ConflictLogStore(*connection_).Maintain(config_.conflicts.log_retention);
    if (!moved.ok()) {
      LogLimited(LogLevel::kWarn, "conflict_log.failed", MessageOf(moved.status()));
    } else if (*moved > 0) {
      LogWarn("conflict_log.moved",
              "conflicts that came before the partition of their day was made", {{"rows", *moved}});
    }
    // Made anew when it is needed: an old temporary table holds back what the server may forget.
    (void)connection_->Execute("DROP TABLE IF EXISTS pg_temp.pmoves_touched");
    if (absl::Status forgot = central_writes_->Forget(); !forgot.ok())
      LogLimited(LogLevel::kWarn, "central_writes.failed", MessageOf(forgot));
  }
  if (now >= purge_at_) {
    purge_at_ = now + config_.purge_interval;
    Purge();
  }
}

void Coordinator::ForgetLetters() {
  const auto forgotten = DeadLetterStore(*connection_).Forget(config_.conflicts.letter_retention);
  if (!forgotten.ok()) {
    LogLimited(LogLevel::kWarn, "dead_letters.failed", MessageOf(forgotten.status()));
  } else if (*forgotten > 0) {
    metrics_.dead_letters_forgotten.Increment(static_cast<double>(*forgotten));
    LogInfo("dead_letters.forgotten",
            "dead letters that were settled longer ago than conflicts.letter_retention are gone",
            {{"letters", *forgotten}});
  }
}

void Coordinator::Collect(absl::Time now) {
  collect_at_ = now + kCollect;
  const auto collected = collector_->Collect();
  const auto horizon = collector_->Look();
  for (const absl::Status& status : {collected.status(), horizon.status()}) {
    if (!status.ok()) LogLimited(LogLevel::kWarn, "tombstones.failed", MessageOf(status));
  }
  if (collected.ok() && collected->more) collect_at_ = now + kCollectMore;
  if (!horizon.ok()) return;
  metrics_.tombstones.Set(static_cast<double>(horizon->tombstones));
  if (horizon->lag.has_value()) metrics_.horizon_lag.Set(absl::ToDoubleSeconds(*horizon->lag));
}

void Coordinator::Discover() {
  auto streams = jetstream_.ListStreams();
  if (!streams.ok()) {
    LogLimited(LogLevel::kWarn, "streams.list_failed", MessageOf(streams.status()));
    return;
  }
  std::set<std::string> known;
  for (const std::string& stream : *streams) {
    if (std::string source = SourceOfStream(stream, config_); !source.empty())
      known.insert(std::move(source));
  }
  if (absl::Status status = status_->Expect(config_.sources); !status.ok())
    LogLimited(LogLevel::kWarn, "status.write_failed", MessageOf(status));
  if (absl::Status status = ShareSources(known); !status.ok())
    LogLimited(LogLevel::kWarn, "sources.share_failed", MessageOf(status));
}

absl::Status Coordinator::ShareSources(const std::set<std::string>& known) {
  ProcessBook book(*connection_);
  FairShare::View view;
  view.known = known;
  ASSIGN_OR_RETURN(view.processes, book.Live());
  ASSIGN_OR_RETURN(view.free, book.FreeOf(known));
  std::map<std::string, int> owned;
  for (const SourceState& state : fleet_.Snapshot()) {
    if (!state.owned) continue;
    owned[state.source] = state.worker;
    view.owned.insert(state.source);
  }
  const FairShare::Plan plan = share_.Turn(view);
  for (const std::string& source : plan.release) {
    const int worker = owned.at(source);
    // One more than there are is the large one's: for a while only.
    if (worker >= 0 && static_cast<size_t>(worker) < workers_.size())
      workers_[static_cast<size_t>(worker)]->Release(source);
  }
  std::vector<int> load;
  for (const auto& worker : workers_) load.push_back(worker->owned());
  for (const std::string& source : plan.claim) {
    const auto least = std::min_element(load.begin(), load.end());
    workers_[static_cast<size_t>(least - load.begin())]->Claim(source);
    ++*least;
  }
  return absl::OkStatus();
}

void Coordinator::Report(absl::Time now, bool everything) {
  for (SourceState& state : fleet_.TakeDirty()) {
    SourceState& kept = unreported_[state.source];
    std::map<std::string, TableActivity> tables = std::move(kept.tables);
    for (const auto& [table, activity] : state.tables) {
      tables[table].changes += activity.changes;
      tables[table].set_aside += activity.set_aside;
    }
    kept = std::move(state);
    kept.tables = std::move(tables);
  }
  if (everything) {
    for (SourceState& state : fleet_.Snapshot())
      unreported_.try_emplace(state.source, std::move(state));
  } else {  // what waits is shown as soon as it counts as waiting
    for (SourceState& state : fleet_.Snapshot()) {
      if (!FleetState::WaitsFor(state, now).empty())
        unreported_.try_emplace(state.source, std::move(state));
    }
  }
  std::vector<SourceState> sources;
  for (const auto& [name, state] : unreported_) {
    if (state.owned) {
      sources.push_back(state);
    } else {  // the others are their owner's to write
      durable_.erase(name);
    }
  }
  if (unreported_.empty()) return;
  if (absl::Status status = status_->Write(sources); !status.ok()) {
    LogLimited(LogLevel::kWarn, "status.write_failed", MessageOf(status));
    return;
  }
  for (const SourceState& state : sources) {
    Durable& durable = durable_[state.source];
    const uint64_t purged = durable.useless;
    durable = {state.stream_created, state.sequence, state.epoch, state.position, 0, false};
    if (state.useless_in == state.stream_created && state.useless <= state.sequence)
      durable.useless = state.useless;
    durable.full = state.heartbeat.find(kSaysFull) != std::string::npos;
    // Room is needed now.
    const bool more = durable.sequence > purged_[state.source].below;
    if (durable.useless > purged || (durable.full && more)) purge_at_ = absl::InfinitePast();
    if (state.epoch == 0) continue;  // nothing is applied, but something may be superseded
    const absl::Status sent =
        nats_.Publish(std::string(proto::kAppliedPrefix) + state.source,
                      proto::EncodeApplied({state.source, state.epoch, state.position, state.hlc}));
    if (!sent.ok())
      LogLimited(LogLevel::kWarn, "applied.publish_failed", MessageOf(sent),
                 {{"source", state.source}});
  }
  unreported_.clear();
  (void)now;
}

void Coordinator::Purge() {
  for (const auto& [source, applied] : durable_) {
    // A look back is not worth that a publisher waits for room.
    const uint64_t keep = applied.full ? 0 : static_cast<uint64_t>(config_.retain_applied);
    // This and what follows stays, so the stream is never empty.
    uint64_t below = applied.sequence > keep ? applied.sequence - keep : 0;
    Purged& done = purged_[source];
    if (done.stream_created != applied.stream_created || done.below > applied.sequence + 1) {
      done = {applied.stream_created, 0};
    }
    const bool useless = applied.useless >= done.below && applied.useless > 0;
    if (useless) {
      below = std::max(below, applied.useless + 1);  // what superseded it stands behind it
    } else if (below < done.below + keep / 10 + 1) {
      continue;
    }
    if (below < 2) continue;
    if (absl::Status status = PurgeApplied(source, below); status.ok()) {
      done.below = below;
    } else {
      LogLimited(LogLevel::kWarn, "stream.purge_failed", MessageOf(status), {{"source", source}});
    }
  }
}

absl::Status Coordinator::PurgeApplied(const std::string& source, uint64_t sequence) {
  const std::string stream = proto::StreamName(source);
  const Durable& applied = durable_.at(source);
  const auto record = jetstream_.GetMessage(stream, sequence);
  if (absl::IsNotFound(record.status())) return absl::OkStatus();  // a later one will do
  if (!record.ok()) return record.status();
  const auto envelope = proto::DecodeHeaders(record->Lookup());
  if (!envelope.ok()) return absl::OkStatus();  // one that was set aside; a later one will do
  // The first message of what comes next: all before it is applied, or was superseded by it.
  const bool next = envelope->chunk == 0 &&
                    (envelope->epoch == applied.epoch ? envelope->previous <= applied.position
                                                      : envelope->previous.IsNone());
  if (!next && (envelope->epoch > applied.epoch ||
                (envelope->epoch == applied.epoch && envelope->position > applied.position))) {
    return absl::AbortedError(absl::StrFormat(
        "refused to purge stream %s below %d: what stands there is not applied. Its server gives "
        "out sequences again (an older copy of its store, a lost tail)",
        stream, sequence));
  }
  return jetstream_.PurgeBelow(stream, applied.stream_created, sequence);
}

void Coordinator::AskForRows(absl::Time now) {
  std::vector<std::string> owned;
  for (const SourceState& state : fleet_.Snapshot()) {
    if (state.owned) owned.push_back(state.source);
  }
  auto asked = asker_.Turn(now, *connection_, owned);
  if (asked.ok()) {
    metrics_.refetch_asked.Increment(*asked);
  } else {
    LogLimited(LogLevel::kWarn, "refetch.ask_failed", MessageOf(asked.status()));
  }
}

void Coordinator::SettleCentralWrites() {
  const auto settled = central_writes_->Settle(kSettleBudget);
  const absl::Status problem = settled.ok() ? settled->problem : settled.status();
  if (!problem.ok()) {
    LogLimited(LogLevel::kWarn, "central_writes.failed", LoggableMessage(problem),
               {{"sqlstate", SqlStateOf(problem)}});
  }
  if (!settled.ok()) return;
  metrics_.central_settled.Increment(static_cast<double>(settled->keys));
  metrics_.central_failed.Increment(static_cast<double>(settled->failed));
  for (const auto& [what, count] : settled->conflicts) {
    const auto& [table, type, resolution] = what;
    metrics_.conflicts.Add({{"table", table}, {"type", type}, {"resolution", resolution}})
        .Increment(static_cast<double>(count));
  }
  if (settled->failed > 0) {
    LogWarn("central_writes.put_off",
            "rows written in the centre break a constraint by their rule; tried again in a minute",
            {{"keys", settled->failed}});
  }
}

void Coordinator::Finish() {
  if (connected()) Report(absl::Now(), false);
}

}  // namespace pmoves
