#include "publisher/publish_loop.h"

#include <poll.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>

#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "common/base/check.h"
#include "common/base/status.h"
#include "common/io/log.h"
#include "proto/subject.h"
#include "publisher/io/stream_room.h"

namespace pmoves {
namespace {

constexpr int kEventsPerTurn = 1024;
constexpr absl::Duration kAdvanceInterval = absl::Milliseconds(100);
constexpr absl::Duration kStatusInterval = absl::Milliseconds(200);
constexpr absl::Duration kRoomInterval = absl::Seconds(5);
constexpr absl::Duration kCatalogInterval = absl::Minutes(1);
constexpr absl::Duration kCatchingUpAfter = absl::Seconds(1);
constexpr absl::Duration kSoundAfter = absl::Seconds(5);
constexpr absl::Duration kLongestWait = absl::Seconds(1);  // an overdue ack makes no fd readable
constexpr absl::Duration kLongestTlsWait = absl::Milliseconds(50);
constexpr absl::Duration kGroupInterval = absl::Milliseconds(1);
constexpr int kManyEvents = 100;
constexpr int kFewEvents = 8;
constexpr absl::Duration kGatherMany = absl::Milliseconds(1);
constexpr absl::Duration kGatherInFlight = absl::Microseconds(500);
constexpr absl::Duration kGatherFew = absl::Microseconds(20);
// Acks make nothing readable: how soon they are looked at when something waits for them, and when
// nothing does.
constexpr absl::Duration kAckWait = absl::Microseconds(500);
constexpr absl::Duration kIdleAckWait = absl::Milliseconds(2);
constexpr absl::Duration kDrainTime = absl::Seconds(5);
// A transaction takes its commit time a moment before its place in the WAL.
constexpr absl::Duration kCommitSlack = absl::Seconds(1);
// The walsender ends a session after wal_sender_timeout (30 s, pinned): a report at a third of it
// at the latest.
constexpr absl::Duration kLongestReportInterval = absl::Seconds(10);

double Seconds(int64_t unix_us) { return static_cast<double>(unix_us) / 1e6; }

}  // namespace

absl::Time MonotonicNow() {
  return absl::UnixEpoch() + absl::FromChrono(std::chrono::steady_clock::now().time_since_epoch());
}

PublishLoop::PublishLoop(Parts parts, uint32_t epoch, Lsn confirmed)
    : parts_(parts), epoch_(epoch), now_(MonotonicNow()), reported_(confirmed) {
  started_at_ = flush_due_ = report_due_ = advance_due_ = heartbeat_due_ = status_due_ = now_;
  drained_at_ = absl::InfinitePast();
  progress_due_ = now_ + parts_.config.progress.interval;
  catalog_due_ = now_ + kCatalogInterval;
  parts_.metrics.publish_in_flight_limit.Set(parts_.config.stream.window_messages);
}

absl::Status PublishLoop::Run() {
  while (!parts_.stop.requested()) {
    RETURN_IF_ERROR(Turn());
    Wait();
  }
  return Drain();
}

absl::Status PublishLoop::Turn() {
  now_ = MonotonicNow();
  parts_.board.Turned();
  if (parts_.nats.IsClosed()) return absl::UnavailableError("the connection to NATS is lost");
  RETURN_IF_ERROR(TakeAcks());
  TakeApplied();
  RETURN_IF_ERROR(parts_.refetcher.Turn(now_));
  RETURN_IF_ERROR(ReadWal());
  RETURN_IF_ERROR(PublishReady());
  RETURN_IF_ERROR(FlushWhenQuiet());
  RETURN_IF_ERROR(MaybeProgress());
  RETURN_IF_ERROR(MaybeReport());
  if (drained_ && now_ >= catalog_due_) {
    catalog_due_ = now_ + kCatalogInterval;
    parts_.catalog.Refresh();
    RETURN_IF_ERROR(parts_.history.Verify());
  }
  MaybeHeartbeat();
  ShowStatus();
  return absl::OkStatus();
}

absl::Status PublishLoop::TakeAcks() {
  acks_.clear();
  absl::Status status = parts_.sink.TakeAcks(&acks_);
  for (const StoredMessage& ack : acks_) {
    if (ack.last) parts_.ledger.Stored(ack.position, now_);
    last_commit_us_ = std::max(last_commit_us_, ack.commit_us);
    parts_.metrics.publish_ack_duration.Observe(static_cast<double>(ack.took_ns) / 1e9);
  }
  if (!acks_.empty()) {
    last_ack_us_ = absl::ToUnixMicros(absl::Now());
    parts_.metrics.published_acked.Increment(static_cast<double>(acks_.size()));
  }
  if (!status.ok()) {
    parts_.metrics.CountPublishError(status);
    parts_.metrics.published_failed.Increment(
        static_cast<double>(parts_.sink.in_flight_messages()));
  }
  return status;
}

void PublishLoop::TakeApplied() {
  const std::optional<proto::Applied> applied = parts_.applied.Take();
  // Positions of another epoch say nothing here.
  if (applied.has_value() && applied->epoch == epoch_) parts_.ledger.Applied(applied->position);
}

absl::Status PublishLoop::ReadWal() {
  absl::Status status = ReadEvents();
  if (!reading_failed_) return status;
  return parts_.stuck.Failed(parts_.pump.place(), status);
}

absl::Status PublishLoop::ReadEvents() {
  blocked_ = drained_ = false;
  for (int i = 0; i < kEventsPerTurn; ++i) {
    RETURN_IF_ERROR(PublishReady());
    if (!parts_.plan.ready().empty()) {
      blocked_ = true;
      return absl::OkStatus();
    }
    reading_failed_ = true;  // unless what follows goes well
    ASSIGN_OR_RETURN(std::optional<WalEvent> event, parts_.source.Next());
    if (!event.has_value()) {
      drained_ = true;
      drained_at_ = now_;
      RETURN_IF_ERROR(parts_.pump.Release());
      reading_failed_ = false;
      return absl::OkStatus();
    }
    heard_server_ = true;
    if (event->keepalive) {
      RETURN_IF_ERROR(TakeKeepalive(*event));
      reading_failed_ = false;
      continue;
    }
    received_ = std::max(received_, event->wal_start);
    received_bytes_ += event->payload.size();
    RETURN_IF_ERROR(parts_.pump.Take(event->payload, event->wal_start));
    reading_failed_ = false;
    events_in_transaction_ = parts_.pump.idle() ? 0 : events_in_transaction_ + 1;
  }
  return absl::OkStatus();
}

absl::Status PublishLoop::TakeKeepalive(const WalEvent& event) {
  received_ = std::max(received_, event.wal_end);
  reply_requested_ = reply_requested_ || event.reply_requested;
  // Inside a transaction's output the position is still before its commit, but then something is
  // left to publish.
  if (parts_.pump.idle()) idle_position_ = std::max(idle_position_, event.wal_end);
  return absl::OkStatus();
}

absl::Status PublishLoop::PublishReady() {
  auto& ready = parts_.plan.ready();
  while (!ready.empty() && parts_.sink.HasRoom()) {
    OutgoingMessage message = std::move(ready.front());
    ready.pop_front();
    parts_.metrics.CountChanges(message.subject, message.changes);
    parts_.metrics.publish_bytes.Increment(static_cast<double>(message.body.size()));
    parts_.metrics.capture_latency.Observe(
        std::max(0.0, Seconds(absl::ToUnixMicros(absl::Now()) - message.commit_us)));
    if (absl::Status status = parts_.sink.Publish(std::move(message)); !status.ok()) {
      parts_.metrics.CountPublishError(status);
      return status;
    }
  }
  return absl::OkStatus();
}

// Nagle's rule: as long as messages are in flight a group of small transactions may grow; when
// nothing is, it leaves. At once, unless one left a moment ago: so only above a thousand
// transactions a second do they wait, and then share a message.
absl::Status PublishLoop::FlushWhenQuiet() {
  if (!parts_.plan.holds_group() || parts_.sink.in_flight_messages() > 0 || now_ < flush_due_) {
    return absl::OkStatus();
  }
  flush_due_ = now_ + kGroupInterval;
  parts_.plan.FlushGroup();
  return PublishReady();
}

absl::Status PublishLoop::MaybeProgress() {
  MessagePlan& plan = parts_.plan;
  if (parts_.pump.idle()) idle_position_ = std::max(idle_position_, parts_.pump.last_seen());
  const bool quiet = parts_.pump.idle() && !plan.holds_group() && plan.ready().empty() &&
                     parts_.sink.in_flight_messages() == 0;
  if (!quiet || idle_position_ <= plan.previous()) return absl::OkStatus();
  // A fresh epoch has no previous position: its WAL counts from the slot's.
  const Lsn base = std::max(plan.previous(), reported_);
  const auto step = static_cast<uint64_t>(parts_.config.progress.wal_bytes);
  const bool far = idle_position_ > base && idle_position_.value - base.value >= step;
  if (now_ < progress_due_ && !far) return absl::OkStatus();
  progress_due_ = now_ + parts_.config.progress.interval;
  plan.AddProgress(idle_position_, absl::ToUnixMicros(absl::Now()), CaughtUpMs());
  parts_.metrics.progress_messages.Increment();
  return PublishReady();
}

// Whatever was committed before the server's WAL reached a position that is read by now.
int64_t PublishLoop::CaughtUpMs() const {
  const SlotStatus slot = parts_.board.Get().slot;
  if (!slot.polled || idle_position_ < slot.wal_end) return 0;
  return slot.server_us / 1000 - absl::ToInt64Milliseconds(kCommitSlack);
}

absl::Status PublishLoop::MaybeReport() {
  const bool advanced = parts_.ledger.SafePosition(now_) > reported_;
  if (reply_requested_ || now_ >= report_due_ || (advanced && now_ >= advance_due_)) {
    return Report();
  }
  return absl::OkStatus();
}

absl::Status PublishLoop::Report() {
  const Lsn safe = parts_.ledger.SafePosition(now_);
  PMOVES_CHECK(safe <= parts_.ledger.stored());
  // A repeated old flush position would keep a fast shutdown of the server waiting for ever.
  const Lsn flush = safe > reported_ ? safe : Lsn{};
  RETURN_IF_ERROR(parts_.source.Report(received_, flush, /*ask_reply=*/false));
  reported_ = std::max(reported_, safe);
  reply_requested_ = false;
  report_due_ = now_ + std::min(parts_.config.postgres.status_interval, kLongestReportInterval);
  advance_due_ = now_ + kAdvanceInterval;
  return absl::OkStatus();
}

void PublishLoop::MaybeHeartbeat() {
  if (now_ < heartbeat_due_) return;
  heartbeat_due_ = now_ + parts_.config.progress.heartbeat;
  const PublisherStatus status = parts_.board.Get();
  const absl::Status sent =
      parts_.nats.Publish(std::string(proto::kHeartbeatPrefix) + status.source,
                          HeartbeatJson(status, absl::ToUnixMicros(absl::Now())));
  (sent.ok() ? parts_.metrics.heartbeats_sent : parts_.metrics.heartbeats_failed).Increment();
}

// What waits while the rest streams.
std::string PublishLoop::Trouble(const std::vector<std::string>& missing) const {
  std::string trouble = parts_.pump.Trouble();
  if (missing.empty()) return trouble;
  if (!trouble.empty()) trouble += "; ";
  return trouble +
         absl::StrFormat("these tables wait alone (missing: captured from their creation on): %s",
                         absl::StrJoin(missing, ", "));
}

const std::string& PublishLoop::NoRoom() {
  const absl::Status full = parts_.sink.full();
  if (full.ok()) {
    if (!no_room_.empty()) LogInfo("stream_has_room", "the stream has room again; going on");
    no_room_.clear();
    return no_room_;
  }
  if (no_room_.empty()) {
    parts_.metrics.CountPublishError(full);
  } else if (now_ < look_at_room_) {
    return no_room_;
  }
  look_at_room_ = now_ + kRoomInterval;
  const std::string& source = parts_.config.source;
  no_room_ =
      WhyFull({source, parts_.config.stream.max_bytes, full, parts_.sink.open_transaction_bytes(),
               parts_.unfinished_tail, parts_.sink.in_flight_bytes()},
              parts_.jetstream.GetStream(proto::StreamName(source)));
  LogLimited(LogLevel::kError, "stream_full", no_room_);
  return no_room_;
}

void PublishLoop::ShowStatus() {
  Metrics& metrics = parts_.metrics;
  if (now_ < status_due_) return;
  status_due_ = now_ + kStatusInterval;
  const bool streaming = now_ - drained_at_ < kCatchingUpAfter;
  was_streaming_ = was_streaming_ || (streaming && now_ - started_at_ > kSoundAfter);
  parts_.stuck.Passed(parts_.pump.place());
  const bool stuck = parts_.stuck.stuck();
  const std::string& no_room = NoRoom();
  const char* state = stuck || !no_room.empty() ? "blocked"
                      : streaming               ? "streaming"
                                                : "catching_up";
  const HandoffLedger& ledger = parts_.ledger;
  const std::vector<std::string> missing = parts_.catalog.Missing();
  const std::string trouble = stuck ? parts_.stuck.reason() : Trouble(missing);
  parts_.board.Update([&](PublisherStatus& status) {
    status.state = state;
    status.reason = no_room.empty() ? trouble : no_room;
    status.waiting_tables = missing;
    status.refusal = !no_room.empty() ? "stream_full" : stuck ? kStuckRefusal : "";
    status.received = received_;
    status.published = ledger.stored();
    status.applied = ledger.applied();
    status.confirmed = reported_;
    status.in_flight_messages = parts_.sink.in_flight_messages();
    status.waiting_transactions = ledger.waiting();
    if (last_commit_us_ > 0) status.last_commit_us = last_commit_us_;
    if (last_ack_us_ > 0) status.last_ack_us = last_ack_us_;
  });
  metrics.state.Set(state);
  metrics.source_repeated_failures.Set(parts_.stuck.failures());
  metrics.tables_waiting.Set(static_cast<double>(missing.size()));
  const double now = Seconds(absl::ToUnixMicros(absl::Now()));
  metrics.loop_turned.Set(now);
  if (std::exchange(heard_server_, false)) metrics.source_last_message.Set(now);
  metrics.source_received_lsn.Set(static_cast<double>(received_.value));
  metrics.source_published_lsn.Set(static_cast<double>(ledger.stored().value));
  metrics.source_applied_lsn.Set(static_cast<double>(ledger.applied().value));
  metrics.source_confirmed_lsn.Set(static_cast<double>(reported_.value));
  if (last_commit_us_ > 0) metrics.source_last_commit.Set(Seconds(last_commit_us_));
  if (last_ack_us_ > 0) metrics.publish_last_ack.Set(Seconds(last_ack_us_));
  metrics.publish_in_flight.Set(static_cast<double>(parts_.sink.in_flight_messages()));
  metrics.handoff_waiting.Set(static_cast<double>(ledger.waiting()));
  metrics.source_received_bytes.Increment(
      static_cast<double>(std::exchange(received_bytes_, uint64_t{0})));
  const uint64_t transactions = parts_.pump.transactions();
  metrics.source_transactions.Increment(
      static_cast<double>(transactions - std::exchange(counted_transactions_, transactions)));
  const uint64_t reads = parts_.pump.nonfinite_reads();
  metrics.source_nonfinite_reads.Increment(
      static_cast<double>(reads - std::exchange(counted_reads_, reads)));
}

// How long the WAL may be left alone so that more of it is read at once: the walsender sends each
// row by itself, and waking up costs more than a row. Nothing is held up by it that could leave
// now.
absl::Duration PublishLoop::GatherTime() const {
  if (events_in_transaction_ > kManyEvents) return kGatherMany;
  const bool in_flight = parts_.sink.in_flight_messages() > 0;
  if (parts_.plan.holds_group()) {  // what is read only joins it
    return in_flight ? kGatherInFlight : std::max(flush_due_ - now_, absl::ZeroDuration());
  }
  if (events_in_transaction_ == 0) return absl::ZeroDuration();
  return in_flight && events_in_transaction_ > kFewEvents ? kGatherInFlight : kGatherFew;
}

void PublishLoop::Wait() {
  if (!drained_ && !blocked_) return;  // there is more to read right now
  absl::Time until =
      std::min({now_ + (parts_.source.uses_tls() ? kLongestTlsWait : kLongestWait), report_due_,
                heartbeat_due_, parts_.ledger.NextDeadline(), parts_.refetcher.NextDue()});
  if (parts_.ledger.SafePosition(now_) > reported_) until = std::min(until, advance_due_);
  if (parts_.sink.in_flight_messages() > 0) {
    const bool progress_waits = now_ >= progress_due_ && idle_position_ > parts_.plan.previous();
    const bool awaited =
        parts_.plan.holds_group() || !parts_.plan.ready().empty() || progress_waits;
    until = std::min(until, now_ + (awaited ? kAckWait : kIdleAckWait));
  }
  const absl::Duration gather = drained_ ? GatherTime() : absl::ZeroDuration();
  if (gather > absl::ZeroDuration()) until = std::min(until, MonotonicNow() + gather);
  const bool skip_wal = blocked_ || gather > absl::ZeroDuration();
  std::array<pollfd, 4> fds = {{{parts_.stop.fd(), POLLIN, 0},
                                {parts_.applied.fd(), POLLIN, 0},
                                {parts_.refetcher.fd(), POLLIN, 0},
                                {parts_.source.fd(), POLLIN, 0}}};
  const timespec timeout = absl::ToTimespec(std::max(until - MonotonicNow(), absl::ZeroDuration()));
  ppoll(fds.data(), fds.size() - (skip_wal ? 1 : 0), &timeout, nullptr);
}

// Stopping: what is whole goes out and is awaited for a moment. A crash here is safe; this only
// saves the next start some work.
absl::Status PublishLoop::Drain() {
  const absl::Time deadline = MonotonicNow() + kDrainTime;
  if (!parts_.plan.in_transaction()) parts_.plan.FlushGroup();
  while (MonotonicNow() < deadline) {
    now_ = MonotonicNow();
    RETURN_IF_ERROR(TakeAcks());
    TakeApplied();
    RETURN_IF_ERROR(PublishReady());
    if (parts_.plan.ready().empty() && parts_.sink.in_flight_messages() == 0) break;
    poll(nullptr, 0, 1);  // acks make nothing readable
  }
  now_ = MonotonicNow();
  return Report();
}

}  // namespace pmoves
