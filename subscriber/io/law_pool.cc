#include "subscriber/io/law_pool.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_format.h"
#include "common/base/status.h"
#include "proto/json_token.h"
#include "subscriber/core/expression_sql.h"
#include "subscriber/core/law_values.h"

namespace pmoves {
namespace {

// The text as a value of the type, printed; NULL when it is none.
constexpr const char kCastSql[] = R"sql(
CREATE OR REPLACE FUNCTION pg_temp.pmoves_cast(value text, type text, OUT result text) LANGUAGE plpgsql AS
$$BEGIN
  EXECUTE format('SELECT (%L::%s)::text', value, type) INTO result;
EXCEPTION WHEN others THEN
  result := NULL;
END$$;
CREATE OR REPLACE FUNCTION pg_temp.pmoves_takes_sum(value text, type text) RETURNS boolean LANGUAGE plpgsql AS
$$BEGIN
  EXECUTE format('SELECT ((%L::%s) * 3)::%s', value, type, type);
  RETURN true;
EXCEPTION WHEN others THEN
  RETURN false;
END$$;
CREATE OR REPLACE FUNCTION pg_temp.pmoves_takes_null(type text) RETURNS boolean LANGUAGE plpgsql AS
$$BEGIN
  EXECUTE format('SELECT NULL::%s', type);
  RETURN true;
EXCEPTION WHEN others THEN
  RETURN false;
END$$)sql";

// A column's type and the domains that it is made of; r.o are their oids.
constexpr const char kDomains[] =
    "WITH RECURSIVE r(o) AS (SELECT $1::oid UNION ALL SELECT t.typbasetype FROM r JOIN pg_type t "
    "ON t.oid = r.o WHERE t.typtype = 'd') ";

}  // namespace

absl::Status LawPool::Prepare() {
  if (prepared_) return absl::OkStatus();
  RETURN_IF_ERROR(connection_.Execute(kCastSql).status());
  prepared_ = true;
  return absl::OkStatus();
}

absl::StatusOr<LawPool::TypeFacts> LawPool::FactsOf(const TargetColumn& column) {
  const std::string oid = std::to_string(column.type_oid);
  TypeFacts facts;
  ASSIGN_OR_RETURN(
      const PgRows labels,
      connection_.Execute(absl::StrFormat("%s SELECT e.enumlabel FROM r JOIN pg_enum e ON "
                                          "e.enumtypid = r.o ORDER BY e.enumsortorder",
                                          kDomains),
                          {PgParam(oid)}));
  for (int i = 0; i < labels.size(); ++i) facts.labels.push_back(labels.String(i, 0));
  ASSIGN_OR_RETURN(const PgRows checks,
                   connection_.Execute(absl::StrFormat("%s SELECT pg_get_constraintdef(c.oid) FROM "
                                                       "r JOIN pg_constraint c ON c.contypid = r.o "
                                                       "ORDER BY c.conname",
                                                       kDomains),
                                       {PgParam(oid)}));
  for (int i = 0; i < checks.size(); ++i) {
    for (std::string& literal : LiteralsOf(checks.Text(i, 0)))
      facts.literals.push_back(std::move(literal));
  }
  return facts;
}

absl::StatusOr<TargetColumn> LawPool::ElementOf(const TargetColumn& array) {
  const std::string oid = std::to_string(array.type_oid);
  ASSIGN_OR_RETURN(
      const PgRows rows,
      connection_.Execute(
          absl::StrFormat("%s, e(o, level) AS (SELECT t.typelem, 0 FROM r JOIN pg_type t ON t.oid "
                          "= r.o WHERE t.typtype <> 'd' UNION ALL SELECT t.typbasetype, level + 1 "
                          "FROM e JOIN pg_type t ON t.oid = e.o WHERE t.typtype = 'd') SELECT "
                          "f.o, format_type(f.o, NULL), t.typname, t.typcategory FROM (SELECT o "
                          "FROM e WHERE level = 0) f, (SELECT o FROM e ORDER BY level DESC LIMIT "
                          "1) b JOIN pg_type t ON t.oid = b.o",
                          kDomains),
          {PgParam(oid)}));
  if (rows.size() != 1)
    return absl::InternalError(absl::StrFormat("type %s has no elements", array.type));
  TargetColumn element;
  element.name = array.name;
  element.type_oid = static_cast<uint32_t>(rows.Int(0, 0));
  element.type = rows.String(0, 1);
  element.base_type = rows.String(0, 2);
  element.category = rows.Text(0, 3)[0];
  return element;
}

absl::StatusOr<std::vector<std::string>> LawPool::Candidates(const TargetColumn& column,
                                                             const Rule& rule,
                                                             const TypeFacts& facts) {
  std::vector<std::string> candidates = rule.values;
  auto add = [&](const std::vector<std::string>& values) {
    for (const std::string& value : values) {
      if (SuitsRule(column, rule, value)) candidates.push_back(value);
    }
  };
  if (rule.kind == RuleKind::kExpression) add(ValuesAround(column, LiteralsOf(rule.expression)));
  add(ValuesAround(column, facts.literals));
  if (column.category != 'A') {
    add(LawValues(column, facts.labels, seed_));
    return candidates;
  }
  ASSIGN_OR_RETURN(const TargetColumn element, ElementOf(column));
  Rule own;
  if (rule.kind == RuleKind::kExpression) own = rule;
  ASSIGN_OR_RETURN(const ValuePool elements, Of(element, own));
  add(ArrayValues(elements.texts));
  return candidates;
}

absl::StatusOr<PgRows> LawPool::Cast(const TargetColumn& column, bool sums,
                                     const std::vector<std::string>& texts) {
  std::string list = "[";
  for (const std::string& text : texts) {
    if (list.size() > 1) list += ',';
    proto::AppendJsonString(text, &list);
  }
  list += ']';
  return connection_.Execute(
      absl::StrFormat("SELECT r.t, pg_temp.pmoves_takes_null($2) FROM "
                      "jsonb_array_elements_text($1::jsonb) WITH ORDINALITY e(v, n), "
                      "pg_temp.pmoves_cast(e.v, $2) AS r(t) WHERE r.t IS NOT NULL %s ORDER BY n",
                      sums ? "AND pg_temp.pmoves_takes_sum(r.t, $2)" : ""),
      {PgParam(list), PgParam(column.type)});
}

absl::StatusOr<ValuePool> LawPool::Of(const TargetColumn& column, const Rule& rule) {
  RETURN_IF_ERROR(Prepare());
  ASSIGN_OR_RETURN(const TypeFacts facts, FactsOf(column));
  ASSIGN_OR_RETURN(const std::vector<std::string> candidates, Candidates(column, rule, facts));
  ASSIGN_OR_RETURN(const PgRows rows,
                   Cast(column, rule.kind == RuleKind::kSumOfSources, candidates));
  ValuePool pool;
  for (int i = 0; i < rows.size() && pool.texts.size() < kMostValues; ++i) {
    pool.nullable = rows.Bool(i, 1);
    std::string text = rows.String(i, 0);
    if (std::find(pool.texts.begin(), pool.texts.end(), text) == pool.texts.end())
      pool.texts.push_back(std::move(text));
  }
  pool.complete = column.base_type == "bool" || column.type == "bit(1)" ||
                  (!facts.labels.empty() && pool.texts.size() >= facts.labels.size());
  return pool;
}

absl::StatusOr<bool> LawPool::TakesAll(const TargetColumn& column,
                                       const std::vector<std::string>& texts) {
  RETURN_IF_ERROR(Prepare());
  ASSIGN_OR_RETURN(const PgRows rows, Cast(column, false, texts));
  return static_cast<size_t>(rows.size()) == texts.size();
}

}  // namespace pmoves
