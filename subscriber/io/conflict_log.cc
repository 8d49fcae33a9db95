#include "subscriber/io/conflict_log.h"

#include "absl/strings/str_format.h"
#include "common/base/status.h"

namespace pmoves {
namespace {

constexpr const char kColumns[] =
    "id, to_char(detected_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), state, type, "
    "resolution, schema_name || '.' || table_name, key::text, remote_source, "
    "COALESCE(local_source, '-'), rule, lossy";

ConflictRow RowOf(const PgRows& rows, int i) {
  ConflictRow row;
  row.id = rows.Int(i, 0);
  std::string* const texts[] = {&row.detected_at,   &row.state,        &row.type,
                                &row.resolution,    &row.table,        &row.key,
                                &row.remote_source, &row.local_source, &row.rule};
  int column = 1;
  for (std::string* text : texts) *text = rows.String(i, column++);
  row.lossy = rows.Bool(i, column);
  return row;
}

}  // namespace

absl::StatusOr<std::vector<ConflictRow>> ConflictLogStore::List(
    const std::optional<std::string>& table, bool open, int limit) {
  ASSIGN_OR_RETURN(
      const PgRows rows,
      connection_.Execute(
          absl::StrFormat("SELECT %s FROM pmoves_sync.conflict_log WHERE ($1::text IS NULL OR "
                          "schema_name || '.' || table_name IN ($1, 'public.' || $1))%s ORDER BY "
                          "detected_at DESC, id DESC LIMIT %d",
                          kColumns, open ? " AND state = 'open'" : "", limit),
          {table.has_value() ? PgParam(*table) : PgParam()}));
  std::vector<ConflictRow> result;
  for (int i = 0; i < rows.size(); ++i) result.push_back(RowOf(rows, i));
  return result;
}

absl::StatusOr<ConflictRow> ConflictLogStore::Show(int64_t id) {
  ASSIGN_OR_RETURN(const PgRows rows,
                   connection_.Execute(absl::StrFormat(
                       "SELECT %s, COALESCE(jsonb_pretty(remote_row), '(deleted)'), "
                       "COALESCE(jsonb_pretty(local_row), '(no row)'), "
                       "COALESCE(jsonb_pretty(applied_row), '(no row)'), "
                       "concat_ws('; ', resolution_note, 'dead letter ' || "
                       "dead_letter_id) FROM pmoves_sync.conflict_log WHERE id = %d",
                       kColumns, id)));
  if (rows.size() == 0) return absl::NotFoundError(absl::StrFormat("there is no conflict %d", id));
  ConflictRow row = RowOf(rows, 0);
  row.remote_row = rows.String(0, 11);
  row.local_row = rows.String(0, 12);
  row.applied_row = rows.String(0, 13);
  row.note = rows.String(0, 14);
  return row;
}

absl::Status ConflictLogStore::Resolve(int64_t id, const std::string& note) {
  ASSIGN_OR_RETURN(
      const PgRows rows,
      connection_.Execute("UPDATE pmoves_sync.conflict_log SET state = 'resolved', resolved_at = "
                          "now(), resolution_note = $2 WHERE id = $1::bigint AND state = 'open'",
                          {PgParam(std::to_string(id)), PgParam(note)}));
  return rows.affected() == 1
             ? absl::OkStatus()
             : absl::NotFoundError(absl::StrFormat("there is no open conflict %d", id));
}

absl::Status ConflictLogStore::Maintain(absl::Duration retention) {
  return connection_
      .Execute(absl::StrFormat("SELECT pmoves_sync.maintain_conflict_log(interval '%d seconds')",
                               absl::ToInt64Seconds(retention)))
      .status();
}

}  // namespace pmoves
