// pmoves-sync-subscriber: reads the command line and the configuration, and wires. See subscriber.h
// for the daemon.
#include <charconv>
#include <cstdio>
#include <memory>
#include <optional>
#include <random>
#include <span>
#include <string>

#include "absl/strings/str_format.h"
#include "common/base/status.h"
#include "common/io/cli.h"
#include "common/io/http_server.h"
#include "common/io/jetstream.h"
#include "common/io/log.h"
#include "common/io/nats_client.h"
#include "common/io/pg_connection.h"
#include "common/io/stop.h"
#include "proto/message_codec.h"
#include "proto/subject.h"
#include "subscriber/config.h"
#include "subscriber/coordinator.h"
#include "subscriber/io/central_schema.h"
#include "subscriber/io/conflict_log.h"
#include "subscriber/io/conflict_pick.h"
#include "subscriber/io/dead_letters.h"
#include "subscriber/io/letter_retry.h"
#include "subscriber/io/pg_preflight.h"
#include "subscriber/io/pg_target.h"
#include "subscriber/io/rule_check.h"
#include "subscriber/retry_progress.h"
#include "subscriber/stream_verbs.h"
#include "subscriber/subscriber.h"

namespace pmoves {
namespace {

absl::StatusOr<std::unique_ptr<PgConnection>> ConnectCentre(const SubscriberConfig& config,
                                                            const char* verb) {
  PgOptions options =
      TargetSessionOptions(config, absl::StrFormat("pmoves-sync-subscriber %s", verb));
  options.settings.emplace_back("synchronous_commit", "on");
  return PgConnection::Connect(options);
}

void Print(const CheckLine& line) {
  const char* grade = line.grade == CheckLine::Grade::kPass   ? "PASS"
                      : line.grade == CheckLine::Grade::kWarn ? "WARN"
                                                              : "FAIL";
  std::printf("%s  %s%s%s\n", grade, line.what.c_str(),
              line.fix.empty() ? "" : "\n      fix: ", line.fix.c_str());
}

int Run(const SubscriberConfig& config, const CliArgs&) {
  StopSignal& stop = StopSignal::Install();
  return Subscriber(config, stop).Run();
}

int Init(const SubscriberConfig& config, const CliArgs& args) {
  auto connection = ConnectCentre(config, "init");
  if (!connection.ok()) return VerbFailed(args, "init", connection.status());
  auto done = InitCentralSchema(**connection, config.tables);
  if (!done.ok()) return VerbFailed(args, "init", done.status());
  for (const std::string& line : *done) std::printf("%s\n", line.c_str());
  for (const CheckLine& line : CheckUniqueIndexes(**connection, config)) Print(line);
  for (const CheckLine& line : CheckExpressions(**connection, config)) Print(line);
  return kExitOk;
}

constexpr double kNearlyFull = 0.8;

// The streams that `run` would read or write.
void CheckStreams(JetStream& jetstream, const std::vector<std::string>& names,
                  const SubscriberConfig& config, std::vector<CheckLine>* lines) {
  for (const std::string& name : names) {
    const bool last_values = name == proto::kAppliedStream;
    if (!last_values && SourceOfStream(name, config).empty()) continue;
    const auto info = jetstream.GetStream(name);
    if (!info.ok()) continue;  // removed meanwhile
    const StreamUse use = last_values ? StreamUse::kLastValue : StreamUse::kChanges;
    const double limit = static_cast<double>(info->max_bytes);
    if (!last_values && limit > 0 && static_cast<double>(info->bytes) > kNearlyFull * limit) {
      lines->push_back({CheckLine::Grade::kWarn,
                        absl::StrFormat("stream %s is nearly full: it holds %d of at most %d bytes",
                                        name, info->bytes, info->max_bytes),
                        absl::StrFormat("is the subscriber behind? Else: "
                                        "pmoves-sync-subscriber stream resize %s --max-bytes SIZE",
                                        SourceOfStream(name, config))});
    }
    for (const StreamFault& fault : FaultsOf(name, info->settings, use, 0)) {
      lines->push_back(
          {CheckLine::Grade::kFail, absl::StrFormat("stream %s: %s", name, fault.what), fault.fix});
    }
  }
}

int Check(const SubscriberConfig& config, const CliArgs& args) {
  auto connection = ConnectCentre(config, "check");
  if (!connection.ok()) return VerbFailed(args, "check", connection.status());
  std::vector<CheckLine> lines = CheckCentre(**connection, config);
  bool nats_away = false;
  if (auto nats = NatsClient::Connect(config.nats.connection, [] {}); nats.ok()) {
    lines.push_back({CheckLine::Grade::kPass,
                     absl::StrFormat("NATS %s answers", (*nats)->server_version()), ""});
    JetStream jetstream(**nats, config.nats.domain);
    auto streams = jetstream.ListStreams();
    if (streams.ok()) CheckStreams(jetstream, *streams, config, &lines);
    lines.push_back(streams.ok() ? CheckLine{CheckLine::Grade::kPass, "JetStream answers", ""}
                                 : CheckLine{CheckLine::Grade::kFail, MessageOf(streams.status()),
                                             "start nats-server with JetStream"});
  } else {
    nats_away = true;
    lines.push_back({CheckLine::Grade::kFail, MessageOf(nats.status()),
                     "start nats-server, or correct nats.url"});
  }
  bool failed = false;
  for (const CheckLine& line : lines) {
    failed = failed || line.grade == CheckLine::Grade::kFail;
    Print(line);
  }
  return nats_away ? kExitUnavailable : failed ? kExitFailed : kExitOk;
}

int Status(const SubscriberConfig& config, const CliArgs& args) {
  if (auto json = HttpGet(config.metrics.listen, "/status", absl::Seconds(3));
      json.ok() && args.Flag("--json")) {
    std::printf("%s\n", json->c_str());
    return kExitOk;
  }
  auto connection = ConnectCentre(config, "status");
  if (!connection.ok()) return VerbFailed(args, "status", connection.status());
  auto rows = (*connection)
                  ->Execute(
                      "SELECT service_name, table_name, health_status, COALESCE(last_sync_status, "
                      "'-'), pending_records, failed_records, "
                      "COALESCE(to_char(last_sync_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS'), "
                      "'never'), COALESCE(last_error, '') FROM pmoves_sync.sync_health");
  if (!rows.ok()) return VerbFailed(args, "status", rows.status());
  if (args.Flag("--json"))
    std::printf("{\"program\":\"pmoves-sync-subscriber\",\"running\":false,\"tables\":[");
  else
    std::printf("%-20s %-20s %-9s %-10s %10s %8s  %-19s %s\n", "SOURCE", "TABLE", "HEALTH",
                "STATUS", "PENDING", "FAILED", "LAST SYNC (UTC)", "LAST ERROR");
  for (int i = 0; i < rows->size(); ++i) {
    if (args.Flag("--json")) {
      std::printf(
          "%s{\"source\":%s,\"table\":%s,\"health\":%s,\"status\":%s,\"pending\":%s,\"failed\":%s}",
          i == 0 ? "" : ",", proto::JsonString(rows->Text(i, 0)).c_str(),
          proto::JsonString(rows->Text(i, 1)).c_str(), proto::JsonString(rows->Text(i, 2)).c_str(),
          proto::JsonString(rows->Text(i, 3)).c_str(), rows->String(i, 4).c_str(),
          rows->String(i, 5).c_str());
      continue;
    }
    std::printf("%-20s %-20s %-9s %-10s %10s %8s  %-19s %s\n", rows->String(i, 0).c_str(),
                rows->String(i, 1).c_str(), rows->String(i, 2).c_str(), rows->String(i, 3).c_str(),
                rows->String(i, 4).c_str(), rows->String(i, 5).c_str(), rows->String(i, 6).c_str(),
                rows->String(i, 7).c_str());
  }
  if (args.Flag("--json")) std::printf("]}\n");
  return kExitOk;
}

int Sources(const SubscriberConfig& config, const CliArgs& args) {
  auto connection = ConnectCentre(config, "sources");
  if (!connection.ok()) return VerbFailed(args, "sources", connection.status());
  auto rows = (*connection)
                  ->Execute(
                      "SELECT source, epoch, position, transactions, changes, "
                      "COALESCE(to_char(last_commit_at AT TIME ZONE 'UTC', 'YYYY-MM-DD "
                      "HH24:MI:SS'), 'never'), "
                      "COALESCE(to_char(applied_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS'), "
                      "'never') FROM pmoves_sync.source_position ORDER BY source");
  if (!rows.ok()) return VerbFailed(args, "sources", rows.status());
  std::printf("%-32s %5s %-18s %12s %12s  %-19s  %-19s\n", "SOURCE", "EPOCH", "POSITION",
              "TRANSACTIONS", "CHANGES", "LAST COMMIT (UTC)", "APPLIED (UTC)");
  for (int i = 0; i < rows->size(); ++i) {
    std::printf("%-32s %5s %-18s %12s %12s  %-19s  %-19s\n", rows->String(i, 0).c_str(),
                rows->String(i, 1).c_str(), rows->String(i, 2).c_str(), rows->String(i, 3).c_str(),
                rows->String(i, 4).c_str(), rows->String(i, 5).c_str(), rows->String(i, 6).c_str());
  }
  return kExitOk;
}

std::optional<int64_t> ParseId(const std::string& text) {
  int64_t id = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (error != std::errc() || end != text.data() + text.size() || id <= 0) return std::nullopt;
  return id;
}

int DeadLettersList(const SubscriberConfig& config, const CliArgs& args) {
  auto connection = ConnectCentre(config, "dead-letters");
  if (!connection.ok()) return VerbFailed(args, "dead-letters list", connection.status());
  auto rows = DeadLetterStore(**connection).List(args.Flag("--all"), 1000);
  if (!rows.ok()) return VerbFailed(args, "dead-letters list", rows.status());
  std::printf("%-8s %-10s %-20s %-24s %-10s %-17s %-8s %-20s %s\n", "ID", "STATE", "SOURCE",
              "TABLE", "OPERATION", "REASON", "SQLSTATE", "CREATED", "POSITION");
  for (const DeadLetterRow& row : *rows) {
    std::printf("%-8d %-10s %-20s %-24s %-10s %-17s %-8s %-20s %s\n", static_cast<int>(row.id),
                row.state.c_str(), row.source.c_str(), row.table.c_str(), row.operation.c_str(),
                row.reason.c_str(), row.sql_state.c_str(), row.created_at.c_str(),
                row.position.c_str());
  }
  return kExitOk;
}

// The ID argument, or an exit code.
std::optional<int64_t> IdOf(const CliArgs& args, const char* shown_by = "dead-letters list") {
  const std::optional<int64_t> id = ParseId(args.Value("ID").value_or(""));
  if (!id.has_value())
    std::fprintf(stderr, "pmoves-sync-subscriber: ID must be a positive number, as `%s` shows\n",
                 shown_by);
  return id;
}

int DeadLettersShow(const SubscriberConfig& config, const CliArgs& args) {
  const std::optional<int64_t> id = IdOf(args);
  if (!id.has_value()) return kExitUsage;
  auto connection = ConnectCentre(config, "dead-letters");
  if (!connection.ok()) return VerbFailed(args, "dead-letters show", connection.status());
  auto row = DeadLetterStore(**connection).Show(*id);
  if (!row.ok()) return VerbFailed(args, "dead-letters show", row.status());
  std::printf(
      "id:         %d\nstate:      %s %s\nsource:     %s\nkind:       %s\ntable:      "
      "%s\noperation:  %s\nposition:   %s\nreason:     %s\nsqlstate:   %s\nmessage:    "
      "%s\ncreated:    %s\nkey:        %s\nrefetch:    %s\npayload:    "
      "%s\n",
      static_cast<int>(row->id), row->state.c_str(), row->resolution.c_str(), row->source.c_str(),
      row->kind.c_str(), row->table.c_str(), row->operation.c_str(), row->position.c_str(),
      row->reason.c_str(), row->sql_state.c_str(), row->message.c_str(), row->created_at.c_str(),
      row->key.c_str(), row->refetch.c_str(), row->payload.c_str());
  return kExitOk;
}

int DeadLettersRetry(const SubscriberConfig& config, const CliArgs& args) {
  std::optional<int64_t> id;
  if (!args.Flag("--all")) {
    id = IdOf(args);
    if (!id.has_value()) return kExitUsage;
  }
  auto connection = ConnectCentre(config, "dead-letters");
  if (!connection.ok()) return VerbFailed(args, "dead-letters retry", connection.status());
  if (const absl::Status set = SetReplicationRole(**connection, config); !set.ok())
    return VerbFailed(args, "dead-letters retry", set);
  bool failed = false;
  auto print = [&failed](const RetryResult& result) {
    failed = failed || !result.status.ok();
    std::printf(
        "%d: %s\n", static_cast<int>(result.id),
        result.status.ok() ? Describe(result.outcome).data() : MessageOf(result.status).c_str());
  };
  LetterRetry retry(**connection, config);
  if (id.has_value()) {
    const auto result = retry.One(*id);
    if (!result.ok()) return VerbFailed(args, "dead-letters retry", result.status());
    print(*result);
    return failed ? kExitFailed : kExitOk;
  }
  const auto ids = DeadLetterStore(**connection).OpenLetters();
  if (!ids.ok()) return VerbFailed(args, "dead-letters retry", ids.status());
  RetryProgress progress(ids->size());
  const absl::Status status = retry.All(*ids, [&](std::span<const RetryResult> results) {
    for (const RetryResult& result : results) print(result);
    progress.Add(results);
  });
  progress.Finish();
  if (!status.ok()) return VerbFailed(args, "dead-letters retry", status);
  return failed ? kExitFailed : kExitOk;
}

int DeadLettersDiscard(const SubscriberConfig& config, const CliArgs& args) {
  const std::optional<int64_t> id = IdOf(args);
  if (!id.has_value()) return kExitUsage;
  auto connection = ConnectCentre(config, "dead-letters");
  if (!connection.ok()) return VerbFailed(args, "dead-letters discard", connection.status());
  const absl::Status status =
      DeadLetterStore(**connection).Discard(*id, args.Value("--reason").value_or(""));
  if (!status.ok()) return VerbFailed(args, "dead-letters discard", status);
  std::printf("%d: discarded\n", static_cast<int>(*id));
  return kExitOk;
}

int ConflictsList(const SubscriberConfig& config, const CliArgs& args) {
  auto connection = ConnectCentre(config, "conflicts");
  if (!connection.ok()) return VerbFailed(args, "conflicts list", connection.status());
  auto rows = ConflictLogStore(**connection).List(args.Value("--table"), args.Flag("--open"), 1000);
  if (!rows.ok()) return VerbFailed(args, "conflicts list", rows.status());
  std::printf("%-8s %-20s %-8s %-24s %-24s %-13s %-5s %-16s %-16s %s\n", "ID", "DETECTED", "STATE",
              "TABLE", "TYPE", "RESOLUTION", "LOSSY", "REMOTE", "LOCAL", "KEY");
  for (const ConflictRow& row : *rows) {
    std::printf("%-8d %-20s %-8s %-24s %-24s %-13s %-5s %-16s %-16s %s\n", static_cast<int>(row.id),
                row.detected_at.c_str(), row.state.c_str(), row.table.c_str(), row.type.c_str(),
                row.resolution.c_str(), row.lossy ? "yes" : "no", row.remote_source.c_str(),
                row.local_source.c_str(), row.key.c_str());
  }
  return kExitOk;
}

int ConflictsShow(const SubscriberConfig& config, const CliArgs& args) {
  const std::optional<int64_t> id = IdOf(args, "conflicts list");
  if (!id.has_value()) return kExitUsage;
  auto connection = ConnectCentre(config, "conflicts");
  if (!connection.ok()) return VerbFailed(args, "conflicts show", connection.status());
  auto row = ConflictLogStore(**connection).Show(*id);
  if (!row.ok()) return VerbFailed(args, "conflicts show", row.status());
  std::printf(
      "id:         %d\ndetected:   %s\nstate:      %s %s\ntable:      %s\nkey:        %s\ntype:  "
      "     %s\nresolution: %s%s\nrule:       %s\nremote:     %s %s\nlocal:      %s %s\nshown:   "
      "   %s\n",
      static_cast<int>(row->id), row->detected_at.c_str(), row->state.c_str(), row->note.c_str(),
      row->table.c_str(), row->key.c_str(), row->type.c_str(), row->resolution.c_str(),
      row->lossy ? " (something was discarded)" : "", row->rule.c_str(), row->remote_source.c_str(),
      row->remote_row.c_str(), row->local_source.c_str(), row->local_row.c_str(),
      row->applied_row.c_str());
  if (!row->siblings.empty()) std::printf("reports, the newest first:\n");
  for (const Sibling& sibling : row->siblings) {
    std::printf("%-11s %s %s\n", sibling.source.c_str(), sibling.stamp.c_str(),
                sibling.image.c_str());
  }
  return kExitOk;
}

int ConflictsPick(const SubscriberConfig& config, const CliArgs& args) {
  const std::optional<int64_t> id = IdOf(args, "conflicts list");
  if (!id.has_value()) return kExitUsage;
  auto connection = ConnectCentre(config, "conflicts");
  if (!connection.ok()) return VerbFailed(args, "conflicts pick", connection.status());
  if (const absl::Status set = SetReplicationRole(**connection, config); !set.ok())
    return VerbFailed(args, "conflicts pick", set);
  const std::string source = args.Value("--source").value_or("");
  const auto settled =
      PickSibling(**connection, config, {*id, source, args.Value("--note").value_or("")});
  if (!settled.ok()) return VerbFailed(args, "conflicts pick", settled.status());
  std::printf("%d: %s is shown, %d open conflicts of the row are resolved\n", static_cast<int>(*id),
              source.c_str(), static_cast<int>(*settled));
  return kExitOk;
}

int ConflictsResolve(const SubscriberConfig& config, const CliArgs& args) {
  const std::optional<int64_t> id = IdOf(args, "conflicts list");
  if (!id.has_value()) return kExitUsage;
  auto connection = ConnectCentre(config, "conflicts");
  if (!connection.ok()) return VerbFailed(args, "conflicts resolve", connection.status());
  const absl::Status status =
      ConflictLogStore(**connection).Resolve(*id, args.Value("--note").value_or(""));
  if (!status.ok()) return VerbFailed(args, "conflicts resolve", status);
  std::printf("%d: resolved\n", static_cast<int>(*id));
  return kExitOk;
}

// As the worker's session is, so that names and settings mean the same.
int CheckRulesVerb(const SubscriberConfig& config, const CliArgs& args) {
  uint64_t seed = std::random_device()();
  if (const std::string text = args.Value("--seed").value_or(""); !text.empty()) {
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seed);
    if (error != std::errc() || end != text.data() + text.size()) {
      std::fprintf(stderr, "%s: --seed must be a whole number, 0 or above\n",
                   args.program().c_str());
      return kExitUsage;
    }
  }
  auto connection = ConnectCentre(config, "config check-rules");
  if (!connection.ok()) return VerbFailed(args, "config check-rules", connection.status());
  if (const absl::Status set = SetReplicationRole(**connection, config); !set.ok())
    return VerbFailed(args, "config check-rules", set);
  auto lines = CheckRules(**connection, config, seed);
  if (!lines.ok()) return VerbFailed(args, "config check-rules", lines.status());
  bool failed = false;
  for (const CheckLine& line : *lines) {
    failed = failed || line.grade == CheckLine::Grade::kFail;
    Print(line);
  }
  std::printf("values made with --seed %llu\n", static_cast<unsigned long long>(seed));
  return failed ? kExitFailed : kExitOk;
}

// Verbs whose mechanism (snapshots) is not in this version say so instead of
// pretending.
int NotInThisVersion(const SubscriberConfig&, const CliArgs& args) {
  std::fprintf(stderr,
               "%s: this verb needs snapshots, which this version does not have (see README, Not "
               "yet)\n",
               args.program().c_str());
  return kExitFailed;
}

template <typename Body>
std::function<int(const CliArgs&)> Verb(Body body) {
  return WithConfig<SubscriberConfig>(&LoadSubscriberConfig, body);
}

CliProgram Program() {
  CliProgram program;
  program.name = "pmoves-sync-subscriber";
  program.summary = "Applies the changes of all edges to the central Postgres.";
  program.examples = {"pmoves-sync-subscriber --config /etc/pmoves-sync/subscriber.yaml check",
                      "pmoves-sync-subscriber -c subscriber.yaml init",
                      "pmoves-sync-subscriber -c subscriber.yaml run",
                      "pmoves-sync-subscriber -c subscriber.yaml dead-letters retry --all"};
  program.check_config = [](ConfigSource* source) { return LoadSubscriberConfig(source).status(); };
  program.verbs = {
      {"run", "apply until SIGTERM", {}, Verb(Run), {}},
      {"check", "look at everything that must be right, live", {}, Verb(Check), {}},
      {"init",
       "create schema pmoves_sync, the inline columns and the triggers; safe to repeat",
       {},
       Verb(Init),
       {}},
      {"status",
       "health of every source and table",
       {{"--json", "", "as JSON", false, false}},
       Verb(Status),
       {}},
      {"sources", "applied position of every source", {}, Verb(Sources), {}},
      {"dead-letters list",
       "changes that could not be applied",
       {{"--all", "", "also those that are settled", false, false}},
       Verb(DeadLettersList),
       {}},
      {"dead-letters show",
       "one of them, with its payload (contains row values)",
       {{"ID", "ID", "its number", true, false}},
       Verb(DeadLettersShow),
       {}},
      {"dead-letters retry",
       "apply them again, after the cause was mended",
       {{"ID", "ID", "its number", false, false},
        {"--all", "", "all open ones, in order", false, false}},
       Verb(DeadLettersRetry),
       {"ID", "--all"}},
      {"dead-letters discard",
       "give one up",
       {{"ID", "ID", "its number", true, false}, {"--reason", "TEXT", "kept with it", true, false}},
       Verb(DeadLettersDiscard),
       {}},
      {"conflicts list",
       "conflicts of the log, newest first",
       {{"--table", "TABLE", "of one table", false, false},
        {"--open", "", "those that wait for a person", false, false}},
       Verb(ConflictsList),
       {}},
      {"conflicts show",
       "one of them, with what came, what stood there, what is shown and what each source reports "
       "(contains row values)",
       {{"ID", "ID", "its number", true, false}},
       Verb(ConflictsShow),
       {}},
      {"conflicts pick",
       "of a table under the rule manual: the report of this source is right",
       {{"ID", "ID", "its number", true, false},
        {"--source", "SOURCE", "one that `conflicts show` lists", true, false},
        {"--note", "TEXT", "kept with it", false, false}},
       Verb(ConflictsPick),
       {}},
      {"conflicts resolve",
       "an open one is settled: the row in the centre is as it shall be",
       {{"ID", "ID", "its number", true, false}, {"--note", "TEXT", "kept with it", true, false}},
       Verb(ConflictsResolve),
       {}},
      {"config check-rules",
       "try the laws of every conflict rule on the central server; makes the expressions that pass",
       {{"--seed", "N", "makes the same values again", false, false}},
       Verb(CheckRulesVerb),
       {}},
      {"resync",
       "(not in this version)",
       {{"SOURCE", "SOURCE", "the edge", true, false}},
       Verb(NotInThisVersion),
       {}},
      {"verify", "(not in this version)", {}, Verb(NotInThisVersion), {}},
  };
  for (CliVerb& verb : StreamVerbs()) program.verbs.push_back(std::move(verb));
  return program;
}

}  // namespace
}  // namespace pmoves

int main(int argc, char** argv) { return pmoves::RunCli(pmoves::Program(), argc, argv); }
