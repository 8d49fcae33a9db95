#include "subscriber/core/unique_sql.h"

#include <algorithm>

#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "proto/json_token.h"
#include "subscriber/core/json_sql.h"
#include "subscriber/core/merge_sql.h"

namespace pmoves {
namespace {

// t."id" = (i.image->>'id')::integer AND ...
std::string KeyIs(const TargetTable& table, const std::string& alias, const std::string& image,
                  const std::string& source) {
  std::vector<std::string> terms;
  for (int index : table.key) {
    const TargetColumn& column = table.columns[static_cast<size_t>(index)];
    terms.push_back(absl::StrFormat("%s.%s %s (%s->>%s)::%s", alias, SqlIdentifier(column.name),
                                    column.equals, image, SqlLiteral(column.name), column.type));
  }
  if (table.key_has_source) terms.push_back(absl::StrFormat("%s._source = %s", alias, source));
  return absl::StrJoin(terms, " AND ");
}

// The row to be: what the image says, else what is there, else the column's default.
std::string RowToBe(const TargetTable& table) {
  std::vector<std::string> items;
  for (const TargetColumn& column : table.columns) {
    if (column.generated) continue;
    const std::string name = SqlIdentifier(column.name);
    items.push_back(absl::StrFormat(
        "CASE WHEN i.image ? %s THEN (i.image->>%s)::%s WHEN old._source IS NOT NULL THEN old.%s "
        "ELSE %s END AS %s",
        SqlLiteral(column.name), SqlLiteral(column.name), column.type, name,
        column.default_sql.empty() ? "NULL" : column.default_sql, name));
  }
  return absl::StrFormat("SELECT %s, i._source FROM i LEFT JOIN %s old ON %s",
                         absl::StrJoin(items, ", "), SqlTable(table),
                         KeyIs(table, "old", "i.base", "i._source"));
}

// The values of an index's columns in row n, as k<number>. Unqualified names are n's: nothing else
// is there.
std::string KeyOfIndex(const UniqueIndex& index, size_t number) {
  std::vector<std::string> items;
  for (size_t i = 0; i < index.expressions.size(); ++i)
    items.push_back(absl::StrFormat("(%s) AS e%d", index.expressions[i], i));
  return absl::StrFormat(
      "k%d AS MATERIALIZED (SELECT %s FROM n%s)", number, absl::StrJoin(items, ", "),
      index.predicate.empty() ? "" : absl::StrFormat(" WHERE %s", index.predicate));
}

std::string Blocking(const TargetTable& table, const UniqueIndex& index, size_t number) {
  std::vector<std::string> terms;
  for (size_t i = 0; i < index.expressions.size(); ++i) {
    const std::string mine = absl::StrFormat("(%s)", index.expressions[i]);
    const std::string other = absl::StrFormat("(SELECT k%d.e%d FROM k%d)", number, i, number);
    const std::string equals = index.equals.empty() ? "=" : index.equals[i];
    std::string term = absl::StrFormat("%s %s %s", mine, equals, other);
    if (index.nulls_equal)
      term = absl::StrFormat("(%s OR %s IS NULL AND %s IS NULL)", term, mine, other);
    terms.push_back(std::move(term));
  }
  if (!index.predicate.empty()) terms.push_back(absl::StrFormat("(%s)", index.predicate));
  return absl::StrFormat(
      "SELECT %d AS number, %s AS name, %s AS key, t._source AS source, t._sync_version AS "
      "version, "
      "%s AS image FROM %s t WHERE EXISTS (SELECT 1 FROM k%d) AND %s AND NOT (SELECT %s FROM n)",
      number, SqlLiteral(index.name), TombstoneKey(table, "t"), RowImage(table, "t"),
      SqlTable(table), number, absl::StrJoin(terms, " AND "), KeysEqual(table, "t", "n"));
}

void AppendImage(const TargetTable& table, const ChangeSet& set, int column, const Value& value,
                 std::string* image) {
  if (image->size() > 1) *image += ',';
  proto::AppendJsonString(table.columns[static_cast<size_t>(column)].name, image);
  *image += ':';
  if (value.is_null) {
    *image += "null";
  } else {
    proto::AppendJsonString(set.Text(value), image);
  }
}

}  // namespace

std::string FindBlocking(const TargetTable& table, const std::vector<UniqueIndex>& indexes,
                         const GeneratedColumns& generated) {
  std::vector<std::string> computed = {"m.*"};
  for (const auto& [name, expression] : generated)
    computed.push_back(absl::StrFormat("(%s) AS %s", expression, SqlIdentifier(name)));
  std::vector<std::string> parts = {
      "i AS (SELECT $1::jsonb AS image, $2::text COLLATE \"C\" AS _source, $3::jsonb AS base)",
      absl::StrFormat("m AS MATERIALIZED (%s)", RowToBe(table)),
      absl::StrFormat("n AS MATERIALIZED (SELECT %s FROM m)", absl::StrJoin(computed, ", "))};
  std::vector<std::string> blocking;
  for (size_t i = 0; i < indexes.size(); ++i) {
    parts.push_back(KeyOfIndex(indexes[i], i));
    blocking.push_back(Blocking(table, indexes[i], i));
  }
  return absl::StrFormat(
      "WITH %s SELECT b.name, b.key, b.source, b.version, b.image, (SELECT %s FROM n), (SELECT %s "
      "FROM %s t, n WHERE %s) FROM (%s) b ORDER BY b.number",
      absl::StrJoin(parts, ", "), TombstoneKey(table, "n"), RowImage(table, "t"), SqlTable(table),
      KeysEqual(table, "t", "n"), absl::StrJoin(blocking, " UNION ALL "));
}

std::string ImageText(const ChangeSet& set, const Change& change) {
  std::string image = "{";
  for (int written : change.shape->written) {
    AppendImage(*change.table, set, change.shape->columns[static_cast<size_t>(written)],
                set.values[change.first_value + static_cast<size_t>(written)], &image);
  }
  return image.append("}");
}

std::string BaseKeyText(const ChangeSet& set, const Change& change) {
  const bool moves = change.kind == ChangeKind::kMove;
  const Shape& shape = moves ? *change.old_shape : *change.shape;
  const uint64_t first = moves ? change.first_old_value : change.first_value;
  std::string image = "{";
  for (size_t i = 0; i < shape.key.size(); ++i) {
    AppendImage(*change.table, set, change.table->key[i],
                set.values[first + static_cast<size_t>(shape.key[i])], &image);
  }
  return image.append("}");
}

}  // namespace pmoves
