#include "subscriber/core/conflict_log_sql.h"

#include <vector>

#include "absl/strings/str_format.h"
#include "subscriber/core/json_sql.h"
#include "subscriber/core/merge_sql.h"

namespace pmoves {
namespace {

constexpr const char kReport[] = "SELECT type, resolution, count(*) FROM log GROUP BY 1, 2";

// An image as the log keeps it. The function is dear and changes large images alone. REQUIRES:
// `image` is not compressed.
std::string Kept(const std::string& image) {
  return absl::StrFormat(
      "CASE WHEN pg_column_size(%s) > 65536 THEN pmoves_sync.log_image(%s) ELSE %s END", image,
      image, image);
}

// Values of the columns rule and rule_version.
std::string RuleOf(const TargetTable& table) {
  return absl::StrFormat("%s, (SELECT version FROM pmoves_sync.table_rule WHERE relation = %s)",
                         SqlLiteral(InfoOf(table.policy.row.kind).name), SqlLiteral(table.Name()));
}

const char* TypeOf(const TargetTable& table, bool fresh) {
  if (!fresh) return "update_origin_differs";
  return table.policy.identity == Identity::kUndeclared ? "pk_collision" : "insert_exists";
}

// The changes `from` (alias s) beside what they meet: t, the row of another source, or d, a newer
// tombstone of another source. Where a row is no tombstone is newer, so none is looked for: most
// changes of a table with several writers meet the row of their own source.
std::string Met(const TargetTable& table, const std::string& image, const std::string& from) {
  const char* wins = table.policy.row.kind == RuleKind::kAppendOnly ? ">" : "<";
  return absl::StrFormat(
      "SELECT %s AS key, s._source, s._sync_version, s._source_updated_at, %s AS remote, "
      "t._source AS local_source, COALESCE(t._sync_version, d.version) AS local_version, CASE WHEN "
      "t._source IS NOT NULL THEN %s END AS local, COALESCE((t._sync_version, t._source COLLATE "
      "\"C\") %s (s._sync_version, s._source COLLATE \"C\"), false) AS wins, d.source AS "
      "buried_by FROM %s LEFT JOIN %s t ON %s LEFT JOIN LATERAL (SELECT b.version, b.source FROM "
      "pmoves_sync.tombstone b WHERE t._source IS NULL AND b.relation = %s AND b.key = %s AND "
      "(b.version, b.source) > (s._sync_version, s._source COLLATE \"C\") AND rtrim(b.source) <> "
      "s._source OFFSET 0) d ON true WHERE t._source <> s._source OR d.source IS NOT NULL OFFSET 0",
      TombstoneKey(table, "s"), image, RowImage(table, "t"), wins, from, SqlTable(table),
      KeysEqual(table, "t", "s"), SqlLiteral(table.Name()), TombstoneKey(table, "s"));
}

std::string LogBefore(const TargetTable& table, const Shape& shape, const std::string& from,
                      bool deletes, bool fresh) {
  const std::string image = deletes ? std::string("NULL::jsonb") : RowImage(table, shape, "s");
  const std::string type =
      deletes ? std::string(
                    "CASE WHEN m.wins THEN 'delete_origin_differs' ELSE "
                    "'delete_recently_updated' END")
              : absl::StrFormat("CASE WHEN m.buried_by IS NOT NULL THEN '%s' ELSE '%s' END",
                                fresh ? "insert_deleted" : "update_deleted", TypeOf(table, fresh));
  const char* lossy =
      deletes ? "m.local IS NOT NULL" : "m.buried_by IS NOT NULL OR NOT m.local @> m.remote";
  const char* shown = deletes ? "CASE WHEN NOT m.wins THEN m.local END"
                              : "CASE WHEN m.wins AND m.buried_by IS NULL THEN m.local || m.remote "
                                "ELSE m.local END";
  // OFFSET 0: what a subquery computes it computes once, however often it is used.
  return absl::StrFormat(
      "WITH log AS (INSERT INTO pmoves_sync.conflict_log (type, resolution, lossy, schema_name, "
      "table_name, key, remote_source, remote_version, remote_committed_at, remote_row, "
      "local_source, local_version, local_row, applied_row, rule, rule_version) SELECT %s, CASE "
      "WHEN m.wins AND "
      "m.buried_by IS NULL THEN 'apply_remote' ELSE 'keep_local' END, m.lossy, %s, %s, "
      "m.key::jsonb, m._source, m._sync_version, m._source_updated_at, %s, "
      "COALESCE(m.local_source, rtrim(m.buried_by)), m.local_version, %s, %s, %s FROM (SELECT m.*, "
      "%s AS lossy, %s AS shown FROM (%s) m OFFSET 0) m%s RETURNING type, resolution) %s",
      type, SqlLiteral(table.schema), SqlLiteral(table.table), Kept("m.remote"), Kept("m.local"),
      Kept("m.shown"), RuleOf(table), lossy, shown, Met(table, image, from),
      table.policy.log == ConflictLog::kLossy ? " WHERE m.lossy" : "", kReport);
}

}  // namespace

std::string LogBeforeStage(const TargetTable& table, const Shape& shape, const std::string& stage,
                           bool deletes, bool fresh) {
  return LogBefore(table, shape, StageRow(table, shape, stage), deletes, fresh);
}

RowStatement LogBeforeRow(const TargetTable& table, const Shape& shape, bool deletes, bool fresh) {
  RowStatement statement;
  const std::string row = ParameterRow(table, shape, &statement.parameter_types);
  statement.sql = LogBefore(table, shape, row, deletes, fresh);
  return statement;
}

std::string LogOfRecompute(const TargetTable& table, const std::string& new_image,
                           const std::string& old_matches) {
  const std::string relation = SqlLiteral(table.Name());
  const std::string images = absl::StrFormat(
      "SELECT r.key, r.alive, g.source, g.version, g.committed_at, g.deleted, g.image || '{}' AS "
      "remote, "
      "g.first_version = g.version AS fresh, old._source AS local_source, old._sync_version AS "
      "local_version, CASE WHEN old._source IS NOT NULL THEN %s END AS local, CASE WHEN r.alive "
      "THEN %s END AS shown FROM r CROSS JOIN LATERAL jsonb_array_elements_text(r.sources) AS "
      "changed(source) JOIN "
      "pmoves_sync.register g ON g.relation = %s AND g.key = r.key AND g.source = changed.source "
      "LEFT JOIN %s old ON %s WHERE r.writers > 1 OFFSET 0",
      RowImage(table, "old"), new_image, relation, SqlTable(table), old_matches);
  const char* lossy =
      "CASE WHEN i.deleted THEN i.alive OR i.local_source <> i.source ELSE NOT i.alive OR NOT "
      "i.shown @> i.remote OR COALESCE(i.local_source <> i.source AND i.local IS DISTINCT FROM "
      "i.shown, false) END";
  return absl::StrFormat(
      "INSERT INTO pmoves_sync.conflict_log (type, resolution, lossy, state, schema_name, "
      "table_name, key, remote_source, remote_version, remote_committed_at, remote_row, "
      "local_source, local_version, local_row, applied_row, rule, rule_version) SELECT CASE WHEN "
      "j.deleted AND "
      "j.alive THEN 'delete_recently_updated' WHEN j.deleted THEN 'delete_origin_differs' WHEN "
      "j.fresh AND NOT j.alive THEN 'insert_deleted' WHEN NOT j.alive THEN 'update_deleted' WHEN "
      "j.fresh THEN 'insert_exists' ELSE 'update_origin_differs' END, CASE WHEN j.deleted = "
      "j.alive "
      "THEN 'keep_local' WHEN j.deleted OR j.shown @> j.remote THEN 'apply_remote' WHEN j.local IS "
      "NOT DISTINCT FROM j.shown THEN 'keep_local' ELSE 'merge' END, j.lossy, %s, %s, %s, "
      "j.key::jsonb, j.source, j.version, j.committed_at, CASE WHEN NOT j.deleted THEN %s END, "
      "j.local_source, j.local_version, %s, %s, %s FROM (SELECT i.*, COALESCE(%s, false) AS lossy "
      "FROM (%s) i OFFSET 0) j%s",
      table.policy.row.kind == RuleKind::kManual ? "'open'" : "'logged'", SqlLiteral(table.schema),
      SqlLiteral(table.table), Kept("j.remote"), Kept("j.local"), Kept("j.shown"), RuleOf(table),
      lossy, images, table.policy.log == ConflictLog::kLossy ? " WHERE j.lossy" : "");
}

}  // namespace pmoves
