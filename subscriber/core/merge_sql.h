// merge_sql: APPLY as text. (table, kind, shape) -> the statements that merge changes into the
// centre. Golden-tested.
//
// In the flow:  batch (EffectGroup) -> merge_sql -> pg_target prepares and runs
//
// last-write-wins per row: a change is written when its version (hlc, source) is above that of the
// row and that of the key's tombstone; else it changes nothing. Applying a set of changes in any
// order, in any batches, any number of times gives the same rows (promises C1, S3).
//
//   - whole rows: INSERT ... ON CONFLICT (key) DO UPDATE ... WHERE the row's version is older,
//     unless a tombstone is newer.
//   - deletes: a tombstone for every key (a late older insert must stay dead), then the row goes if
//     it is older.
//     With delete: soft (and a row that nobody else writes) the row stays and gets the time.
//   - partial updates: UPDATE ... WHERE the row is this source's own and older: columns that did
//     not travel must be those of the same source, or the row would be one that nobody ever had.
//     Zero rows mean "hidden by a newer one", "missing" or "another source's": pg_target asks
//     which.
//   - moves: the source's own older row under the old key goes, and an INSERT under the new key
//     takes the columns that did not travel from it (it goes first, or the two would meet in a
//     unique index); then a delete of the old key, for its tombstone.
//   - truncate, own-rows: this source's rows leave, each with a tombstone just above the ROW's
//     version, so that an older write of another source stays dead and a newer one lives, whichever
//     comes first. Just above is the same stamp and the source with a blank, which sorts before
//     every other name: a whole tick more would bury another source's row of that stamp. all: every
//     older row leaves, and the truncate's version becomes the table's floor: what is below is
//     buried, also under keys that the centre never saw. Only statements of tables with this policy
//     look at the floor. quarantine: an operator's retry is own-rows.
//
// A tombstone buries only what is strictly older: a key change is a delete and a row of one
// version, and for the database the two keys may be equal (1.0 and 1.00, citext). The row must
// live.
//
// Two statements race: an insert that sees no tombstone yet, beside a delete that sees no row yet,
// would leave a zombie. pg_target therefore takes a shared advisory lock per table for inserts and
// an exclusive one when deletes are in the batch, before the first statement (its snapshot).
//
// Where the key has _source (identity: per-source) it is part of every key that is compared here,
// and of the tombstones' keys: a source finds its own rows only.
//
// Compared sources use COLLATE "C": the database's collation must not decide who wins.
// Thread: any. Pure.
#ifndef PMOVES_SUBSCRIBER_CORE_MERGE_SQL_H_
#define PMOVES_SUBSCRIBER_CORE_MERGE_SQL_H_

#include <string>
#include <vector>

#include "subscriber/core/target_table.h"

namespace pmoves {

std::string SqlIdentifier(std::string_view name);
std::string SqlLiteral(std::string_view text);
// "schema"."table"
std::string SqlTable(const TargetTable& table);
// The tombstone key of the row called `alias`: jsonb array text of _source where the key has it,
// and the key columns in canonical form.
std::string TombstoneKey(const TargetTable& table, const std::string& alias);

// alias."id" = (keys.key::jsonb->>0)::uuid AND ...: the row of such a text.
std::string KeyFromText(const TargetTable& table, const std::string& alias,
                        const std::string& keys);

// Temporary table for rows of a shape: the written columns as c0.., then source, committed,
// version. Emptied at commit.
std::string CreateStage(const TargetTable& table, const Shape& shape, const std::string& stage);
std::string CopyIntoStage(const std::string& stage);
// Rows of a shape straight into the table, columns as in a stage: for rows that the centre lacks.
std::string CopyIntoTable(const TargetTable& table, const Shape& shape);
// No row of the columns that CopyIntoTable writes: their types, which stay while the transaction
// lasts.
std::string SelectNoRows(const TargetTable& table, const Shape& shape);

// Set-wise: from a stage.
// kNone: the caller knows, under the table's lock, that the table has neither tombstones nor a
// floor, and saves the look per row.
enum class Tombstones { kNone, kSome };
std::string UpsertFromStage(const TargetTable& table, const Shape& shape, const std::string& stage,
                            Tombstones tombstones);
std::string DeleteFromStage(const TargetTable& table, const Shape& shape, const std::string& stage);

// One row, parameters: $1..$n the written columns of the shape in order, then source, committed
// (timestamptz text), version.
struct RowStatement {
  std::string sql;
  std::vector<uint32_t> parameter_types;
};
RowStatement UpsertRow(const TargetTable& table, const Shape& shape);
RowStatement DeleteRow(const TargetTable& table, const Shape& shape);
RowStatement PartialRow(const TargetTable& table, const Shape& shape);
// After the shape's parameters come source, committed, version and then the old key's columns.
RowStatement MoveRow(const TargetTable& table, const Shape& shape);
// Pieces of statements, for register_sql.
inline constexpr uint32_t kInt8Oid = 20;
inline constexpr uint32_t kTextOid = 25;
inline constexpr uint32_t kTimestamptzOid = 1184;
// "(SELECT $1 AS "a", ..., $n AS _sync_version) s", and the parameters' types.
std::string ParameterRow(const TargetTable& table, const Shape& shape,
                         std::vector<uint32_t>* types);
// $n AS "key", ... and the parameters' types.
std::string ParameterKey(const TargetTable& table, std::vector<uint32_t>* types);
// Versions of two aliases compared; `op` is "<", ">" or ">=".
std::string CompareVersions(const std::string& left, const char* op, const std::string& right);
// Neither a tombstone nor, where a truncate takes all rows, the table's floor is newer than s.
std::string NotBuried(const TargetTable& table);
// The version that an UPDATE of `left` writes, `right`'s: an error if a column that PostgreSQL does
// not update (GENERATED ALWAYS AS IDENTITY) were to get another value by it. Of these columns, -1
// for none.
std::string VersionUnlessFixed(const TargetTable& table, const std::vector<int>& columns,
                               const std::string& left, const std::string& right);
// Is it such a column? In the key its value is equal anyway.
bool IsFixed(const TargetTable& table, int column);
// left."id" = right."id" AND ...
std::string KeysEqual(const TargetTable& table, const std::string& left, const std::string& right);
// The rows of a stage with the target's names, as s.
std::string StageRow(const TargetTable& table, const Shape& shape, const std::string& stage);

// Why a partial update or a move changed nothing. Parameters: the key columns, source, version
// (bigint). One row, one column: "hidden" when the row or a tombstone is at least as new,
// "update_incomplete" when the row is another source's, "update_missing" when there is neither.
RowStatement WhyUntouched(const TargetTable& table);
// Parameters: source, committed, version.
RowStatement TruncateOwnRows(const TargetTable& table);
RowStatement TruncateAll(const TargetTable& table);

}  // namespace pmoves

#endif  // PMOVES_SUBSCRIBER_CORE_MERGE_SQL_H_
