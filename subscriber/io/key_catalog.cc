#include "subscriber/io/key_catalog.h"

#include "absl/strings/str_format.h"
#include "common/base/status.h"
#include "subscriber/core/key_types.h"
#include "subscriber/core/merge_sql.h"

namespace pmoves {
namespace {

// One row per key column and type that it is made of. The operator is the equality (strategy 3 of a
// btree) of the operator class that the primary key's index uses.
constexpr const char kKeySql[] = R"sql(
WITH RECURSIVE key AS (
  SELECT p.pos, a.attname, a.atttypid, a.attcollation, o.oprname, n.nspname
  FROM pg_index i
  CROSS JOIN LATERAL generate_series(0, i.indnkeyatts - 1) AS p(pos)
  JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = (i.indkey::int2[])[p.pos]
  JOIN pg_opclass c ON c.oid = (i.indclass::oid[])[p.pos]
  JOIN pg_amop m ON m.amopfamily = c.opcfamily AND m.amopstrategy = 3 AND m.amoplefttype = c.opcintype AND m.amoprighttype = c.opcintype
  JOIN pg_operator o ON o.oid = m.amopopr
  JOIN pg_namespace n ON n.oid = o.oprnamespace
  WHERE i.indrelid = $1::oid AND i.indisprimary AND a.attname <> '_source'
), part(pos, type, coll, nested) AS (
  SELECT pos, atttypid, attcollation, false FROM key
  UNION
  SELECT p.pos, x.type, COALESCE(NULLIF(x.coll, 0), p.coll), p.nested OR t.typtype <> 'd'
  FROM part p JOIN pg_type t ON t.oid = p.type
  CROSS JOIN LATERAL (
    SELECT t.typbasetype, 0::oid WHERE t.typtype = 'd'
    UNION ALL SELECT t.typelem, 0::oid WHERE t.typtype = 'b' AND t.typelem <> 0 AND t.typlen = -1
    UNION ALL SELECT r.rngsubtype, r.rngcollation FROM pg_range r WHERE t.oid IN (r.rngtypid, r.rngmultitypid)
    UNION ALL SELECT a.atttypid, a.attcollation FROM pg_attribute a WHERE t.typtype = 'c' AND a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
  ) AS x(type, coll)
)
SELECT k.attname, k.nspname, k.oprname, t.typname, t.typnamespace = 'pg_catalog'::regnamespace, t.typtype = 'e', p.nested, COALESCE(c.collisdeterministic, true)
FROM key k JOIN part p USING (pos) JOIN pg_type t ON t.oid = p.type LEFT JOIN pg_collation c ON c.oid = p.coll AND t.typcollation <> 0
WHERE t.typtype = 'e' OR t.typtype = 'b' AND NOT (t.typelem <> 0 AND t.typlen = -1)
ORDER BY k.pos, p.nested, t.typname)sql";

}  // namespace

absl::StatusOr<std::vector<std::string>> ReadKey(PgConnection& connection, TargetTable* table) {
  const std::string oid = std::to_string(table->oid);
  ASSIGN_OR_RETURN(const PgRows rows, connection.Execute(kKeySql, {PgParam(oid)}));
  std::vector<KeyPart> parts;
  for (int i = 0; i < rows.size(); ++i) {
    parts.push_back({rows.String(i, 0), rows.String(i, 3), rows.Bool(i, 4), rows.Bool(i, 5),
                     rows.Bool(i, 6), rows.Bool(i, 7)});
    const int index = table->Find(rows.Text(i, 0));
    if (index < 0) continue;
    const std::string schema = rows.String(i, 1);
    const std::string name = rows.String(i, 2);
    table->columns[static_cast<size_t>(index)].equals =
        schema == "pg_catalog" && name == "="
            ? "="
            : absl::StrFormat("OPERATOR(%s.%s)", SqlIdentifier(schema), name);
  }
  return KeyProblems(parts);
}

}  // namespace pmoves
