#include "subscriber/core/pick_sql.h"

#include <vector>

#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "subscriber/core/central_register_sql.h"
#include "subscriber/core/json_sql.h"
#include "subscriber/core/merge_sql.h"
#include "subscriber/core/register_parts.h"
#include "subscriber/core/rule_sql.h"
#include "subscriber/core/sql_array.h"

namespace pmoves {
namespace {

std::string Register(const TargetTable& table, const char* alias, const std::string& source) {
  return absl::StrFormat(
      "pmoves_sync.register %s WHERE %s.relation = %s AND %s.key = $1 AND %s.source = %s", alias,
      alias, SqlLiteral(table.Name()), alias, alias, source);
}

// As a write in the centre makes it: above all that the centre has of the key.
std::string Version(const TargetTable& table) {
  return absl::StrFormat("GREATEST(pmoves_sync.central_version(), %s)", AboveAll(table, "$1"));
}

// t, the row of the key, or none.
std::string RowOfKey(const TargetTable& table) {
  return absl::StrFormat("%s t JOIN (SELECT $1::text AS key) k ON %s", SqlTable(table),
                         KeyFromText(table, "t", "k"));
}

}  // namespace

std::string PickReport(const TargetTable& table) {
  const std::vector<std::string> row = RowRuleColumns(table);
  std::vector<std::string> own;
  std::vector<std::string> names;
  for (const ColumnRule& rule : OwnRules(table)) {
    names.push_back(rule.columns.front());
    own.insert(own.end(), rule.columns.begin(), rule.columns.end());
  }
  std::vector<std::string> shown;
  for (const std::string& column : row)
    shown.push_back(JsonPair(column, absl::StrFormat("t.%s::text", SqlIdentifier(column))));
  const std::string central = SqlLiteral(kCentralSource);
  return absl::StrFormat(
      "WITH p AS (SELECT p.image FROM %s AND NOT p.deleted), c AS (SELECT c.* FROM %s), n AS "
      "(SELECT %s AS version, COALESCE(c.image - %s, '{}') || COALESCE((SELECT %s FROM %s), '{}') "
      "|| (p.image - %s) AS image, COALESCE((SELECT jsonb_object_agg(m, c.image_version) FROM "
      "unnest(%s) AS names(m) WHERE c.image ? m AND NOT c.versions ? m), '{}') || "
      "COALESCE(c.versions, '{}') AS versions, COALESCE((SELECT peaks FROM c), '{}') AS peaks, "
      "c.first_version FROM p LEFT JOIN c ON NOT c.deleted) INSERT INTO pmoves_sync.register AS g "
      "(%s) SELECT %s, $1, %s, n.version, COALESCE(n.first_version, n.version), n.version, false, "
      "clock_timestamp(), n.image, n.versions, n.peaks FROM n ON CONFLICT (relation, key, source) "
      "DO UPDATE SET version = EXCLUDED.version, first_version = EXCLUDED.first_version, "
      "image_version = EXCLUDED.image_version, deleted = false, committed_at = "
      "EXCLUDED.committed_at, image = EXCLUDED.image, versions = EXCLUDED.versions, peaks = "
      "EXCLUDED.peaks WHERE g.version < EXCLUDED.version",
      Register(table, "p", "$2"), Register(table, "c", central), Version(table), TextArray(row),
      JsonObject(shown), RowOfKey(table), TextArray(own), TextArray(names), kRegisterColumns,
      SqlLiteral(table.Name()), central);
}

std::string PickDelete(const TargetTable& table) {
  return absl::StrFormat(
      "INSERT INTO pmoves_sync.register AS g (%s) SELECT %s, $1, %s, n.version, n.version, -1, "
      "true, clock_timestamp(), '{}', '{}', '{}' FROM (SELECT %s AS version FROM %s AND p.deleted) "
      "n ON CONFLICT (relation, key, source) DO UPDATE SET version = EXCLUDED.version, deleted = "
      "true WHERE g.version < EXCLUDED.version",
      kRegisterColumns, SqlLiteral(table.Name()), SqlLiteral(kCentralSource), Version(table),
      Register(table, "p", "$2"));
}

std::string LockPickedRow(const TargetTable& table) {
  return absl::StrFormat("SELECT 1 FROM %s FOR UPDATE OF t", RowOfKey(table));
}

std::string LockReportsOfPicked(const TargetTable& table) {
  return absl::StrFormat(
      "SELECT 1 FROM pmoves_sync.register r WHERE r.relation = %s AND r.key = $1 ORDER BY r.source "
      "FOR UPDATE",
      SqlLiteral(table.Name()));
}

std::string PickedSource(const TargetTable& table) {
  return absl::StrFormat("SELECT t._source FROM %s", RowOfKey(table));
}

std::string TouchPicked(const TargetTable& table) {
  return absl::StrFormat(
      "INSERT INTO pg_temp.pmoves_touched (relation, key, source) VALUES (%s, $1, '')",
      SqlLiteral(table.Name()));
}

}  // namespace pmoves
