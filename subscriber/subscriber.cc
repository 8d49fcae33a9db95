#include "subscriber/subscriber.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <random>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "common/base/status.h"
#include "common/base/time_text.h"
#include "common/io/backoff.h"
#include "common/io/http_server.h"
#include "common/io/jetstream.h"
#include "common/io/log.h"
#include "common/io/nats_client.h"
#include "common/io/pg_connection.h"
#include "common/io/steady_time.h"
#include "proto/message_codec.h"
#include "proto/subject.h"
#include "subscriber/coordinator.h"
#include "subscriber/io/jetstream_source.h"
#include "subscriber/io/pg_target.h"
#include "subscriber/io/refetch_asker.h"
#include "subscriber/io/table_rules.h"
#include "subscriber/worker.h"

namespace pmoves {
namespace {

constexpr absl::Duration kLookAtRules = absl::Seconds(10);

// An event that threads set and the main loop waits for.
class WakeEvent {
 public:
  WakeEvent() : fd_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {}
  ~WakeEvent() { close(fd_); }
  WakeEvent(const WakeEvent&) = delete;
  WakeEvent& operator=(const WakeEvent&) = delete;
  void Set() {
    const uint64_t one = 1;
    (void)!write(fd_, &one, sizeof(one));
  }
  int fd() const { return fd_; }

 private:
  int fd_;
};

void WaitForAny(int first_fd, int second_fd, absl::Duration duration) {
  pollfd fds[] = {{first_fd, POLLIN, 0}, {second_fd, POLLIN, 0}};
  poll(fds, 2, static_cast<int>(absl::ToInt64Milliseconds(duration)));
}

std::string TimeOrNull(absl::Time time) {
  return time == absl::InfinitePast() ? "null"
                                      : "\"" + FormatRfc3339(absl::ToUnixMicros(time)) + "\"";
}

}  // namespace

absl::Time Subscriber::Now() { return absl::Now(); }

int Subscriber::Run() {
  std::unique_ptr<HttpServer> http;
  if (!config_.metrics.listen.empty()) {
    HttpCallbacks callbacks;
    callbacks.alive = [this] {
      return absl::ToUnixMicros(MonotonicTime()) - last_turn_us_ < int64_t{60} * 1000000;
    };
    callbacks.not_ready = [this] { return NotReady(); };
    callbacks.status_json = [this] { return StatusJson(); };
    callbacks.before_metrics = [this] { metrics_.Refresh(fleet_, Now()); };
    Turned();
    auto started =
        HttpServer::Start(config_.metrics.listen, metrics_.registry, std::move(callbacks));
    if (!started.ok()) {
      LogError("http.failed", MessageOf(started.status()));
      return 69;
    }
    http = *std::move(started);
    LogInfo("http.listening", "serving /metrics /livez /readyz /status",
            {{"listen", config_.metrics.listen}});
  }
  systemd_.Ready("running");
  Backoff backoff(config_.retry.initial, config_.retry.max, std::random_device()());
  while (!stop_.requested()) {
    Turned();
    const absl::Time begun = MonotonicTime();
    const absl::Status status = Session();
    nats_ready_ = false;
    target_ready_ = false;
    metrics_.nats_up.Set(0);
    if (stop_.requested()) break;
    if (MonotonicTime() - begun > absl::Minutes(1)) backoff.Reset();
    {
      MutexLock lock(mutex_);
      last_error_ = MessageOf(status);
    }
    LogLimited(LogLevel::kWarn, "session.ended", MessageOf(status));
    stop_.WaitFor(backoff.Next());
  }
  systemd_.Stopping("draining");
  LogInfo("stopped", "drained and stopped");
  return 0;
}

absl::Status Subscriber::CarryOutRules() {
  ASSIGN_OR_RETURN(
      const std::unique_ptr<PgConnection> connection,
      PgConnection::Connect(TargetSessionOptions(config_, "pmoves-sync-subscriber rules")));
  RETURN_IF_ERROR(SetReplicationRole(*connection, config_));
  TableRules::Ports ports;
  ports.stopping = [this] {
    Turned();
    systemd_.Watchdog();
    return stop_.requested();
  };
  ports.tell = [](const TargetTable& table, const std::string& what) {
    LogInfo("table.rule", what, {{"table", table.Name()}});
  };
  const auto left_out = TableRules(*connection, config_).CarryOut(ports);
  const std::string state = SqlStateOf(left_out.status());
  if (state == "42P01" || state == "42703" || state == "3F000") {
    return absl::FailedPreconditionError(
        "schema pmoves_sync of the centre is missing or of an older version; run "
        "`pmoves-sync-subscriber init`");
  }
  RETURN_IF_ERROR(left_out.status());
  rules_carried_out_ = *left_out == 0;
  look_at_rules_ = MonotonicTime() + kLookAtRules;
  return absl::OkStatus();
}

// A table that was left out may have been made or mended since: a new session comes then.
bool Subscriber::RulesAreDue() {
  if (rules_carried_out_ || MonotonicTime() < look_at_rules_) return false;
  look_at_rules_ = MonotonicTime() + kLookAtRules;
  auto connection =
      PgConnection::Connect(TargetSessionOptions(config_, "pmoves-sync-subscriber rules"));
  if (!connection.ok()) return false;
  const auto could = TableRules(**connection, config_).CouldCarryOut();
  return could.ok() && *could;
}

absl::Status Subscriber::Session() {
  // In each session: while this process was not connected, another one may have changed a rule.
  RETURN_IF_ERROR(CarryOutRules());
  WakeEvent closed;
  NatsConfig nats_config = config_.nats.connection;
  nats_config.name = "pmoves-sync-subscriber";
  ASSIGN_OR_RETURN(std::unique_ptr<NatsClient> nats,
                   NatsClient::Connect(nats_config, [&closed] { closed.Set(); }));
  JetStream jetstream(*nats, config_.nats.domain);
  RETURN_IF_ERROR(jetstream.EnsureStream({std::string(proto::kAppliedStream),
                                          {std::string(proto::kAppliedPrefix) + "*"},
                                          int64_t{64} << 20,
                                          1,
                                          1}));

  std::vector<std::unique_ptr<Worker>> workers;
  JetStreamSource::Options options;
  options.messages = config_.fetch.messages;
  options.bytes = config_.fetch.bytes;
  options.memory = MemoryOfWorker(config_);
  LargeLane lane;
  Worker::Shared shared{config_, jetstream, fleet_, metrics_, lane};
  ASSIGN_OR_RETURN(std::unique_ptr<JetStreamSource> large_reader,
                   JetStreamSource::Create(*nats, jetstream, options));
  Worker large(config_.workers, std::move(large_reader), shared);
  shared.large = &large;
  for (int i = 0; i < config_.workers; ++i) {
    ASSIGN_OR_RETURN(std::unique_ptr<JetStreamSource> reader,
                     JetStreamSource::Create(*nats, jetstream, options));
    workers.push_back(std::make_unique<Worker>(i, std::move(reader), shared));
  }
  ASSIGN_OR_RETURN(
      std::unique_ptr<NatsSubscription> heartbeats,
      nats->Subscribe(std::string(proto::kHeartbeatPrefix) + "*", [this](NatsMsgPtr message) {
        const std::string subject = natsMsg_GetSubject(message.get());
        const std::string source = subject.substr(proto::kHeartbeatPrefix.size());
        if (!proto::IsSourceName(source) || natsMsg_GetDataLength(message.get()) > 8192) return;
        fleet_.UpdateKnown(source, [&](SourceState& state) {
          state.last_seen = Now();
          state.heartbeat.assign(natsMsg_GetData(message.get()),
                                 static_cast<size_t>(natsMsg_GetDataLength(message.get())));
        });
      }));
  ASSIGN_OR_RETURN(const std::unique_ptr<RefetchAsker> asker, RefetchAsker::Create(*nats));
  large.Start();
  for (auto& worker : workers) worker->Start();
  LogInfo("session.started", "connected to NATS", {{"server_version", nats->server_version()}});
  nats_ready_ = true;
  metrics_.nats_up.Set(1);
  {
    MutexLock lock(mutex_);
    last_error_.clear();
  }
  Coordinator coordinator(config_, *nats, jetstream, *asker, fleet_, metrics_, workers);
  bool rules_due = false;
  while (!stop_.requested() && !nats->IsClosed() && !rules_due) {
    Turned();
    coordinator.Turn(MonotonicTime());
    target_ready_ = coordinator.connected();
    systemd_.Watchdog();
    WaitForAny(stop_.fd(), closed.fd(), std::min(config_.report_interval, absl::Seconds(1)));
    rules_due = RulesAreDue();
  }
  coordinator.Finish();
  large.AskToStop();
  for (auto& worker : workers) worker->AskToStop();
  large.Stop();  // it gives its source back to one of the others
  for (auto& worker : workers) worker->Stop();
  heartbeats.reset();
  return absl::UnavailableError(rules_due ? "a table can be merged now: its rule comes first"
                                          : "the connection to NATS was lost");
}

std::string Subscriber::NotReady() const {
  std::string reasons;
  if (!nats_ready_) reasons += "not connected to NATS\n";
  if (!target_ready_) reasons += "not connected to the central database\n";
  return reasons;
}

std::string Subscriber::StatusJson() const {
  std::string json = absl::StrFormat(
      "{\"program\":\"pmoves-sync-subscriber\",\"version\":\"%s\",\"nats\":%s,\"target\":%s,",
      PMOVES_SYNC_VERSION, nats_ready_ ? "true" : "false", target_ready_ ? "true" : "false");
  {
    MutexLock lock(mutex_);
    json += "\"last_error\":" + proto::JsonString(last_error_) + ",\"sources\":[";
  }
  const absl::Time now = Now();
  const char* separator = "";
  for (const SourceState& state : fleet_.Snapshot()) {
    const std::string waits = FleetState::WaitsFor(state, now);
    json += absl::StrFormat(
        "%s{\"source\":%s,\"owned\":%s,\"state\":\"%s\",\"reason\":%s,\"epoch\":%d,\"position\":\"%"
        "s\",\"pending_messages\":%d,\"lag_seconds\":%.3f,"
        "\"last_commit_at\":%s,\"applied_at\":%s,\"last_seen_at\":%s,\"heartbeat\":%s}",
        separator, proto::JsonString(state.source), state.owned ? "true" : "false",
        state.blocked    ? "blocked"
        : !waits.empty() ? "waiting"
        : state.owned    ? "applying"
                         : "elsewhere",
        proto::JsonString(waits.empty() ? state.reason : waits), state.epoch,
        state.position.ToString(), state.pending,
        absl::ToDoubleSeconds(FleetState::Lag(state, now)),
        state.last_commit_us == 0 ? "null" : "\"" + FormatRfc3339(state.last_commit_us) + "\"",
        TimeOrNull(state.applied_at), TimeOrNull(state.last_seen),
        proto::JsonString(state.heartbeat));
    separator = ",";
  }
  return json + "]}";
}

}  // namespace pmoves
