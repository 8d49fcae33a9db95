// What a table of the centre looked like when it was read, as one short text, and SQL that finds
// those that look otherwise by now.
//
// In the flow:  TargetCatalog reads a table's mark before its columns; the last statement of every
// transaction that writes rows (PgTarget, and what else writes through a TargetTable) compares.
// Invariant:    the transaction's own writes hold a lock on the table that ALTER TABLE, CREATE
// INDEX and renames wait for, so a table that is as marked at the end was so while it was written,
// and is so until the commit. Pure.
#ifndef PMOVES_SUBSCRIBER_CORE_TABLE_MARK_H_
#define PMOVES_SUBSCRIBER_CORE_TABLE_MARK_H_

#include <set>
#include <string>

#include "subscriber/core/target_table.h"

namespace pmoves {

// An SQL expression, text: changes with every column (type, modifier, name of the type, default,
// generated, identity, NOT NULL) and with the primary key of the table whose oid is `oid`. Each
// change of a catalog row gives it another xmin; no row is ever changed back.
std::string TableMark(const std::string& oid);

// The same tables as the texts of three arrays: oid[], text[] (names as SQL), text[] (marks).
struct MarkedTables {
  std::string oids, names, marks;
};
MarkedTables MarksOf(const std::set<const TargetTable*>& tables);

// Rows: the names of those that are not there any more, or not as marked. The arguments are SQL
// expressions of the three arrays.
std::string AlteredTables(const std::string& oids, const std::string& names,
                          const std::string& marks);

}  // namespace pmoves

#endif  // PMOVES_SUBSCRIBER_CORE_TABLE_MARK_H_
