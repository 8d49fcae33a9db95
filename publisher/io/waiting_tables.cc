#include "publisher/io/waiting_tables.h"

#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "common/base/status.h"
#include "common/io/log.h"
#include "publisher/io/edge_state.h"

namespace pmoves {
namespace {

constexpr char kExistsSql[] = "SELECT to_regclass('pmoves_sync.waiting_table') IS NOT NULL";
constexpr char kCreateSql[] = R"(
CREATE TABLE IF NOT EXISTS pmoves_sync.waiting_table (
  source      text NOT NULL,
  schema_name text NOT NULL,
  table_name  text NOT NULL,
  newest_oid  oid NOT NULL,
  since       timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (source, schema_name, table_name)
);
COMMENT ON TABLE pmoves_sync.waiting_table IS
  'Tables of postgres.tables that do not exist; newest_oid: the newest one of all when that was seen.';
)";
// $1: the source, $2 and $3: schemas and names of the tables that are named one by one.
constexpr char kMissingSql[] = R"(
SELECT count(*) FROM unnest($1::text[], $2::text[]) w (s, t)
 WHERE NOT EXISTS (SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                    WHERE n.nspname = w.s AND c.relname = w.t))";
constexpr char kForgetSql[] = R"(
DELETE FROM pmoves_sync.waiting_table l
 WHERE l.source = $1
   AND (NOT EXISTS (SELECT 1 FROM unnest($2::text[], $3::text[]) w (s, t)
                     WHERE (w.s, w.t) = (l.schema_name, l.table_name))
        OR EXISTS (SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                    WHERE n.nspname = l.schema_name AND c.relname = l.table_name
                      AND c.oid > l.newest_oid))
RETURNING schema_name, table_name)";
constexpr char kNoteSql[] = R"(
INSERT INTO pmoves_sync.waiting_table (source, schema_name, table_name, newest_oid)
SELECT $1, w.s, w.t, (SELECT max(oid) FROM pg_class)
  FROM unnest($2::text[], $3::text[]) w (s, t)
 WHERE NOT EXISTS (SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                    WHERE n.nspname = w.s AND c.relname = w.t)
ON CONFLICT DO NOTHING)";
constexpr char kReadSql[] = R"(
SELECT l.schema_name, l.table_name, l.newest_oid,
       EXISTS (SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                WHERE n.nspname = l.schema_name AND c.relname = l.table_name)
  FROM pmoves_sync.waiting_table l WHERE l.source = $1)";

constexpr char kCreateLeftOutSql[] = R"(
CREATE TABLE IF NOT EXISTS pmoves_sync.left_out_table (
  source      text NOT NULL,
  schema_name text NOT NULL,
  table_name  text NOT NULL,
  table_oid   oid NOT NULL,
  since       timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (source, schema_name, table_name)
);
COMMENT ON TABLE pmoves_sync.left_out_table IS
  'Tables below a schema.* that lost an UPDATE or DELETE for want of a key, and are not captured.';
)";
constexpr char kLeaveOutSql[] = R"(
INSERT INTO pmoves_sync.left_out_table (source, schema_name, table_name, table_oid)
SELECT $1, $2::text, $3::text,
       coalesce((SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                  WHERE n.nspname = $2::text AND c.relname = $3::text), 0)
ON CONFLICT DO NOTHING)";
// 0: it was gone already when its changes came.
constexpr char kMadeAnewSql[] = R"(
DELETE FROM pmoves_sync.left_out_table l
 WHERE l.source = $1 AND l.table_oid <> 0
   AND EXISTS (SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                WHERE n.nspname = l.schema_name AND c.relname = l.table_name
                  AND c.oid > l.table_oid))";
constexpr char kReadLeftOutSql[] =
    "SELECT schema_name, table_name FROM pmoves_sync.left_out_table WHERE source = $1";

std::string TextArray(const std::vector<std::string>& texts) {
  std::string literal = "{";
  for (const std::string& text : texts) {
    if (literal.size() > 1) literal.push_back(',');
    literal.push_back('"');
    for (char c : text) {
      if (c == '"' || c == '\\') literal.push_back('\\');
      literal.push_back(c);
    }
    literal.push_back('"');
  }
  return literal + "}";
}

absl::Status MakeList(PgConnection& connection) {
  RETURN_IF_ERROR(EdgeState(connection).EnsureSchema().status());
  const absl::Status status = connection.Execute(kCreateSql).status();
  if (!absl::IsPermissionDenied(status)) return status;
  return absl::FailedPreconditionError(absl::StrFormat(
      "pmoves_sync.waiting_table cannot be created: %s. A table of postgres.tables does not exist, "
      "and it must be noted. GRANT CREATE ON SCHEMA pmoves_sync to the role of postgres.dsn, or "
      "take "
      "the table out of postgres.tables",
      MessageOf(status)));
}

}  // namespace

absl::Status LeaveOut(PgConnection& connection, const std::string& source,
                      const std::string& schema, const std::string& table) {
  RETURN_IF_ERROR(EdgeState(connection).EnsureSchema().status());
  RETURN_IF_ERROR(connection.Execute(kCreateLeftOutSql).status());
  return connection.Execute(kLeaveOutSql, {source, schema, table}).status();
}

absl::StatusOr<PgCatalog::Names> ReadLeftOut(PgConnection& connection, const std::string& source) {
  PgCatalog::Names names;
  ASSIGN_OR_RETURN(
      const PgRows exists,
      connection.Execute("SELECT to_regclass('pmoves_sync.left_out_table') IS NOT NULL"));
  if (!exists.Bool(0, 0)) return names;
  RETURN_IF_ERROR(connection.Execute(kMadeAnewSql, {source}).status());
  ASSIGN_OR_RETURN(const PgRows rows, connection.Execute(kReadLeftOutSql, {source}));
  for (int i = 0; i < rows.size(); ++i) names.emplace(rows.String(i, 0), rows.String(i, 1));
  return names;
}

absl::Status CameByRename(const std::string& source, const std::string& schema,
                          const std::string& table) {
  return absl::FailedPreconditionError(absl::StrFormat(
      "table %s.%s did not exist before and is there now, but it is older than that: it was "
      "renamed, "
      "and what it held under its other name is not in the centre. Copy its rows as in \"A source "
      "that must start over\" (docs/operations.md), then: DELETE FROM pmoves_sync.waiting_table "
      "WHERE "
      "(source, schema_name, table_name) = ('%s', '%s', '%s'); or take it out of postgres.tables",
      schema, table, source, schema, table));
}

absl::StatusOr<PgCatalog::Floors> UpdateWaitingTables(PgConnection& connection,
                                                      const std::string& source,
                                                      const CapturedTables& tables) {
  std::vector<std::string> schemas;
  std::vector<std::string> names;
  for (const TablePattern& pattern : tables.patterns()) {
    if (pattern.whole_schema) continue;
    schemas.push_back(pattern.schema);
    names.push_back(pattern.table);
  }
  const std::string schema_list = TextArray(schemas);
  const std::string name_list = TextArray(names);
  ASSIGN_OR_RETURN(const PgRows missing, connection.Execute(kMissingSql, {schema_list, name_list}));
  ASSIGN_OR_RETURN(const PgRows exists, connection.Execute(kExistsSql));
  PgCatalog::Floors floors;
  if (!exists.Bool(0, 0)) {
    if (missing.Int(0, 0) == 0) return floors;
    RETURN_IF_ERROR(MakeList(connection));
  }
  ASSIGN_OR_RETURN(const PgRows gone,
                   connection.Execute(kForgetSql, {source, schema_list, name_list}));
  for (int i = 0; i < gone.size(); ++i) {
    LogInfo("table.waits_no_more", "the table is there, or is not named any more",
            {{"table", gone.String(i, 0) + "." + gone.String(i, 1)}});
  }
  RETURN_IF_ERROR(connection.Execute(kNoteSql, {source, schema_list, name_list}).status());
  ASSIGN_OR_RETURN(const PgRows rows, connection.Execute(kReadSql, {source}));
  for (int i = 0; i < rows.size(); ++i) {
    if (rows.Bool(i, 3)) return CameByRename(source, rows.String(i, 0), rows.String(i, 1));
    floors[{rows.String(i, 0), rows.String(i, 1)}] = static_cast<uint32_t>(rows.Int(i, 2));
  }
  return floors;
}

}  // namespace pmoves
