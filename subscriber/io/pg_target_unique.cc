// A row that another one keeps out by a secondary unique index: what is in its way goes to the
// conflict log. See pg_target.h and unique_sql.h.
#include <optional>
#include <utility>

#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "common/base/reaction.h"
#include "common/base/status.h"
#include "common/base/time_text.h"
#include "subscriber/core/unique_sql.h"
#include "subscriber/io/pg_target.h"
#include "subscriber/io/unique_indexes.h"

namespace pmoves {
namespace {

// A truncate recomputes many rows; the first that is refused is shown.
constexpr int kMostRowsToLookAt = 1000;

PgParam OrNull(const std::optional<std::string>& text) {
  return text.has_value() ? PgParam(*text) : PgParam();
}

std::optional<std::string> TextOrNull(const PgRows& rows, int row, int column) {
  if (rows.IsNull(row, column)) return std::nullopt;
  return rows.String(row, column);
}

}  // namespace

absl::StatusOr<bool> PgTarget::RefusedBySecondaryUnique(const TargetTable& table,
                                                        const absl::Status& why) {
  if (SqlStateOf(why) != "23505") return false;
  return IsSecondaryUnique(connection_, table.oid, ConstraintOf(why));
}

absl::Status PgTarget::LogUniqueConflict(ChangeSet* set, size_t index, const DeadLetter& letter) {
  const TargetTable& table = *set->changes[index].table;
  if (table.policy.log == ConflictLog::kOff) return absl::OkStatus();
  const int64_t hidden = hidden_;
  RETURN_IF_ERROR(connection_.Execute("SAVEPOINT conflict").status());
  auto found = FindUniqueConflict(set, index);
  hidden_ = hidden;
  if (!connection_.IsOpen()) return found.status();
  RETURN_IF_ERROR(
      connection_.Execute("ROLLBACK TO SAVEPOINT conflict; RELEASE SAVEPOINT conflict").status());
  ForgetUncommittedStages();
  locks_.clear();
  UniqueConflict conflict;
  if (found.ok()) {
    conflict = *std::move(found);
  } else if (ReactionTo(found.status()).reaction == Reaction::kRetry) {
    return found.status();
  }
  // What cannot be looked up is not shown; that the change was set aside is.
  return WriteUniqueConflict(*set, set->changes[index], conflict, letter);
}

absl::StatusOr<std::vector<PgTarget::RowToBe>> PgTarget::RowsRefused(ChangeSet* set, size_t index) {
  const Change change = set->changes[index];
  std::vector<RowToBe> rows;
  if (!UsesRegisters(change.table->policy)) {
    if (change.shape != nullptr) rows.push_back({ImageText(*set, change), *change.source});
    return rows;
  }
  RETURN_IF_ERROR(LockTables(*set, index, index + 1));
  RETURN_IF_ERROR(BeginTouching());
  for (const MergeStep& step : PlanMerge(set, index, index + 1)) {
    RETURN_IF_ERROR(RunStep(*set, step));
  }
  ASSIGN_OR_RETURN(const PgRows computed,
                   connection_.Execute(RowsToBe(*change.table, kMostRowsToLookAt)));
  for (int i = 0; i < computed.size(); ++i)
    rows.push_back({computed.String(i, 0), computed.String(i, 1)});
  return rows;
}

absl::StatusOr<PgTarget::UniqueConflict> PgTarget::FindUniqueConflict(ChangeSet* set,
                                                                      size_t index) {
  const Change change = set->changes[index];
  ASSIGN_OR_RETURN(const std::vector<RowToBe> refused, RowsRefused(set, index));
  ASSIGN_OR_RETURN(const std::vector<UniqueIndex> indexes,
                   SecondaryUniqueIndexes(connection_, change.table->oid));
  UniqueConflict conflict;
  if (indexes.empty()) return conflict;
  ASSIGN_OR_RETURN(const GeneratedColumns generated,
                   GeneratedColumnsOf(connection_, change.table->oid));
  const std::string find = FindBlocking(*change.table, indexes, generated);
  const std::string base = change.shape == nullptr ? "{}" : BaseKeyText(*set, change);
  for (const RowToBe& row : refused) {
    ASSIGN_OR_RETURN(
        const PgRows blocking,
        connection_.Execute(find, {PgParam(row.image), PgParam(row.source), PgParam(base)}));
    if (blocking.size() == 0) continue;
    std::vector<std::string> notes;
    std::set<std::string> keys;
    for (int i = 0; i < blocking.size(); ++i) {
      keys.insert(blocking.String(i, 1));
      notes.push_back(
          absl::StrFormat("constraint %s: row %s", blocking.Text(i, 0), blocking.Text(i, 1)));
    }
    conflict.rows = static_cast<int>(keys.size());
    conflict.note = absl::StrJoin(notes, "; ");
    conflict.local_source = TextOrNull(blocking, 0, 2);
    conflict.local_version = TextOrNull(blocking, 0, 3);
    conflict.local_row = TextOrNull(blocking, 0, 4);
    conflict.key = TextOrNull(blocking, 0, 5);
    conflict.shown = TextOrNull(blocking, 0, 6);
    break;
  }
  return conflict;
}

absl::Status PgTarget::WriteUniqueConflict(const ChangeSet& set, const Change& change,
                                           const UniqueConflict& conflict,
                                           const DeadLetter& letter) {
  const TargetTable& table = *change.table;
  const char* const type = conflict.rows > 1 ? "multiple_unique_conflicts" : "update_exists";
  const std::string key = conflict.key.value_or(letter.key.empty() ? "{}" : letter.key);
  const std::string version = std::to_string(change.hlc.value);
  const std::string committed = FormatRfc3339(change.commit_us);
  const std::string identity = letter.Identity();
  const std::string rule(InfoOf(table.policy.row.kind).name);
  const std::string note = conflict.note.empty() ? letter.message : conflict.note;
  std::optional<std::string> remote;
  if (change.kind != ChangeKind::kDelete && change.kind != ChangeKind::kTruncate)
    remote = ImageText(set, change);
  RETURN_IF_ERROR(
      connection_
          .Execute("INSERT INTO pmoves_sync.conflict_log (type, resolution, lossy, state, "
                   "schema_name, table_name, key, remote_source, remote_version, "
                   "remote_committed_at, remote_row, local_source, local_version, local_row, "
                   "applied_row, rule, resolution_note, dead_letter_id) VALUES ($1, 'set_aside', "
                   "true, 'open', $2, $3, $4::jsonb, $5, $6, $7, "
                   "pmoves_sync.log_image($8::jsonb), $9, $10, pmoves_sync.log_image($11::jsonb), "
                   "pmoves_sync.log_image($12::jsonb), $13, $14, (SELECT id FROM "
                   "pmoves_sync.dead_letter WHERE identity = $15))",
                   {PgParam(type), PgParam(table.schema), PgParam(table.table), PgParam(key),
                    PgParam(*change.source), PgParam(version), PgParam(committed), OrNull(remote),
                    OrNull(conflict.local_source), OrNull(conflict.local_version),
                    OrNull(conflict.local_row), OrNull(conflict.shown), PgParam(rule),
                    PgParam(note), PgParam(identity)})
          .status());
  ++conflicts_[{DisplayTable(table.schema, table.table), type, "set_aside"}];
  return absl::OkStatus();
}

}  // namespace pmoves
