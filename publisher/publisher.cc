#include "publisher/publisher.h"

#include <pthread.h>

#include <random>
#include <utility>

#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "common/base/status.h"
#include "common/io/backoff.h"
#include "common/io/log.h"
#include "publisher/io/writer_fence.h"
#include "publisher/session.h"

#ifndef PMOVES_SYNC_VERSION
#define PMOVES_SYNC_VERSION "unknown"
#endif

namespace pmoves {
namespace {

constexpr std::chrono::seconds kStuckAfter{60};

// The other side is away: nothing is wrong with this edge.
bool IsWaiting(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsAborted(status) ||
         absl::IsDeadlineExceeded(status) || absl::IsCancelled(status);
}

}  // namespace

std::string PublisherVersion() { return PMOVES_SYNC_VERSION; }

std::string ModeName(Mode mode) {
  switch (mode) {
    case Mode::kStandalone:
      return "standalone";
    case Mode::kIntegrated:
      return "integrated";
    case Mode::kDualWrite:
      return "dual-write";
  }
  return "unknown";
}

PublisherStatus InitialStatus(const PublisherConfig& config) {
  PublisherStatus status;
  status.source = config.source;
  status.mode = ModeName(config.mode);
  status.version = PublisherVersion();
  status.started_us = absl::ToUnixMicros(absl::Now());
  return status;
}

Publisher::Publisher(PublisherConfig config, CapturedTables tables, StopSignal& stop)
    : config_(std::move(config)),
      tables_(std::move(tables)),
      stop_(stop),
      registry_(std::make_shared<prometheus::Registry>()),
      metrics_(registry_, PublisherVersion(), config_.postgres.slot),
      process_metrics_(*registry_),
      board_(InitialStatus(config_)) {}

// The monitor and the handlers use what is declared above them.
Publisher::~Publisher() {
  watchdog_.request_stop();
  if (watchdog_.joinable()) watchdog_.join();
  monitor_.reset();
  http_.reset();
}

absl::Status Publisher::Run() {
  if (config_.mode == Mode::kIntegrated) {
    LogInfo("integrated",
            "mode is integrated: this service has no local database to publish; done");
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(StartHttp());
  metrics_.state.Set("starting");
  SlotMonitor::Options monitor;
  monitor.dsn = config_.postgres.dsn;
  monitor.password = config_.postgres.password;
  monitor.slot = config_.postgres.slot;
  monitor.owns_source_up = config_.mode == Mode::kStandalone;
  monitor_ = std::make_unique<SlotMonitor>(monitor, board_, metrics_);
  StartWatchdog();
  LogInfo("start", "publisher started",
          {{"source", config_.source},
           {"mode", ModeName(config_.mode)},
           {"version", PublisherVersion()}});
  // An edge is up when it can be asked what it is doing; its uplink may come much later.
  notify_.Ready("running");
  if (config_.mode == Mode::kStandalone) {
    RunStandalone();
  } else {
    RunSessions();
  }
  notify_.Stopping("stopping");
  metrics_.state.Set("stopping");
  board_.Update([](PublisherStatus& status) { status.state = "stopping"; });
  LogInfo("stop", "publisher stopped");
  return absl::OkStatus();
}

absl::Status Publisher::StartHttp() {
  if (config_.metrics.listen.empty()) return absl::OkStatus();
  HttpCallbacks callbacks;
  callbacks.alive = [this] { return board_.SinceTurn() < kStuckAfter; };
  callbacks.not_ready = [this] { return NotReady(board_.Get()); };
  callbacks.status_json = [this] {
    return StatusJson(board_.Get(), absl::ToUnixMicros(absl::Now()));
  };
  callbacks.before_metrics = [this] { process_metrics_.Update(); };
  ASSIGN_OR_RETURN(http_,
                   HttpServer::Start(config_.metrics.listen, registry_, std::move(callbacks)));
  return absl::OkStatus();
}

void Publisher::StartWatchdog() {
  const absl::Duration interval = notify_.watchdog_interval();
  if (interval == absl::InfiniteDuration()) return;
  watchdog_ = std::jthread([this, interval](const std::stop_token& stop) {
    pthread_setname_np(pthread_self(), "watchdog");
    while (!stop.stop_requested() && !stop_.WaitFor(interval)) {
      if (board_.SinceTurn() < kStuckAfter) notify_.Watchdog();
    }
  });
}

void Publisher::RunStandalone() {
  metrics_.state.Set("standalone");
  board_.Update([](PublisherStatus& status) { status.state = "standalone"; });
  do {
    board_.Turned();
    if (board_.Get().slot.exists) {
      LogLimited(
          LogLevel::kWarn, "slot_unread",
          "mode is standalone, but the replication slot exists: nobody reads it and it keeps "
          "WAL. Drop it: SELECT pg_drop_replication_slot(...)",
          {{"slot", config_.postgres.slot}});
    }
  } while (!stop_.WaitFor(absl::Seconds(1)));
}

void Publisher::RunSessions() {
  StuckPlace stuck;
  Backoff backoff(config_.retry.initial, config_.retry.max, std::random_device()());
  while (!stop_.requested()) {
    metrics_.sessions.Increment();
    board_.Turned();
    board_.Update([](PublisherStatus& status) { ++status.sessions; });
    absl::Status status;
    std::string refusal;
    const char* step = "";
    {
      Session session({config_, tables_, NewWriterId(), board_, metrics_, stop_, stuck});
      status = session.Run();
      refusal = session.refusal();
      step = session.step();
      if (session.was_sound()) backoff.Reset();
    }
    if (status.ok()) return;
    metrics_.CountSessionFailure(status, refusal);
    metrics_.source_repeated_failures.Set(stuck.failures());
    const absl::Duration pause = backoff.Next();
    ShowFailure(status, refusal, step, pause);
    if (stop_.WaitFor(pause)) return;
  }
}

void Publisher::ShowFailure(const absl::Status& status, const std::string& refusal,
                            const char* step, absl::Duration pause) {
  const bool waiting = refusal.empty() && IsWaiting(status);
  const char* state = waiting ? "starting" : "blocked";
  metrics_.state.Set(state);
  board_.Update([&](PublisherStatus& board) {
    board.state = state;
    board.reason = MessageOf(status);
    board.refusal = refusal;
  });
  notify_.Status(MessageOf(status));
  const std::string retry = absl::FormatDuration(absl::Trunc(pause, absl::Milliseconds(1)));
  if (waiting) {
    LogLimited(LogLevel::kWarn, "session_ended", MessageOf(status),
               {{"step", step}, {"retry_in", retry}});
  } else {
    LogLimited(LogLevel::kError, "blocked", MessageOf(status),
               {{"reason", refusal.empty() ? absl::StatusCodeToString(status.code()) : refusal},
                {"step", step},
                {"sqlstate", SqlStateOf(status)},
                {"retry_in", retry}});
  }
}

}  // namespace pmoves
