// Owning sources and reading their streams. See worker.h.
#include <algorithm>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "common/base/reaction.h"
#include "common/base/status.h"
#include "common/io/log.h"
#include "common/io/steady_time.h"
#include "proto/subject.h"
#include "subscriber/io/central_schema.h"
#include "subscriber/io/letter_book.h"
#include "subscriber/worker.h"

namespace pmoves {
namespace {

// A batch holds many sources: none of them may wait long for what one of them meets.
constexpr absl::Duration kLongestLockWait = absl::Seconds(2);
constexpr int kPumpsPerTurn = 16;
constexpr absl::Duration kBlockedPause = absl::Seconds(5);

constexpr const char kUndefinedTable[] = "42P01";

absl::Status SchemaIsOld() {
  return absl::FailedPreconditionError(
      "schema pmoves_sync of the centre is missing or of an older version; run "
      "`pmoves-sync-subscriber init`");
}

std::string Hashed(std::string_view column) {
  return absl::StrFormat("(%d, hashtext(%s))", kSourceLockClass, column);
}

}  // namespace

absl::Status Worker::EnsureConnection() {
  if (connection_ != nullptr && connection_->IsOpen()) return absl::OkStatus();
  if (MonotonicTime() < connect_at_)
    return absl::UnavailableError("waiting before the next attempt");
  PgOptions options = TargetSessionOptions(
      shared_.config, absl::StrFormat("pmoves-sync-subscriber worker %d", index_));
  if (index_ < shared_.config.workers) {  // the large one holds nobody up
    const absl::Duration wait = std::min(shared_.config.postgres.lock_timeout, kLongestLockWait);
    options.settings.emplace_back("lock_timeout", std::to_string(absl::ToInt64Milliseconds(wait)));
  }
  auto connected = PgConnection::Connect(options);
  absl::Status status = connected.status();
  if (status.ok()) {
    connection_ = *std::move(connected);
    status = SetReplicationRole(*connection_, shared_.config);
  }
  if (!status.ok()) {
    connection_.reset();
    connect_at_ = MonotonicTime() + backoff_.Next();
    shared_.metrics.postgres_up.Set(0);
    LogLimited(LogLevel::kError, "target.connect_failed", MessageOf(status), {{"worker", index_}});
    return status;
  }
  backoff_.Reset();
  shared_.metrics.postgres_up.Set(1);
  catalog_ = std::make_unique<TargetCatalog>(*connection_, shared_.config.tables);
  catalog_->RequireRules();
  catalog_->LogDivergences();
  target_ = std::make_unique<PgTarget>(*connection_);
  catalog_generation_ = 0;
  decoder_ = RowDecoder();
  LogInfo("target.connected", "connected to the centre",
          {{"worker", index_}, {"server_version", connection_->server_version()}});
  return absl::OkStatus();
}

void Worker::DropConnection(const absl::Status& why) {
  LogWarn("target.connection_dropped", LoggableMessage(why),
          {{"worker", index_}, {"sqlstate", SqlStateOf(why)}});
  shared_.metrics.connections_lost.Increment();
  shared_.metrics.postgres_up.Set(0);
  pending_.Clear();
  while (!sources_.empty()) GiveUp(std::string(sources_.begin()->first));
  target_.reset();
  catalog_.reset();
  connection_.reset();
  connect_at_ = MonotonicTime() + backoff_.Next();
}

void Worker::CarryOutRequests() {
  std::map<std::string, Carried> claims;
  std::set<std::string> releases;
  {
    MutexLock lock(mutex_);
    claims.swap(claims_);
    releases.swap(releases_);
  }
  for (const std::string& source : releases) GiveUp(source);
  for (auto& [source, carried] : claims) {
    if (sources_.count(source) > 0) continue;
    if (absl::Status status = TryClaim(source, std::move(carried)); !status.ok()) {
      if (ReactionTo(status).reaction == Reaction::kReconnect) return DropConnection(status);
      LogLimited(LogLevel::kError, "source.claim_failed", MessageOf(status), {{"source", source}});
    }
  }
}

void Worker::AwaitMessages(absl::Duration limit) {
  ShowHeld();  // since the last time a batch may have gone
  const std::set<std::string> streams = reader_->Await(limit);
  if (streams.empty()) return;
  for (auto& [name, owned] : sources_) {
    if (streams.count(owned->stream) > 0) owned->ready = true;
  }
}

absl::Status Worker::TryClaim(const std::string& source, Carried carried) {
  ASSIGN_OR_RETURN(PgRows locked, connection_->Execute("SELECT pg_try_advisory_lock" + Hashed("$1"),
                                                       {PgParam(source)}));
  if (!locked.Bool(0, 0)) return absl::OkStatus();  // somebody else applies it
  absl::Status status =
      connection_
          ->Execute(
              "INSERT INTO pmoves_sync.source_position (source) VALUES ($1) ON CONFLICT DO NOTHING",
              {PgParam(source)})
          .status();
  if (!status.ok()) {
    (void)connection_->Execute("SELECT pg_advisory_unlock" + Hashed("$1"), {PgParam(source)});
    if (SqlStateOf(status) == kUndefinedTable || SqlStateOf(status) == "3F000") {
      return SchemaIsOld();
    }
    return status;
  }
  // While this worker held no source, another process may have changed a rule.
  if (sources_.empty()) catalog_->Invalidate();
  auto letters = LetterBook(*connection_).Load(source);
  if (!letters.ok()) {
    (void)connection_->Execute("SELECT pg_advisory_unlock" + Hashed("$1"), {PgParam(source)});
    return letters.status();
  }
  auto owned = std::make_unique<Owned>(source, static_cast<size_t>(shared_.config.batch.max_bytes),
                                       shared_.metrics.Of(source));
  owned->letters = *std::move(letters);
  owned->stream = proto::StreamName(source);
  // The lag of what is known to wait goes on.
  const int64_t since_us = carried.large.has_value() ? carried.large->stored_us : 0;
  owned->large = std::move(carried.large);
  owned->set_aside = std::move(carried.set_aside);
  owned->check_deferred = carried.check_deferred;
  owned->waiting = std::move(carried.waiting);
  owned->open_at = MonotonicTime() + carried.pause;
  sources_[source] = std::move(owned);
  owned_count_ = static_cast<int>(sources_.size());
  shared_.fleet.Update(source,
                       [&, waiting = sources_[source]->waiting, since_us](SourceState& state) {
                         state.owned = true;
                         state.worker = index_;
                         state.waiting = waiting;
                         state.waiting_since_us = since_us;
                       });
  LogInfo("source.owned", "this process applies the source",
          {{"source", source}, {"worker", index_}});
  return absl::OkStatus();
}

void Worker::GiveUp(const std::string& source) {
  auto found = sources_.find(source);
  if (found == sources_.end()) return;
  reader_->Close(found->second->stream);
  held_ -= found->second->counted_held;
  halves_ -= found->second->counted_half;
  if (found->second->large.has_value() && shared_.large != nullptr) shared_.lane.Leave(source);
  if (connection_ != nullptr && connection_->IsOpen()) {
    (void)connection_->Execute("SELECT pg_advisory_unlock" + Hashed("$1"), {PgParam(source)});
  }
  sources_.erase(found);
  owned_count_ = static_cast<int>(sources_.size());
  shared_.fleet.Update(source, [](SourceState& state) {
    state.owned = false;
    state.worker = -1;
    state.waiting_since_us = 0;
    state.stream_created.clear();
    state.sequence = 0;
    state.incomplete = {};
  });
  LogInfo("source.released", "this process applies the source no more",
          {{"source", source}, {"worker", index_}});
}

void Worker::OpenSources() {
  const absl::Time now = MonotonicTime();
  std::vector<std::string> large;
  for (auto& [name, owned] : sources_) {
    if (stopping()) return;
    if (owned->open || now < owned->open_at) continue;
    if (owned->large.has_value()) {
      large.push_back(name);
      continue;
    }
    const absl::Status status = OpenSource(*owned);
    if (status.ok()) continue;
    if (!connection_->IsOpen()) return DropConnection(status);
    owned->open_at = now + kBlockedPause;
    LogLimited(LogLevel::kWarn, "source.open_failed", MessageOf(status), {{"source", name}});
    owned->cannot_open = true;
    shared_.fleet.Update(name, [&](SourceState& state) {
      state.blocked = true;
      state.reason = LoggableMessage(status);
      state.blocked_table.clear();
    });
  }
  HandOver(large);
}

absl::Status Worker::ReadClock(Owned& owned, Hlc commit, int64_t last_commit_us) {
  const auto rows =
      connection_->Execute("SELECT relation, hlc FROM pmoves_sync.source_clock WHERE source = $1",
                           {PgParam(owned.source)});
  if (SqlStateOf(rows.status()) == kUndefinedTable) return SchemaIsOld();
  RETURN_IF_ERROR(rows.status());
  std::vector<RelationClock> others;
  others.reserve(static_cast<size_t>(rows->size()));
  for (int i = 0; i < rows->size(); ++i) {
    others.push_back({rows->String(i, 0), Hlc{rows->Int(i, 1)}});
  }
  owned.clock = SourceClock(commit, std::move(others),
                            last_commit_us == 0 ? std::nullopt : std::optional(last_commit_us));
  return absl::OkStatus();
}

absl::Status Worker::ReadPosition(Owned& owned) {
  ASSIGN_OR_RETURN(
      PgRows rows,
      connection_->Execute("SELECT epoch, position, hlc, stream_created, stream_sequence, "
                           "COALESCE((extract(epoch FROM last_commit_at) * 1000000)::bigint, 0) "
                           "FROM pmoves_sync.source_position WHERE source = $1",
                           {PgParam(owned.source)}));
  if (rows.size() != 1)
    return absl::FailedPreconditionError(
        "the position row of the source is gone from pmoves_sync.source_position");
  owned.epoch = static_cast<uint32_t>(rows.Int(0, 0));
  ASSIGN_OR_RETURN(owned.position, Lsn::Parse(rows.Text(0, 1)));
  owned.stream_created = rows.String(0, 3);
  owned.sequence = static_cast<uint64_t>(rows.Int(0, 4));
  const Hlc hlc{rows.Int(0, 2)};
  const int64_t last_commit_us = rows.Int(0, 5);
  RETURN_IF_ERROR(ReadClock(owned, hlc, last_commit_us));
  shared_.fleet.Update(owned.source, [&](SourceState& state) {
    state.epoch = owned.epoch;
    state.position = owned.position;
    state.hlc = std::max(state.hlc, hlc);
    state.last_commit_us = std::max(state.last_commit_us, last_commit_us);
  });
  return absl::OkStatus();
}

// The truth is (epoch, position) of the centre; the stream's sequence is only a hint where to
// begin.
absl::Status Worker::OpenSource(Owned& owned) {
  RETURN_IF_ERROR(ReadPosition(owned));
  ASSIGN_OR_RETURN(StreamInfo info, shared_.jetstream.GetStream(owned.stream));
  RETURN_IF_ERROR(StreamFaults(owned.stream, info.settings, StreamUse::kChanges, 0));
  uint64_t start =
      std::max<uint64_t>(owned.sequence + 1, std::max<uint64_t>(info.first_sequence, 1));
  // A stream made anew, one that lost its tail, or a gap behind the hint: read it whole, positions
  // tell what is applied.
  const bool other_stream =
      owned.stream_created != info.created || owned.sequence > info.last_sequence;
  if (other_stream) owned.sequence = 0;
  if (other_stream || owned.from_start) start = std::max<uint64_t>(info.first_sequence, 1);
  owned.stream_created = info.created;
  owned.feed.Reset(owned.epoch, owned.position);
  owned.counted_duplicates = owned.feed.duplicates();
  RETURN_IF_ERROR(reader_->Open(owned.stream, start));
  owned.open = true;
  owned.ready = true;
  const bool could_not = std::exchange(owned.cannot_open, false);
  shared_.fleet.Update(owned.source, [&](SourceState& state) {
    if (could_not) {
      state.blocked = false;
      state.reason.clear();
    }
    state.stream_created = owned.stream_created;
    state.sequence = owned.sequence;
    state.pending = info.last_sequence >= start ? info.last_sequence - start + 1 : 0;
  });
  LogInfo("source.reading", "reading the stream",
          {{"source", owned.source},
           {"from_sequence", start},
           {"last_sequence", info.last_sequence},
           {"epoch", owned.epoch},
           {"position", owned.position.ToString()}});
  return absl::OkStatus();
}

void Worker::PumpSource(Owned& owned) {
  const size_t room = static_cast<size_t>(shared_.config.batch.max_bytes);
  // What is passed over or only counted fills nothing: not too much of it at one turn, or the other
  // sources would wait.
  for (int turn = 0; turn < kPumpsPerTurn && owned.open && owned.ready &&
                     owned.feed.bytes() < room && !owned.feed.Full();
       ++turn) {
    const uint64_t before = owned.feed.last_sequence();
    const absl::Status status = owned.feed.Pump(*reader_, owned.stream, 256, room);
    if (status.code() == absl::StatusCode::kDataLoss) {
      owned.metrics.gaps.Increment();
      if (!owned.from_start) {
        LogWarn("source.gap", "a gap behind the hint; reading the stream from its first message",
                {{"source", owned.source}});
        ResetSource(owned, absl::ZeroDuration());
        owned.from_start = true;
        return;
      }
      if (!owned.feed.HasNext()) Block(owned, status, "");
      return;
    }
    if (absl::IsUnimplemented(status)) {
      // What comes before it is applied first.
      if (!owned.feed.HasNext() && pending_.progress.count(&owned) == 0) Block(owned, status, "");
      return;
    }
    if (!status.ok()) {
      LogLimited(LogLevel::kWarn, "source.reading_broke", MessageOf(status),
                 {{"source", owned.source}});
      ResetSource(owned, absl::Milliseconds(100));
      return;
    }
    if (owned.feed.last_sequence() == before) {
      owned.ready = false;
    } else {
      shared_.metrics.messages.Increment(static_cast<double>(owned.feed.last_sequence() - before));
    }
  }
  CountHeld(owned);
  ShowWaiting(owned);
}

void Worker::ShowHeld() {
  reader_->SetHeld(static_cast<int64_t>(held_ + pending_.set.bytes() + pending_.letter_bytes));
}

// What is held of all sources counts in the memory of the reader. Halves of transactions may be
// all that is held, and then nothing would go on: the largest is dropped, and read again when it is
// complete.
void Worker::CountHeld(Owned& owned) {
  const auto count = [this](Owned& each) {
    held_ += each.feed.held() - each.counted_held;
    halves_ += each.feed.half_held() - each.counted_half;
    each.counted_held = each.feed.held();
    each.counted_half = each.feed.half_held();
  };
  count(owned);
  ShowHeld();
  if (halves_ < memory_ / 4 || shared_.large == nullptr) return;
  const auto largest = std::max_element(
      sources_.begin(), sources_.end(),
      [](const auto& a, const auto& b) { return a.second->counted_half < b.second->counted_half; });
  if (largest == sources_.end()) return;
  LogLimited(LogLevel::kInfo, "memory.half_dropped",
             "much of incomplete transactions is held: the largest is dropped, and read again when "
             "it is complete (memory.max_bytes)",
             {{"source", largest->first}, {"bytes", largest->second->counted_half}});
  shared_.metrics.halves_dropped.Increment();
  largest->second->feed.DropHalf();
  count(*largest->second);
}

void Worker::ShowWaiting(Owned& owned) {
  const int64_t duplicates = owned.feed.duplicates() - owned.counted_duplicates;
  if (duplicates > 0) owned.metrics.duplicates.Increment(static_cast<double>(duplicates));
  owned.counted_duplicates += duplicates;
  // Heard is only what is new: an edge that went silent must not look alive (promise O1).
  const bool heard = owned.feed.last_sequence() != owned.shown_sequence;
  owned.shown_sequence = owned.feed.last_sequence();
  if (!heard) return;
  shared_.fleet.Update(owned.source, [&](SourceState& state) {
    state.pending = owned.feed.pending();
    state.waiting_since_us = owned.feed.waiting_since_us();
    state.last_seen = state.last_message = absl::Now();
    const SourceFeed::Incomplete half = owned.feed.incomplete();
    if (half.position != state.incomplete.position) state.incomplete.since = state.last_seen;
    state.incomplete.position = half.position;
    state.incomplete.messages = half.messages;
    state.incomplete.bytes = half.bytes;
    state.sequence = std::max(state.sequence, owned.feed.passed_sequence());
  });
}

void Worker::Block(Owned& owned, const absl::Status& why, const std::string& table) {
  LogLimited(LogLevel::kError, "source.blocked", LoggableMessage(why),
             {{"source", owned.source}, {"sqlstate", SqlStateOf(why)}, {"table", table}});
  shared_.fleet.Update(owned.source, [&](SourceState& state) {
    state.blocked = true;
    state.reason = LoggableMessage(why);
    state.blocked_table = table;
  });
  if (catalog_ != nullptr) catalog_->Invalidate();
  ResetSource(owned, kBlockedPause);
}

void Worker::ResetSource(Owned& owned, absl::Duration pause) {
  reader_->Close(owned.stream);
  owned.open = false;
  owned.ready = false;
  owned.feed.Reset(owned.epoch, owned.position);
  CountHeld(owned);
  owned.open_at = MonotonicTime() + pause;
}

}  // namespace pmoves
