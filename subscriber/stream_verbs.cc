#include "subscriber/stream_verbs.h"

#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_format.h"
#include "common/base/lsn.h"
#include "common/base/status.h"
#include "common/io/config_values.h"
#include "common/io/jetstream.h"
#include "common/io/nats_client.h"
#include "common/io/pg_connection.h"
#include "proto/message_codec.h"
#include "proto/subject.h"
#include "subscriber/config.h"
#include "subscriber/io/pg_target.h"

namespace pmoves {
namespace {

constexpr int64_t kLeastBytes = int64_t{1} << 20;
constexpr int64_t kMostBytes = int64_t{16} << 40;

// The SOURCE argument; an error was printed when there is none.
std::optional<std::string> SourceOf(const CliArgs& args) {
  std::string source = args.Value("SOURCE").value_or("");
  if (proto::IsSourceName(source)) return source;
  std::fprintf(stderr, "%s: SOURCE must be the name of an edge, as `sources` shows it\n",
               args.program().c_str());
  return std::nullopt;
}

int Resize(const SubscriberConfig& config, const CliArgs& args) {
  const std::optional<std::string> source = SourceOf(args);
  if (!source.has_value()) return kExitUsage;
  int64_t max_bytes = 0;
  if (const std::string problem =
          ParseBytes(args.Value("--max-bytes").value_or(""), kLeastBytes, kMostBytes, &max_bytes);
      !problem.empty()) {
    std::fprintf(stderr, "%s: --max-bytes: %s\n", args.program().c_str(), problem.c_str());
    return kExitUsage;
  }
  auto nats = NatsClient::Connect(config.nats.connection, [] {});
  if (!nats.ok()) return VerbFailed(args, "stream resize", nats.status());
  JetStream jetstream(**nats, config.nats.domain);
  const std::string stream = proto::StreamName(*source);
  const auto before = jetstream.GetStream(stream);
  if (!before.ok()) return VerbFailed(args, "stream resize", before.status());
  const auto after = jetstream.ResizeStream(stream, max_bytes);
  if (!after.ok()) return VerbFailed(args, "stream resize", after.status());
  std::printf(
      "stream %s may hold %s now (before: %s); it holds %s. A publisher that waits goes on by "
      "itself. Set stream.max_bytes of the edge to the same, for the day when the stream is made "
      "anew.\n",
      stream.c_str(), BytesText(after->max_bytes).c_str(),
      before->max_bytes < 0 ? "no limit" : BytesText(before->max_bytes).c_str(),
      BytesText(static_cast<int64_t>(after->bytes)).c_str());
  return kExitOk;
}

// Messages that stand behind what the centre has applied, or why that is not known.
absl::StatusOr<uint64_t> NotApplied(const SubscriberConfig& config, JetStream& jetstream,
                                    const std::string& source, const StreamInfo& info) {
  if (info.messages == 0) return 0;
  ASSIGN_OR_RETURN(auto connection, PgConnection::Connect(TargetSessionOptions(
                                        config, "pmoves-sync-subscriber stream remove")));
  ASSIGN_OR_RETURN(const PgRows rows,
                   connection->Execute("SELECT epoch, position, stream_created, stream_sequence "
                                       "FROM pmoves_sync.source_position WHERE source = $1",
                                       {PgParam(source)}));
  if (rows.size() != 1) return info.messages;  // never heard of
  ASSIGN_OR_RETURN(const Lsn position, Lsn::Parse(rows.Text(0, 1)));
  ASSIGN_OR_RETURN(const StoredRecord last, jetstream.GetMessage(info.name, info.last_sequence));
  const auto envelope = proto::DecodeHeaders(last.Lookup());
  if (envelope.ok() && envelope->last && envelope->epoch == rows.Int(0, 0) &&
      envelope->position <= position) {
    return 0;
  }
  const auto hint = static_cast<uint64_t>(rows.Int(0, 3));
  const bool known = rows.Text(0, 2) == info.created && hint < info.last_sequence;
  return known ? info.last_sequence - hint : info.messages;
}

int Remove(const SubscriberConfig& config, const CliArgs& args) {
  const std::optional<std::string> source = SourceOf(args);
  if (!source.has_value()) return kExitUsage;
  auto nats = NatsClient::Connect(config.nats.connection, [] {});
  if (!nats.ok()) return VerbFailed(args, "stream remove", nats.status());
  JetStream jetstream(**nats, config.nats.domain);
  const std::string stream = proto::StreamName(*source);
  const auto info = jetstream.GetStream(stream);
  if (!info.ok()) return VerbFailed(args, "stream remove", info.status());
  if (!args.Flag("--discard-unapplied")) {
    const auto waiting = NotApplied(config, jetstream, *source, *info);
    if (!waiting.ok()) return VerbFailed(args, "stream remove", waiting.status());
    if (*waiting > 0) {
      std::fprintf(stderr,
                   "%s: %llu messages of stream %s are not applied. Let the subscriber apply them; "
                   "or give --discard-unapplied: the edge sends again what its slot still keeps "
                   "of them, and the source must start over if that is not all\n",
                   args.program().c_str(), static_cast<unsigned long long>(*waiting),
                   stream.c_str());
      return kExitFailed;
    }
  }
  if (const absl::Status removed = jetstream.RemoveStream(stream); !removed.ok())
    return VerbFailed(args, "stream remove", removed);
  std::printf("stream %s is removed; its publisher makes it anew\n", stream.c_str());
  return kExitOk;
}

}  // namespace

std::vector<CliVerb> StreamVerbs() {
  const CliOption source = {"SOURCE", "SOURCE", "the edge", true, false};
  return {
      {"stream resize",
       "change how much the stream of an edge may hold; what waits for room goes on",
       {source, {"--max-bytes", "SIZE", "for example 16GiB", true, false}},
       WithConfig<SubscriberConfig>(&LoadSubscriberConfig, Resize),
       {}},
      {"stream remove",
       "remove the stream of an edge, so that it is made anew; only when all of it is applied",
       {source, {"--discard-unapplied", "", "also when some of it is not applied", false, false}},
       WithConfig<SubscriberConfig>(&LoadSubscriberConfig, Remove),
       {}},
  };
}

}  // namespace pmoves
