#include "subscriber/io/central_schema.h"

#include "absl/strings/str_format.h"
#include "common/base/status.h"
#include "subscriber/io/central_triggers.h"
#include "subscriber/io/pg_catalog.h"
#include "subscriber/io/table_rules.h"

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

CREATE TABLE IF NOT EXISTS pmoves_sync.subscriber (
  backend_pid integer PRIMARY KEY,
  sources text[],
  started_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE pmoves_sync.subscriber IS 'Subscriber processes by the backend of their coordinator, with the sources that each may own (NULL: every one). Alive are those whose backend holds an advisory lock; other rows are left over.';

CREATE TABLE IF NOT EXISTS pmoves_sync.source_clock (
  source text COLLATE "C" NOT NULL,
  relation text COLLATE "C" NOT NULL,
  hlc bigint NOT NULL,
  PRIMARY KEY (source, relation)
) WITH (fillfactor = 50);
COMMENT ON TABLE pmoves_sync.source_clock IS 'The newest version of a source by another clock than its commits (source_position.hlc): relation is a table with a version column, or empty for arrival times.';

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
DROP INDEX IF EXISTS pmoves_sync.tombstone_recorded_at, pmoves_sync.tombstone_version;
-- Of an expression, so that it serves the collector alone: a plan that is made while the table is small may look for a key and its version here, among all that is newer.
CREATE INDEX IF NOT EXISTS tombstone_age ON pmoves_sync.tombstone (relation, (version + 0));

CREATE TABLE IF NOT EXISTS pmoves_sync.collection (
  relation text COLLATE "C" PRIMARY KEY,
  horizon bigint NOT NULL,
  collected_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);
COMMENT ON TABLE pmoves_sync.collection IS 'Deletes below this version are forgotten. A change below it comes too late and is set aside.';

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
-- For the collector. Without the version: an index that has it would make every report of a register write its key anew.
CREATE INDEX IF NOT EXISTS register_grave ON pmoves_sync.register (relation, key) WHERE deleted;
COMMENT ON TABLE pmoves_sync.register IS 'The latest report of each source for each key, for tables whose conflict rules need more than a row version. The rows of those tables are computed from here.';

CREATE TABLE IF NOT EXISTS pmoves_sync.truncate_floor (
  relation text COLLATE "C" PRIMARY KEY,
  version bigint NOT NULL,
  source text COLLATE "C" NOT NULL
);
COMMENT ON TABLE pmoves_sync.truncate_floor IS 'The newest TRUNCATE of tables whose policy is all: older writes that arrive late stay buried.';

CREATE TABLE IF NOT EXISTS pmoves_sync.table_source (
  relation text COLLATE "C" NOT NULL,
  source text COLLATE "C" NOT NULL,
  since timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (relation, source)
);
COMMENT ON TABLE pmoves_sync.table_source IS 'Who has ever written a table: where it is one source alone, nobody looks for conflicts.';

CREATE TABLE IF NOT EXISTS pmoves_sync.table_rule (
  relation text COLLATE "C" PRIMARY KEY,
  version bigint NOT NULL,
  uses_registers boolean NOT NULL,
  changed_at timestamptz NOT NULL DEFAULT now()
);
-- A table that has no policy yet was recorded by an earlier version: its rows are looked at once.
ALTER TABLE pmoves_sync.table_rule ADD COLUMN IF NOT EXISTS policy text NOT NULL DEFAULT '',
  ADD COLUMN IF NOT EXISTS unfinished boolean NOT NULL DEFAULT false, ADD COLUMN IF NOT EXISTS clock text NOT NULL DEFAULT '';
COMMENT ON TABLE pmoves_sync.table_rule IS 'The conflict rule that made the rows of a table, with a number that rises at each change. unfinished: a change to another one was begun; the next start ends it.';

CREATE SEQUENCE IF NOT EXISTS pmoves_sync.central_clock CYCLE;

-- The version of a write in the centre: as a source's, milliseconds since 1970 and 16 bits of counter. 0 in sessions whose writes do not count as that.
CREATE OR REPLACE FUNCTION pmoves_sync.central_version() RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
AS $$BEGIN IF current_setting('pmoves_sync.applying', true) = 'on' THEN RETURN 0; END IF; RETURN (floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint << 16) + nextval('pmoves_sync.central_clock') % 65536; END$$;

CREATE TABLE IF NOT EXISTS pmoves_sync.recompute_queue (
  relation text COLLATE "C" NOT NULL,
  id bigint GENERATED ALWAYS AS IDENTITY,
  key text COLLATE "C",
  source text COLLATE "C" NOT NULL,
  queued_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  retry_at timestamptz,
  sqlstate text,
  PRIMARY KEY (relation, id)
);
COMMENT ON TABLE pmoves_sync.recompute_queue IS 'Keys that were written in the centre itself and are looked at once more, alone with the table, within about a second. key NULL: all of them. sqlstate: why the last try failed; it is tried again at retry_at.';

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
  stored_at timestamptz,
  stream_sequence bigint NOT NULL DEFAULT 0,
  subject text NOT NULL DEFAULT '',
  reason text NOT NULL,
  sqlstate text NOT NULL DEFAULT '',
  message text NOT NULL DEFAULT '',
  payload text,
  raw bytea,
  state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'retried', 'discarded', 'superseded')),
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  resolved_at timestamptz,
  resolution text,
  identity text NOT NULL UNIQUE,
  key text,
  refetch_at timestamptz,
  refetch_attempts int NOT NULL DEFAULT 0,
  refetch_answer text
);
ALTER TABLE pmoves_sync.dead_letter ADD COLUMN IF NOT EXISTS stored_at timestamptz;
COMMENT ON TABLE pmoves_sync.dead_letter IS 'Changes that could not be applied, as they came. See pmoves-sync-subscriber dead-letters.';
CREATE INDEX IF NOT EXISTS dead_letter_settled ON pmoves_sync.dead_letter (resolved_at) WHERE state <> 'open';
CREATE INDEX IF NOT EXISTS dead_letter_open ON pmoves_sync.dead_letter (source, table_name) WHERE state = 'open';
-- Made by an earlier version:
ALTER TABLE pmoves_sync.dead_letter ADD COLUMN IF NOT EXISTS key text, ADD COLUMN IF NOT EXISTS refetch_at timestamptz,
  ADD COLUMN IF NOT EXISTS refetch_attempts int NOT NULL DEFAULT 0, ADD COLUMN IF NOT EXISTS refetch_answer text;
DO $$ BEGIN
  IF NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conrelid = 'pmoves_sync.dead_letter'::regclass
                 AND conname = 'dead_letter_state_check' AND pg_get_constraintdef(oid) LIKE '%superseded%') THEN
    ALTER TABLE pmoves_sync.dead_letter DROP CONSTRAINT IF EXISTS dead_letter_state_check,
      ADD CONSTRAINT dead_letter_state_check CHECK (state IN ('open', 'retried', 'discarded', 'superseded'));
  END IF;
END $$;
COMMENT ON COLUMN pmoves_sync.dead_letter.key IS 'Key of the row, column -> text; NULL where the letter is not about one row.';
CREATE INDEX IF NOT EXISTS dead_letter_key ON pmoves_sync.dead_letter (source, hashtextextended(key, 0))
  WHERE state = 'open' AND key IS NOT NULL;
COMMENT ON COLUMN pmoves_sync.dead_letter.refetch_at IS 'When the edge is asked for the whole row next; NULL: it is not asked.';
CREATE INDEX IF NOT EXISTS dead_letter_refetch ON pmoves_sync.dead_letter (refetch_at)
  WHERE state = 'open' AND refetch_at IS NOT NULL;

CREATE TABLE IF NOT EXISTS pmoves_sync.conflict_log (
  id bigint GENERATED BY DEFAULT AS IDENTITY,
  detected_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  type text NOT NULL,
  resolution text NOT NULL,
  lossy boolean NOT NULL,
  state text NOT NULL DEFAULT 'logged' CHECK (state IN ('logged', 'open', 'resolved')),
  schema_name text NOT NULL,
  table_name text NOT NULL,
  key jsonb NOT NULL,
  remote_source text NOT NULL,
  remote_version bigint NOT NULL,
  remote_committed_at timestamptz,
  remote_row jsonb,
  local_source text,
  local_version bigint,
  local_row jsonb,
  applied_row jsonb,
  rule text NOT NULL DEFAULT '',
  resolved_at timestamptz,
  resolution_note text,
  PRIMARY KEY (detected_at, id)
) PARTITION BY RANGE (detected_at);
CREATE TABLE IF NOT EXISTS pmoves_sync.conflict_log_default PARTITION OF pmoves_sync.conflict_log DEFAULT;
ALTER TABLE pmoves_sync.conflict_log ADD COLUMN IF NOT EXISTS dead_letter_id bigint,
  ADD COLUMN IF NOT EXISTS rule_version bigint;
COMMENT ON COLUMN pmoves_sync.conflict_log.rule_version IS 'Of table_rule, when the conflict was resolved.';
COMMENT ON COLUMN pmoves_sync.conflict_log.dead_letter_id IS 'Of resolution set_aside: the change that waits. Settled together with it.';
CREATE INDEX IF NOT EXISTS conflict_log_dead_letter ON pmoves_sync.conflict_log (dead_letter_id) WHERE state = 'open';
CREATE INDEX IF NOT EXISTS conflict_log_key ON pmoves_sync.conflict_log (schema_name, table_name, key);
COMMENT ON TABLE pmoves_sync.conflict_log IS 'Conflicts: what a source reported (remote), what the centre had (local) and what it shows since (applied). One partition per day.';

CREATE TABLE IF NOT EXISTS pmoves_sync.rule_check (
  name text COLLATE "C" PRIMARY KEY,
  expression text NOT NULL,
  column_type text NOT NULL,
  passed_at timestamptz NOT NULL,
  seed numeric NOT NULL,
  diverges text
);
ALTER TABLE pmoves_sync.rule_check ADD COLUMN IF NOT EXISTS labels text NOT NULL DEFAULT '';
COMMENT ON TABLE pmoves_sync.rule_check IS 'Expressions of conflict rules that config check-rules has tried, each with a function and an aggregate of that name. diverges: the laws that do not hold, admitted by allow_divergence. labels: of the enum that the column is made of, as they were tried.';

-- A row image as the log keeps it: large values are left out whole, with their size.
CREATE OR REPLACE FUNCTION pmoves_sync.log_image(image jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE STRICT
AS $$SELECT COALESCE(jsonb_object_agg(key, CASE WHEN octet_length(value) > 65536 THEN jsonb_build_object('omitted_bytes', octet_length(value)) ELSE COALESCE(to_jsonb(value), 'null') END), '{}') FROM jsonb_each_text(image)$$;

-- A row that came before the partition of its day was made is in the default one, and is moved: a partition cannot be made beside rows that belong there. Result: the rows that were moved.
DO $$ BEGIN
  IF EXISTS (SELECT 1 FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = 'pmoves_sync' AND p.proname = 'maintain_conflict_log' AND p.prorettype = 'void'::regtype) THEN
    DROP FUNCTION pmoves_sync.maintain_conflict_log(interval);
  END IF;
END $$;
CREATE OR REPLACE FUNCTION pmoves_sync.maintain_conflict_log(keep interval) RETURNS bigint LANGUAGE plpgsql
AS $$
DECLARE
  day date;
  part text;
  old record;
  here bigint;
  moved bigint := 0;
BEGIN
  DELETE FROM pmoves_sync.conflict_log_default WHERE detected_at < now() - keep;
  FOR day IN SELECT (now() AT TIME ZONE 'UTC')::date + n FROM generate_series(0, 2) n
             UNION SELECT DISTINCT (detected_at AT TIME ZONE 'UTC')::date FROM pmoves_sync.conflict_log_default ORDER BY 1 LOOP
    part := 'conflict_log_' || to_char(day, 'YYYYMMDD');
    IF to_regclass('pmoves_sync.' || part) IS NULL THEN
      LOCK TABLE pmoves_sync.conflict_log_default IN ACCESS EXCLUSIVE MODE;
      EXECUTE format('CREATE TABLE pmoves_sync.%I (LIKE pmoves_sync.conflict_log INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', part);
      EXECUTE format('WITH gone AS (DELETE FROM pmoves_sync.conflict_log_default WHERE detected_at >= %L AND detected_at < %L RETURNING *) INSERT INTO pmoves_sync.%I SELECT * FROM gone',
        day || ' 00:00+00', day + 1 || ' 00:00+00', part);
      GET DIAGNOSTICS here = ROW_COUNT;
      moved := moved + here;
      EXECUTE format('ALTER TABLE pmoves_sync.conflict_log ATTACH PARTITION pmoves_sync.%I FOR VALUES FROM (%L) TO (%L)', part, day || ' 00:00+00', day + 1 || ' 00:00+00');
    END IF;
  END LOOP;
  FOR old IN SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
             WHERE i.inhparent = 'pmoves_sync.conflict_log'::regclass AND c.relname ~ '^conflict_log_[0-9]{8}$'
               AND to_date(right(c.relname, 8), 'YYYYMMDD') < ((now() - keep) AT TIME ZONE 'UTC')::date LOOP
    EXECUTE format('DROP TABLE pmoves_sync.%I', old.relname);
  END LOOP;
  RETURN moved;
END $$;

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
    WHEN pending_records > 1000 OR last_sync_status = 'waiting' THEN 'lagging'
    ELSE 'healthy'
  END AS health_status
FROM pmoves_sync.sync_status
ORDER BY service_name, table_name;
)sql";

struct InlineColumn {
  const char* name;
  const char* definition;  // rows that are there already are older than any change
  const char* standard;    // DEFAULT of rows that people insert
};
constexpr InlineColumn kInlineColumns[] = {
    {"_source", "text COLLATE \"C\" NOT NULL DEFAULT 'central'", "'central'::text"},
    {"_source_updated_at", "timestamptz NOT NULL DEFAULT now()", "clock_timestamp()"},
    {"_sync_version", "bigint NOT NULL DEFAULT 0", "pmoves_sync.central_version()"},
};

// True: it was not there before.
absl::StatusOr<bool> AddInlineColumn(PgConnection& connection, const TableConfig& table,
                                     const std::string& name, const InlineColumn& column,
                                     std::vector<std::string>* done) {
  ASSIGN_OR_RETURN(const PgRows present,
                   connection.Execute("SELECT pg_get_expr(d.adbin, d.adrelid) FROM pg_attribute a "
                                      "LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND "
                                      "d.adnum = a.attnum WHERE a.attrelid = $1::regclass "
                                      "AND a.attname = $2 AND NOT a.attisdropped",
                                      {PgParam(name), PgParam(column.name)}));
  const char* state = "present";
  if (present.size() == 0) {
    RETURN_IF_ERROR(connection
                        .Execute(absl::StrFormat("ALTER TABLE %s ADD COLUMN %s %s", name,
                                                 column.name, column.definition))
                        .status());
    state = "added";
  }
  if (present.size() == 0 || present.Text(0, 0) != column.standard) {
    RETURN_IF_ERROR(connection
                        .Execute(absl::StrFormat("ALTER TABLE %s ALTER COLUMN %s SET DEFAULT %s",
                                                 name, column.name, column.standard))
                        .status());
  }
  done->push_back(
      absl::StrFormat("column %s.%s.%s: %s", table.schema, table.table, column.name, state));
  return present.size() == 0;
}

// Rows that are there when the table comes under sync are those of the centre: the first source
// that writes them is the second writer, and its conflicts are looked for.
absl::Status CountCentreAsWriter(PgConnection& connection, const TableConfig& table,
                                 const std::string& name) {
  const std::string relation = table.schema + "." + table.table;
  return connection
      .Execute(absl::StrFormat("INSERT INTO pmoves_sync.table_source (relation, source) SELECT $1, "
                               "'%s' WHERE EXISTS (SELECT 1 FROM %s) ON CONFLICT DO NOTHING",
                               kCentralSource, name),
               {PgParam(relation)})
      .status();
}

absl::Status AddInlineColumns(PgConnection& connection, const TableConfig& table,
                              std::vector<std::string>* done) {
  const std::string name = QuoteIdentifier(table.schema) + "." + QuoteIdentifier(table.table);
  ASSIGN_OR_RETURN(PgRows exists, connection.Execute("SELECT to_regclass($1)", {PgParam(name)}));
  if (exists.IsNull(0, 0)) {
    return absl::FailedPreconditionError(absl::StrFormat(
        "table %s.%s is configured but does not exist in the centre: create it first", table.schema,
        table.table));
  }
  bool any_added = false;
  for (const InlineColumn& column : kInlineColumns) {
    ASSIGN_OR_RETURN(const bool added, AddInlineColumn(connection, table, name, column, done));
    any_added = any_added || added;
  }
  return any_added ? CountCentreAsWriter(connection, table, name) : absl::OkStatus();
}

// Until another rule comes into force, what people write counts by the one that is.
absl::StatusOr<bool> LeftToTheStart(PgConnection& connection, const TargetTable& table,
                                    const TableConfig& config) {
  ASSIGN_OR_RETURN(const TableRules::State rule, TableRules::LookAt(connection, config));
  if (!rule.recorded.has_value() || rule.change == RuleChange::kNone) return false;
  ASSIGN_OR_RETURN(const CentralTriggerState triggers, LookAtCentralTriggers(connection, table));
  return triggers != CentralTriggerState::kMissing;
}

// A table that cannot be merged yet is no reason not to make the rest; `check` names it.
absl::Status AddTriggers(PgConnection& connection, const std::vector<TableConfig>& tables,
                         const TableConfig& table, std::vector<std::string>* done) {
  TargetCatalog catalog(connection, tables);
  const auto found = catalog.Read(table);
  std::string state = "ready";
  if (found.ok()) {
    ASSIGN_OR_RETURN(const bool left, LeftToTheStart(connection, **found, table));
    if (left) {
      state = "left to the next start, which changes the rule of the table";
    } else {
      RETURN_IF_ERROR(InstallCentralTriggers(connection, **found));
    }
  } else if (absl::IsFailedPrecondition(found.status())) {
    state = absl::StrFormat("left out, %s", MessageOf(found.status()));
  } else {
    return found.status();
  }
  done->push_back(absl::StrFormat("triggers %s.%s: %s", table.schema, table.table, state));
  return absl::OkStatus();
}

}  // namespace

std::string LockTable(const TargetTable& table) {
  return absl::StrFormat("SELECT pg_catalog.pg_advisory_xact_lock(%d, %d)", kTableLockClass,
                         static_cast<int32_t>(table.oid));
}

absl::StatusOr<std::vector<std::string>> InitCentralSchema(PgConnection& connection,
                                                           const std::vector<TableConfig>& tables) {
  std::vector<std::string> done;
  RETURN_IF_ERROR(connection.Execute("BEGIN").status());
  // Two inits at once: one after the other.
  absl::Status status =
      connection.Execute(absl::StrFormat("SELECT pg_advisory_xact_lock(%d, 0)", kTableLockClass))
          .status();
  if (status.ok()) status = connection.Execute(kSchemaSql).status();
  if (status.ok())
    status = connection.Execute("SELECT pmoves_sync.maintain_conflict_log('30 days')").status();
  if (status.ok()) done.push_back("schema pmoves_sync: ready");
  for (const TableConfig& table : tables) {
    if (status.ok()) status = AddInlineColumns(connection, table, &done);
    if (status.ok()) status = AddTriggers(connection, tables, table, &done);
  }
  if (!status.ok()) {
    connection.Rollback();
    return status;
  }
  RETURN_IF_ERROR(connection.Commit());
  return done;
}

}  // namespace pmoves
