#include "publisher/io/pg_preflight.h"

#include <utility>

#include "absl/strings/str_split.h"
#include "common/base/status.h"

namespace pmoves {
namespace {

constexpr const char kServerSql[] = R"(
SELECT current_setting('server_encoding'), current_setting('wal_level'), pg_is_in_recovery(),
       (SELECT rolreplication OR rolsuper FROM pg_roles WHERE rolname = current_user), current_user,
       (SELECT setting FROM pg_settings WHERE name = 'output_plugin_libraries'),
       current_setting('max_replication_slots')::int,
       (SELECT count(*) FROM pg_replication_slots),
       current_setting('max_wal_senders')::int,
       (SELECT count(*) FROM pg_stat_get_wal_senders()),
       EXISTS (SELECT 1 FROM pg_replication_slots WHERE slot_name = $1),
       (SELECT setting::bigint FROM pg_settings WHERE name = 'max_slot_wal_keep_size'))";

// Names of columns travel as one text with \x1f between them, a byte that no sane name has.
constexpr const char kTablesSql[] = R"(
SELECT n.nspname, c.relname, c.relkind, c.relpersistence, c.relispartition, c.relreplident,
       k.attnums IS NOT NULL,
       EXISTS (SELECT 1 FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary),
       c.relkind <> 'r' OR has_table_privilege(c.oid, 'SELECT'),
       c.relkind = 'r' AND row_security_active(c.oid),
       (SELECT string_agg(a.attname, E'\x1f' ORDER BY a.attnum) FROM columns a
         WHERE a.nonfinite),
       (SELECT string_agg(a.attname, E'\x1f' ORDER BY a.attnum) FROM columns a
         WHERE a.nonfinite AND a.attnum = ANY (k.attnums)),
       (SELECT string_agg(a.attname, E'\x1f' ORDER BY a.attnum) FROM columns a
         WHERE a.local),
       (SELECT string_agg(m.nspname || E'\x1e' || h.relname, E'\x1f' ORDER BY h.oid)
          FROM pg_inherits i
          JOIN pg_class h ON h.oid = i.inhrelid AND NOT h.relispartition
          JOIN pg_namespace m ON m.oid = h.relnamespace
         WHERE i.inhparent = c.oid)
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN LATERAL (
    SELECT (i.indkey::int2[])[0:i.indnkeyatts - 1] AS attnums
      FROM pg_index i
     WHERE i.indrelid = c.oid AND i.indimmediate AND i.indisvalid
       AND ((c.relreplident IN ('d', 'f') AND i.indisprimary) OR
            (c.relreplident = 'i' AND i.indisreplident AND NOT EXISTS (
              SELECT 1 FROM pg_index p WHERE p.indrelid = c.oid AND p.indisprimary
                 AND NOT p.indkey::int2[] <@ i.indkey::int2[])))
     LIMIT 1) k ON true
 WHERE n.nspname = $1 AND ($2::text IS NULL OR c.relname = $2)
   AND c.relkind NOT IN ('i', 'I', 't', 'c')
 ORDER BY c.relname)";

constexpr const char kColumnsOfTable[] = R"((
  SELECT b.attname, b.attnum,
         b.atttypid IN (700, 701, 1700) AND NOT EXISTS (
           SELECT 1 FROM pg_constraint g
            WHERE g.conrelid = c.oid AND g.contype = 'c' AND g.convalidated
              AND g.conname LIKE 'pmoves\_sync\_finite\_%'
              AND b.attnum = ANY (g.conkey)) AS nonfinite,
         b.atttypid IN (18, 26, 790) OR format_type(b.atttypid, NULL) LIKE 'reg%' AS local
    FROM pg_attribute b
   WHERE b.attrelid = c.oid AND b.attnum > 0 AND NOT b.attisdropped))";

std::string TablesSql() {
  std::string sql = kTablesSql;
  const std::string mark = "FROM columns a";
  for (size_t at = sql.find(mark); at != std::string::npos; at = sql.find(mark, at)) {
    const std::string text = std::string("FROM ") + kColumnsOfTable + " a";
    sql.replace(at, mark.size(), text);
    at += text.size();
  }
  return sql;
}

std::vector<std::string> Names(const PgRows& rows, int row, int column) {
  return absl::StrSplit(rows.String(row, column), '\x1f', absl::SkipEmpty());
}

char Char(const PgRows& rows, int row, int column) {
  const std::string_view text = rows.Text(row, column);
  return text.empty() ? ' ' : text[0];
}

}  // namespace

absl::StatusOr<ServerFacts> ReadServerFacts(PgConnection& connection,
                                            const PublisherConfig& config) {
  ASSIGN_OR_RETURN(PgRows rows, connection.Execute(kServerSql, {config.postgres.slot}));
  ServerFacts facts;
  facts.version = connection.server_version();
  facts.encoding = rows.String(0, 0);
  facts.wal_level = rows.String(0, 1);
  facts.in_recovery = rows.Bool(0, 2);
  facts.may_replicate = rows.Bool(0, 3);
  facts.role = rows.String(0, 4);
  if (!rows.IsNull(0, 5)) facts.plugin_list = rows.String(0, 5);
  facts.max_slots = rows.Int(0, 6);
  facts.used_slots = rows.Int(0, 7);
  facts.max_walsenders = rows.Int(0, 8);
  facts.used_walsenders = rows.Int(0, 9);
  facts.slot_exists = rows.Bool(0, 10);
  facts.slot_limit_mb = rows.IsNull(0, 11) ? -1 : rows.Int(0, 11);
  facts.allow_unlimited_wal = config.postgres.allow_unlimited_wal;
  return facts;
}

absl::StatusOr<std::vector<TableFacts>> ReadTableFacts(PgConnection& connection,
                                                       const CapturedTables& tables) {
  const std::string sql = TablesSql();
  std::vector<TableFacts> found;
  for (const TablePattern& pattern : tables.patterns()) {
    const PgParam table = pattern.whole_schema ? PgParam() : PgParam(pattern.table);
    ASSIGN_OR_RETURN(PgRows rows, connection.Execute(sql, {pattern.schema, table}));
    for (int row = 0; row < rows.size(); ++row) {
      TableFacts facts;
      facts.schema = rows.String(row, 0);
      facts.table = rows.String(row, 1);
      facts.kind = Char(rows, row, 2);
      facts.persistence = Char(rows, row, 3);
      facts.is_partition = rows.Bool(row, 4);
      facts.identity = Char(rows, row, 5);
      facts.has_key = rows.Bool(row, 6);
      facts.has_primary_key = rows.Bool(row, 7);
      facts.may_select = rows.Bool(row, 8);
      facts.row_security = rows.Bool(row, 9);
      facts.nonfinite_columns = Names(rows, row, 10);
      facts.nonfinite_keys = Names(rows, row, 11);
      facts.local_columns = Names(rows, row, 12);
      facts.children = Names(rows, row, 13);
      found.push_back(std::move(facts));
    }
  }
  return found;
}

absl::StatusOr<std::vector<CheckResult>> CheckDatabase(PgConnection& connection,
                                                       const PublisherConfig& config,
                                                       const CapturedTables& tables) {
  ASSIGN_OR_RETURN(ServerFacts server, ReadServerFacts(connection, config));
  ASSIGN_OR_RETURN(std::vector<TableFacts> found, ReadTableFacts(connection, tables));
  std::vector<CheckResult> results = JudgeServer(server);
  for (CheckResult& result : JudgeTables(tables, found)) results.push_back(std::move(result));
  return results;
}

}  // namespace pmoves
