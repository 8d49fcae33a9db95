#include "publisher/io/edge_state.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/base/status.h"

namespace pmoves {
namespace {

constexpr size_t kMaxFormerWriters = 256;

constexpr const char kStateExistsSql[] =
    "SELECT to_regclass('pmoves_sync.publisher_state') IS NOT NULL";

// former_writers: earlier runs of this database. A stream that lost its tail may end in a message
// of any of them, and that is still this database's own history. A clone cannot know later runs.
constexpr const char kCreateSchemaSql[] = R"(
CREATE SCHEMA IF NOT EXISTS pmoves_sync;
COMMENT ON SCHEMA pmoves_sync IS 'State of pmoves-sync. Do not copy between databases.';
CREATE TABLE IF NOT EXISTS pmoves_sync.publisher_state (
  source          text PRIMARY KEY,
  epoch           integer NOT NULL,
  writer          uuid NOT NULL,
  previous_writer uuid,
  former_writers  uuid[] NOT NULL DEFAULT '{}',
  epoch_start     pg_lsn NOT NULL,
  updated_at      timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE pmoves_sync.publisher_state IS
  'Which publisher run writes which source: the fence against a second writer.';
)";

}  // namespace

absl::StatusOr<bool> EdgeState::EnsureSchema() {
  ASSIGN_OR_RETURN(PgRows exists, connection_.Execute(kStateExistsSql));
  if (exists.Bool(0, 0)) return false;
  absl::StatusOr<PgRows> created = connection_.Execute(kCreateSchemaSql);
  if (absl::IsPermissionDenied(created.status())) {
    return absl::FailedPreconditionError(absl::StrFormat(
        "schema pmoves_sync cannot be created: %s. GRANT CREATE ON DATABASE to the role of "
        "postgres.dsn, or run `pmoves-sync-publisher init` once with a role that may",
        MessageOf(created.status())));
  }
  if (!created.ok()) return created.status();
  return true;
}

absl::Status EdgeState::CreateSlot(const std::string& slot) {
  absl::Status status =
      connection_.Execute("SELECT pg_create_logical_replication_slot($1, 'wal2json')", {slot})
          .status();
  const std::string state = SqlStateOf(status);
  if (status.ok() || state == "42710") return absl::OkStatus();  // it exists by now
  std::string fix;
  if (state == "58P01") fix = "; install the wal2json plugin (Debian: postgresql-15-wal2json)";
  if (state == "53400") fix = "; raise max_replication_slots, or drop a slot nobody uses";
  if (state == "42501") {
    fix = MessageOf(status).find("output plugin") != std::string::npos
              ? "; ALTER SYSTEM SET output_plugin_libraries = pgoutput, test_decoding, wal2json; "
                "SELECT pg_reload_conf();"
              : "; ALTER ROLE ... REPLICATION for the role of postgres.dsn";
  }
  if (state == "57014") {
    return absl::UnavailableError(absl::StrFormat(
        "slot \"%s\" is not created yet: it waits for transactions that are still writing", slot));
  }
  if (fix.empty()) return status;
  return WithSqlState(absl::FailedPreconditionError(absl::StrFormat(
                          "slot \"%s\" cannot be created: %s%s", slot, MessageOf(status), fix)),
                      state);
}

absl::StatusOr<SlotFacts> EdgeState::ReadSlot(const std::string& slot) {
  ASSIGN_OR_RETURN(
      PgRows rows,
      connection_.Execute("SELECT plugin, database, coalesce(wal_status, ''), confirmed_flush_lsn, "
                          "temporary, slot_type, current_database(), restart_lsn IS NULL "
                          "FROM pg_replication_slots WHERE slot_name = $1",
                          {slot}));
  SlotFacts facts;
  if (rows.size() == 0) return facts;
  facts.exists = true;
  // restart_lsn disappears when the slot is invalidated; confirmed_flush_lsn stays and looks alive.
  facts.lost = rows.Text(0, 2) == "lost" || rows.Bool(0, 7);
  if (rows.Text(0, 5) != "logical" || rows.Text(0, 0) != "wal2json") {
    facts.reason = absl::StrFormat(
        "The replication slot \"%s\" is not a logical slot with plugin wal2json. Set postgres.slot "
        "to another name.",
        slot);
  } else if (rows.Text(0, 1) != rows.Text(0, 6)) {
    facts.reason = absl::StrFormat(
        "The replication slot \"%s\" belongs to database \"%s\", not to \"%s\". Set postgres.slot "
        "to another name.",
        slot, rows.Text(0, 1), rows.Text(0, 6));
  } else if (rows.Bool(0, 4)) {
    facts.reason = absl::StrFormat("The replication slot \"%s\" is temporary.", slot);
  }
  if (!rows.IsNull(0, 3)) {
    ASSIGN_OR_RETURN(facts.confirmed, Lsn::Parse(rows.Text(0, 3)));
  }
  return facts;
}

absl::StatusOr<std::optional<WriterRow>> EdgeState::ReadWriter(const std::string& source) {
  ASSIGN_OR_RETURN(PgRows exists, connection_.Execute(kStateExistsSql));
  if (!exists.Bool(0, 0)) return std::optional<WriterRow>();
  ASSIGN_OR_RETURN(PgRows rows,
                   connection_.Execute("SELECT epoch, writer, coalesce(previous_writer::text, ''), "
                                       "array_to_string(former_writers, ','), epoch_start "
                                       "FROM pmoves_sync.publisher_state WHERE source = $1",
                                       {source}));
  if (rows.size() == 0) return std::optional<WriterRow>();
  WriterRow row;
  row.epoch = static_cast<uint32_t>(rows.Int(0, 0));
  row.writer = rows.String(0, 1);
  row.previous_writer = rows.String(0, 2);
  row.former_writers = absl::StrSplit(rows.String(0, 3), ',', absl::SkipEmpty());
  ASSIGN_OR_RETURN(row.epoch_start, Lsn::Parse(rows.Text(0, 4)));
  return std::optional<WriterRow>(row);
}

absl::Status EdgeState::WriteWriter(const std::string& source,
                                    const std::optional<WriterRow>& before,
                                    const WriterRow& after) {
  const std::string epoch = absl::StrFormat("%d", after.epoch);
  const std::string former = "{" + absl::StrJoin(after.former_writers, ",") + "}";
  const PgParam previous =
      after.previous_writer.empty() ? PgParam() : PgParam(after.previous_writer);
  const std::string start = after.epoch_start.ToString();
  absl::StatusOr<PgRows> rows =
      before.has_value()
          ? connection_.Execute(
                "UPDATE pmoves_sync.publisher_state SET epoch = $2, writer = $3, previous_writer = "
                "$4, former_writers = $5, epoch_start = $6, updated_at = now() "
                "WHERE source = $1 AND writer = $7",
                {source, epoch, after.writer, previous, former, start, before->writer})
          : connection_.Execute(
                "INSERT INTO pmoves_sync.publisher_state (source, epoch, writer, previous_writer, "
                "former_writers, epoch_start) VALUES ($1, $2, $3, $4, $5, $6) "
                "ON CONFLICT (source) DO NOTHING",
                {source, epoch, after.writer, previous, former, start});
  if (!rows.ok()) return rows.status();
  if (rows->affected() == 1) return absl::OkStatus();
  return absl::AbortedError("another publisher took over the source at the same moment");
}

WriterRow TakeOver(const std::optional<WriterRow>& before, const StartDecision& decision,
                   const SlotFacts& slot, const std::string& writer) {
  WriterRow after;
  after.epoch = decision.epoch;
  after.writer = writer;
  after.previous_writer = decision.previous_writer;
  if (!before.has_value()) {
    after.epoch_start = slot.confirmed;
    return after;
  }
  after.epoch_start = before->epoch_start;
  after.former_writers = before->former_writers;
  auto& former = after.former_writers;
  const bool known = std::find(former.begin(), former.end(), before->writer) != former.end();
  if (before->writer != writer && !known) former.push_back(before->writer);
  if (former.size() > kMaxFormerWriters) former.erase(former.begin());
  return after;
}

}  // namespace pmoves
