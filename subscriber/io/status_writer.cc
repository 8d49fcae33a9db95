#include "subscriber/io/status_writer.h"

#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "common/base/status.h"
#include "common/base/time_text.h"
#include "subscriber/core/sql_array.h"

namespace pmoves {
namespace {

// A row of sync_status; what is empty is NULL.
struct Shown {
  std::string source;
  std::string table;
  absl::Time applied_at;
  const char* status;
  uint64_t pending;
  std::string reason;
  absl::Time last_seen;
};

std::string TimestampElement(absl::Time time) {
  return time == absl::InfinitePast() ? "NULL"
                                      : ArrayElement(FormatRfc3339(absl::ToUnixMicros(time)));
}

constexpr const char kWriteParameters[] =
    "text[], text[], timestamptz[], text[], bigint[], text[], timestamptz[]";
constexpr const char kWrite[] =
    "INSERT INTO pmoves_sync.sync_status AS t (service_name, table_name, last_sync_at, "
    "last_sync_status, pending_records, last_error, last_seen_at) SELECT * FROM unnest($1, $2, $3, "
    "$4, $5, $6, $7) s ON CONFLICT (service_name, table_name) DO UPDATE SET last_sync_at = "
    "COALESCE(EXCLUDED.last_sync_at, t.last_sync_at), last_sync_status = "
    "EXCLUDED.last_sync_status, pending_records = EXCLUDED.pending_records, last_error = "
    "COALESCE(EXCLUDED.last_error, t.last_error), last_seen_at = GREATEST(EXCLUDED.last_seen_at, "
    "t.last_seen_at), updated_at = now()";
constexpr const char kFailures[] =
    "WITH failures AS (SELECT source, CASE WHEN schema_name IN ('', 'public') THEN table_name ELSE "
    "schema_name || '.' || table_name END AS table_name, count(*) AS n FROM "
    "pmoves_sync.dead_letter WHERE state = 'open' GROUP BY 1, 2) UPDATE pmoves_sync.sync_status s "
    "SET failed_records = COALESCE(f.n, 0) FROM pmoves_sync.sync_status x LEFT JOIN failures f ON "
    "f.source = x.service_name AND f.table_name = x.table_name WHERE s.service_name = "
    "x.service_name AND s.table_name = x.table_name AND s.failed_records <> COALESCE(f.n, 0)";
constexpr const char kOpenLetters[] =
    "SELECT count(*) FROM pmoves_sync.dead_letter WHERE state = 'open'";

}  // namespace

absl::Status StatusWriter::Write(const std::vector<SourceState>& sources) {
  std::vector<Shown> rows;
  for (const SourceState& source : sources) {
    const std::string waits = FleetState::WaitsFor(source, absl::Now());
    for (const TableConfig& table : tables_) {
      const std::string name = DisplayTable(table.SourceSchema(), table.SourceTable());
      auto activity = source.tables.find(name);
      const bool active = activity != source.tables.end();
      const bool blocked =
          source.blocked && (source.blocked_table.empty() || source.blocked_table == name);
      const char* status = blocked                                      ? "blocked"
                           : !waits.empty()                             ? "waiting"
                           : (active && activity->second.set_aside > 0) ? "set_aside"
                                                                        : "ok";
      rows.push_back({source.source, name, active ? source.applied_at : absl::InfinitePast(),
                      status, source.pending, waits.empty() ? source.reason : waits,
                      source.last_seen});
    }
  }
  if (rows.empty()) return absl::OkStatus();
  RETURN_IF_ERROR(connection_.PrepareOnce("pmoves_status", kWriteParameters, kWrite));
  const std::string columns[] = {
      ArrayOf(rows, [](const Shown& row) { return ArrayElement(row.source); }),
      ArrayOf(rows, [](const Shown& row) { return ArrayElement(row.table); }),
      ArrayOf(rows, [](const Shown& row) { return TimestampElement(row.applied_at); }),
      ArrayOf(rows, [](const Shown& row) { return ArrayElement(row.status); }),
      ArrayOf(rows, [](const Shown& row) { return std::to_string(row.pending); }),
      ArrayOf(rows,
              [](const Shown& row) {
                return row.reason.empty() ? std::string("NULL") : ArrayElement(row.reason);
              }),
      ArrayOf(rows, [](const Shown& row) { return TimestampElement(row.last_seen); }),
  };
  // One round trip. What was applied before is durable when this is.
  absl::Status status = connection_
                            .Execute(absl::StrFormat("BEGIN; SET LOCAL synchronous_commit = on; "
                                                     "EXECUTE pmoves_status(%s); COMMIT",
                                                     absl::StrJoin(columns, ", ")))
                            .status();
  if (!status.ok()) connection_.Rollback();
  return status;
}

absl::Status StatusWriter::Expect(const std::vector<std::string>& sources) {
  for (const std::string& source : sources) {
    for (const TableConfig& table : tables_) {
      const std::string name = DisplayTable(table.SourceSchema(), table.SourceTable());
      RETURN_IF_ERROR(connection_
                          .Execute("INSERT INTO pmoves_sync.sync_status (service_name, table_name) "
                                   "SELECT $1, $2 WHERE NOT EXISTS (SELECT 1 FROM "
                                   "pmoves_sync.sync_status WHERE service_name = $1 AND table_name "
                                   "= $2) ON CONFLICT DO NOTHING",
                                   {PgParam(source), PgParam(name)})
                          .status());
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<int64_t> StatusWriter::RefreshFailures() {
  RETURN_IF_ERROR(connection_.PrepareOnce("pmoves_failures", "", kFailures));
  RETURN_IF_ERROR(connection_.PrepareOnce("pmoves_open_letters", "", kOpenLetters));
  ASSIGN_OR_RETURN(const PgRows total,
                   connection_.Execute("EXECUTE pmoves_failures; EXECUTE pmoves_open_letters"));
  return total.Int(0, 0);
}

}  // namespace pmoves
