#include "publisher/verbs.h"

#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "common/base/status.h"
#include "common/io/http_server.h"
#include "common/io/jetstream.h"
#include "common/io/nats_client.h"
#include "common/io/stop.h"
#include "proto/subject.h"
#include "publisher/core/preflight_rules.h"
#include "publisher/io/edge_state.h"
#include "publisher/io/history_schema.h"
#include "publisher/io/pg_preflight.h"
#include "publisher/io/pg_wal_source.h"
#include "publisher/io/stream_room.h"
#include "publisher/io/table_entries.h"
#include "publisher/io/writer_fence.h"
#include "publisher/publisher.h"
#include "publisher/session.h"

namespace pmoves {
namespace {

// The lines of `check`, printed as they come.
class Report {
 public:
  void Add(const CheckResult& result) {
    std::printf("%-4s  %s: %s\n", std::string(VerdictName(result.verdict)).c_str(),
                result.subject.c_str(), result.message.c_str());
    const bool bad = result.verdict == Verdict::kFail || result.verdict == Verdict::kWarn;
    if (bad && !result.fix.empty()) std::printf("      fix: %s\n", result.fix.c_str());
    if (result.verdict == Verdict::kFail) failed_ = true;
    std::fflush(stdout);
  }
  void Pass(const char* subject, std::string message) {
    Add({Verdict::kPass, subject, std::move(message), ""});
  }
  void Fail(const char* subject, const absl::Status& status, std::string fix) {
    if (absl::IsUnavailable(status)) unavailable_ = true;
    Add({Verdict::kFail, subject, MessageOf(status), std::move(fix)});
  }
  int exit_code() const {
    return unavailable_ ? kExitUnavailable : failed_ ? kExitFailed : kExitOk;
  }

 private:
  bool failed_ = false;
  bool unavailable_ = false;
};

// Creates and drops a temporary slot: only that shows that wal2json is installed and may be used.
void ProbePlugin(PgConnection& connection, Report* report) {
  absl::StatusOr<PgRows> created = connection.Execute(
      "SET statement_timeout = '3s'; SELECT pg_create_logical_replication_slot("
      "'pmoves_sync_check_' || pg_backend_pid(), 'wal2json', true)");
  if (created.ok()) {
    (void)connection.Execute(
        "SELECT pg_drop_replication_slot('pmoves_sync_check_' || pg_backend_pid())");
    report->Pass("wal2json", "the server can decode with it");
  } else if (absl::IsCancelled(created.status())) {
    report->Add({Verdict::kInfo, "wal2json",
                 "not tried: a transaction that writes is open, and a new slot waits for it", ""});
  } else {
    report->Fail("wal2json", created.status(),
                 "install the wal2json plugin (Debian: postgresql-15-wal2json) and allow it in "
                 "output_plugin_libraries");
  }
}

void CheckSlot(PgConnection& connection, const PublisherConfig& config, bool may_probe,
               Report* report) {
  absl::StatusOr<SlotFacts> slot = EdgeState(connection).ReadSlot(config.postgres.slot);
  if (!slot.ok()) return report->Fail("slot", slot.status(), "");
  if (!slot->exists) {
    report->Pass("slot", config.postgres.slot + " does not exist yet; `init` or `run` creates it");
    if (may_probe) ProbePlugin(connection, report);
  } else if (slot->lost || !slot->reason.empty()) {
    report->Add(
        {Verdict::kFail, "slot",
         slot->lost ? config.postgres.slot + " was invalidated: its WAL is gone" : slot->reason,
         "start the source over with a snapshot (docs/operations.md)"});
  } else {
    report->Pass("slot", absl::StrFormat("%s is confirmed up to %s", config.postgres.slot,
                                         slot->confirmed.ToString()));
  }
}

void CheckReplication(const PublisherConfig& config, const CapturedTables& tables, Report* report) {
  auto source = PgWalSource::Connect(ReplicationOptions(config, tables));
  absl::StatusOr<SystemIdentity> identity =
      source.ok() ? (*source)->Identify() : absl::StatusOr<SystemIdentity>(source.status());
  if (identity.ok()) {
    return report->Pass("replication", absl::StrFormat("connected; system %s, timeline %s",
                                                       identity->system_id, identity->timeline));
  }
  report->Add({Verdict::kFail, "replication", MessageOf(identity.status()),
               "postgres.dsn must name PostgreSQL itself, not a pooler; pg_hba.conf must admit the "
               "role to this database"});
}

void CheckHistory(PgConnection& connection, Report* report) {
  absl::StatusOr<bool> installed = HistoryInstalled(connection);
  if (!installed.ok()) return report->Fail("definitions", installed.status(), "");
  if (*installed) {
    return report->Pass("definitions", "the event triggers note each change of a table");
  }
  report->Add(
      {Verdict::kWarn, "definitions",
       "the event triggers of pmoves-sync are missing, or this role may not read what they "
       "write: a table that is altered while changes wait is read by the catalog of now",
       "run `init` with this role; if it is no superuser, `init` prints statements for one"});
}

void CheckPostgres(const PublisherConfig& config, const CapturedTables& tables, Report* report) {
  auto connection = PgConnection::Connect(DatabaseOptions(config, "check"));
  if (!connection.ok()) {
    return report->Fail("database", connection.status(),
                        "start PostgreSQL, or correct postgres.dsn");
  }
  report->Pass("database", "reachable");
  absl::StatusOr<std::vector<CheckResult>> results = CheckDatabase(**connection, config, tables);
  if (!results.ok()) return report->Fail("database", results.status(), "");
  bool server_fits = true;
  for (const CheckResult& result : *results) {
    report->Add(result);
    const bool of_table = result.subject.substr(0, 6) == "table ";
    server_fits = server_fits && (of_table || result.verdict != Verdict::kFail);
  }
  CheckHistory(**connection, report);
  CheckReplication(config, tables, report);
  CheckSlot(**connection, config, server_fits, report);
}

bool AddFaults(const StreamInfo& info, StreamUse use, const PublisherConfig& config,
               Report* report) {
  const std::vector<StreamFault> faults =
      FaultsOf(info.name, info.settings, use, config.stream.max_message_bytes + kMessageOverhead);
  for (const StreamFault& fault : faults) {
    report->Add({Verdict::kFail, "stream " + info.name, fault.what, fault.fix});
  }
  return !faults.empty();
}

void CheckStream(JetStream& jetstream, const PublisherConfig& config, Report* report) {
  const std::string name = proto::StreamName(config.source);
  absl::StatusOr<StreamInfo> info = jetstream.GetStream(name);
  const bool faulty = info.ok() && AddFaults(*info, StreamUse::kChanges, config, report);
  if (faulty) return;
  if (info.ok()) {
    report->Pass("stream", absl::StrFormat("%s holds %d messages, %d bytes", name, info->messages,
                                           info->bytes));
    if (const std::string difference = SizeDifference(*info, config.stream.max_bytes);
        !difference.empty()) {
      report->Add({Verdict::kWarn, "stream", difference,
                   ResizeCommand(config.source, config.stream.max_bytes) +
                       ", or set stream.max_bytes to what the stream has"});
    }
  } else if (absl::IsNotFound(info.status())) {
    report->Pass("stream", name + " does not exist yet; `run` creates it");
  } else {
    report->Add({Verdict::kFail, "stream", MessageOf(info.status()),
                 "start nats-server with JetStream (-js), and give this user the JetStream API"});
  }
}

void CheckNats(const PublisherConfig& config, Report* report) {
  auto nats = NatsClient::Connect(config.nats.connection, [] {});
  if (!nats.ok()) {
    return report->Fail("nats", nats.status(), "start nats-server, or correct nats.url");
  }
  report->Pass("nats", "reachable, server " + (*nats)->server_version());
  NatsFacts facts;
  facts.max_payload = (*nats)->max_payload();
  facts.max_message_bytes = config.stream.max_message_bytes;
  for (const CheckResult& result : JudgeNats(facts)) report->Add(result);
  JetStream jetstream(**nats, config.nats.domain);
  CheckStream(jetstream, config, report);
  if (auto applied = jetstream.GetStream(std::string(proto::kAppliedStream)); applied.ok()) {
    AddFaults(*applied, StreamUse::kLastValue, config, report);
  }
  if (absl::Status other = AskForWriter(**nats, config.source, ""); !other.ok()) {
    report->Add({Verdict::kInfo, "writer", MessageOf(other), ""});
  }
}

absl::StatusOr<std::vector<std::string>> Initialize(const PublisherConfig& config,
                                                    const CapturedTables& tables) {
  std::vector<std::string> lines;
  ASSIGN_OR_RETURN(auto connection, PgConnection::Connect(DatabaseOptions(config, "init")));
  ASSIGN_OR_RETURN(std::vector<CheckResult> results, CheckDatabase(*connection, config, tables));
  if (const std::string failure = FirstFailure(results); !failure.empty()) {
    return absl::FailedPreconditionError(failure);
  }
  EdgeState state(*connection);
  ASSIGN_OR_RETURN(bool created, state.EnsureSchema());
  lines.push_back(created ? "created  schema pmoves_sync with table publisher_state"
                          : "exists   schema pmoves_sync with table publisher_state");
  RETURN_IF_ERROR(EnsurePrefix(*connection).status());
  ASSIGN_OR_RETURN(const bool history, EnsureHistory(*connection));
  ASSIGN_OR_RETURN(PgRows role, connection->Execute("SELECT quote_ident(current_user)"));
  const std::string history_line =
      history
          ? "exists   history of definitions, with its event triggers"
          : "missing  history of definitions: only a superuser may create event triggers. Let one "
            "run this in the database:\n" +
                HistorySql(role.String(0, 0));
  ASSIGN_OR_RETURN(SlotFacts slot, state.ReadSlot(config.postgres.slot));
  if (slot.exists) {
    if (!slot.reason.empty()) return absl::FailedPreconditionError(slot.reason);
    lines.push_back("exists   replication slot " + config.postgres.slot);
    lines.push_back(history_line);
    return lines;
  }
  ASSIGN_OR_RETURN(std::optional<WriterRow> row, state.ReadWriter(config.source));
  if (row.has_value()) {
    return absl::FailedPreconditionError(absl::StrFormat(
        "this database has published as \"%s\" before, but its slot \"%s\" is gone: changes in "
        "between are not known, and a new slot would hide that. The source must start over (see "
        "docs/operations.md)",
        config.source, config.postgres.slot));
  }
  RETURN_IF_ERROR(state.CreateSlot(config.postgres.slot));
  lines.push_back("created  replication slot " + config.postgres.slot +
                  "; it keeps WAL from now on, so start the publisher soon");
  lines.push_back(history_line);
  return lines;
}

// Without a daemon: what the database itself tells.
absl::StatusOr<std::string> StatusFromDatabase(const PublisherConfig& config) {
  ASSIGN_OR_RETURN(auto connection, PgConnection::Connect(DatabaseOptions(config, "status")));
  PublisherStatus status = InitialStatus(config);
  status.started_us = 0;
  status.state = "not running";
  status.reason = "no publisher answers on " + config.metrics.listen;
  status.source_connected = true;
  ASSIGN_OR_RETURN(status.slot, ReadSlotStatus(*connection, config.postgres.slot));
  ASSIGN_OR_RETURN(std::optional<WriterRow> row, EdgeState(*connection).ReadWriter(config.source));
  if (row.has_value()) {
    status.epoch = row->epoch;
    status.writer = row->writer;
  }
  ASSIGN_OR_RETURN(SlotFacts slot, EdgeState(*connection).ReadSlot(config.postgres.slot));
  status.confirmed = slot.confirmed;
  return StatusJson(status, absl::ToUnixMicros(absl::Now()));
}

}  // namespace

int RunVerb(const PublisherConfig& config, const CliArgs& args) {
  if (config.mode == Mode::kIntegrated) {
    std::fprintf(stderr, "%s: mode is integrated: there is no local database to publish\n",
                 args.program().c_str());
    return kExitOk;
  }
  absl::StatusOr<CapturedTables> tables = ReadTableEntries(config.postgres.tables);
  if (!tables.ok() && config.mode == Mode::kDualWrite) return ConfigFailed(tables.status());
  StopSignal& stop = StopSignal::Install();
  Publisher publisher(config, tables.ok() ? *std::move(tables) : CapturedTables(), stop);
  if (absl::Status status = publisher.Run(); !status.ok()) return VerbFailed(args, "run", status);
  return kExitOk;
}

int CheckVerb(const PublisherConfig& config, const CliArgs&) {
  Report report;
  if (config.mode != Mode::kDualWrite) {
    report.Pass("mode", ModeName(config.mode) + ": nothing is published");
    return report.exit_code();
  }
  absl::StatusOr<CapturedTables> tables = ReadTableEntries(config.postgres.tables);
  if (!tables.ok()) return ConfigFailed(tables.status());
  CheckPostgres(config, *tables, &report);
  CheckNats(config, &report);
  return report.exit_code();
}

int InitVerb(const PublisherConfig& config, const CliArgs& args) {
  if (config.mode != Mode::kDualWrite) {
    std::printf("mode is %s: nothing to prepare\n", ModeName(config.mode).c_str());
    return kExitOk;
  }
  absl::StatusOr<CapturedTables> tables = ReadTableEntries(config.postgres.tables);
  if (!tables.ok()) return ConfigFailed(tables.status());
  absl::StatusOr<std::vector<std::string>> lines = Initialize(config, *tables);
  if (!lines.ok()) return VerbFailed(args, "init", lines.status());
  for (const std::string& line : *lines) std::printf("%s\n", line.c_str());
  return kExitOk;
}

int StatusVerb(const PublisherConfig& config, const CliArgs& args) {
  absl::StatusOr<std::string> json =
      config.metrics.listen.empty() ? absl::UnavailableError("metrics.listen is empty")
                                    : HttpGet(config.metrics.listen, "/status", absl::Seconds(3));
  if (!json.ok()) json = StatusFromDatabase(config);
  if (!json.ok()) return VerbFailed(args, "status", json.status());
  if (args.Flag("--json")) {
    std::printf("%s\n", json->c_str());
    return kExitOk;
  }
  absl::StatusOr<std::string> text = StatusText(*json);
  if (!text.ok()) return VerbFailed(args, "status", text.status());
  std::fputs(text->c_str(), stdout);
  return kExitOk;
}

int ResyncVerb(const PublisherConfig&, const CliArgs& args) {
  std::fprintf(stderr,
               "%s: this version cannot take snapshots, so it cannot resync: a later version will. "
               "What can be done by hand until then is in docs/operations.md.\n",
               args.program().c_str());
  return kExitFailed;
}

}  // namespace pmoves
