#include "subscriber/io/central_schema.h"

#include "absl/strings/str_format.h"
#include "common/base/status.h"

namespace pmoves {
namespace {

constexpr const char kSchemaSql[] = R"sql(
CREATE SCHEMA IF NOT EXISTS pmoves_sync;

CREATE TABLE IF NOT EXISTS pmoves_sync.source_position (
  source text COLLATE "C" PRIMARY KEY,
  epoch bigint NOT NULL DEFAULT 0,
  position pg_lsn NOT NULL DEFAULT '0/0',
  hlc bigint NOT NULL DEFAULT 0,
  stream text NOT NULL DEFAULT '',
  stream_created text NOT NULL DEFAULT '',
  stream_sequence bigint NOT NULL DEFAULT 0,
  origin text NOT NULL DEFAULT '',
  transactions bigint NOT NULL DEFAULT 0,
  changes bigint NOT NULL DEFAULT 0,
  last_commit_at timestamptz,
  applied_at timestamptz
) WITH (fillfactor = 50);
COMMENT ON TABLE pmoves_sync.source_position IS 'The truth about each source: up to (epoch, position) everything is applied. Written in the same transaction as the rows.';

CREATE TABLE IF NOT EXISTS pmoves_sync.tombstone (
  relation text COLLATE "C" NOT NULL,
  key text COLLATE "C" NOT NULL,
  version bigint NOT NULL,
  source text COLLATE "C" NOT NULL,
  deleted_at timestamptz,
  recorded_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (relation, key)
);
COMMENT ON TABLE pmoves_sync.tombstone IS 'Deleted keys, so that an older write that arrives late does not bring a row back.';
CREATE INDEX IF NOT EXISTS tombstone_recorded_at ON pmoves_sync.tombstone (recorded_at);

CREATE TABLE IF NOT EXISTS pmoves_sync.register (
  relation text COLLATE "C" NOT NULL,
  key text COLLATE "C" NOT NULL,
  source text COLLATE "C" NOT NULL,
  version bigint NOT NULL,
  first_version bigint NOT NULL,
  image_version bigint NOT NULL,
  deleted boolean NOT NULL,
  committed_at timestamptz,
  image jsonb NOT NULL,
  versions jsonb NOT NULL,
  peaks jsonb NOT NULL,
  PRIMARY KEY (relation, key, source)
);
COMMENT ON TABLE pmoves_sync.register IS 'The latest report of each source for each key, for tables whose conflict rules need more than a row version. The rows of those tables are computed from here.';

CREATE TABLE IF NOT EXISTS pmoves_sync.dead_letter (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  source text NOT NULL,
  kind text NOT NULL CHECK (kind IN ('row', 'message')),
  epoch bigint NOT NULL DEFAULT 0,
  position pg_lsn NOT NULL DEFAULT '0/0',
  chunk bigint NOT NULL DEFAULT 0,
  row_index bigint NOT NULL DEFAULT 0,
  schema_name text NOT NULL DEFAULT '',
  table_name text NOT NULL DEFAULT '',
  operation text NOT NULL DEFAULT '',
  hlc bigint NOT NULL DEFAULT 0,
  committed_at timestamptz,
  stream_sequence bigint NOT NULL DEFAULT 0,
  subject text NOT NULL DEFAULT '',
  reason text NOT NULL,
  sqlstate text NOT NULL DEFAULT '',
  message text NOT NULL DEFAULT '',
  payload text,
  raw bytea,
  state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'retried', 'discarded')),
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  resolved_at timestamptz,
  resolution text,
  identity text NOT NULL UNIQUE
);
COMMENT ON TABLE pmoves_sync.dead_letter IS 'Changes that could not be applied, as they came. See pmoves-sync-subscriber dead-letters.';
CREATE INDEX IF NOT EXISTS dead_letter_open ON pmoves_sync.dead_letter (source, table_name) WHERE state = 'open';

CREATE TABLE IF NOT EXISTS pmoves_sync.sync_status (
  id uuid NOT NULL DEFAULT gen_random_uuid(),
  service_name text NOT NULL,
  table_name text NOT NULL,
  last_sync_at timestamptz,
  last_sync_status text,
  pending_records bigint NOT NULL DEFAULT 0,
  failed_records bigint NOT NULL DEFAULT 0,
  last_error text,
  last_seen_at timestamptz,
  updated_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (service_name, table_name)
) WITH (fillfactor = 50);

CREATE OR REPLACE VIEW pmoves_sync.sync_health AS
SELECT service_name, table_name, last_sync_at, last_seen_at, last_sync_status, pending_records, failed_records, last_error,
  CASE
    WHEN last_sync_status = 'blocked' OR failed_records > 100 THEN 'failing'
    WHEN COALESCE(last_seen_at, last_sync_at) IS NULL OR COALESCE(last_seen_at, last_sync_at) < now() - interval '5 minutes' THEN 'stale'
    WHEN pending_records > 1000 THEN 'lagging'
    ELSE 'healthy'
  END AS health_status
FROM pmoves_sync.sync_status
ORDER BY service_name, table_name;
)sql";

struct InlineColumn {
  const char* name;
  const char* definition;
};
constexpr InlineColumn kInlineColumns[] = {
    {"_source", "text COLLATE \"C\" NOT NULL DEFAULT 'central'"},
    {"_source_updated_at", "timestamptz NOT NULL DEFAULT now()"},
    {"_sync_version", "bigint NOT NULL DEFAULT 0"},
};

absl::Status AddInlineColumns(PgConnection& connection, const TableConfig& table,
                              std::vector<std::string>* done) {
  const std::string name = QuoteIdentifier(table.schema) + "." + QuoteIdentifier(table.table);
  ASSIGN_OR_RETURN(PgRows exists, connection.Execute("SELECT to_regclass($1)", {PgParam(name)}));
  if (exists.IsNull(0, 0)) {
    return absl::FailedPreconditionError(absl::StrFormat(
        "table %s.%s is configured but does not exist in the centre: create it first", table.schema,
        table.table));
  }
  for (const InlineColumn& column : kInlineColumns) {
    ASSIGN_OR_RETURN(PgRows present,
                     connection.Execute("SELECT 1 FROM pg_attribute WHERE attrelid = $1::regclass "
                                        "AND attname = $2 AND NOT attisdropped",
                                        {PgParam(name), PgParam(column.name)}));
    if (present.size() > 0) {
      done->push_back(
          absl::StrFormat("column %s.%s.%s: present", table.schema, table.table, column.name));
      continue;
    }
    RETURN_IF_ERROR(connection
                        .Execute(absl::StrFormat("ALTER TABLE %s ADD COLUMN %s %s", name,
                                                 column.name, column.definition))
                        .status());
    done->push_back(
        absl::StrFormat("column %s.%s.%s: added", table.schema, table.table, column.name));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<std::string>> InitCentralSchema(PgConnection& connection,
                                                           const std::vector<TableConfig>& tables) {
  std::vector<std::string> done;
  RETURN_IF_ERROR(connection.Execute("BEGIN").status());
  // Two inits at once: one after the other.
  absl::Status status =
      connection.Execute(absl::StrFormat("SELECT pg_advisory_xact_lock(%d, 0)", kTableLockClass))
          .status();
  if (status.ok()) status = connection.Execute(kSchemaSql).status();
  if (status.ok()) done.push_back("schema pmoves_sync: ready");
  for (const TableConfig& table : tables) {
    if (status.ok()) status = AddInlineColumns(connection, table, &done);
  }
  if (!status.ok()) {
    connection.Rollback();
    return status;
  }
  RETURN_IF_ERROR(connection.Commit());
  return done;
}

}  // namespace pmoves
