#include "subscriber/core/table_mark.h"

#include <vector>

#include "absl/strings/str_format.h"
#include "subscriber/core/merge_sql.h"
#include "subscriber/core/sql_array.h"

namespace pmoves {

// format_type tells of a type that was renamed: that touches no row of the table's.
std::string TableMark(const std::string& oid) {
  return absl::StrFormat(
      "(SELECT concat_ws(':', count(*), sum(a.xmin::text::bigint), "
      "string_agg(format_type(a.atttypid, a.atttypmod), ',' ORDER BY a.attnum)) FROM pg_attribute "
      "a WHERE a.attrelid = %1$s AND a.attnum > 0) || (SELECT concat_ws(':', '', count(*), "
      "sum(i.indexrelid::bigint), sum(i.xmin::text::bigint)) FROM pg_index i WHERE i.indrelid = "
      "%1$s AND i.indisprimary)",
      oid);
}

MarkedTables MarksOf(const std::set<const TargetTable*>& tables) {
  const std::vector<const TargetTable*> all(tables.begin(), tables.end());
  return {ArrayBody(all, [](const TargetTable* table) { return std::to_string(table->oid); }),
          ArrayBody(all, [](const TargetTable* table) { return ArrayElement(SqlTable(*table)); }),
          ArrayBody(all, [](const TargetTable* table) { return ArrayElement(table->mark); })};
}

std::string AlteredTables(const std::string& oids, const std::string& names,
                          const std::string& marks) {
  return absl::StrFormat(
      "SELECT k.name FROM unnest(%s::oid[], %s::text[], %s::text[]) AS k(oid, name, mark) WHERE "
      "to_regclass(k.name) IS DISTINCT FROM k.oid OR %s IS DISTINCT FROM k.mark",
      oids, names, marks, TableMark("k.oid"));
}

}  // namespace pmoves
