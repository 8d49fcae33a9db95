#include "subscriber/config.h"

#include "absl/strings/str_format.h"
#include "common/base/status.h"
#include "common/io/service_names.h"
#include "subscriber/config_conflicts.h"
#include "subscriber/config_tables.h"

namespace pmoves {
namespace {

void ReadPostgres(ConfigReader& root, SubscriberConfig::Postgres* out) {
  ConfigReader& postgres = root.Section("postgres");
  postgres.String("dsn", &out->dsn);
  postgres.Required("dsn");
  postgres.Secret("password", &out->password);
  postgres.Bool("triggers", &out->triggers);
  postgres.Duration("statement_timeout", absl::Seconds(1), absl::Hours(24),
                    &out->statement_timeout);
  postgres.Duration("lock_timeout", absl::Milliseconds(100), absl::Hours(1), &out->lock_timeout);
  postgres.Bool("synchronous_commit", &out->synchronous_commit);
}

void ReadBatch(ConfigSource* source, const ServiceNames& names, SubscriberConfig::Batch* out) {
  ConfigReader& batch = source->root().Section("batch");
  batch.Int("max_rows", int64_t{1}, int64_t{1000000}, &out->max_rows);
  if (batch.Has("max_rows")) {
    source->Remark("SYNC_BATCH_SIZE",
                   "no effect: batch.max_rows is set in " + batch.Where("max_rows"));
  } else if (names.batch_size.has_value()) {
    out->max_rows = *names.batch_size;
    source->Effective("batch.max_rows", absl::StrFormat("%d", out->max_rows),
                      "env SYNC_BATCH_SIZE");
  }
  batch.Bytes("max_bytes", 64 << 10, 1 << 30, &out->max_bytes);
  batch.Duration("max_wait", absl::ZeroDuration(), absl::Minutes(1), &out->max_wait);
}

void ReadTimes(ConfigReader& root, SubscriberConfig* config) {
  const absl::Duration shortest = absl::Milliseconds(50);
  root.Duration("report_interval", shortest, absl::Minutes(1), &config->report_interval);
  root.Duration("purge_interval", shortest, absl::Hours(24), &config->purge_interval);
  root.Int("retain_applied", int64_t{0}, int64_t{1000000000}, &config->retain_applied);
  root.Duration("discover_interval", shortest, absl::Minutes(5), &config->discover_interval);
}

}  // namespace

int64_t MemoryOfWorker(const SubscriberConfig& config) {
  return config.memory.max_bytes / (config.workers + 1);
}

absl::StatusOr<SubscriberConfig> LoadSubscriberConfig(ConfigSource* source) {
  SubscriberConfig config;
  ConfigReader& root = source->root();
  const ServiceNames names = ReadServiceNames(source);
  ReadPostgres(root, &config.postgres);
  ReadNatsSection(root, &config.nats);
  root.Section("nats").Required("url");
  root.StringList("sources", &config.sources);
  CheckSources(root, config.sources);
  ReadConflicts(root, &config.conflicts);
  ReadTables(source, names, &config);
  root.Int("workers", 1, 64, &config.workers);
  ReadBatch(source, names, &config.batch);
  ConfigReader& fetch = root.Section("fetch");
  fetch.Int("messages", 1, 10000, &config.fetch.messages);
  fetch.Bytes("bytes", 1 << 10, 256 << 20, &config.fetch.bytes);
  root.Section("memory").Bytes("max_bytes", 16 << 20, int64_t{64} << 30, &config.memory.max_bytes);
  ReadTimes(root, &config);
  ReadMetricsSection(root, &config.metrics);
  ReadLogSection(root, &config.log);
  ReadRetrySection(root, &config.retry);
  for (const char* name : {"SUPABASE_MODE", "SYNC_ENABLED", "SERVICE_NAME"}) {
    source->Remark(name, "no effect: a name of the edge, not of the centre");
  }
  RETURN_IF_ERROR(source->Finish());
  return config;
}

}  // namespace pmoves
