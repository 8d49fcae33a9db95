#include "subscriber/core/merge_sql.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"

namespace pmoves {

std::string CompareVersions(const std::string& left, const char* op, const std::string& right) {
  return absl::StrFormat(
      "(%s._sync_version, %s._source COLLATE \"C\") %s (%s._sync_version, %s._source COLLATE "
      "\"C\")",
      left, left, op, right, right);
}

std::string NotBuried(const TargetTable& table) {
  std::string condition = absl::StrFormat(
      "NOT EXISTS (SELECT 1 FROM pmoves_sync.tombstone d WHERE d.relation = %s AND d.key = %s AND "
      "(d.version, d.source) > "
      "(s._sync_version, s._source COLLATE \"C\"))",
      SqlLiteral(table.Name()), TombstoneKey(table, "s"));
  if (table.policy.truncate == TruncatePolicy::kAll) {
    condition += absl::StrFormat(
        " AND NOT EXISTS (SELECT 1 FROM pmoves_sync.truncate_floor f WHERE f.relation = %s AND "
        "(f.version, f.source) > (s._sync_version, s._source COLLATE \"C\"))",
        SqlLiteral(table.Name()));
  }
  return condition;
}

namespace {

std::string KeyList(const TargetTable& table) {
  std::vector<std::string> names;
  for (int column : table.key)
    names.push_back(SqlIdentifier(table.columns[static_cast<size_t>(column)].name));
  if (table.key_has_source) names.push_back("_source");
  return absl::StrJoin(names, ", ");
}

bool NeedsOverriding(const TargetTable& table, const Shape& shape) {
  return std::any_of(shape.written.begin(), shape.written.end(), [&](int written) {
    return table.WrittenColumn(shape, written).identity_always;
  });
}

// "a" = EXCLUDED."a", ... for what may be overwritten. Key columns too: equal keys can look
// different (1.0 and 1.00).
std::string Assignments(const TargetTable& table, const Shape& shape, const std::string& from) {
  std::vector<std::string> sets;
  for (int written : shape.written) {
    const TargetColumn& column = table.WrittenColumn(shape, written);
    if (column.identity_always) continue;
    sets.push_back(absl::StrFormat("%s = %s.%s", SqlIdentifier(column.name), from,
                                   SqlIdentifier(column.name)));
  }
  for (const char* inline_column : {"_source", "_source_updated_at"}) {
    sets.push_back(absl::StrFormat("%s = %s.%s", inline_column, from, inline_column));
  }
  sets.push_back(
      absl::StrFormat("_sync_version = %s", VersionUnlessFixed(table, shape.columns, "t", from)));
  return absl::StrJoin(sets, ", ");
}

std::vector<std::string> WrittenNames(const TargetTable& table, const Shape& shape,
                                      const std::string& prefix) {
  std::vector<std::string> names;
  for (int written : shape.written)
    names.push_back(prefix + SqlIdentifier(table.WrittenColumn(shape, written).name));
  for (const char* inline_column : {"_source", "_source_updated_at", "_sync_version"})
    names.push_back(prefix + inline_column);
  return names;
}

std::string Upsert(const TargetTable& table, const Shape& shape, const std::string& from,
                   const std::string& where) {
  // append-only: of inserts of one key the oldest stays.
  const char* replaced = table.policy.row.kind == RuleKind::kAppendOnly ? ">" : "<";
  return absl::StrFormat(
      "INSERT INTO %s AS t (%s)%s SELECT %s FROM %s WHERE %s ON CONFLICT (%s) DO UPDATE SET %s "
      "WHERE %s",
      SqlTable(table), absl::StrJoin(WrittenNames(table, shape, ""), ", "),
      NeedsOverriding(table, shape) ? " OVERRIDING SYSTEM VALUE" : "",
      absl::StrJoin(WrittenNames(table, shape, "s."), ", "), from, where, KeyList(table),
      Assignments(table, shape, "EXCLUDED"), CompareVersions("t", replaced, "EXCLUDED"));
}

// Only where nobody else writes the row (identity: per-source); else registers do it.
std::string SoftDelete(const TargetTable& table, const std::string& from) {
  const TargetColumn& column =
      table.columns[static_cast<size_t>(table.Find(table.policy.soft_delete_column))];
  return absl::StrFormat(
      "UPDATE %s AS t SET %s = s._source_updated_at::%s, _source_updated_at = "
      "s._source_updated_at, _sync_version = s._sync_version FROM %s WHERE %s AND %s",
      SqlTable(table), SqlIdentifier(column.name), column.type, from, KeysEqual(table, "t", "s"),
      CompareVersions("t", "<", "s"));
}

std::string Delete(const TargetTable& table, const std::string& from) {
  if (table.policy.on_delete == DeletePolicy::kSoft) return SoftDelete(table, from);
  return absl::StrFormat(
      "WITH buried AS (INSERT INTO pmoves_sync.tombstone AS d (relation, key, version, source, "
      "deleted_at) SELECT %s, %s, s._sync_version, "
      "s._source, s._source_updated_at FROM %s ON CONFLICT (relation, key) DO UPDATE SET version = "
      "EXCLUDED.version, source = EXCLUDED.source, "
      "deleted_at = EXCLUDED.deleted_at, recorded_at = now() WHERE (d.version, d.source) < "
      "(EXCLUDED.version, EXCLUDED.source)) "
      "DELETE FROM %s t USING %s WHERE %s AND %s",
      SqlLiteral(table.Name()), TombstoneKey(table, "s"), from, SqlTable(table), from,
      KeysEqual(table, "t", "s"), CompareVersions("t", "<", "s"));
}

}  // namespace

std::string SqlIdentifier(std::string_view name) {
  std::string quoted = "\"";
  for (char c : name) {
    if (c == '"') quoted += '"';
    quoted += c;
  }
  return quoted + "\"";
}

std::string SqlLiteral(std::string_view text) {
  std::string quoted = text.find('\\') == std::string_view::npos ? "'" : "E'";
  for (char c : text) {
    if (c == '\'' || c == '\\') quoted += c;
    quoted += c;
  }
  return quoted + "'";
}

bool IsFixed(const TargetTable& table, int column) {
  return table.columns[static_cast<size_t>(column)].identity_always &&
         std::find(table.key.begin(), table.key.end(), column) == table.key.end();
}

// PostgreSQL has no expression that raises an error. A text that is no number, made of something
// that is not constant, does, and can say why.
std::string VersionUnlessFixed(const TargetTable& table, const std::vector<int>& columns,
                               const std::string& left, const std::string& right) {
  std::string version = right + "._sync_version";
  for (const int index : columns) {
    if (index < 0 || !IsFixed(table, index)) continue;
    const TargetColumn& column = table.columns[static_cast<size_t>(index)];
    const std::string name = SqlIdentifier(column.name);
    const std::string why = absl::StrFormat(
        "column \"%s\" of %s is GENERATED ALWAYS AS IDENTITY, so its value cannot be changed; "
        "ALTER "
        "TABLE %s ALTER COLUMN %s SET GENERATED BY DEFAULT, then retry. From ",
        column.name, table.Name(), SqlTable(table), name);
    version = absl::StrFormat(
        "CASE WHEN %s.%s IS NOT DISTINCT FROM %s.%s THEN %s ELSE (%s || %s._source)::bigint END",
        left, name, right, name, version, SqlLiteral(why), right);
  }
  return version;
}

std::string SqlTable(const TargetTable& table) {
  return SqlIdentifier(table.schema) + "." + SqlIdentifier(table.table);
}

std::string TombstoneKey(const TargetTable& table, const std::string& alias) {
  std::vector<std::string> parts;
  if (table.key_has_source) parts.push_back(alias + "._source");
  for (int index : table.key) {
    const TargetColumn& column = table.columns[static_cast<size_t>(index)];
    const std::string name = alias + "." + SqlIdentifier(column.name);
    switch (column.key_text) {
      case TargetColumn::KeyText::kPlain:
        parts.push_back(name + "::text");
        break;
      case TargetColumn::KeyText::kNumeric:
        parts.push_back("trim_scale(" + name + "::numeric)::text");
        break;
      case TargetColumn::KeyText::kCitext:
        parts.push_back("lower(" + name + "::text)");
        break;
      case TargetColumn::KeyText::kBlankPadded:
        parts.push_back("rtrim(" + name + "::text)");
        break;
      case TargetColumn::KeyText::kFloat:  // 0 and -0 are equal
        parts.push_back(absl::StrFormat("CASE WHEN %s = 0 THEN '0' ELSE %s::text END", name, name));
        break;
    }
  }
  return absl::StrFormat("jsonb_build_array(%s)::text", absl::StrJoin(parts, ", "));
}

std::string KeyFromText(const TargetTable& table, const std::string& alias,
                        const std::string& keys) {
  std::vector<std::string> terms;
  int position = 0;
  if (table.key_has_source)
    terms.push_back(absl::StrFormat("%s._source = (%s.key::jsonb->>%d)", alias, keys, position++));
  for (int index : table.key) {
    const TargetColumn& column = table.columns[static_cast<size_t>(index)];
    terms.push_back(absl::StrFormat("%s.%s %s (%s.key::jsonb->>%d)::%s", alias,
                                    SqlIdentifier(column.name), column.equals, keys, position++,
                                    column.type));
  }
  return absl::StrJoin(terms, " AND ");
}

std::string ParameterRow(const TargetTable& table, const Shape& shape,
                         std::vector<uint32_t>* types) {
  std::vector<std::string> items;
  for (int written : shape.written) {
    const TargetColumn& column = table.WrittenColumn(shape, written);
    types->push_back(column.type_oid);
    items.push_back(absl::StrFormat("$%d AS %s", types->size(), SqlIdentifier(column.name)));
  }
  types->push_back(kTextOid);
  items.push_back(absl::StrFormat("$%d AS _source", types->size()));
  types->push_back(kTimestamptzOid);
  items.push_back(absl::StrFormat("$%d AS _source_updated_at", types->size()));
  types->push_back(kInt8Oid);
  items.push_back(absl::StrFormat("$%d AS _sync_version", types->size()));
  return absl::StrFormat("(SELECT %s) s", absl::StrJoin(items, ", "));
}

std::string StageRow(const TargetTable& table, const Shape& shape, const std::string& stage) {
  std::vector<std::string> items;
  for (size_t i = 0; i < shape.written.size(); ++i) {
    items.push_back(absl::StrFormat(
        "c%d AS %s", i, SqlIdentifier(table.WrittenColumn(shape, shape.written[i]).name)));
  }
  return absl::StrFormat(
      "(SELECT %s, _source, _source_updated_at, _sync_version FROM pg_temp.%s) s",
      absl::StrJoin(items, ", "), stage);
}

std::string ParameterKey(const TargetTable& table, std::vector<uint32_t>* types) {
  std::vector<std::string> items;
  for (int column : table.key) {
    types->push_back(table.columns[static_cast<size_t>(column)].type_oid);
    items.push_back(
        absl::StrFormat("$%d AS %s", types->size(),
                        SqlIdentifier(table.columns[static_cast<size_t>(column)].name)));
  }
  return absl::StrJoin(items, ", ");
}

std::string KeysEqual(const TargetTable& table, const std::string& left, const std::string& right) {
  std::vector<std::string> terms;
  for (int column : table.key) {
    const TargetColumn& part = table.columns[static_cast<size_t>(column)];
    const std::string name = SqlIdentifier(part.name);
    terms.push_back(absl::StrFormat("%s.%s %s %s.%s", left, name, part.equals, right, name));
  }
  if (table.key_has_source)
    terms.push_back(absl::StrFormat("%s._source = %s._source", left, right));
  return absl::StrJoin(terms, " AND ");
}

std::string CreateStage(const TargetTable& table, const Shape& shape, const std::string& stage) {
  std::vector<std::string> columns;
  for (size_t i = 0; i < shape.written.size(); ++i) {
    columns.push_back(
        absl::StrFormat("c%d %s", i, table.WrittenColumn(shape, shape.written[i]).type));
  }
  return absl::StrFormat(
      "CREATE TEMP TABLE %s (%s, _source text COLLATE \"C\", _source_updated_at timestamptz, "
      "_sync_version bigint) ON COMMIT DELETE ROWS",
      stage, absl::StrJoin(columns, ", "));
}

std::string CopyIntoStage(const std::string& stage) {
  return absl::StrFormat("COPY pg_temp.%s FROM STDIN", stage);
}

std::string CopyIntoTable(const TargetTable& table, const Shape& shape) {
  return absl::StrFormat("COPY %s (%s) FROM STDIN", SqlTable(table),
                         absl::StrJoin(WrittenNames(table, shape, ""), ", "));
}

std::string SelectNoRows(const TargetTable& table, const Shape& shape) {
  return absl::StrFormat("SELECT %s FROM %s LIMIT 0",
                         absl::StrJoin(WrittenNames(table, shape, ""), ", "), SqlTable(table));
}

std::string UpsertFromStage(const TargetTable& table, const Shape& shape, const std::string& stage,
                            Tombstones tombstones) {
  return Upsert(table, shape, StageRow(table, shape, stage),
                tombstones == Tombstones::kNone ? "true" : NotBuried(table));
}

std::string DeleteFromStage(const TargetTable& table, const Shape& shape,
                            const std::string& stage) {
  return Delete(table, StageRow(table, shape, stage));
}

RowStatement UpsertRow(const TargetTable& table, const Shape& shape) {
  RowStatement statement;
  const std::string row = ParameterRow(table, shape, &statement.parameter_types);
  statement.sql = Upsert(table, shape, row, NotBuried(table));
  return statement;
}

RowStatement DeleteRow(const TargetTable& table, const Shape& shape) {
  RowStatement statement;
  const std::string row = ParameterRow(table, shape, &statement.parameter_types);
  statement.sql = Delete(table, row);
  return statement;
}

RowStatement PartialRow(const TargetTable& table, const Shape& shape) {
  RowStatement statement;
  const std::string row = ParameterRow(table, shape, &statement.parameter_types);
  statement.sql = absl::StrFormat(
      "UPDATE %s AS t SET %s FROM %s WHERE %s AND t._source = s._source AND t._sync_version < "
      "s._sync_version",
      SqlTable(table), Assignments(table, shape, "s"), row, KeysEqual(table, "t", "s"));
  return statement;
}

RowStatement MoveRow(const TargetTable& table, const Shape& shape) {
  RowStatement statement;
  const std::string row = ParameterRow(table, shape, &statement.parameter_types);
  std::vector<std::string> names = WrittenNames(table, shape, "");
  std::vector<std::string> values = WrittenNames(table, shape, "s.");
  std::vector<std::string> sets;
  for (size_t i = 0; i < table.columns.size(); ++i) {
    const int column = static_cast<int>(i);
    if (table.columns[i].generated) continue;
    const std::string name = SqlIdentifier(table.columns[i].name);
    if (std::find(shape.columns.begin(), shape.columns.end(), column) == shape.columns.end()) {
      names.push_back(name);
      values.push_back("o." + name);
    }
    if (table.columns[i].identity_always) continue;
    sets.push_back(absl::StrFormat("%s = EXCLUDED.%s", name, name));
  }
  for (const char* inline_column : {"_source", "_source_updated_at"}) {
    sets.push_back(absl::StrFormat("%s = EXCLUDED.%s", inline_column, inline_column));
  }
  std::vector<int> all;
  for (size_t i = 0; i < table.columns.size(); ++i) all.push_back(static_cast<int>(i));
  sets.push_back(
      absl::StrFormat("_sync_version = %s", VersionUnlessFixed(table, all, "t", "EXCLUDED")));
  std::vector<std::string> old_terms;
  for (size_t i = 0; i < table.key.size(); ++i) {
    const TargetColumn& column = table.columns[static_cast<size_t>(table.key[i])];
    statement.parameter_types.push_back(column.type_oid);
    old_terms.push_back(absl::StrFormat("o.%s %s $%d", SqlIdentifier(column.name), column.equals,
                                        statement.parameter_types.size()));
  }
  old_terms.push_back("o._source = s._source AND o._sync_version < s._sync_version");
  const bool overriding =
      std::any_of(table.columns.begin(), table.columns.end(),
                  [](const TargetColumn& column) { return column.identity_always; });
  statement.sql = absl::StrFormat(
      "WITH o AS (DELETE FROM %s o USING %s WHERE %s RETURNING o.*) INSERT INTO %s AS t (%s)%s "
      "SELECT %s FROM %s CROSS JOIN o WHERE %s ON CONFLICT (%s) DO UPDATE SET %s WHERE %s",
      SqlTable(table), row, absl::StrJoin(old_terms, " AND "), SqlTable(table),
      absl::StrJoin(names, ", "), overriding ? " OVERRIDING SYSTEM VALUE" : "",
      absl::StrJoin(values, ", "), row, NotBuried(table), KeyList(table), absl::StrJoin(sets, ", "),
      CompareVersions("t", "<", "EXCLUDED"));
  return statement;
}

RowStatement WhyUntouched(const TargetTable& table) {
  RowStatement statement;
  std::vector<std::string> items = {ParameterKey(table, &statement.parameter_types)};
  statement.parameter_types.push_back(kTextOid);
  items.push_back(absl::StrFormat("$%d AS _source", statement.parameter_types.size()));
  statement.parameter_types.push_back(kInt8Oid);
  items.push_back(absl::StrFormat("$%d AS _sync_version", statement.parameter_types.size()));
  const std::string same_row = absl::StrFormat("EXISTS (SELECT 1 FROM %s t WHERE %s",
                                               SqlTable(table), KeysEqual(table, "t", "s"));
  statement.sql = absl::StrFormat(
      "SELECT CASE WHEN %s AND %s) OR NOT (%s) THEN 'hidden' WHEN %s) THEN 'update_incomplete' "
      "ELSE "
      "'update_missing' END FROM (SELECT %s) s",
      same_row, CompareVersions("t", ">=", "s"), NotBuried(table), same_row,
      absl::StrJoin(items, ", "));
  return statement;
}

RowStatement TruncateOwnRows(const TargetTable& table) {
  RowStatement statement;
  statement.parameter_types = {kTextOid, kTimestamptzOid, kInt8Oid};
  statement.sql = absl::StrFormat(
      "WITH gone AS (DELETE FROM %s t WHERE t._source = $1 AND t._sync_version < $3 RETURNING t.*) "
      "INSERT INTO pmoves_sync.tombstone AS d (relation, key, version, source, "
      "deleted_at) SELECT %s, %s, g._sync_version, g._source || ' ', $2 FROM gone g ON CONFLICT "
      "(relation, key) DO UPDATE SET version = EXCLUDED.version, source = "
      "EXCLUDED.source, deleted_at = EXCLUDED.deleted_at, recorded_at = now() WHERE (d.version, "
      "d.source) < (EXCLUDED.version, EXCLUDED.source)",
      SqlTable(table), SqlLiteral(table.Name()), TombstoneKey(table, "g"));
  return statement;
}

RowStatement TruncateAll(const TargetTable& table) {
  RowStatement statement;
  statement.parameter_types = {kTextOid, kTimestamptzOid, kInt8Oid};
  statement.sql = absl::StrFormat(
      "WITH floor AS (INSERT INTO pmoves_sync.truncate_floor AS f (relation, version, source) "
      "VALUES (%s, $3, $1) ON CONFLICT (relation) DO UPDATE SET version = EXCLUDED.version, source "
      "= EXCLUDED.source WHERE (f.version, f.source) < (EXCLUDED.version, EXCLUDED.source)) "
      "DELETE FROM %s t WHERE (t._sync_version, t._source COLLATE \"C\") < ($3, $1 COLLATE \"C\") "
      "AND $2::timestamptz IS NOT NULL",
      SqlLiteral(table.Name()), SqlTable(table));
  return statement;
}

}  // namespace pmoves
