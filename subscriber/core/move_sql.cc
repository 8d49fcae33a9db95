#include "subscriber/core/move_sql.h"

#include <string>
#include <vector>

#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"

namespace pmoves {
namespace {

// SELECT of the old key's parameters, with the names of the key: appends their types.
std::string OldKey(const TargetTable& table, RowStatement* statement) {
  std::string items = ParameterKey(table, &statement->parameter_types);
  if (table.key_has_source) items += ", s._source AS _source";
  return absl::StrFormat("(SELECT %s) k", items);
}

std::string NewKeyIsFree(const TargetTable& table) {
  return absl::StrFormat("NOT EXISTS (SELECT 1 FROM %s n WHERE %s AND NOT (%s))", SqlTable(table),
                         KeysEqual(table, "n", "s"), KeysEqual(table, "n", "k"));
}

std::string Assignment(const TargetColumn& column) {
  const std::string name = SqlIdentifier(column.name);
  return absl::StrFormat("%s = s.%s", name, name);
}

}  // namespace

RowStatement MoveInPlace(const TargetTable& table, const Shape& shape, bool whole) {
  RowStatement statement;
  const std::string row = ParameterRow(table, shape, &statement.parameter_types);
  const std::string old_key = OldKey(table, &statement);
  std::vector<std::string> sets;
  for (int written : shape.written) {
    const TargetColumn& column = table.WrittenColumn(shape, written);
    if (!column.identity_always) sets.push_back(Assignment(column));
  }
  for (const char* column : {"_source", "_source_updated_at"})
    sets.push_back(absl::StrFormat("%s = s.%s", column, column));
  sets.push_back(
      absl::StrFormat("_sync_version = %s", VersionUnlessFixed(table, shape.columns, "o", "s")));
  const std::string own = whole ? "" : " AND o._source = s._source";
  statement.sql = absl::StrFormat(
      "UPDATE %s AS o SET %s FROM %s CROSS JOIN LATERAL %s WHERE %s AND %s%s AND %s AND %s",
      SqlTable(table), absl::StrJoin(sets, ", "), row, old_key, KeysEqual(table, "o", "k"),
      CompareVersions("o", "<", "s"), own, NewKeyIsFree(table), NotBuried(table));
  return statement;
}

RowStatement RegisterMoveInPlace(const TargetTable& table, const Shape& shape) {
  RowStatement statement;
  const std::string row = ParameterRow(table, shape, &statement.parameter_types);
  const std::string old_key = OldKey(table, &statement);
  std::vector<std::string> sets;
  for (int column : table.key)
    sets.push_back(Assignment(table.columns[static_cast<size_t>(column)]));
  const std::string reports = absl::StrFormat(
      "SELECT 1 FROM pmoves_sync.register g WHERE g.relation = %s AND g.key = %s AND NOT g.deleted "
      "AND g.source",
      SqlLiteral(table.Name()), TombstoneKey(table, "k"));
  statement.sql = absl::StrFormat(
      "UPDATE %s AS o SET %s FROM %s CROSS JOIN LATERAL %s WHERE %s AND %s AND EXISTS (%s = "
      "s._source AND g.version < s._sync_version) AND NOT EXISTS (%s <> s._source)",
      SqlTable(table), absl::StrJoin(sets, ", "), row, old_key, KeysEqual(table, "o", "k"),
      NewKeyIsFree(table), reports, reports);
  return statement;
}

}  // namespace pmoves
