// SubscriberConfig: everything an operator can set for the centre. One member per option, with
// default, unit and effect.
//
// Read by subscriber/config.cc through common/io/config_file. docs/configuration.md lists the same
// options (a test compares).
#ifndef PMOVES_SUBSCRIBER_CONFIG_H_
#define PMOVES_SUBSCRIBER_CONFIG_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "common/io/common_config.h"
#include "common/io/config_file.h"
#include "subscriber/core/target_table.h"

namespace pmoves {

struct TableConfig {
  // tables[].table: schema.table (a bare name means public.)
  std::string schema;
  std::string table;
  // tables[].on_error: row | transaction | block
  OnError on_error = OnError::kRow;
  // tables[].narrowing: refuse | allow: allow lets the centre round and cut values
  bool narrowing_allowed = false;
  // tables[].conflict, priority, columns, granularity, version, max_future, delete,
  // soft_delete_column, truncate, identity, log, allow_divergence; CONFLICT_RESOLUTION sets the
  // default of conflict
  TablePolicy policy;
  // tables[].sources: who may write it; empty: every source
  std::vector<std::string> sources;
  // tables[].from: what the sources call it; empty: the same
  std::string from_schema;
  std::string from_table;
  // tables[].rename, skip, constants
  ColumnMapping mapping;

  const std::string& SourceSchema() const { return from_table.empty() ? schema : from_schema; }
  const std::string& SourceTable() const { return from_table.empty() ? table : from_table; }
};

struct SubscriberConfig {
  struct Postgres {
    // postgres.dsn: the central database
    std::string dsn;
    // postgres.password (secret, also _FILE)
    std::string password;
    // postgres.triggers: true runs user triggers and foreign keys (session_replication_role
    // origin); false: replica
    bool triggers = false;
    // postgres.statement_timeout
    absl::Duration statement_timeout = absl::Minutes(5);
    // postgres.lock_timeout
    absl::Duration lock_timeout = absl::Seconds(10);
    // postgres.synchronous_commit: false: batches commit without waiting for the disk; a position
    // is reported back only when it is on disk, so nothing can be lost either way
    bool synchronous_commit = false;
  } postgres;

  NatsSection nats;
  // tables: only these are ever written; SYNC_TABLES
  std::vector<TableConfig> tables;
  // sources: expected edges; empty: every SYNC_<source> stream found
  std::vector<std::string> sources;
  struct Conflicts {
    // conflicts.max_future: default of tables[].max_future
    absl::Duration max_future = absl::Seconds(60);
    // conflicts.log: default of tables[].log
    ConflictLog log = ConflictLog::kLossy;
    // conflicts.log_retention: rows of pmoves_sync.conflict_log that are older go
    absl::Duration log_retention = absl::Hours(24) * 30;
    // conflicts.letter_retention: dead letters that were settled longer ago go, with their payloads
    absl::Duration letter_retention = absl::Hours(24) * 90;
    // conflicts.tombstone_retention: deletes are remembered for at least so long; a source that is
    // silent for longer no longer holds them back
    absl::Duration tombstone_retention = absl::Hours(24) * 30;
  } conflicts;

  // workers: Postgres connections that apply, 1 to 64
  int workers = 2;
  struct Batch {
    // batch.max_rows: row changes in one central transaction; SYNC_BATCH_SIZE
    int64_t max_rows = 10000;
    // batch.max_bytes
    int64_t max_bytes = 8 << 20;
    // batch.max_wait: wait for more before a commit
    absl::Duration max_wait = absl::ZeroDuration();
  } batch;
  struct Fetch {
    // fetch.messages: per pull request; two are open per source
    int messages = 128;
    // fetch.bytes: per pull request
    int64_t bytes = 2 << 20;
  } fetch;

  struct Memory {
    // memory.max_bytes: for messages that are received and not applied, of all sources
    int64_t max_bytes = 192 << 20;
  } memory;

  // report_interval: applied positions back to the edges, and sync_status
  absl::Duration report_interval = absl::Seconds(1);
  // purge_interval
  absl::Duration purge_interval = absl::Seconds(30);
  // retain_applied: applied messages kept in each stream
  int64_t retain_applied = 10000;
  // discover_interval: look for new streams, and for sources that nobody owns
  absl::Duration discover_interval = absl::Seconds(5);

  MetricsSection metrics{"127.0.0.1:9188"};
  LogSection log;
  RetrySection retry;
};

// The share of memory.max_bytes of one worker. The one for large transactions has one, too.
int64_t MemoryOfWorker(const SubscriberConfig& config);

// Reads and checks. All problems found are returned at once, one per line, each naming file:line,
// key, value and what is allowed.
absl::StatusOr<SubscriberConfig> LoadSubscriberConfig(ConfigSource* source);

}  // namespace pmoves

#endif  // PMOVES_SUBSCRIBER_CONFIG_H_
