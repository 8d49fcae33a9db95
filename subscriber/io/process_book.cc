#include "subscriber/io/process_book.h"

#include <unistd.h>

#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "common/base/status.h"
#include "subscriber/core/sql_array.h"
#include "subscriber/io/central_schema.h"

namespace pmoves {
namespace {

// Locks of one class in this database.
std::string Held(int lock_class) {
  return absl::StrFormat(
      "pg_locks l WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2 AND "
      "l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND "
      "l.classid::bigint = %d",
      lock_class);
}

std::string ArrayText(const std::vector<std::string>& sources) {
  return ArrayBody(sources, ArrayElement);
}

}  // namespace

absl::Status ProcessBook::Enter(const std::vector<std::string>& sources) {
  const std::string list = ArrayText(sources);
  // The row first: nobody must see the lock without it.
  const absl::Status entered =
      connection_
          .Execute(
              "INSERT INTO pmoves_sync.subscriber (backend_pid, sources) VALUES "
              "(pg_backend_pid(), $1) ON CONFLICT (backend_pid) DO UPDATE SET sources = "
              "EXCLUDED.sources, started_at = clock_timestamp()",
              {sources.empty() ? PgParam() : PgParam(list)})
          .status();
  if (SqlStateOf(entered) == "42P01" || SqlStateOf(entered) == "3F000") {
    return absl::FailedPreconditionError(
        "schema pmoves_sync of the centre is missing or of an older version; run "
        "`pmoves-sync-subscriber init`");
  }
  RETURN_IF_ERROR(entered);
  RETURN_IF_ERROR(connection_
                      .Execute(absl::StrFormat("SELECT pg_advisory_lock_shared(%d, %d)",
                                               kInstanceLockClass, getpid()))
                      .status());
  // Rows of processes that are gone; one that has not come as far as its lock is younger.
  return connection_
      .Execute(absl::StrFormat("DELETE FROM pmoves_sync.subscriber s WHERE s.started_at < "
                               "clock_timestamp() - interval '1 hour' AND NOT EXISTS (SELECT FROM "
                               "%s AND l.pid = s.backend_pid)",
                               Held(kInstanceLockClass)))
      .status();
}

absl::StatusOr<std::vector<std::set<std::string>>> ProcessBook::Live() {
  ASSIGN_OR_RETURN(
      const PgRows rows,
      connection_.Execute(absl::StrFormat(
          "SELECT COALESCE((SELECT array_to_string(s.sources, ',') FROM pmoves_sync.subscriber s "
          "WHERE s.backend_pid = p.pid), '') FROM (SELECT DISTINCT l.pid FROM %s) p",
          Held(kInstanceLockClass))));
  std::vector<std::set<std::string>> live;
  live.reserve(static_cast<size_t>(rows.size()));
  for (int i = 0; i < rows.size(); ++i) {
    const std::vector<std::string> names =
        absl::StrSplit(rows.String(i, 0), ',', absl::SkipEmpty());
    live.emplace_back(names.begin(), names.end());
  }
  return live;
}

absl::StatusOr<std::set<std::string>> ProcessBook::FreeOf(const std::set<std::string>& sources) {
  const std::string list = ArrayText({sources.begin(), sources.end()});
  ASSIGN_OR_RETURN(
      const PgRows rows,
      connection_.Execute(
          absl::StrFormat("SELECT s FROM unnest($1::text[]) s WHERE (hashtext(s)::bigint & "
                          "4294967295) NOT IN (SELECT l.objid::bigint FROM %s)",
                          Held(kSourceLockClass)),
          {PgParam(list)}));
  std::set<std::string> free;
  for (int i = 0; i < rows.size(); ++i) free.insert(rows.String(i, 0));
  return free;
}

}  // namespace pmoves
