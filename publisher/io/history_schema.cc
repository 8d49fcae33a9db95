#include "publisher/io/history_schema.h"

#include "absl/strings/str_format.h"
#include "common/base/status.h"
#include "common/io/log.h"

namespace pmoves {
namespace {

constexpr const char kPrefixExistsSql[] =
    "SELECT to_regclass('pmoves_sync.wal_prefix') IS NOT NULL";

constexpr const char kPrefixSql[] = R"(
CREATE SCHEMA IF NOT EXISTS pmoves_sync;
CREATE TABLE IF NOT EXISTS pmoves_sync.wal_prefix (
  one    boolean PRIMARY KEY DEFAULT true CHECK (one),
  prefix text NOT NULL
);
REVOKE ALL ON pmoves_sync.wal_prefix FROM PUBLIC;
COMMENT ON TABLE pmoves_sync.wal_prefix IS
  'Secret: the prefix of the messages that pmoves-sync writes into the WAL and reads back. Who knows it can forge them.';
INSERT INTO pmoves_sync.wal_prefix (prefix)
  SELECT 'pmoves_sync/' || left(encode(sha256(convert_to(gen_random_uuid()::text || gen_random_uuid()::text, 'UTF8')), 'hex'), 32)
  ON CONFLICT DO NOTHING;
)";

// What decides the meaning of a row change, as PgCatalog reads it.
constexpr const char kTablesSql[] = R"(
CREATE TABLE IF NOT EXISTS pmoves_sync.relation_history (
  id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  relid       oid NOT NULL,
  schema_name text NOT NULL,
  table_name  text NOT NULL,
  definition  jsonb,
  mark_lsn    pg_lsn NOT NULL,
  xid         xid8 NOT NULL DEFAULT pg_current_xact_id()
);
REVOKE ALL ON pmoves_sync.relation_history FROM PUBLIC;
CREATE INDEX IF NOT EXISTS relation_history_relid ON pmoves_sync.relation_history (relid, id);
COMMENT ON TABLE pmoves_sync.relation_history IS
  'Definitions of the tables (null: gone), each in force for what the WAL holds behind mark_lsn.';
CREATE OR REPLACE VIEW pmoves_sync.relation_now AS
SELECT c.oid AS relid, n.nspname::text AS schema_name, c.relname::text AS table_name,
       jsonb_build_object('identity', c.relreplident, 'usable', k.attnums IS NOT NULL, 'columns',
         (SELECT coalesce(jsonb_agg(jsonb_build_object(
                   'name', a.attname, 'type', a.atttypid, 'typmod', a.atttypmod,
                   'toastable', a.attlen = -1 AND a.attstorage <> 'p',
                   'key', coalesce(a.attnum = ANY (k.attnums), false),
                   'nonfinite', a.atttypid IN (700, 701, 1700) AND NOT EXISTS (
                     SELECT 1 FROM pg_constraint g
                      WHERE g.conrelid = c.oid AND g.contype = 'c' AND g.convalidated
                        AND g.conname LIKE 'pmoves\_sync\_finite\_%' AND a.attnum = ANY (g.conkey)))
                   ORDER BY a.attnum), '[]')
            FROM pg_attribute a
           WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)) AS definition
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN LATERAL (
    SELECT (i.indkey::int2[])[0:i.indnkeyatts - 1] AS attnums
      FROM pg_index i
     WHERE i.indrelid = c.oid AND i.indimmediate AND i.indisvalid
       AND ((c.relreplident IN ('d', 'f') AND i.indisprimary) OR
            (c.relreplident = 'i' AND i.indisreplident))
     LIMIT 1) k ON true
 WHERE c.relkind = 'r' AND c.relpersistence = 'p' AND n.nspname NOT LIKE 'pg\_%'
   AND n.nspname NOT IN ('information_schema', 'pmoves_sync');
REVOKE ALL ON pmoves_sync.relation_now FROM PUBLIC;
)";

// History and catalog are read in one snapshot, so also one of REPEATABLE READ finds what its own
// transaction changed, and only that.
constexpr const char kNoteSql[] = R"(
CREATE OR REPLACE FUNCTION pmoves_sync.note_definitions() RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
  secret  text;
  changed record;
  number  bigint;
  noted   integer := 0;
BEGIN
  SELECT p.prefix INTO STRICT secret FROM pmoves_sync.wal_prefix p;
  FOR changed IN
    SELECT coalesce(n.relid, l.relid) AS relid, coalesce(n.schema_name, l.schema_name) AS schema_name,
           coalesce(n.table_name, l.table_name) AS table_name, n.definition
      FROM pmoves_sync.relation_now n
      FULL JOIN (SELECT DISTINCT ON (h.relid) h.* FROM pmoves_sync.relation_history h
                  ORDER BY h.relid, h.id DESC) l ON l.relid = n.relid
     WHERE (n.relid IS NULL AND l.definition IS NOT NULL) OR
           (n.relid IS NOT NULL AND (l.relid IS NULL OR n.schema_name <> l.schema_name OR
            n.table_name <> l.table_name OR
            l.definition IS DISTINCT FROM n.definition))
     ORDER BY n.relid IS NOT NULL, 1
  LOOP
    number := nextval(pg_get_serial_sequence('pmoves_sync.relation_history', 'id'));
    INSERT INTO pmoves_sync.relation_history (id, relid, schema_name, table_name, definition, mark_lsn)
    OVERRIDING SYSTEM VALUE
    VALUES (number, changed.relid, changed.schema_name, changed.table_name,
            changed.definition,
            pg_logical_emit_message(true, secret, 'ddl ' || number));
    noted := noted + 1;
  END LOOP;
  RETURN noted;
END $body$;
REVOKE ALL ON FUNCTION pmoves_sync.note_definitions() FROM PUBLIC;
CREATE OR REPLACE FUNCTION pmoves_sync.begin_history() RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
  needed pg_lsn := (SELECT min(confirmed_flush_lsn) FROM pg_replication_slots
                     WHERE database = current_database() AND plugin = 'wal2json');
BEGIN
  -- Rows of another server came here with a restored dump.
  DELETE FROM pmoves_sync.relation_history WHERE mark_lsn > pg_current_wal_insert_lsn();
  -- What no slot can ask for any more: a later definition was in force by then.
  DELETE FROM pmoves_sync.relation_history h
   WHERE EXISTS (SELECT 1 FROM pmoves_sync.relation_history l
                  WHERE l.relid = h.relid AND l.id > h.id AND l.mark_lsn <= needed)
      OR (h.definition IS NULL AND h.mark_lsn <= needed AND NOT EXISTS (
            SELECT 1 FROM pmoves_sync.relation_history l WHERE l.relid = h.relid AND l.id > h.id));
  RETURN pmoves_sync.note_definitions();
END $body$;
REVOKE ALL ON FUNCTION pmoves_sync.begin_history() FROM PUBLIC;
CREATE OR REPLACE FUNCTION pmoves_sync.note_ddl() RETURNS event_trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
BEGIN
  -- Temporary tables come and go all the time.
  IF tg_event = 'sql_drop' THEN
    IF NOT EXISTS (SELECT 1 FROM pg_event_trigger_dropped_objects() WHERE NOT is_temporary) THEN RETURN; END IF;
  ELSIF NOT EXISTS (SELECT 1 FROM pg_event_trigger_ddl_commands()
                     WHERE schema_name IS DISTINCT FROM 'pg_temp') THEN
    RETURN;
  END IF;
  PERFORM pmoves_sync.note_definitions();
END $body$;
REVOKE ALL ON FUNCTION pmoves_sync.note_ddl() FROM PUBLIC;
)";

// Tags that cannot change what a row means (GRANT, COMMENT, CREATE FUNCTION, ...) are left out.
constexpr const char kTriggerSql[] = R"(
DROP EVENT TRIGGER IF EXISTS pmoves_sync_ddl;
DROP EVENT TRIGGER IF EXISTS pmoves_sync_drop;
CREATE EVENT TRIGGER pmoves_sync_ddl ON ddl_command_end
  WHEN TAG IN ('CREATE TABLE', 'CREATE TABLE AS', 'SELECT INTO', 'ALTER TABLE', 'CREATE INDEX',
               'ALTER INDEX', 'CREATE SCHEMA', 'ALTER SCHEMA', 'ALTER TYPE', 'ALTER DOMAIN',
               'CREATE EXTENSION', 'ALTER EXTENSION', 'IMPORT FOREIGN SCHEMA')
  EXECUTE FUNCTION pmoves_sync.note_ddl();
CREATE EVENT TRIGGER pmoves_sync_drop ON sql_drop EXECUTE FUNCTION pmoves_sync.note_ddl();
ALTER EVENT TRIGGER pmoves_sync_ddl ENABLE ALWAYS;
ALTER EVENT TRIGGER pmoves_sync_drop ENABLE ALWAYS;
)";

constexpr const char kInstalledSql[] = R"(
SELECT (SELECT count(*) FROM pg_event_trigger e JOIN pg_proc p ON p.oid = e.evtfoid
          JOIN pg_namespace n ON n.oid = p.pronamespace
         WHERE n.nspname = 'pmoves_sync' AND p.proname = 'note_ddl' AND e.evtenabled = 'A'
           AND e.evtname IN ('pmoves_sync_ddl', 'pmoves_sync_drop')) = 2
       AND to_regprocedure('pmoves_sync.begin_history()') IS NOT NULL
       AND has_function_privilege(to_regprocedure('pmoves_sync.begin_history()'), 'EXECUTE')
       AND has_table_privilege(to_regclass('pmoves_sync.relation_history'), 'SELECT'),
       (SELECT rolsuper FROM pg_roles WHERE rolname = current_user), current_user)";

std::string Grants(std::string_view role) {
  return absl::StrFormat(
      "GRANT USAGE ON SCHEMA pmoves_sync TO %1$s;\n"
      "GRANT SELECT ON pmoves_sync.wal_prefix, pmoves_sync.relation_history, "
      "pmoves_sync.relation_now TO %1$s;\n"
      "GRANT EXECUTE ON FUNCTION pmoves_sync.note_definitions(), pmoves_sync.begin_history() TO "
      "%1$s;\n",
      role);
}

}  // namespace

std::string HistorySql(std::string_view role) {
  // Whoever owns what a superuser's trigger calls could make it do other things.
  return absl::StrFormat(
      "BEGIN;\n%sALTER TABLE pmoves_sync.wal_prefix OWNER TO CURRENT_USER;\n%s%s%s%s"
      "SELECT pmoves_sync.begin_history();\nCOMMIT;\n",
      kPrefixSql + 1, kTablesSql + 1, kNoteSql + 1, kTriggerSql + 1, Grants(role));
}

absl::StatusOr<std::string> EnsurePrefix(PgConnection& connection) {
  ASSIGN_OR_RETURN(PgRows exists, connection.Execute(kPrefixExistsSql));
  const absl::Status created =
      exists.Bool(0, 0) ? absl::OkStatus() : connection.Execute(kPrefixSql).status();
  absl::StatusOr<PgRows> rows =
      created.ok() ? connection.Execute("SELECT prefix FROM pmoves_sync.wal_prefix") : created;
  if (absl::IsPermissionDenied(rows.status())) {
    // `init` ran as another role.
    LogLimited(
        LogLevel::kWarn, "prefix.known",
        "this role may not read pmoves_sync.wal_prefix, so the prefix of its messages in the "
        "WAL is one that anybody knows: run `init` with this role, or GRANT it what `check` "
        "names",
        {});
    return std::string("pmoves_sync");
  }
  RETURN_IF_ERROR(rows.status());
  if (rows->size() != 1) {
    return absl::FailedPreconditionError(
        "pmoves_sync.wal_prefix is empty: drop the table, and the publisher makes it anew");
  }
  return rows->String(0, 0);
}

absl::StatusOr<bool> HistoryInstalled(PgConnection& connection) {
  ASSIGN_OR_RETURN(PgRows rows, connection.Execute(kInstalledSql));
  return rows.Bool(0, 0);
}

absl::StatusOr<bool> EnsureHistory(PgConnection& connection) {
  ASSIGN_OR_RETURN(PgRows rows, connection.Execute(kInstalledSql));
  if (rows.Bool(0, 0)) return true;
  if (!rows.Bool(0, 1)) return false;
  const std::string role = QuoteIdentifier(rows.Text(0, 2));
  absl::Status installed = connection.Execute(HistorySql(role)).status();
  if (!installed.ok()) {
    connection.Rollback();
    return installed;
  }
  return true;
}

}  // namespace pmoves
