#include "subscriber/io/unique_indexes.h"

#include "common/base/status.h"

namespace pmoves {
namespace {

// One row per index and column. NULLS NOT DISTINCT came with PostgreSQL 15.
constexpr const char kIndexesSql[] = R"sql(
SELECT c.relname, pg_get_indexdef(i.indexrelid, k, true), pg_get_expr(i.indpred, i.indrelid),
  COALESCE((to_jsonb(i)->>'indnullsnotdistinct')::boolean, false),
  EXISTS (SELECT 1 FROM pg_attribute a WHERE a.attrelid = i.indrelid AND a.attname = '_source' AND a.attnum = ANY (i.indkey::int2[])),
  NOT i.indimmediate, t.tgname, COALESCE(t.tgenabled IN ('A', 'R'), false),
  (SELECT format('OPERATOR(%I.%s)', n.nspname, p.oprname) FROM pg_opclass oc JOIN pg_amop m ON m.amopfamily = oc.opcfamily AND m.amopstrategy = 3 AND m.amoplefttype = oc.opcintype AND m.amoprighttype = oc.opcintype
   JOIN pg_operator p ON p.oid = m.amopopr JOIN pg_namespace n ON n.oid = p.oprnamespace WHERE oc.oid = (i.indclass::oid[])[k - 1])
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
CROSS JOIN LATERAL generate_series(1, i.indnkeyatts) AS k
LEFT JOIN pg_constraint o ON o.conindid = i.indexrelid AND o.conrelid = i.indrelid AND o.contype = 'u'
LEFT JOIN pg_trigger t ON t.tgconstraint = o.oid
WHERE i.indrelid = $1::oid AND i.indisunique AND NOT i.indisprimary AND i.indisvalid
ORDER BY c.relname, k)sql";

}  // namespace

absl::StatusOr<std::vector<UniqueIndex>> SecondaryUniqueIndexes(PgConnection& connection,
                                                                uint32_t table_oid) {
  const std::string oid = std::to_string(table_oid);
  ASSIGN_OR_RETURN(const PgRows rows, connection.Execute(kIndexesSql, {PgParam(oid)}));
  std::vector<UniqueIndex> indexes;
  for (int i = 0; i < rows.size(); ++i) {
    if (indexes.empty() || indexes.back().name != rows.Text(i, 0)) {
      UniqueIndex& index = indexes.emplace_back();
      index.name = rows.String(i, 0);
      index.predicate = rows.String(i, 2);
      index.nulls_equal = rows.Bool(i, 3);
      index.has_source = rows.Bool(i, 4);
      index.deferrable = rows.Bool(i, 5);
      index.trigger = rows.String(i, 6);
      index.checks_replica = rows.Bool(i, 7);
    }
    indexes.back().expressions.push_back(rows.String(i, 1));
    indexes.back().equals.push_back(rows.String(i, 8));
  }
  return indexes;
}

absl::StatusOr<GeneratedColumns> GeneratedColumnsOf(PgConnection& connection, uint32_t table_oid) {
  const std::string oid = std::to_string(table_oid);
  ASSIGN_OR_RETURN(
      const PgRows rows,
      connection.Execute("SELECT a.attname, pg_get_expr(d.adbin, d.adrelid) FROM pg_attribute a "
                         "JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum WHERE "
                         "a.attrelid = $1::oid AND a.attgenerated <> '' AND NOT a.attisdropped "
                         "ORDER BY a.attnum",
                         {PgParam(oid)}));
  GeneratedColumns columns;
  for (int i = 0; i < rows.size(); ++i) columns.emplace_back(rows.String(i, 0), rows.String(i, 1));
  return columns;
}

absl::StatusOr<bool> IsSecondaryUnique(PgConnection& connection, uint32_t table_oid,
                                       const std::string& constraint) {
  if (constraint.empty()) return false;
  const std::string oid = std::to_string(table_oid);
  ASSIGN_OR_RETURN(
      const PgRows rows,
      connection.Execute("SELECT 1 FROM pg_index i WHERE i.indexrelid = to_regclass($1) AND "
                         "i.indisunique AND NOT i.indisprimary AND (i.indrelid = $2::oid OR "
                         "$2::oid IN (SELECT relid FROM pg_partition_ancestors(i.indrelid)))",
                         {PgParam(constraint), PgParam(oid)}));
  return rows.size() > 0;
}

}  // namespace pmoves
