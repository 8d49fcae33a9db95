#include "subscriber/io/letter_book.h"

#include <memory>
#include <utility>

#include "absl/strings/str_format.h"
#include "common/base/status.h"
#include "proto/message_codec.h"
#include "subscriber/core/dead_letter.h"
#include "subscriber/core/source_clock.h"

namespace pmoves {
namespace {

constexpr const char kOpen[] =
    "source = $1 AND state = 'open' AND kind = 'row' AND key IS NOT NULL";
constexpr const char kOfTable[] = "schema_name = $2 AND table_name = $3 AND hlc <= $4::bigint";
// The index is on the hash: a key may be larger than an index entry.
constexpr const char kOfRow[] = "hashtextextended(key, 0) = hashtextextended($5, 0) AND key = $5";
// Of whole messages that say something of the table. A forged one is nobody's change.
constexpr const char kOpenMessage[] =
    "source = $1 AND state = 'open' AND kind = 'message' AND reason <> 'forged'";
constexpr const char kSettle[] =
    "UPDATE pmoves_sync.dead_letter SET state = 'superseded', resolved_at = now(), resolution = "
    "'%s'";
constexpr const char kStored[] =
    "id, source, kind = 'message', reason, COALESCE(payload, ''), epoch, position, hlc, "
    "COALESCE((extract(epoch FROM stored_at) * 1000000)::bigint, 0)";

absl::StatusOr<StoredLetter> StoredFrom(const PgRows& rows, int i) {
  StoredLetter letter;
  letter.id = rows.Int(i, 0);
  letter.source = rows.String(i, 1);
  letter.whole_message = rows.Bool(i, 2);
  letter.reason = rows.String(i, 3);
  letter.payload = rows.String(i, 4);
  letter.message.envelope.source = letter.source;
  letter.message.envelope.epoch = static_cast<uint32_t>(rows.Int(i, 5));
  ASSIGN_OR_RETURN(letter.message.envelope.position, Lsn::Parse(rows.Text(i, 6)));
  letter.message.envelope.hlc = Hlc{rows.Int(i, 7)};
  letter.message.stored_us = rows.Int(i, 8);
  return letter;
}

}  // namespace

std::string Settling(const std::string& update) {
  return absl::StrFormat(
      "WITH settled AS (%s RETURNING id, state), resolved AS (UPDATE pmoves_sync.conflict_log c "
      "SET "
      "state = 'resolved', resolved_at = now(), resolution_note = concat_ws('; ', "
      "c.resolution_note, 'dead letter ' || s.state) FROM settled s WHERE c.dead_letter_id = s.id "
      "AND c.state = 'open') SELECT count(*) FROM settled",
      update);
}

LetterRow LetterRowOf(const ChangeSet& set, const Change& change) {
  return {*change.source, change.table->SourceSchema(), change.table->SourceTable(),
          KeyText(set, change), change.hlc};
}

absl::StatusOr<OpenLetters> LetterBook::Load(const std::string& source) {
  auto rows = connection_.Execute(
      absl::StrFormat("SELECT schema_name, table_name, key FROM pmoves_sync.dead_letter WHERE "
                      "%s UNION ALL SELECT DISTINCT schema_name, table_name, NULL FROM "
                      "pmoves_sync.dead_letter WHERE %s LIMIT %d",
                      kOpen, kOpenMessage, OpenLetters::kMostKeys + 1),
      {PgParam(source)});
  if (SqlStateOf(rows.status()) == "42703") {
    return absl::FailedPreconditionError(
        "schema pmoves_sync in the centre is that of an earlier version; run "
        "`pmoves-sync-subscriber init`");
  }
  RETURN_IF_ERROR(rows.status());
  OpenLetters letters;
  for (int i = 0; i < rows->size(); ++i) {
    if (rows->IsNull(i, 2)) {
      letters.AddTable(rows->Text(i, 0), rows->Text(i, 1));
    } else {
      letters.Add(rows->Text(i, 0), rows->Text(i, 1), rows->Text(i, 2));
    }
  }
  return letters;
}

absl::StatusOr<std::optional<Hlc>> LetterBook::Newest(const LetterRow& row) {
  const std::string before = std::to_string(row.before.value);
  ASSIGN_OR_RETURN(
      const PgRows rows,
      connection_.Execute(absl::StrFormat("SELECT max(hlc) FROM pmoves_sync.dead_letter WHERE %s "
                                          "AND %s AND %s",
                                          kOpen, kOfTable, kOfRow),
                          {PgParam(row.source), PgParam(row.schema), PgParam(row.table),
                           PgParam(before), PgParam(row.key)}));
  if (rows.IsNull(0, 0)) return std::optional<Hlc>();
  return std::optional<Hlc>(Hlc{rows.Int(0, 0)});
}

absl::StatusOr<LetterBook::Holes> LetterBook::HolesOf(const LetterRow& row) {
  const std::string before = std::to_string(row.before.value);
  ASSIGN_OR_RETURN(
      const PgRows rows,
      connection_.Execute(
          absl::StrFormat("SELECT COALESCE(bool_or(hlc <= $4::bigint), false), count(*) > 0 FROM "
                          "pmoves_sync.dead_letter WHERE %s AND schema_name = $2 AND table_name = "
                          "$3",
                          kOpenMessage),
          {PgParam(row.source), PgParam(row.schema), PgParam(row.table), PgParam(before)}));
  return Holes{rows.Bool(0, 0), rows.Bool(0, 1)};
}

absl::StatusOr<std::vector<StoredLetter>> LetterBook::Read(const LetterRow& row, int limit) {
  const std::string before = std::to_string(row.before.value);
  ASSIGN_OR_RETURN(const PgRows rows,
                   connection_.Execute(
                       absl::StrFormat("SELECT %s FROM pmoves_sync.dead_letter WHERE %s AND %s AND "
                                       "%s ORDER BY hlc, id LIMIT %d FOR UPDATE",
                                       kStored, kOpen, kOfTable, kOfRow, limit),
                       {PgParam(row.source), PgParam(row.schema), PgParam(row.table),
                        PgParam(before), PgParam(row.key)}));
  std::vector<StoredLetter> letters;
  for (int i = 0; i < rows.size(); ++i) {
    ASSIGN_OR_RETURN(StoredLetter letter, StoredFrom(rows, i));
    letters.push_back(std::move(letter));
  }
  return letters;
}

absl::StatusOr<StoredLetter> LetterBook::Lock(int64_t id) {
  ASSIGN_OR_RETURN(const PgRows rows, connection_.Execute(absl::StrFormat(
                                          "SELECT %s FROM pmoves_sync.dead_letter WHERE id = %d "
                                          "AND state = 'open' FOR UPDATE",
                                          kStored, id)));
  if (rows.size() == 0)
    return absl::NotFoundError(absl::StrFormat("there is no open dead letter %d", id));
  return StoredFrom(rows, 0);
}

absl::StatusOr<int64_t> LetterBook::OlderThan(const LetterRow& row, int64_t id, bool in_parts) {
  const std::string number = std::to_string(id);
  const std::string before = std::to_string(row.before.value);
  const std::string messages =
      in_parts ? absl::StrFormat(
                     " UNION ALL SELECT id, hlc FROM pmoves_sync.dead_letter WHERE %s "
                     "AND %s AND hlc < $4::bigint AND id <> $6::bigint",
                     kOpenMessage, kOfTable)
               : "";
  ASSIGN_OR_RETURN(
      const PgRows older,
      connection_.Execute(
          absl::StrFormat(
              "SELECT id FROM (SELECT id, hlc FROM pmoves_sync.dead_letter WHERE %s AND "
              "%s AND %s AND hlc < $4::bigint AND id <> $6::bigint%s) l ORDER BY hlc, "
              "id LIMIT 1",
              kOpen, kOfTable, kOfRow, messages),
          {PgParam(row.source), PgParam(row.schema), PgParam(row.table), PgParam(before),
           PgParam(row.key), PgParam(number)}));
  return older.size() == 0 ? 0 : older.Int(0, 0);
}

absl::StatusOr<int64_t> LetterBook::Supersede(const LetterRow& row, const char* why) {
  const std::string before = std::to_string(row.before.value);
  ASSIGN_OR_RETURN(const PgRows rows,
                   connection_.Execute(Settling(absl::StrFormat("%s WHERE %s AND %s AND %s",
                                                                absl::StrFormat(kSettle, why),
                                                                kOpen, kOfTable, kOfRow)),
                                       {PgParam(row.source), PgParam(row.schema),
                                        PgParam(row.table), PgParam(before), PgParam(row.key)}));
  return rows.Int(0, 0);
}

absl::StatusOr<int64_t> LetterBook::SupersedeTable(const LetterRow& row) {
  const std::string before = std::to_string(row.before.value);
  ASSIGN_OR_RETURN(
      const PgRows rows,
      connection_.Execute(
          Settling(absl::StrFormat("%s WHERE source = $1 AND state = 'open' AND reason <> 'forged' "
                                   "AND %s",
                                   absl::StrFormat(kSettle, "the source truncated the table later"),
                                   kOfTable)),
          {PgParam(row.source), PgParam(row.schema), PgParam(row.table), PgParam(before)}));
  return rows.Int(0, 0);
}

absl::Status AppendLetter(const StoredLetter& letter, const std::string* source, TargetTable* table,
                          RowDecoder* decoder, ChangeSet* set) {
  set->messages.push_back(std::make_unique<ReceivedMessage>(letter.message));
  ReceivedMessage& message = *set->messages.back();
  message.body = letter.payload;
  proto::BodyReader reader;
  proto::Body body;
  RETURN_IF_ERROR(reader.Read(&message.body, &body));
  const size_t first = set->changes.size();
  RETURN_IF_ERROR(decoder->Append(body, message, source, table, Lsn{}, set));
  // A row has its version; a whole message has those that were reserved for it.
  if (letter.whole_message) SourceClock(Hlc{message.envelope.hlc.value - 1}).Stamp(set, first);
  return absl::OkStatus();
}

}  // namespace pmoves
