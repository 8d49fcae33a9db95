// PublisherConfig: everything an operator can set for one edge. One member per option, with
// default, unit and effect.
//
// Read by publisher/config.cc through common/io/config_file: YAML, then
// PMOVES_SYNC_<SECTION>__<KEY> and the environment names that PMOVES services already have.
// docs/configuration.md lists the same options (a test compares).
#ifndef PMOVES_PUBLISHER_CONFIG_H_
#define PMOVES_PUBLISHER_CONFIG_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "common/io/common_config.h"
#include "common/io/config_file.h"

namespace pmoves {

enum class Mode { kStandalone, kIntegrated, kDualWrite };

struct PublisherConfig {
  // source: name of this edge, [a-z0-9][a-z0-9-]{0,31}; SERVICE_NAME is understood
  std::string source;
  // mode: standalone | integrated | dual-write; SUPABASE_MODE; SYNC_ENABLED=false means standalone
  Mode mode = Mode::kDualWrite;

  struct Postgres {
    // postgres.dsn: libpq conninfo or URI of the local database, not of a pooler
    std::string dsn;
    // postgres.password (secret, also _FILE)
    std::string password;
    // postgres.slot: name of the logical replication slot
    std::string slot = "pmoves_sync";
    // postgres.tables: schema.table or "schema.*" (a bare name means public.); SYNC_TABLES
    std::vector<std::string> tables;
    // postgres.allow_unlimited_wal: accept a server without max_slot_wal_keep_size
    bool allow_unlimited_wal = false;
    // postgres.status_interval: how often Postgres is told the position
    absl::Duration status_interval = absl::Seconds(10);
  } postgres;

  NatsSection nats;

  struct Stream {
    // stream.max_bytes: size limit of SYNC_<source>; when full, publishing waits and WAL keeps the
    // data
    int64_t max_bytes = int64_t{8} << 30;
    // stream.replicas
    int replicas = 1;
    // stream.max_message_bytes: body size of a message
    int64_t max_message_bytes = 256 << 10;
    // stream.window_messages: unacknowledged publishes at most
    int window_messages = 256;
    // stream.window_bytes: their bytes at most
    int64_t window_bytes = 4 << 20;
    // stream.ack_timeout: no ack for so long is a doubt: begin again from the tail
    absl::Duration ack_timeout = absl::Seconds(10);
  } stream;

  struct Confirm {
    // confirm.after: applied | stored
    bool after_applied = true;
    // confirm.stored_hold: stored for so long counts as safe (0 where the server syncs every write)
    absl::Duration stored_hold = absl::Seconds(150);
  } confirm;

  struct Progress {
    // progress.interval: at most one progress message in this time ...
    absl::Duration interval = absl::Minutes(1);
    // progress.wal_bytes: ... and one per so much WAL
    int64_t wal_bytes = 16 << 20;
    // progress.heartbeat: status message to the centre (not stored)
    absl::Duration heartbeat = absl::Seconds(10);
  } progress;

  MetricsSection metrics{"127.0.0.1:9187"};
  LogSection log;
  RetrySection retry;
};

// Reads and checks. All problems found are returned at once, one per line, each naming file:line,
// key, value and what is allowed. Only mode dual-write needs source, postgres and nats.
absl::StatusOr<PublisherConfig> LoadPublisherConfig(ConfigSource* source);

}  // namespace pmoves

#endif  // PMOVES_PUBLISHER_CONFIG_H_
