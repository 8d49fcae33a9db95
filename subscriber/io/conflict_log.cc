#include "subscriber/io/conflict_log.h"

#include "absl/strings/str_format.h"
#include "common/base/status.h"

namespace pmoves {
namespace {

constexpr const char kColumns[] =
    "id, to_char(detected_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), state, type, "
    "resolution, schema_name || '.' || table_name, key::text, remote_source, "
    "COALESCE(local_source, '-'), rule, lossy";

constexpr int kSiblings = 100;

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
  result.reserve(static_cast<size_t>(rows.size()));
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
  ASSIGN_OR_RETURN(row.siblings, Siblings(id));
  return row;
}

// The stamp is that of the version: its time, and what counts within a millisecond.
absl::StatusOr<std::vector<Sibling>> ConflictLogStore::Siblings(int64_t id) {
  ASSIGN_OR_RETURN(
      const PgRows rows,
      connection_.Execute(absl::StrFormat(
          "SELECT g.source, to_char(to_timestamp(0) AT TIME ZONE 'UTC' + (g.version >> 16) * "
          "interval '1 millisecond', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"') || '+' || (g.version & "
          "65535), CASE WHEN g.deleted THEN '(deleted)' ELSE "
          "jsonb_pretty(pmoves_sync.log_image(g.image)) END FROM pmoves_sync.conflict_log l JOIN "
          "pmoves_sync.register g ON g.relation = l.schema_name || '.' || l.table_name AND g.key = "
          "l.key::text WHERE l.id = %d ORDER BY g.version DESC, g.source DESC LIMIT %d",
          id, kSiblings)));
  std::vector<Sibling> siblings;
  siblings.reserve(static_cast<size_t>(rows.size()));
  for (int i = 0; i < rows.size(); ++i)
    siblings.push_back({rows.String(i, 0), rows.String(i, 1), rows.String(i, 2)});
  return siblings;
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

absl::StatusOr<int64_t> ConflictLogStore::Maintain(absl::Duration retention) {
  ASSIGN_OR_RETURN(const PgRows rows, connection_.Execute(absl::StrFormat(
                                          "SELECT pmoves_sync.maintain_conflict_log(interval '%d "
                                          "seconds')",
                                          absl::ToInt64Seconds(retention))));
  return rows.Int(0, 0);
}

}  // namespace pmoves
