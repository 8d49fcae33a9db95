#include "subscriber/io/law_pool.h"

#include <algorithm>

#include "common/base/status.h"
#include "proto/json_token.h"
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
CREATE OR REPLACE FUNCTION pg_temp.pmoves_takes_null(type text) RETURNS boolean LANGUAGE plpgsql AS
$$BEGIN
  EXECUTE format('SELECT NULL::%s', type);
  RETURN true;
EXCEPTION WHEN others THEN
  RETURN false;
END$$)sql";

}  // namespace

absl::Status LawPool::Prepare() {
  if (prepared_) return absl::OkStatus();
  RETURN_IF_ERROR(connection_.Execute(kCastSql).status());
  prepared_ = true;
  return absl::OkStatus();
}

absl::StatusOr<ValuePool> LawPool::Of(const TargetColumn& column, const Rule& rule) {
  RETURN_IF_ERROR(Prepare());
  const std::string oid = std::to_string(column.type_oid);
  ASSIGN_OR_RETURN(
      const PgRows enumerated,
      connection_.Execute("WITH RECURSIVE r(o) AS (SELECT $1::oid UNION ALL SELECT t.typbasetype "
                          "FROM r JOIN pg_type t ON t.oid = r.o WHERE t.typtype = 'd') SELECT "
                          "e.enumlabel FROM r JOIN pg_enum e ON e.enumtypid = r.o ORDER BY "
                          "e.enumsortorder",
                          {PgParam(oid)}));
  std::vector<std::string> labels;
  for (int i = 0; i < enumerated.size(); ++i) labels.push_back(enumerated.String(i, 0));
  std::vector<std::string> candidates = rule.values;
  for (std::string& value : LawValues(column, labels, seed_)) {
    if (SuitsRule(column, rule, value)) candidates.push_back(std::move(value));
  }
  std::string list = "[";
  for (const std::string& candidate : candidates) {
    if (list.size() > 1) list += ',';
    proto::AppendJsonString(candidate, &list);
  }
  list += ']';
  ASSIGN_OR_RETURN(const PgRows rows,
                   connection_.Execute("SELECT r.t, pg_temp.pmoves_takes_null($2) FROM "
                                       "jsonb_array_elements_text($1::jsonb) WITH "
                                       "ORDINALITY e(v, n), pg_temp.pmoves_cast(e.v, $2) AS r(t) "
                                       "WHERE r.t IS NOT NULL ORDER BY n",
                                       {PgParam(list), PgParam(column.type)}));
  ValuePool pool;
  for (int i = 0; i < rows.size() && pool.texts.size() < kMostValues; ++i) {
    pool.nullable = rows.Bool(i, 1);
    std::string text = rows.String(i, 0);
    if (std::find(pool.texts.begin(), pool.texts.end(), text) == pool.texts.end())
      pool.texts.push_back(std::move(text));
  }
  return pool;
}

}  // namespace pmoves
