#include "subscriber/io/unseen_constraints.h"

#include <string>
#include <vector>

#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "common/base/status.h"
#include "subscriber/core/merge_sql.h"

namespace pmoves {
namespace {

// One row per constraint and column: its expression and the operator that two rows must not both
// satisfy, of a unique one the equality of its operator class.
constexpr const char kConstraintsSql[] = R"sql(
SELECT o.conname, o.contype, pg_get_expr(i.indpred, i.indrelid), pg_get_indexdef(i.indexrelid, k, true),
  (SELECT format('OPERATOR(%I.%s)', n.nspname, p.oprname) FROM pg_operator p JOIN pg_namespace n ON n.oid = p.oprnamespace
   WHERE p.oid = COALESCE(o.conexclop[k], (SELECT a.amopopr FROM pg_opclass c JOIN pg_amop a ON a.amopfamily = c.opcfamily
     WHERE c.oid = i.indclass[k - 1] AND a.amopstrategy = 3 AND a.amoplefttype = c.opcintype AND a.amoprighttype = c.opcintype)))
FROM pg_constraint o JOIN pg_index i ON i.indexrelid = o.conindid
CROSS JOIN LATERAL generate_series(1, i.indnkeyatts) AS k
WHERE o.conrelid = $1 AND o.contype IN ('u', 'x') AND o.condeferrable
  AND NOT EXISTS (SELECT 1 FROM pg_trigger t WHERE t.tgconstraint = o.oid AND t.tgrelid = o.conrelid
    AND t.tgenabled IN ('A', CASE current_setting('session_replication_role') WHEN 'replica' THEN 'R' ELSE 'O' END))
ORDER BY o.conname, k)sql";

struct Constraint {
  std::string name;
  bool unique = false;
  std::string predicate;
  std::vector<std::string> expressions;
  std::vector<std::string> operators;
};

// The rows that the constraint is about, with their keys and its expressions.
std::string RowsOf(const TargetTable& table, const Constraint& constraint, const char* alias) {
  std::vector<std::string> items = {"_source"};
  for (int column : table.key)
    items.push_back(SqlIdentifier(table.columns[static_cast<size_t>(column)].name));
  for (size_t i = 0; i < constraint.expressions.size(); ++i)
    items.push_back(absl::StrFormat("(%s) AS pmoves_e%d", constraint.expressions[i], i));
  return absl::StrFormat(
      "(SELECT %s FROM %s%s) %s", absl::StrJoin(items, ", "), SqlTable(table),
      constraint.predicate.empty() ? "" : absl::StrFormat(" WHERE %s", constraint.predicate),
      alias);
}

// The row of a key that PgTarget::CheckUnseen wrote.
std::string IsRowOf(const TargetTable& table) {
  std::vector<std::string> terms;
  int position = 0;
  if (table.key_has_source)
    terms.push_back(absl::StrFormat("a._source = (k.key::jsonb->>%d)", position++));
  for (const int index : table.key) {
    const TargetColumn& column = table.columns[static_cast<size_t>(index)];
    terms.push_back(absl::StrFormat("a.%s = (k.key::jsonb->>%d)::%s", SqlIdentifier(column.name),
                                    position++, column.type));
  }
  return absl::StrJoin(terms, " AND ");
}

std::string Violations(const TargetTable& table, const Constraint& constraint) {
  std::vector<std::string> terms;
  for (size_t i = 0; i < constraint.operators.size(); ++i)
    terms.push_back(absl::StrFormat("b.pmoves_e%d %s a.pmoves_e%d", i, constraint.operators[i], i));
  return absl::StrFormat(
      "SELECT 1 FROM unnest($1::text[]) k(key) JOIN %s ON %s JOIN %s ON %s AND NOT (%s) LIMIT 1",
      RowsOf(table, constraint, "a"), IsRowOf(table), RowsOf(table, constraint, "b"),
      absl::StrJoin(terms, " AND "), KeysEqual(table, "a", "b"));
}

}  // namespace

absl::Status ReadUnseenConstraints(PgConnection& connection, TargetTable* table) {
  const std::string oid = std::to_string(table->oid);
  ASSIGN_OR_RETURN(const PgRows rows, connection.Execute(kConstraintsSql, {PgParam(oid)}));
  std::vector<Constraint> constraints;
  for (int i = 0; i < rows.size(); ++i) {
    if (constraints.empty() || constraints.back().name != rows.Text(i, 0)) {
      Constraint& constraint = constraints.emplace_back();
      constraint.name = rows.String(i, 0);
      constraint.unique = rows.Text(i, 1) == "u";
      constraint.predicate = rows.String(i, 2);
    }
    constraints.back().expressions.push_back(rows.String(i, 3));
    constraints.back().operators.push_back(rows.String(i, 4));
  }
  for (const Constraint& constraint : constraints) {
    table->unseen.push_back(
        {constraint.name, constraint.unique ? "23505" : "23P01", Violations(*table, constraint)});
  }
  return absl::OkStatus();
}

}  // namespace pmoves
