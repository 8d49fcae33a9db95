#include "publisher/io/row_reader.h"

#include <algorithm>

#include "absl/strings/str_format.h"
#include "common/base/status.h"
#include "proto/json_token.h"
#include "publisher/core/value_token.h"
#include "publisher/io/key_lookup.h"

namespace pmoves {

std::vector<proto::RawColumn> ReadRow::Columns() const {
  std::vector<proto::RawColumn> columns;
  for (size_t i = 0; i < names.size(); ++i) columns.push_back({names[i], values[i]});
  return columns;
}

absl::Status CheckKey(const proto::RefetchRequest& request, const Relation& relation) {
  for (const auto& [name, text] : request.key) {
    const bool known =
        std::any_of(relation.columns.begin(), relation.columns.end(),
                    [&name = name](const auto& column) { return column.name == name; });
    if (!known) {
      return absl::InvalidArgumentError(
          absl::StrFormat("%s.%s has no column \"%s\" on the edge, which is part of its key in the "
                          "centre",
                          relation.schema, relation.table, name));
    }
  }
  if (!request.key.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError("the request names no key column");
}

absl::StatusOr<std::optional<ReadRow>> RowReader::Read(const proto::RefetchRequest& request,
                                                       const Relation& relation) {
  std::vector<std::string> columns;
  std::vector<std::string> key;
  for (const auto& [name, text] : request.key) {
    columns.push_back(name);
    key.push_back(proto::JsonString(text));
  }
  KeyLookup lookup(connection_, relation);
  RETURN_IF_ERROR(lookup.Prepare(columns));
  ASSIGN_OR_RETURN(const PgRows found, lookup.Find({key}, "t.*"));
  return RowOf(found, relation);
}

absl::StatusOr<std::optional<ReadRow>> RowReader::RowOf(const PgRows& rows,
                                                        const Relation& relation) {
  if (rows.size() == 0) return std::optional<ReadRow>();
  // The first one is the number of the key.
  bool same_columns = rows.columns() == static_cast<int>(relation.columns.size()) + 1;
  for (int i = 1; same_columns && i < rows.columns(); ++i)
    same_columns = rows.Name(i) == relation.columns[static_cast<size_t>(i) - 1].name;
  if (!same_columns || rows.size() > 1) {
    return absl::FailedPreconditionError(
        absl::StrFormat("table %s.%s was altered a moment ago", relation.schema, relation.table));
  }
  ReadRow row;
  for (int i = 1; i < rows.columns(); ++i) {
    const RelationColumn& column = relation.columns[static_cast<size_t>(i) - 1];
    row.names.push_back(column.token);
    std::string& token = row.values.emplace_back();
    if (rows.IsNull(0, i)) {
      token = "null";
    } else {
      AppendValueToken(column.type_oid, rows.Text(0, i), &token);
    }
    row.bytes += token.size();
  }
  return std::optional<ReadRow>(std::move(row));
}

}  // namespace pmoves
