// move_sql: a row that gets another key, updated in place. Tested on a real server
// (moves_test).
//
// In the flow:  batch (a kMove) -> move_sql -> pg_target prepares and runs
//
// For rows that nobody else looks at, a key change is a delete and an insert. Where triggers fire,
// that is another thing: ON DELETE CASCADE would take the rows that refer to it. So the row that is
// there is updated, and those that refer to it follow by ON UPDATE. It is not where
//   - the row under the old key is newer than the change, or (a partial update) another source's,
//   - the new key is taken by another row, or buried by a newer delete,
//   - (registers) another source reports the old key as well, so the row stays where it is.
// Then no row is affected, and the change goes on as a delete and an insert.
// Thread: any. Pure.
#ifndef PMOVES_SUBSCRIBER_CORE_MOVE_SQL_H_
#define PMOVES_SUBSCRIBER_CORE_MOVE_SQL_H_

#include "subscriber/core/merge_sql.h"
#include "subscriber/core/target_table.h"

namespace pmoves {

// Both with the parameters of MoveRow: the shape's, source, committed, version, the old key.
// By row version: all columns of the shape and the version are written.
RowStatement MoveInPlace(const TargetTable& table, const Shape& shape, bool whole);
// With registers the key alone; the rest follows from them.
RowStatement RegisterMoveInPlace(const TargetTable& table, const Shape& shape);

}  // namespace pmoves

#endif  // PMOVES_SUBSCRIBER_CORE_MOVE_SQL_H_
