#include "subscriber/config.h"

#include <algorithm>
#include <set>

#include "absl/strings/str_format.h"
#include "common/base/status.h"
#include "common/io/config_values.h"
#include "common/io/service_names.h"
#include "common/io/table_name.h"

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

void CheckSources(ConfigReader& reader, const std::vector<std::string>& sources) {
  for (size_t i = 0; i < sources.size(); ++i) {
    const std::string wrong = CheckSourceName(sources[i]);
    if (!wrong.empty()) reader.Problem("sources", i, wrong);
    if (std::find(sources.begin(), sources.begin() + static_cast<long>(i), sources[i]) !=
        sources.begin() + static_cast<long>(i)) {
      reader.Problem("sources", i, absl::StrFormat("'%s' is listed twice", sources[i]));
    }
  }
}

// "" and the two names, or what is wrong.
std::string SetTable(const std::string& written, TableConfig* out) {
  TableName name;
  const std::string wrong = ParseTableName(written, &name);
  if (!wrong.empty()) return wrong;
  if (name.whole_schema) {
    return absl::StrFormat("'%s' names a whole schema; the subscriber needs each table by name",
                           written);
  }
  out->schema = name.schema;
  out->table = name.table;
  return "";
}

TableConfig ReadTable(ConfigReader& entry, const std::string& default_conflict,
                      const std::vector<std::string>& known_sources) {
  TableConfig table;
  std::string written;
  entry.String("table", &written);
  entry.Required("table");
  if (entry.Has("table")) {
    const std::string wrong = SetTable(written, &table);
    if (!wrong.empty()) entry.Problem("table", wrong);
  }
  std::string conflict = default_conflict;
  entry.String("conflict", &conflict);
  if (entry.Has("conflict")) {
    const std::string wrong = CheckConflictRule(conflict);
    if (!wrong.empty()) entry.Problem("conflict", wrong);
  }
  int on_error = static_cast<int>(table.on_error);
  entry.Choice("on_error", {"row", "transaction", "block"}, &on_error);
  table.on_error = static_cast<OnError>(on_error);
  int truncate = static_cast<int>(table.policy.truncate);
  entry.Choice("truncate", {"own-rows", "all", "ignore"}, &truncate);
  table.policy.truncate = static_cast<TruncatePolicy>(truncate);
  entry.StringList("sources", &table.sources);
  CheckSources(entry, table.sources);
  for (size_t i = 0; i < table.sources.size() && !known_sources.empty(); ++i) {
    if (std::find(known_sources.begin(), known_sources.end(), table.sources[i]) ==
        known_sources.end()) {
      entry.Problem("sources", i,
                    absl::StrFormat("'%s' is not in the list 'sources': %s", table.sources[i],
                                    JoinCommas(known_sources)));
    }
  }
  return table;
}

void ReadTables(ConfigSource* source, const ServiceNames& names, SubscriberConfig* config) {
  ConfigReader& root = source->root();
  const std::string conflict = names.conflict.value_or("last-write-wins");
  std::set<std::pair<std::string, std::string>> seen;
  const std::vector<ConfigReader*> entries = root.SectionList("tables", "table");
  for (ConfigReader* entry : entries) {
    TableConfig table = ReadTable(*entry, conflict, config->sources);
    if (!table.table.empty() && !seen.emplace(table.schema, table.table).second) {
      entry->Problem("table",
                     absl::StrFormat("'%s.%s' is listed twice", table.schema, table.table));
    }
    config->tables.push_back(std::move(table));
  }
  if (root.Has("tables")) {
    if (entries.empty()) root.Problem("tables", "names no table");
    source->Remark("SYNC_TABLES", "no effect: tables is set in " + root.Where("tables"));
    return;
  }
  if (!names.tables.has_value()) return root.Required("tables");
  for (const std::string& written : *names.tables) {
    TableConfig table;
    std::string wrong = SetTable(written, &table);
    if (wrong.empty() && !seen.emplace(table.schema, table.table).second) {
      wrong = absl::StrFormat("'%s' is listed twice", written);
    }
    if (!wrong.empty()) source->Problem("env SYNC_TABLES", wrong);
    config->tables.push_back(std::move(table));
  }
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

absl::StatusOr<SubscriberConfig> LoadSubscriberConfig(ConfigSource* source) {
  SubscriberConfig config;
  ConfigReader& root = source->root();
  const ServiceNames names = ReadServiceNames(source);
  ReadPostgres(root, &config.postgres);
  ReadNatsSection(root, &config.nats);
  root.Section("nats").Required("url");
  root.StringList("sources", &config.sources);
  CheckSources(root, config.sources);
  ReadTables(source, names, &config);
  root.Int("workers", 1, 64, &config.workers);
  ReadBatch(source, names, &config.batch);
  ConfigReader& fetch = root.Section("fetch");
  fetch.Int("messages", 1, 10000, &config.fetch.messages);
  fetch.Bytes("bytes", 1 << 10, 256 << 20, &config.fetch.bytes);
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
