#include "subscriber/io/dead_letters.h"

#include "absl/strings/str_format.h"
#include "common/base/status.h"
#include "subscriber/io/letter_book.h"

namespace pmoves {
namespace {

constexpr const char kColumns[] =
    "id, source, kind, position, CASE WHEN table_name = '' THEN '-' ELSE schema_name || '.' || "
    "table_name END, operation, reason, sqlstate, message, state, "
    "to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), "
    "COALESCE(resolution, '')";

DeadLetterRow RowOf(const PgRows& rows, int i) {
  return {rows.Int(i, 0),
          rows.String(i, 1),
          rows.String(i, 2),
          rows.String(i, 3),
          rows.String(i, 4),
          rows.String(i, 5),
          rows.String(i, 6),
          rows.String(i, 7),
          rows.String(i, 8),
          rows.String(i, 9),
          rows.String(i, 10),
          rows.String(i, 11),
          "",
          "",
          ""};
}

}  // namespace

absl::StatusOr<std::vector<DeadLetterRow>> DeadLetterStore::List(bool all, int limit) {
  ASSIGN_OR_RETURN(const PgRows rows,
                   connection_.Execute(absl::StrFormat(
                       "SELECT %s FROM pmoves_sync.dead_letter %s ORDER BY id LIMIT %d", kColumns,
                       all ? "" : "WHERE state = 'open'", limit)));
  std::vector<DeadLetterRow> result;
  result.reserve(static_cast<size_t>(rows.size()));
  for (int i = 0; i < rows.size(); ++i) result.push_back(RowOf(rows, i));
  return result;
}

absl::StatusOr<DeadLetterRow> DeadLetterStore::Show(int64_t id) {
  ASSIGN_OR_RETURN(const PgRows rows, connection_.Execute(absl::StrFormat(
                                          "SELECT %s, COALESCE(payload, encode(raw, 'hex')), "
                                          "COALESCE(key, ''), CASE WHEN refetch_attempts > 0 THEN "
                                          "refetch_attempts || ' answers, the last: ' || "
                                          "refetch_answer WHEN refetch_at IS NOT NULL THEN 'no "
                                          "answer yet' ELSE '' END FROM pmoves_sync.dead_letter "
                                          "WHERE id = %d",
                                          kColumns, id)));
  if (rows.size() == 0)
    return absl::NotFoundError(absl::StrFormat("there is no dead letter %d", id));
  DeadLetterRow row = RowOf(rows, 0);
  row.payload = rows.String(0, 12);
  row.key = rows.String(0, 13);
  row.refetch = rows.String(0, 14);
  return row;
}

absl::Status DeadLetterStore::Discard(int64_t id, const std::string& reason) {
  ASSIGN_OR_RETURN(
      const PgRows rows,
      connection_.Execute(Settling("UPDATE pmoves_sync.dead_letter SET state = 'discarded', "
                                   "resolved_at = now(), resolution = $2 WHERE id = $1::bigint AND "
                                   "state = 'open'"),
                          {PgParam(std::to_string(id)), PgParam(reason)}));
  return rows.Int(0, 0) == 1
             ? absl::OkStatus()
             : absl::NotFoundError(absl::StrFormat("there is no open dead letter %d", id));
}

absl::StatusOr<std::vector<int64_t>> DeadLetterStore::OpenLetters() {
  ASSIGN_OR_RETURN(
      const PgRows rows,
      connection_.Execute("SELECT id FROM pmoves_sync.dead_letter WHERE state = 'open' ORDER BY "
                          "source, epoch, position, chunk, row_index, id"));
  std::vector<int64_t> ids;
  ids.reserve(static_cast<size_t>(rows.size()));
  for (int i = 0; i < rows.size(); ++i) ids.push_back(rows.Int(i, 0));
  return ids;
}

absl::StatusOr<int64_t> DeadLetterStore::Forget(absl::Duration retention) {
  ASSIGN_OR_RETURN(
      const PgRows rows,
      connection_.Execute(absl::StrFormat(
          "DELETE FROM pmoves_sync.dead_letter WHERE id IN (SELECT id FROM pmoves_sync.dead_letter "
          "WHERE state <> 'open' AND resolved_at < now() - make_interval(secs => %d) LIMIT %d)",
          absl::ToInt64Seconds(retention), kForgetAtOnce)));
  return rows.affected();
}

}  // namespace pmoves
