#include "publisher/io/row_reader.h"

#include <algorithm>

#include "absl/strings/str_format.h"
#include "common/base/status.h"
#include "publisher/core/value_token.h"

namespace pmoves {

std::vector<proto::RawColumn> ReadRow::Columns() const {
  std::vector<proto::RawColumn> columns;
  for (size_t i = 0; i < names.size(); ++i) columns.push_back({names[i], values[i]});
  return columns;
}

absl::Status CheckKey(const proto::RefetchRequest& request, const Relation& relation) {
  size_t matched = 0;
  size_t key_columns = 0;
  for (const RelationColumn& column : relation.columns) {
    if (!column.key) continue;
    ++key_columns;
    if (std::any_of(request.key.begin(), request.key.end(),
                    [&](const auto& part) { return part.first == column.name; })) {
      ++matched;
    }
  }
  if (matched == key_columns && matched == request.key.size() && matched > 0) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrFormat("the key of %s.%s has other columns on the edge than in the centre",
                      relation.schema, relation.table));
}

absl::StatusOr<std::optional<ReadRow>> RowReader::Read(const proto::RefetchRequest& request,
                                                       const Relation& relation) {
  // A row that row level security hides is not one that is gone: an error instead.
  RETURN_IF_ERROR(connection_
                      .Execute("BEGIN READ ONLY; SET LOCAL lock_timeout = '200ms'; SET LOCAL "
                               "row_security = off")
                      .status());
  auto row = ReadInTransaction(request, relation);
  connection_.Rollback();
  return row;
}

absl::StatusOr<std::optional<ReadRow>> RowReader::ReadInTransaction(
    const proto::RefetchRequest& request, const Relation& relation) {
  std::string where;
  std::vector<PgParam> params;
  for (const auto& [column, text] : request.key) {
    params.emplace_back(text);
    where += absl::StrFormat("%st.%s = $%d", params.size() > 1 ? " AND " : "",
                             QuoteIdentifier(column), params.size());
  }
  ASSIGN_OR_RETURN(const PgRows rows,
                   connection_.Execute(absl::StrFormat("SELECT t.* FROM ONLY %s.%s t WHERE %s",
                                                       QuoteIdentifier(relation.schema),
                                                       QuoteIdentifier(relation.table), where),
                                       params));
  if (rows.size() == 0) return std::optional<ReadRow>();
  bool same_columns = rows.columns() == static_cast<int>(relation.columns.size());
  for (int i = 0; same_columns && i < rows.columns(); ++i)
    same_columns = rows.Name(i) == relation.columns[static_cast<size_t>(i)].name;
  if (!same_columns || rows.size() > 1) {
    return absl::FailedPreconditionError(
        absl::StrFormat("table %s.%s was altered a moment ago", relation.schema, relation.table));
  }
  ReadRow row;
  for (int i = 0; i < rows.columns(); ++i) {
    const RelationColumn& column = relation.columns[static_cast<size_t>(i)];
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
