#include "subscriber/core/conflict_log_sql.h"

#include <vector>

#include "absl/strings/str_format.h"
#include "subscriber/core/json_sql.h"
#include "subscriber/core/merge_sql.h"

namespace pmoves {

std::string RowImage(const TargetTable& table, const std::string& alias) {
  std::vector<std::string> pairs;
  for (const TargetColumn& column : table.columns) {
    if (column.generated) continue;
    pairs.push_back(
        JsonPair(column.name, absl::StrFormat("%s.%s::text", alias, SqlIdentifier(column.name))));
  }
  return JsonObject(pairs);
}

std::string LogOfRecompute(const TargetTable& table, const std::string& new_image,
                           const std::string& old_matches) {
  const std::string relation = SqlLiteral(table.Name());
  const std::string images = absl::StrFormat(
      "SELECT r.key, r.alive, g.source, g.version, g.committed_at, g.deleted, g.image AS remote, "
      "g.first_version = g.version AS fresh, old._source AS local_source, old._sync_version AS "
      "local_version, CASE WHEN old._source IS NOT NULL THEN %s END AS local, CASE WHEN r.alive "
      "THEN %s END AS shown FROM r CROSS JOIN LATERAL jsonb_array_elements_text(r.sources) AS "
      "changed(source) JOIN "
      "pmoves_sync.register g ON g.relation = %s AND g.key = r.key AND g.source = changed.source "
      "LEFT JOIN %s old ON %s WHERE r.writers > 1",
      RowImage(table, "old"), new_image, relation, SqlTable(table), old_matches);
  const char* lossy =
      "CASE WHEN i.deleted THEN i.alive OR i.local_source <> i.source ELSE NOT i.alive OR NOT "
      "i.shown @> i.remote OR COALESCE(i.local_source <> i.source AND i.local IS DISTINCT FROM "
      "i.shown, false) END";
  return absl::StrFormat(
      "INSERT INTO pmoves_sync.conflict_log (type, resolution, lossy, state, schema_name, "
      "table_name, key, remote_source, remote_version, remote_committed_at, remote_row, "
      "local_source, local_version, local_row, applied_row, rule) SELECT CASE WHEN j.deleted AND "
      "j.alive THEN 'delete_recently_updated' WHEN j.deleted THEN 'delete_origin_differs' WHEN "
      "j.fresh AND NOT j.alive THEN 'insert_deleted' WHEN NOT j.alive THEN 'update_deleted' WHEN "
      "j.fresh THEN 'insert_exists' ELSE 'update_origin_differs' END, CASE WHEN j.deleted = "
      "j.alive "
      "THEN 'keep_local' WHEN j.deleted OR j.shown @> j.remote THEN 'apply_remote' WHEN j.local IS "
      "NOT DISTINCT FROM j.shown THEN 'keep_local' ELSE 'merge' END, j.lossy, %s, %s, %s, "
      "j.key::jsonb, j.source, j.version, j.committed_at, CASE WHEN NOT j.deleted THEN "
      "pmoves_sync.log_image(j.remote) END, j.local_source, j.local_version, "
      "pmoves_sync.log_image(j.local), pmoves_sync.log_image(j.shown), %s FROM (SELECT i.*, "
      "COALESCE(%s, false) AS lossy FROM (%s) i) j%s",
      table.policy.row.kind == RuleKind::kManual ? "'open'" : "'logged'", SqlLiteral(table.schema),
      SqlLiteral(table.table), SqlLiteral(InfoOf(table.policy.row.kind).name), lossy, images,
      table.policy.log == ConflictLog::kLossy ? " WHERE j.lossy" : "");
}

}  // namespace pmoves
