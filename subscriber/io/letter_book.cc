#include "subscriber/io/letter_book.h"

#include "absl/strings/str_format.h"
#include "common/base/status.h"
#include "subscriber/core/dead_letter.h"

namespace pmoves {
namespace {

constexpr const char kOpen[] =
    "source = $1 AND state = 'open' AND kind = 'row' AND key IS NOT NULL";
constexpr const char kOfTable[] = "schema_name = $2 AND table_name = $3 AND hlc <= $4::bigint";
// The index is on the hash: a key may be larger than an index entry.
constexpr const char kOfRow[] = "hashtextextended(key, 0) = hashtextextended($5, 0) AND key = $5";
constexpr const char kSettle[] =
    "UPDATE pmoves_sync.dead_letter SET state = 'superseded', resolved_at = now(), resolution = "
    "'a later change brought the whole row, or its delete'";

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
                      "%s LIMIT %d",
                      kOpen, OpenLetters::kMostKeys + 1),
      {PgParam(source)});
  if (SqlStateOf(rows.status()) == "42703") {
    return absl::FailedPreconditionError(
        "schema pmoves_sync in the centre is that of an earlier version; run "
        "`pmoves-sync-subscriber init`");
  }
  RETURN_IF_ERROR(rows.status());
  OpenLetters letters;
  for (int i = 0; i < rows->size(); ++i)
    letters.Add(rows->Text(i, 0), rows->Text(i, 1), rows->Text(i, 2));
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

absl::StatusOr<int64_t> LetterBook::Supersede(const LetterRow& row) {
  const std::string before = std::to_string(row.before.value);
  ASSIGN_OR_RETURN(const PgRows rows,
                   connection_.Execute(Settling(absl::StrFormat("%s WHERE %s AND %s AND %s",
                                                                kSettle, kOpen, kOfTable, kOfRow)),
                                       {PgParam(row.source), PgParam(row.schema),
                                        PgParam(row.table), PgParam(before), PgParam(row.key)}));
  return rows.Int(0, 0);
}

absl::StatusOr<int64_t> LetterBook::SupersedeTable(const LetterRow& row) {
  const std::string before = std::to_string(row.before.value);
  ASSIGN_OR_RETURN(
      const PgRows rows,
      connection_.Execute(
          Settling(absl::StrFormat("%s WHERE %s AND %s", kSettle, kOpen, kOfTable)),
          {PgParam(row.source), PgParam(row.schema), PgParam(row.table), PgParam(before)}));
  return rows.Int(0, 0);
}

}  // namespace pmoves
