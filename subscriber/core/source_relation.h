// source_relation: whether a table of the centre can take what a source's table is.
//
// In the flow:  a RELATION message -> KeyMismatch -> Worker (the source waits)
// Rows are found by the key. Where the source tells rows apart that are one for the centre, one
// would overwrite the other without a word; so the keys are compared before the first row.
// Thread:       any. Pure.
#ifndef PMOVES_SUBSCRIBER_CORE_SOURCE_RELATION_H_
#define PMOVES_SUBSCRIBER_CORE_SOURCE_RELATION_H_

#include "absl/status/status.h"
#include "proto/change_message.h"
#include "subscriber/core/target_table.h"

namespace pmoves {

// kFailedPrecondition names both keys, and what mends it. Columns that the centre fills
// (tables[].constants) count as equal on both sides. Where old rows are identified by another index
// than the primary key, the key of the source is not told: then only the columns of the centre's
// key must be among those that identify a row.
absl::Status KeyMismatch(const proto::RelationDefinition& relation, const TargetTable& table);

}  // namespace pmoves

#endif  // PMOVES_SUBSCRIBER_CORE_SOURCE_RELATION_H_
