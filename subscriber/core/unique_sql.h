// unique_sql: which rows are in the way of one that a unique index refuses, as a query.
//
// In the flow:  pg_target (a change failed alone with 23505) -> unique_sql -> conflict_log
// The row is never merged with what is in its way, and neither is deleted: both are shown to a
// person. Thread: any. Pure.
#ifndef PMOVES_SUBSCRIBER_CORE_UNIQUE_SQL_H_
#define PMOVES_SUBSCRIBER_CORE_UNIQUE_SQL_H_

#include <string>
#include <utility>
#include <vector>

#include "subscriber/core/change.h"
#include "subscriber/core/target_table.h"

namespace pmoves {

// A unique index beside the primary key, as the catalog has it.
struct UniqueIndex {
  std::string name;
  std::vector<std::string> expressions;  // SQL over the table's columns, one per key column
  std::vector<std::string> equals = {};  // the operator of each; none: "="
  std::string predicate = {};            // of a partial index; empty: none
  bool nulls_equal = false;              // NULLS NOT DISTINCT
  bool has_source = false;               // sources cannot meet in it
  bool deferrable = false;
  std::string trigger = {};     // deferrable: the constraint's trigger ...
  bool checks_replica = false;  // ... which also fires where changes are applied as a replica
};

// Name and SQL of the generated columns of a table.
using GeneratedColumns = std::vector<std::pair<std::string, std::string>>;

// The rows that a row collides with in any of the indexes. Parameters: $1 jsonb, the row's columns
// as an image; $2 its source; $3 jsonb, the key of the row that columns without image are taken
// from. Result, first index first: index, key, _source, _sync_version and image of the row in the
// way; the refused row's own key, and the image that is there under it (or null).
std::string FindBlocking(const TargetTable& table, const std::vector<UniqueIndex>& indexes,
                         const GeneratedColumns& generated);

// What a change brings, as an image: {"id":"7","status":null}.
std::string ImageText(const ChangeSet& set, const Change& change);
// The key of the row under which the change finds what it does not bring, as an image.
std::string BaseKeyText(const ChangeSet& set, const Change& change);

}  // namespace pmoves

#endif  // PMOVES_SUBSCRIBER_CORE_UNIQUE_SQL_H_
