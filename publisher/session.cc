#include "publisher/session.h"

#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "common/base/status.h"
#include "common/io/log.h"
#include "proto/subject.h"
#include "publisher/change_pump.h"
#include "publisher/core/preflight_rules.h"
#include "publisher/io/edge_state.h"
#include "publisher/io/history_schema.h"
#include "publisher/io/jetstream_sink.h"
#include "publisher/io/nonfinite_reader.h"
#include "publisher/io/pg_preflight.h"
#include "publisher/io/refetch_feed.h"
#include "publisher/io/stream_room.h"
#include "publisher/io/stream_tail.h"
#include "publisher/io/waiting_tables.h"
#include "publisher/io/writer_fence.h"
#include "publisher/publish_loop.h"
#include "publisher/refetcher.h"

namespace pmoves {

PgOptions DatabaseOptions(const PublisherConfig& config, const std::string& purpose) {
  PgOptions options;
  options.dsn = config.postgres.dsn;
  options.password = config.postgres.password;
  options.application_name = "pmoves-sync-publisher " + purpose;
  options.settings = {{"search_path", "pg_catalog"}};
  // The writer row must be on disk before the stream relies on it, whatever the role or database
  // prefers.
  options.settings.emplace_back("synchronous_commit", "on");
  // Well below wal_sender_timeout (30 s): the loop waits with its statements.
  options.settings.emplace_back("statement_timeout", "10s");
  return options;
}

PgWalSource::Options ReplicationOptions(const PublisherConfig& config,
                                        const CapturedTables& tables) {
  PgWalSource::Options options;
  options.dsn = config.postgres.dsn;
  options.password = config.postgres.password;
  options.application_name = "pmoves-sync-publisher " + config.source;
  options.slot = config.postgres.slot;
  options.add_tables = tables.AddTablesOption();
  return options;
}

absl::Status EnsureStreams(JetStream& jetstream, const PublisherConfig& config) {
  StreamConfig stream;
  stream.name = proto::StreamName(config.source);
  stream.subjects = {proto::SourceWildcard(config.source)};
  stream.max_bytes = config.stream.max_bytes;
  stream.replicas = config.stream.replicas;
  stream.largest_message = config.stream.max_message_bytes + kMessageOverhead;
  RETURN_IF_ERROR(jetstream.EnsureStream(stream));
  StreamConfig applied;
  applied.name = std::string(proto::kAppliedStream);
  applied.subjects = {absl::StrFormat("%s*", proto::kAppliedPrefix)};
  applied.max_messages_per_subject = 1;
  applied.replicas = config.stream.replicas;
  return jetstream.EnsureStream(applied);
}

Session::~Session() {
  context_.metrics.source_up.Set(0);
  context_.metrics.nats_up.Set(0);
  context_.board.Update([](PublisherStatus& status) {
    status.source_connected = status.nats_connected = false;
    status.in_flight_messages = 0;
  });
}

absl::Status Session::Run() {
  const auto open = [this]() -> absl::Status {
    struct Step {
      const char* name;
      absl::Status (Session::*run)();
    };
    constexpr Step kSteps[] = {
        {"nats", &Session::ConnectNats},      {"database", &Session::ConnectDatabase},
        {"preflight", &Session::Preflight},   {"decide", &Session::DecideStart},
        {"take-over", &Session::TakeOverRow}, {"publish", &Session::Publish},
    };
    for (const Step& step : kSteps) {
      step_ = step.name;
      context_.board.Turned();
      RETURN_IF_ERROR((this->*step.run)());
    }
    return absl::OkStatus();
  };
  absl::Status status = open();
  if (!status.ok()) SendFarewell(status);
  return status;
}

absl::Status Session::ConnectNats() {
  const PublisherConfig& config = context_.config;
  NatsConfig connect = config.nats.connection;
  connect.name = "pmoves-sync-publisher " + config.source;
  ASSIGN_OR_RETURN(nats_, NatsClient::Connect(connect, [] {}));
  context_.metrics.nats_up.Set(1);
  context_.board.Update([](PublisherStatus& status) { status.nats_connected = true; });
  // First of all: a refused publisher should touch nothing.
  absl::Status alone = AskForWriter(*nats_, config.source, context_.writer);
  if (absl::IsFailedPrecondition(alone)) return Refused("foreign_writer", std::move(alone));
  RETURN_IF_ERROR(alone);
  NatsFacts facts;
  facts.max_payload = nats_->max_payload();
  facts.max_message_bytes = config.stream.max_message_bytes;
  if (const std::string failure = FirstFailure(JudgeNats(facts)); !failure.empty()) {
    return Refused("preflight", absl::FailedPreconditionError(failure));
  }
  jetstream_ = std::make_unique<JetStream>(*nats_, config.nats.domain);
  absl::Status streams = EnsureStreams(*jetstream_, config);
  if (absl::IsFailedPrecondition(streams)) return Refused("stream", std::move(streams));
  RETURN_IF_ERROR(streams);
  ASSIGN_OR_RETURN(const StreamInfo info, jetstream_->GetStream(proto::StreamName(config.source)));
  if (const std::string difference = SizeDifference(info, config.stream.max_bytes);
      !difference.empty()) {
    LogLimited(LogLevel::kWarn, "stream.size", difference,
               {{"fix", ResizeCommand(config.source, config.stream.max_bytes)}});
  }
  ASSIGN_OR_RETURN(applied_, AppliedFeed::Subscribe(*nats_, config.source));
  return absl::OkStatus();
}

absl::Status Session::ConnectDatabase() {
  ASSIGN_OR_RETURN(sql_, PgConnection::Connect(DatabaseOptions(context_.config, "session")));
  context_.metrics.source_up.Set(1);
  context_.board.Update([](PublisherStatus& status) { status.source_connected = true; });
  return absl::OkStatus();
}

absl::Status Session::Preflight() {
  ASSIGN_OR_RETURN(std::vector<CheckResult> results,
                   CheckDatabase(*sql_, context_.config, context_.tables));
  for (const CheckResult& result : results) {
    if (result.verdict != Verdict::kWarn && !result.waits) continue;
    LogLimited(LogLevel::kWarn, "preflight_warning",
               absl::StrFormat("%s: %s", result.subject, result.message),
               {{"check", result.subject}, {"fix", result.fix}});
  }
  if (const std::string failure = FirstFailure(results); !failure.empty()) {
    return Refused("preflight", absl::FailedPreconditionError(failure));
  }
  return absl::OkStatus();
}

absl::StatusOr<StartFacts> Session::GatherFacts() {
  const PublisherConfig& config = context_.config;
  EdgeState state(*sql_);
  StartFacts facts;
  facts.source = config.source;
  facts.slot_name = config.postgres.slot;
  facts.origin =
      absl::StrFormat("%s/%s/%s", identity_.system_id, identity_.timeline, config.postgres.slot);
  ASSIGN_OR_RETURN(facts.row, state.ReadWriter(config.source));
  ASSIGN_OR_RETURN(facts.slot, state.ReadSlot(config.postgres.slot));
  ASSIGN_OR_RETURN(facts.tail,
                   ReadTail(*jetstream_, proto::StreamName(config.source), config.source));
  ASSIGN_OR_RETURN(facts.applied, ReadLastApplied(*jetstream_, config.source));
  // After the tail: what the stream holds was in the WAL before.
  ASSIGN_OR_RETURN(identity_, source_->Identify());
  facts.wal_end = identity_.wal_end;
  return facts;
}

absl::Status Session::OpenReplication() {
  PgWalSource::Options options = ReplicationOptions(context_.config, context_.tables);
  options.is_captured = [this](std::string_view schema, std::string_view table) {
    return catalog_->Find(schema, table) != nullptr || !catalog_->status().ok();
  };
  ASSIGN_OR_RETURN(source_, PgWalSource::Connect(std::move(options)));
  ASSIGN_OR_RETURN(identity_, source_->Identify());
  return absl::OkStatus();
}

absl::Status Session::DecideStart() {
  catalog_ = std::make_unique<PgCatalog>(*sql_, context_.tables);
  RETURN_IF_ERROR(catalog_->Load());
  RETURN_IF_ERROR(OpenReplication());
  ASSIGN_OR_RETURN(facts_, GatherFacts());
  decision_ = Decide(facts_);
  if (decision_.action == StartDecision::Action::kCreateSlot) {
    EdgeState state(*sql_);
    LogInfo("slot_create", "creating the replication slot; this waits for running transactions",
            {{"slot", context_.config.postgres.slot}});
    RETURN_IF_ERROR(state.CreateSlot(context_.config.postgres.slot));
    ASSIGN_OR_RETURN(facts_, GatherFacts());
    decision_ = Decide(facts_);
  }
  if (decision_.action != StartDecision::Action::kStart) {
    return Refused(decision_.refusal, absl::FailedPreconditionError(decision_.reason));
  }
  return absl::OkStatus();
}

absl::Status Session::TakeOverRow() {
  EdgeState state(*sql_);
  RETURN_IF_ERROR(state.EnsureSchema().status());
  absl::StatusOr<PgCatalog::Floors> floors =
      UpdateWaitingTables(*sql_, context_.config.source, context_.tables);
  if (absl::IsFailedPrecondition(floors.status())) return Refused("preflight", floors.status());
  RETURN_IF_ERROR(floors.status());
  catalog_->SetFloors(*std::move(floors));
  ASSIGN_OR_RETURN(PgCatalog::Names left_out, ReadLeftOut(*sql_, context_.config.source));
  catalog_->LeaveOut(std::move(left_out));
  const WriterRow after = TakeOver(facts_.row, decision_, facts_.slot, context_.writer);
  RETURN_IF_ERROR(state.WriteWriter(context_.config.source, facts_.row, after));
  ASSIGN_OR_RETURN(message_prefix_, EnsurePrefix(*sql_));
  history_ = std::make_unique<RelationHistory>(*sql_, context_.tables);
  return history_->Open();
}

absl::Status Session::Publish() {
  const PublisherConfig& config = context_.config;
  ASSIGN_OR_RETURN(fence_, AnswerAsWriter(*nats_, config.source, context_.writer));
  // The stream's last transaction must come again, or this is not the history that the stream
  // holds. If Postgres was told to forget it, there is nothing to compare.
  const bool comes_again = facts_.tail.landmark > facts_.slot.confirmed;
  RETURN_IF_ERROR(source_->Start(comes_again ? facts_.tail.before_landmark : decision_.previous,
                                 message_prefix_));

  JetStreamSink::Options sink_options;
  sink_options.window_messages = static_cast<size_t>(config.stream.window_messages);
  sink_options.window_bytes = static_cast<size_t>(config.stream.window_bytes);
  sink_options.ack_timeout = config.stream.ack_timeout;
  ASSIGN_OR_RETURN(auto sink, JetStreamSink::Create(*nats_, proto::StreamName(config.source),
                                                    decision_.expected_sequence, sink_options));

  MessagePlan::Options plan_options;
  plan_options.source = config.source;
  plan_options.epoch = decision_.epoch;
  plan_options.origin = facts_.origin;
  plan_options.writer = context_.writer;
  plan_options.max_message_bytes = static_cast<size_t>(config.stream.max_message_bytes);
  MessagePlan plan(plan_options, decision_.previous, decision_.hlc);

  HandoffLedger::Options ledger_options;
  ledger_options.confirm_after = config.confirm.after_applied
                                     ? HandoffLedger::ConfirmAfter::kApplied
                                     : HandoffLedger::ConfirmAfter::kStored;
  ledger_options.stored_hold = config.confirm.stored_hold;
  // Only what the stream really holds may be confirmed later; a position that only the centre
  // covers is no tail.
  HandoffLedger ledger(ledger_options, facts_.slot.confirmed, facts_.tail.position, MonotonicNow());
  if (facts_.applied.has_value() && facts_.applied->epoch == decision_.epoch) {
    ledger.Applied(facts_.applied->position);
  }

  NonfiniteReader nonfinite(*sql_, context_.metrics);
  const TransactionOrder order(decision_.previous, comes_again ? facts_.tail.landmark : Lsn{});
  ASSIGN_OR_RETURN(const std::unique_ptr<RefetchFeed> feed,
                   RefetchFeed::Subscribe(*nats_, config.source));
  Refetcher refetcher({*sql_, *catalog_, *feed, *nats_, context_.metrics, message_prefix_},
                      context_.writer);
  ChangePump pump(order, plan, *catalog_, nonfinite, refetcher, *history_, message_prefix_);
  context_.board.Update([this](PublisherStatus& status) {
    status.epoch = decision_.epoch;
    status.writer = context_.writer;
  });
  LogInfo("publishing",
          decision_.covered_by_centre
              ? "the stream lost messages that the centre has applied; going on"
              : "going on behind what the stream holds",
          {{"source", config.source},
           {"writer", context_.writer},
           {"epoch", decision_.epoch},
           {"previous", decision_.previous.ToString()},
           {"confirmed", facts_.slot.confirmed.ToString()},
           {"expected_sequence", decision_.expected_sequence},
           {"unfinished_tail", facts_.tail.unfinished ? "yes" : "no"},
           {"foreign_messages", facts_.tail.foreign_messages},
           {"tables", static_cast<uint64_t>(catalog_->size())}});
  PublishLoop loop({config, *source_, pump, refetcher, plan, *sink, ledger, *catalog_, *history_,
                    *applied_, *nats_, *jetstream_, context_.board, context_.metrics, context_.stop,
                    context_.stuck, facts_.tail.unfinished},
                   decision_.epoch, facts_.slot.confirmed);
  absl::Status status = loop.Run();
  if (!status.ok() && MayLeaveOut()) return LeaveTableOut();
  was_sound_ = loop.was_streaming() && !context_.stuck.stuck();
  if (!status.ok() && context_.stuck.stuck()) return Refused(kStuckRefusal, std::move(status));
  return status;
}

// Changes of a table below a "schema.*" were dropped: that concerns nobody but this table.
bool Session::MayLeaveOut() const {
  const auto& [schema, table] = source_->lost_table();
  return !table.empty() && sql_->IsOpen() && !context_.tables.Names(schema, table);
}

absl::Status Session::LeaveTableOut() {
  const auto& [schema, table] = source_->lost_table();
  RETURN_IF_ERROR(LeaveOut(*sql_, context_.config.source, schema, table));
  const std::string why = absl::StrFormat(
      "table %s.%s has no usable replica identity and lost an UPDATE or DELETE, so it is left out "
      "from here on; its copy in the centre is not right. Give it a primary key, copy its rows, "
      "and "
      "DELETE it FROM pmoves_sync.left_out_table",
      schema, table);
  LogError("table.left_out", why, {{"table", schema + "." + table}});
  return absl::UnavailableError(why);
}

absl::Status Session::Refused(const char* name, absl::Status status) {
  refusal_ = name;
  return status;
}

void Session::SendFarewell(const absl::Status& status) {
  if (nats_ == nullptr || nats_->IsClosed()) return;
  PublisherStatus board = context_.board.Get();
  board.state = refusal_.empty() ? "starting" : "blocked";
  board.reason = MessageOf(status);
  // A publisher that is refused because another one writes must not speak in that one's name.
  if (refusal_ == "foreign_writer") return;
  (void)nats_->Publish(std::string(proto::kHeartbeatPrefix) + board.source,
                       HeartbeatJson(board, absl::ToUnixMicros(absl::Now())));
  (void)nats_->Flush(absl::Seconds(1));
}

}  // namespace pmoves
