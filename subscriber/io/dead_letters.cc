#include "subscriber/io/dead_letters.h"

#include <algorithm>
#include <limits>
#include <memory>
#include <utility>

#include "absl/strings/str_format.h"
#include "common/base/status.h"
#include "proto/message_codec.h"
#include "subscriber/core/row_decoder.h"
#include "subscriber/io/letter_book.h"
#include "subscriber/io/pg_catalog.h"
#include "subscriber/io/pg_target.h"

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

// A partial update must not be laid over a row that lacks an earlier change.
absl::Status RequireOldestOfRow(PgConnection& connection, const LetterRow& row, int64_t id) {
  const std::string number = std::to_string(id);
  const std::string before = std::to_string(row.before.value);
  ASSIGN_OR_RETURN(
      const PgRows older,
      connection.Execute("SELECT id FROM pmoves_sync.dead_letter WHERE source = $1 AND state = "
                         "'open' AND kind = 'row' AND schema_name = $2 AND table_name = $3 AND "
                         "hashtextextended(key, 0) = hashtextextended($4, 0) AND key = $4 AND hlc "
                         "< $5::bigint AND id <> $6::bigint ORDER BY hlc LIMIT 1",
                         {PgParam(row.source), PgParam(row.schema), PgParam(row.table),
                          PgParam(row.key), PgParam(before), PgParam(number)}));
  if (older.size() == 0) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrFormat(
      "dead letter %d is an earlier change of the same row: retry or discard that one first",
      older.Int(0, 0)));
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

absl::StatusOr<std::vector<DeadLetterStore::RetryResult>> DeadLetterStore::Retry(
    std::optional<int64_t> id) {
  std::vector<int64_t> ids;
  if (id.has_value()) {
    ids.push_back(*id);
  } else {
    ASSIGN_OR_RETURN(
        const PgRows rows,
        connection_.Execute("SELECT id FROM pmoves_sync.dead_letter WHERE state = 'open' ORDER BY "
                            "source, epoch, position, chunk, row_index, id"));
    for (int i = 0; i < rows.size(); ++i) ids.push_back(rows.Int(i, 0));
  }
  std::vector<RetryResult> results;
  for (int64_t next : ids) {
    auto superseded = RetryOne(next, /*asked_for=*/id.has_value());
    if (!superseded.ok()) {
      if (!connection_.IsOpen()) return superseded.status();
      connection_.Rollback();
      // What the retry prepared outlives its rollback, and would be in the way of the next.
      RETURN_IF_ERROR(connection_.ForgetStatements());
      // A row that is missing is asked for anew.
      const char* const ask = absl::IsNotFound(superseded.status()) ? "t" : "f";
      (void)connection_.Execute(
          "UPDATE pmoves_sync.dead_letter SET message = $2, sqlstate = $3, refetch_attempts = 0, "
          "refetch_at = CASE WHEN $4::boolean AND key IS NOT NULL THEN clock_timestamp() ELSE "
          "refetch_at END WHERE id = $1::bigint AND state = 'open'",
          {PgParam(std::to_string(next)), PgParam(MessageOf(superseded.status())),
           PgParam(SqlStateOf(superseded.status())), PgParam(ask)});
    }
    results.push_back({next, superseded.status(), superseded.ok() && *superseded});
  }
  return results;
}

// Looks after the merge, so it cannot miss what was collected before.
absl::StatusOr<bool> DeadLetterStore::IsTooLate(const TargetTable& table, const ChangeSet& set) {
  Hlc lowest{std::numeric_limits<int64_t>::max()};
  for (const Change& change : set.changes) lowest = std::min(lowest, change.hlc);
  ASSIGN_OR_RETURN(
      const PgRows rows,
      connection_.Execute("SELECT EXISTS (SELECT 1 FROM pmoves_sync.collection WHERE "
                          "relation = $1 AND horizon > $2::bigint)",
                          {PgParam(table.Name()), PgParam(std::to_string(lowest.value))}));
  return rows.Bool(0, 0);
}

absl::StatusOr<bool> DeadLetterStore::RetryOne(int64_t id, bool asked_for) {
  RETURN_IF_ERROR(connection_.Execute("BEGIN").status());
  ASSIGN_OR_RETURN(const PgRows rows, connection_.Execute(absl::StrFormat(
                                          "SELECT source, payload, reason, epoch, position, hlc, "
                                          "COALESCE((extract(epoch FROM stored_at) * "
                                          "1000000)::bigint, 0), kind "
                                          "FROM pmoves_sync.dead_letter WHERE id = %d AND state = "
                                          "'open' FOR UPDATE",
                                          id)));
  if (rows.size() == 0)
    return absl::NotFoundError(absl::StrFormat("there is no open dead letter %d", id));
  if (rows.IsNull(0, 1) || rows.Text(0, 2) == "forged") {
    return absl::InvalidArgumentError(
        "this message cannot become a change (see its reason); discard it when it has been looked "
        "into");
  }
  const std::string source = rows.String(0, 0);
  auto message = std::make_unique<ReceivedMessage>();
  message->body = rows.String(0, 1);
  message->envelope.source = source;
  message->envelope.epoch = static_cast<uint32_t>(rows.Int(0, 3));
  ASSIGN_OR_RETURN(message->envelope.position, Lsn::Parse(rows.Text(0, 4)));
  message->envelope.hlc = Hlc{rows.Int(0, 5)};
  message->stored_us = rows.Int(0, 6);
  proto::BodyReader reader;
  proto::Body body;
  RETURN_IF_ERROR(reader.Read(&message->body, &body));
  TargetCatalog catalog(connection_, config_.tables);
  catalog.RequireRules();
  ASSIGN_OR_RETURN(TargetTable* const table, catalog.Find(body.schema, body.table));
  if (!table->Allows(source))
    return absl::InvalidArgumentError(
        absl::StrFormat("source %s may not write %s", source, table->Name()));
  ChangeSet set;
  RETURN_IF_ERROR(RowDecoder().Append(body, *message, &source, table, Lsn{}, &set));
  // A row has its version; a whole message has those that were reserved for it.
  if (rows.Text(0, 7) == "message") {
    SourceClock(Hlc{message->envelope.hlc.value - 1}).Stamp(&set, 0);
  }
  PgTarget target(connection_);
  for (const Change& change : set.changes) {
    const bool lacks_columns =
        change.kind == ChangeKind::kPartial || (change.kind == ChangeKind::kMove && !change.whole);
    if (!lacks_columns) continue;
    RETURN_IF_ERROR(RequireOldestOfRow(connection_, LetterRowOf(set, change), id));
  }
  RETURN_IF_ERROR(target.Apply(&set, 0, set.changes.size()));
  for (const Change& change : set.changes) {
    const bool moved = change.kind == ChangeKind::kMove && change.whole;
    if (change.kind != ChangeKind::kWhole && change.kind != ChangeKind::kDelete && !moved) continue;
    RETURN_IF_ERROR(LetterBook(connection_).Supersede(LetterRowOf(set, change)).status());
    if (!moved) continue;
    RETURN_IF_ERROR(LetterBook(connection_).Supersede(LetterRowOf(set, OldKeyOf(change))).status());
  }
  if (!asked_for) {
    ASSIGN_OR_RETURN(const bool too_late, IsTooLate(*table, set));
    if (too_late) return ComesTooLate(*table);
  }
  const bool superseded = target.hidden() >= static_cast<int64_t>(set.changes.size());
  RETURN_IF_ERROR(connection_
                      .Execute(Settling("UPDATE pmoves_sync.dead_letter SET state = 'retried', "
                                        "resolved_at = now(), resolution = $2 WHERE id = "
                                        "$1::bigint"),
                               {PgParam(std::to_string(id)),
                                PgParam(superseded ? "superseded by a newer version" : "applied")})
                      .status());
  target.ForgetStatements();
  RETURN_IF_ERROR(connection_.Commit());
  return superseded;
}

}  // namespace pmoves
