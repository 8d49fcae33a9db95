#include "publisher/config.h"

#include <set>

#include "absl/strings/str_format.h"
#include "common/base/status.h"
#include "common/io/config_values.h"
#include "common/io/service_names.h"
#include "common/io/table_name.h"

namespace pmoves {
namespace {

const std::vector<std::string>& ModeNames() {
  static const std::vector<std::string>* const names =
      new std::vector<std::string>{"standalone", "integrated", "dual-write"};
  return *names;
}

void Overruled(ConfigSource* source, const char* variable, const char* key,
               const ConfigReader& reader) {
  source->Remark(variable, absl::StrFormat("no effect: %s is set in %s", key, reader.Where(key)));
}

void ReadSource(ConfigSource* source, const ServiceNames& names, std::string* out) {
  ConfigReader& root = source->root();
  root.String("source", out);
  if (root.Has("source")) {
    const std::string wrong = CheckSourceName(*out);
    if (!wrong.empty()) root.Problem("source", wrong);
    Overruled(source, "SERVICE_NAME", "source", root);
  } else if (names.service.has_value()) {
    const std::string wrong = CheckSourceName(*names.service);
    if (!wrong.empty()) source->Problem("env SERVICE_NAME", wrong);
    *out = *names.service;
    source->Effective("source", *out, "env SERVICE_NAME");
  }
}

Mode ReadMode(ConfigSource* source, const ServiceNames& names) {
  ConfigReader& root = source->root();
  int index = static_cast<int>(Mode::kDualWrite);
  root.Choice("mode", ModeNames(), &index);
  if (root.Has("mode")) {
    Overruled(source, "SUPABASE_MODE", "mode", root);
    Overruled(source, "SYNC_ENABLED", "mode", root);
    return static_cast<Mode>(index);
  }
  if (names.mode.has_value()) {
    // Checked when it was read, so the result needs no look.
    (void)ParseChoice(*names.mode, ModeNames(), &index);
    source->Effective("mode", *names.mode, "env SUPABASE_MODE");
  }
  const auto mode = static_cast<Mode>(index);
  if (mode != Mode::kDualWrite || names.enabled.value_or(true)) return mode;
  source->Effective("mode", "standalone", "env SYNC_ENABLED");
  return Mode::kStandalone;
}

// Writes bare names in full. `problem` is told the index of a bad entry.
template <typename Problem>
std::vector<std::string> FullNames(const std::vector<std::string>& written, Problem problem) {
  std::vector<std::string> full;
  std::set<std::string> seen;
  for (size_t i = 0; i < written.size(); ++i) {
    TableName name;
    const std::string wrong = ParseTableName(written[i], &name);
    if (!wrong.empty()) {
      problem(i, wrong);
      continue;
    }
    if (!seen.insert(name.Text()).second) {
      problem(i, absl::StrFormat("'%s' is listed twice", written[i]));
    }
    TableName with_schema;
    const std::string prefixed = "public." + written[i];
    const bool bare = ParseTableName(prefixed, &with_schema).empty();
    full.push_back(bare ? prefixed : written[i]);
  }
  return full;
}

void ReadTables(ConfigSource* source, const ServiceNames& names, std::vector<std::string>* out) {
  ConfigReader& postgres = source->root().Section("postgres");
  std::vector<std::string> written;
  postgres.StringList("tables", &written);
  if (postgres.Has("tables")) {
    *out = FullNames(
        written, [&](size_t i, const std::string& wrong) { postgres.Problem("tables", i, wrong); });
    if (written.empty()) postgres.Problem("tables", "names no table");
    source->Effective("postgres.tables", JoinCommas(*out), postgres.Where("tables"));
    Overruled(source, "SYNC_TABLES", "tables", postgres);
  } else if (names.tables.has_value()) {
    *out = FullNames(*names.tables, [&](size_t, const std::string& wrong) {
      source->Problem("env SYNC_TABLES", wrong);
    });
    source->Effective("postgres.tables", JoinCommas(*out), "env SYNC_TABLES");
  }
}

void ReadPostgres(ConfigSource* source, const ServiceNames& names, PublisherConfig::Postgres* out) {
  ConfigReader& postgres = source->root().Section("postgres");
  postgres.String("dsn", &out->dsn);
  postgres.Secret("password", &out->password);
  postgres.String("slot", &out->slot);
  const bool valid =
      !out->slot.empty() && out->slot.size() <= 63 &&
      out->slot.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") == std::string::npos;
  if (!valid) {
    postgres.Problem("slot", absl::StrFormat("'%s' is not a slot name; allowed: 1 to 63 of a-z, "
                                             "0-9 and _",
                                             out->slot));
  }
  ReadTables(source, names, &out->tables);
  postgres.Bool("allow_unlimited_wal", &out->allow_unlimited_wal);
  postgres.Duration("status_interval", absl::Milliseconds(100), absl::Minutes(5),
                    &out->status_interval);
}

void ReadStream(ConfigReader& root, PublisherConfig::Stream* out) {
  ConfigReader& stream = root.Section("stream");
  stream.Bytes("max_bytes", int64_t{1} << 20, int64_t{16} << 40, &out->max_bytes);
  stream.Int("replicas", 1, 5, &out->replicas);
  stream.Bytes("max_message_bytes", 1 << 10, 32 << 20, &out->max_message_bytes);
  stream.Int("window_messages", 1, 65536, &out->window_messages);
  stream.Bytes("window_bytes", 1 << 10, 1 << 30, &out->window_bytes);
  if (out->window_bytes < out->max_message_bytes) {
    stream.Problem("window_bytes", absl::StrFormat("%s is less than stream.max_message_bytes, %s",
                                                   BytesText(out->window_bytes),
                                                   BytesText(out->max_message_bytes)));
  }
  stream.Duration("ack_timeout", absl::Milliseconds(100), absl::Minutes(5), &out->ack_timeout);
}

void ReadConfirm(ConfigReader& root, PublisherConfig::Confirm* out) {
  ConfigReader& confirm = root.Section("confirm");
  int after = out->after_applied ? 0 : 1;
  confirm.Choice("after", {"applied", "stored"}, &after);
  out->after_applied = after == 0;
  confirm.Duration("stored_hold", absl::ZeroDuration(), absl::Hours(24), &out->stored_hold);
}

void ReadProgress(ConfigReader& root, PublisherConfig::Progress* out) {
  ConfigReader& progress = root.Section("progress");
  progress.Duration("interval", absl::Milliseconds(100), absl::Hours(1), &out->interval);
  progress.Bytes("wal_bytes", 64 << 10, int64_t{16} << 30, &out->wal_bytes);
  progress.Duration("heartbeat", absl::Milliseconds(100), absl::Minutes(5), &out->heartbeat);
}

// What dual-write cannot do without. Standalone serves metrics only, integrated exits at once.
void CheckRequired(ConfigSource* source, const PublisherConfig& config) {
  if (config.mode != Mode::kDualWrite) return;
  ConfigReader& root = source->root();
  if (config.source.empty()) root.Required("source");
  root.Section("postgres").Required("dsn");
  if (!source->Environment("SYNC_TABLES").has_value()) root.Section("postgres").Required("tables");
  root.Section("nats").Required("url");
}

}  // namespace

absl::StatusOr<PublisherConfig> LoadPublisherConfig(ConfigSource* source) {
  PublisherConfig config;
  ConfigReader& root = source->root();
  const ServiceNames names = ReadServiceNames(source);
  ReadSource(source, names, &config.source);
  config.mode = ReadMode(source, names);
  ReadPostgres(source, names, &config.postgres);
  ReadNatsSection(root, &config.nats);
  ReadStream(root, &config.stream);
  ReadConfirm(root, &config.confirm);
  ReadProgress(root, &config.progress);
  ReadMetricsSection(root, &config.metrics);
  ReadLogSection(root, &config.log);
  ReadRetrySection(root, &config.retry);
  CheckRequired(source, config);
  source->Remark("SYNC_BATCH_SIZE", "no effect: the publisher streams; see stream.*");
  source->Remark("CONFLICT_RESOLUTION", "no effect: conflicts are resolved by the subscriber");
  RETURN_IF_ERROR(source->Finish());
  return config;
}

}  // namespace pmoves
