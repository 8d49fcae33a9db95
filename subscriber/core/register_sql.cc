#include "subscriber/core/register_sql.h"

#include <algorithm>

#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "subscriber/core/json_sql.h"
#include "subscriber/core/register_parts.h"
#include "subscriber/core/rule_sql.h"

namespace pmoves {
namespace {

std::string Touch(const TargetTable& table, const std::string& write) {
  return absl::StrFormat(
      "WITH w AS (%s RETURNING g.key, g.source) INSERT INTO pg_temp.pmoves_touched (relation, key, "
      "source) SELECT %s, w.key, w.source FROM w",
      write, SqlLiteral(table.Name()));
}

// Reports `image` of the rows of `from` (alias s) under `key`. A delete of the same version is a
// key change whose two keys are equal for the database alone (citext beyond ASCII): the row must
// live.
std::string Report(const TargetTable& table, const std::string& key, const std::string& image,
                   const std::string& from) {
  const TablePlan plan = PlanOf(table);
  const std::string rows = absl::StrFormat(
      "SELECT %s AS key, s._source, s._sync_version AS version, s._source_updated_at, %s AS image "
      "FROM %s",
      key, image, from);
  return Touch(
      table,
      absl::StrFormat(
          "INSERT INTO pmoves_sync.register AS g (%s) SELECT %s, n.key, n._source, n.version, "
          "n.version, n.version, false, n._source_updated_at, n.image, %s, %s FROM (%s) n ON "
          "CONFLICT (relation, key, source) DO UPDATE SET version = EXCLUDED.version, "
          "first_version = CASE WHEN g.deleted THEN EXCLUDED.version ELSE g.first_version END, "
          "image_version = EXCLUDED.version, deleted = false, committed_at = "
          "EXCLUDED.committed_at, image = EXCLUDED.image, versions = CASE WHEN g.deleted THEN "
          "EXCLUDED.versions ELSE %s END, peaks = %s WHERE g.version < EXCLUDED.version OR "
          "g.version = EXCLUDED.version AND g.deleted AND g.image_version < g.version",
          kRegisterColumns, SqlLiteral(table.Name()), FirstVersions(plan, "n.image", "n.version"),
          FirstPeaks(plan, "n.image", "n.version"), rows,
          NextVersions(plan, "EXCLUDED.image", "EXCLUDED.version"),
          NextPeaks(plan, "EXCLUDED.peaks")));
}

// soft: the delete is one more report of the image that the source gave last.
std::string SoftDelete(const TargetTable& table, const std::string& from) {
  const TablePlan plan = PlanOf(table);
  const std::string column = SqlLiteral(table.policy.soft_delete_column);
  const std::string image =
      absl::StrFormat("(g.image || jsonb_build_object(%s, EXCLUDED.committed_at::text))", column);
  return Touch(
      table,
      absl::StrFormat(
          "INSERT INTO pmoves_sync.register AS g (%s) SELECT %s, %s, s._source, s._sync_version, "
          "s._sync_version, -1, true, s._source_updated_at, '{}', '{}', '{}' FROM %s ON CONFLICT "
          "(relation, key, source) DO UPDATE SET version = EXCLUDED.version, image_version = CASE "
          "WHEN g.deleted THEN g.image_version ELSE EXCLUDED.version END, committed_at = "
          "EXCLUDED.committed_at, image = CASE WHEN g.deleted THEN g.image ELSE %s END, versions "
          "= CASE WHEN g.deleted THEN g.versions ELSE %s END WHERE g.version < EXCLUDED.version",
          kRegisterColumns, SqlLiteral(table.Name()), TombstoneKey(table, "s"), from, image,
          NextVersions(plan, image, "EXCLUDED.version")));
}

std::string Withdraw(const TargetTable& table, const std::string& from) {
  if (table.policy.on_delete == DeletePolicy::kSoft) return SoftDelete(table, from);
  return Touch(
      table,
      absl::StrFormat(
          "INSERT INTO pmoves_sync.register AS g (%s) SELECT %s, %s, s._source, s._sync_version, "
          "s._sync_version, -1, true, s._source_updated_at, '{}', '{}', '{}' FROM %s ON CONFLICT "
          "(relation, key, source) DO UPDATE SET version = EXCLUDED.version, deleted = true WHERE "
          "g.version < EXCLUDED.version",
          kRegisterColumns, SqlLiteral(table.Name()), TombstoneKey(table, "s"), from));
}

}  // namespace

bool NeedsEveryChange(const TablePolicy& policy) {
  if (policy.granularity == Granularity::kColumn) return true;
  if (policy.row.kind == RuleKind::kFirstWriteWins) return true;  // the first of a batch counts
  return std::any_of(policy.columns.begin(), policy.columns.end(), [](const ColumnRule& column) {
    return column.rule.kind == RuleKind::kLastWriteWins ||
           column.rule.kind == RuleKind::kFirstWriteWins ||
           column.rule.kind == RuleKind::kJsonMerge ||
           (column.rule.kind == RuleKind::kValuePriority &&
            column.rule.scope != ValueScope::kSource);
  });
}

std::string CreateTouched() {
  return "CREATE TEMP TABLE IF NOT EXISTS pmoves_touched (relation text COLLATE \"C\", key text "
         "COLLATE \"C\", source text COLLATE \"C\") ON COMMIT DELETE ROWS";
}

std::string RegisterFromStage(const TargetTable& table, const Shape& shape,
                              const std::string& stage) {
  return Report(table, TombstoneKey(table, "s"), RowImage(table, shape, "s"),
                StageRow(table, shape, stage));
}

std::string RegisterDeleteFromStage(const TargetTable& table, const Shape& shape,
                                    const std::string& stage) {
  return Withdraw(table, StageRow(table, shape, stage));
}

RowStatement RegisterRow(const TargetTable& table, const Shape& shape) {
  RowStatement statement;
  const std::string row = ParameterRow(table, shape, &statement.parameter_types);
  statement.sql = Report(table, TombstoneKey(table, "s"), RowImage(table, shape, "s"), row);
  return statement;
}

RowStatement RegisterDelete(const TargetTable& table, const Shape& shape) {
  RowStatement statement;
  const std::string row = ParameterRow(table, shape, &statement.parameter_types);
  statement.sql = Withdraw(table, row);
  return statement;
}

RowStatement RegisterPartial(const TargetTable& table, const Shape& shape) {
  RowStatement statement;
  const TablePlan plan = PlanOf(table);
  const std::string row = ParameterRow(table, shape, &statement.parameter_types);
  const std::string image = "(g.image || n.image)";
  statement.sql = Touch(
      table,
      absl::StrFormat(
          "UPDATE pmoves_sync.register AS g SET version = n.version, image_version = n.version, "
          "committed_at = n._source_updated_at, image = %s, versions = %s, peaks = %s FROM (SELECT "
          "%s AS key, s._source, s._sync_version AS version, s._source_updated_at, %s AS image "
          "FROM %s) n WHERE g.relation = %s AND g.key = n.key AND g.source = n._source AND NOT "
          "g.deleted AND g.version < n.version",
          image, NextVersions(plan, image, "n.version"),
          NextPeaks(plan, absl::StrFormat("(%s)", FirstPeaks(plan, image, "n.version"))),
          TombstoneKey(table, "s"), RowImage(table, shape, "s"), row, SqlLiteral(table.Name())));
  return statement;
}

RowStatement RegisterMove(const TargetTable& table, const Shape& shape) {
  RowStatement statement;
  const std::string row = ParameterRow(table, shape, &statement.parameter_types);
  const std::string old_key = ParameterKey(table, &statement.parameter_types);
  const std::string from = absl::StrFormat(
      "(SELECT s.*, o.image AS old_image FROM %s JOIN pmoves_sync.register o ON o.relation = %s "
      "AND o.key = (SELECT %s FROM (SELECT %s) k) AND o.source = s._source AND NOT o.deleted) s",
      row, SqlLiteral(table.Name()), TombstoneKey(table, "k"), old_key);
  statement.sql = Report(table, TombstoneKey(table, "s"),
                         absl::StrFormat("s.old_image || %s", RowImage(table, shape, "s")), from);
  return statement;
}

RowStatement RegisterWhyUntouched(const TargetTable& table) {
  RowStatement statement;
  const std::string key = ParameterKey(table, &statement.parameter_types);
  statement.parameter_types.push_back(kTextOid);
  const size_t source = statement.parameter_types.size();
  statement.parameter_types.push_back(kInt8Oid);
  statement.sql = absl::StrFormat(
      "SELECT CASE WHEN EXISTS (SELECT 1 FROM pmoves_sync.register g WHERE g.relation = %s AND "
      "g.key = %s AND g.source = $%d AND g.version >= $%d) THEN 'hidden' ELSE 'update_missing' END "
      "FROM (SELECT %s) s",
      SqlLiteral(table.Name()), TombstoneKey(table, "s"), source, source + 1, key);
  return statement;
}

RowStatement RegisterTruncate(const TargetTable& table) {
  RowStatement statement;
  statement.parameter_types = {kTextOid, kTimestamptzOid, kInt8Oid};
  const std::string relation = SqlLiteral(table.Name());
  if (table.policy.truncate == TruncatePolicy::kAll) {
    statement.sql = absl::StrFormat(
        "WITH f AS (INSERT INTO pmoves_sync.truncate_floor AS f (relation, version, source) VALUES "
        "(%s, $3, $1) ON CONFLICT (relation) DO UPDATE SET version = EXCLUDED.version, source = "
        "EXCLUDED.source WHERE (f.version, f.source) < (EXCLUDED.version, EXCLUDED.source)) "
        "INSERT INTO pg_temp.pmoves_touched (relation, key, source) SELECT g.relation, g.key, "
        "g.source FROM "
        "pmoves_sync.register g WHERE g.relation = %s AND (g.version, g.source) < ($3, $1 COLLATE "
        "\"C\") AND $2::timestamptz IS NOT NULL",
        relation, relation);
    return statement;
  }
  // Withdrawn, not deleted after: the version stays that of the last report, so that the truncate
  // wins over nothing that another source wrote later than that.
  statement.sql = Touch(
      table, absl::StrFormat("UPDATE pmoves_sync.register AS g SET deleted = true WHERE g.relation "
                             "= %s AND g.source = $1 AND NOT g.deleted AND g.version < $3 AND "
                             "$2::timestamptz IS NOT NULL",
                             relation));
  return statement;
}

}  // namespace pmoves
