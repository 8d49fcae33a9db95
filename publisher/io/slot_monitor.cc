#include "publisher/io/slot_monitor.h"

#include <pthread.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>

#include "absl/time/clock.h"
#include "common/base/status.h"
#include "common/io/log.h"

namespace pmoves {
namespace {

constexpr const char kSlotSql[] = R"(
SELECT w.lsn, s.slot_name IS NOT NULL, coalesce(s.active, false), s.active_pid,
       coalesce(s.wal_status, ''), (w.lsn - s.restart_lsn)::bigint,
       (w.lsn - s.confirmed_flush_lsn)::bigint, s.safe_wal_size,
       (SELECT setting::bigint FROM pg_settings WHERE name = 'max_slot_wal_keep_size'),
       age(s.catalog_xmin), st.spill_txns, st.spill_bytes,
       (extract(epoch FROM w.at) * 1000000)::bigint
  FROM (SELECT clock_timestamp() AS at, CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()
                    ELSE pg_current_wal_lsn() END AS lsn) w
  LEFT JOIN pg_replication_slots s ON s.slot_name = $1
  LEFT JOIN pg_stat_replication_slots st ON st.slot_name = s.slot_name)";

std::optional<int64_t> OptionalInt(const PgRows& rows, int column) {
  if (rows.IsNull(0, column)) return std::nullopt;
  return rows.Int(0, column);
}

void SetOrClear(OptionalGauge& gauge, const std::optional<int64_t>& value) {
  if (value.has_value()) {
    gauge.Set(static_cast<double>(*value));
  } else {
    gauge.Clear();
  }
}

// The server's totals only grow, but start again at 0 when its statistics are reset.
void CountUp(prometheus::Counter& counter, int64_t before, int64_t now) {
  if (now > before) counter.Increment(static_cast<double>(now - before));
}

}  // namespace

absl::StatusOr<SlotStatus> ReadSlotStatus(PgConnection& connection, const std::string& slot) {
  ASSIGN_OR_RETURN(PgRows rows, connection.Execute(kSlotSql, {slot}));
  SlotStatus status;
  status.polled = true;
  status.polled_us = absl::ToUnixMicros(absl::Now());
  ASSIGN_OR_RETURN(status.wal_end, Lsn::Parse(rows.Text(0, 0)));
  status.exists = rows.Bool(0, 1);
  status.active = rows.Bool(0, 2);
  status.active_pid = rows.Int(0, 3);
  status.wal_status = rows.String(0, 4);
  status.retained_bytes = OptionalInt(rows, 5);
  status.unconfirmed_bytes = OptionalInt(rows, 6);
  status.safe_bytes = OptionalInt(rows, 7);
  if (rows.Int(0, 8) >= 0) status.limit_bytes = rows.Int(0, 8) << 20;
  status.xmin_age = rows.Int(0, 9);
  status.spilled_transactions = rows.Int(0, 10);
  status.spilled_bytes = rows.Int(0, 11);
  status.server_us = rows.Int(0, 12);
  return status;
}

SlotMonitor::SlotMonitor(Options options, StatusBoard& board, Metrics& metrics)
    : options_(std::move(options)),
      board_(board),
      metrics_(metrics),
      thread_([this](std::stop_token stop) { Run(std::move(stop)); }) {}

SlotMonitor::~SlotMonitor() {
  thread_.request_stop();
  wake_.notify_all();
}

void SlotMonitor::Run(std::stop_token stop) {
  pthread_setname_np(pthread_self(), "slot-monitor");
  while (!stop.stop_requested()) {
    Poll();
    // A slot that is about to be created should be seen at once.
    const absl::Duration pause = last_.exists ? options_.interval : absl::Seconds(1);
    MutexLock lock(mutex_);
    wake_.wait_for(mutex_, stop, absl::ToChronoMilliseconds(pause), [] { return false; });
  }
}

absl::StatusOr<SlotStatus> SlotMonitor::Look() {
  if (connection_ == nullptr || !connection_->IsOpen()) {
    connection_.reset();
    PgOptions connect;
    connect.dsn = options_.dsn;
    connect.password = options_.password;
    connect.application_name = "pmoves-sync-publisher monitor";
    connect.settings = {{"search_path", "pg_catalog"}};
    connect.settings.emplace_back("statement_timeout", "5s");
    connect.connect_timeout = absl::Seconds(5);
    ASSIGN_OR_RETURN(connection_, PgConnection::Connect(connect));
  }
  return ReadSlotStatus(*connection_, options_.slot);
}

void SlotMonitor::Poll() {
  absl::StatusOr<SlotStatus> status = Look();
  if (options_.owns_source_up) metrics_.source_up.Set(status.ok() ? 1 : 0);
  if (!status.ok()) {
    board_.Update([&](PublisherStatus& board) {
      board.slot.error = MessageOf(status.status());
      if (options_.owns_source_up) board.source_connected = false;
    });
    return;
  }
  AddRate(&*status);
  Show(*status);
  TouchWhenIdle(*status);
  last_ = *status;
  board_.Update([&](PublisherStatus& board) {
    board.slot = *std::move(status);
    if (options_.owns_source_up) board.source_connected = true;
  });
}

// A transaction without changes: its commit record moves the WAL, so a progress message can say
// that this box has nothing older to send.
void SlotMonitor::TouchWhenIdle(const SlotStatus& status) {
  const auto now = std::chrono::steady_clock::now();
  if (!last_.polled || status.wal_end != last_.wal_end) moved_at_ = now;
  if (!status.exists || now - moved_at_ < absl::ToChronoNanoseconds(options_.touch_after)) return;
  moved_at_ = now;
  if (const auto touched = connection_->Execute("SELECT pg_catalog.txid_current()"); !touched.ok())
    LogLimited(LogLevel::kWarn, "slot.touch_failed", MessageOf(touched.status()));
}

void SlotMonitor::AddRate(SlotStatus* status) {
  status->wal_bytes_per_second = last_.wal_bytes_per_second;
  const SteadyTime polled_at = SteadyNow();
  const double seconds =
      std::chrono::duration<double>(polled_at - std::exchange(polled_at_, polled_at)).count();
  if (last_.polled && seconds > 0 && status->wal_end >= last_.wal_end) {
    constexpr double kMemorySeconds = 60;
    const double now = static_cast<double>(status->wal_end.value - last_.wal_end.value) / seconds;
    const double weight = 1 - std::exp(-seconds / kMemorySeconds);
    status->wal_bytes_per_second += weight * (now - status->wal_bytes_per_second);
  }
  constexpr double kIdle = 1;  // bytes per second: less says nothing about the future
  if (status->safe_bytes.has_value() && status->wal_bytes_per_second > kIdle) {
    status->headroom_hours = std::max<double>(0, static_cast<double>(*status->safe_bytes)) /
                             status->wal_bytes_per_second / 3600;
  }
}

void SlotMonitor::Show(const SlotStatus& status) {
  metrics_.slot_exists.Set(status.exists ? 1 : 0);
  metrics_.slot_active.Set(status.active ? 1 : 0);
  metrics_.slot_wal_status.Set(status.wal_status);
  SetOrClear(metrics_.slot_retained_wal, status.retained_bytes);
  SetOrClear(metrics_.slot_unconfirmed_wal, status.unconfirmed_bytes);
  SetOrClear(metrics_.slot_safe_wal, status.safe_bytes);
  metrics_.slot_limit.Set(status.limit_bytes.has_value() ? static_cast<double>(*status.limit_bytes)
                                                         : std::numeric_limits<double>::infinity());
  if (status.headroom_hours.has_value()) {
    metrics_.slot_headroom.Set(*status.headroom_hours * 3600);
  } else {
    metrics_.slot_headroom.Clear();
  }
  metrics_.wal_rate.Set(status.wal_bytes_per_second);
  metrics_.source_wal_lsn.Set(static_cast<double>(status.wal_end.value));
  metrics_.slot_xmin_age.Set(static_cast<double>(status.xmin_age));
  CountUp(metrics_.slot_spilled_transactions, last_.spilled_transactions,
          status.spilled_transactions);
  CountUp(metrics_.slot_spilled_bytes, last_.spilled_bytes, status.spilled_bytes);
  metrics_.slot_polled.Set(static_cast<double>(status.polled_us) / 1e6);
}

}  // namespace pmoves
