#include "subscriber/io/expression_check.h"

#include <algorithm>
#include <span>
#include <utility>

#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "common/base/status.h"
#include "subscriber/core/expression_sql.h"
#include "subscriber/core/merge_sql.h"
#include "subscriber/core/rule_sql.h"
#include "subscriber/io/central_schema.h"

namespace pmoves {
namespace {

constexpr const char kImmutable[] = "immutability";
constexpr const char kNeedsPure[] =
    "let it depend on a and b alone: no now(), no random(), no table, no subquery";
constexpr const char kTotal[] = "totality";
constexpr const char kNeedsValue[] =
    "let it have a value for all a and b; allow_divergence: true would admit it as it is, and then "
    "changes for which it fails are set aside, and where it is NULL, NULL is shown";
constexpr const char kWouldAdmit[] =
    "write one that keeps this law; allow_divergence: true would admit it as it is, and then what "
    "is shown depends on which report is the newer one";

// With fewer values most laws hold of anything.
constexpr size_t kFewestValues = 3;

// {f} the function, {t} the type. What fails is a row, not the end, unless the server itself is in
// trouble. The inputs are never NULL.
constexpr const char kHelpersSql[] = R"sql(
CREATE FUNCTION pg_temp.pmoves_try(a {t}, b {t}, OUT value {t}, OUT failed text) LANGUAGE plpgsql AS
$$BEGIN
  value := pmoves_sync.{f}(a, b);
  IF value IS NOT DISTINCT FROM NULL THEN failed := 'no value'; END IF;
EXCEPTION WHEN others THEN
  IF SQLSTATE ~ '^(08|40|53|55|57|58|XX)' THEN RAISE; END IF;
  failed := SQLSTATE || ' ' || SQLERRM;
END$$;
CREATE FUNCTION pg_temp.pmoves_same(x {t}, y {t}) RETURNS boolean LANGUAGE plpgsql AS
$$BEGIN
  IF x::text IS NOT DISTINCT FROM y::text THEN RETURN true; END IF;
  RETURN COALESCE(x = y, false);
EXCEPTION WHEN others THEN
  RETURN false;
END$$;
CREATE TEMP TABLE pmoves_value (n int PRIMARY KEY, v {t}) ON COMMIT DROP)sql";

// All pairs, and of all triples both ways to put the parentheses.
constexpr const char kTablesSql[] = R"sql(
CREATE TEMP TABLE pmoves_pair ON COMMIT DROP AS
  SELECT x.n AS i, y.n AS j, x.v AS a, y.v AS b, t.value, t.failed, length(x.v::text) + length(y.v::text) AS size
  FROM pmoves_value x CROSS JOIN pmoves_value y CROSS JOIN LATERAL pg_temp.pmoves_try(x.v, y.v) t;
CREATE UNIQUE INDEX ON pmoves_pair (i, j);
CREATE TEMP TABLE pmoves_triple ON COMMIT DROP AS
  SELECT p.i, p.j, z.n AS k, p.a, p.b, z.v AS c, l.value AS l, r.value AS r, l.failed AS l_failed, r.failed AS r_failed,
    p.size + length(z.v::text) AS size
  FROM pmoves_pair p CROSS JOIN pmoves_value z JOIN pmoves_pair q ON q.i = p.j AND q.j = z.n
  CROSS JOIN LATERAL pg_temp.pmoves_try(p.value, z.v) l CROSS JOIN LATERAL pg_temp.pmoves_try(p.a, q.value) r
  WHERE p.failed IS NULL AND q.failed IS NULL)sql";

std::string Count(const char* from, const char* tried, const char* fails, const char* example) {
  return absl::StrFormat(
      "SELECT count(*), count(*) FILTER (WHERE %s), (array_agg(%s ORDER BY size, i, j) FILTER "
      "(WHERE %s))[1] FROM %s WHERE %s",
      fails, example, fails, from, tried);
}

// What the text is at fault for: it is malformed (also by our own look at it), or a constant of it
// cannot be computed. Anything else (a lock that is waited for too long, a statement that was
// ended, no memory) says nothing about it.
bool IsOfTheText(const absl::Status& status) {
  const std::string state = SqlStateOf(status);
  if (state.empty()) return absl::IsInvalidArgument(status);
  const std::string kind = state.substr(0, 2);
  return kind == "42" || kind == "22" || kind == "0A";
}

// The labels of the enum that type {o} is, or is made of as an array or a domain; else ''.
constexpr const char kLabels[] =
    "(WITH RECURSIVE r(o) AS (SELECT {o}::oid UNION SELECT CASE WHEN t.typtype = 'd' THEN "
    "t.typbasetype ELSE t.typelem END FROM r JOIN pg_type t ON t.oid = r.o WHERE t.typtype = 'd' "
    "OR t.typcategory = 'A') SELECT COALESCE(string_agg(quote_literal(e.enumlabel), ', ' ORDER BY "
    "e.enumsortorder), '') FROM r JOIN pg_enum e ON e.enumtypid = r.o)";

// The function keeps the search path: without "$user", which is another one for another role, and
// without the session's own schema.
constexpr const char kSettlePath[] =
    "SELECT set_config('search_path', (SELECT COALESCE(string_agg(quote_ident(s), ', ' ORDER BY "
    "n), '') FROM unnest(current_schemas(false)) WITH ORDINALITY AS p(s, n) WHERE s !~ "
    "'^pg_temp'), true)";

std::string LabelsOf(const TargetColumn& column) {
  return absl::StrReplaceAll(kLabels, {{"{o}", std::to_string(column.type_oid)}});
}

// Function and aggregate are there.
absl::StatusOr<bool> IsMade(PgConnection& connection, const Rule& rule,
                            const TargetColumn& column) {
  const std::string name = ExpressionName(rule, column);
  const std::string body = ExpressionBody(rule);
  ASSIGN_OR_RETURN(
      const PgRows rows,
      connection.Execute("SELECT count(*) FROM pg_proc p JOIN pg_namespace n ON n.oid = "
                         "p.pronamespace WHERE n.nspname = 'pmoves_sync' AND p.proname = $1 AND "
                         "(p.prokind = 'a' OR p.prosrc = $2)",
                         {PgParam(name), PgParam(body)}));
  return rows.Int(0, 0) == 2;
}

}  // namespace

std::vector<ExpressionCheck::Law> ExpressionCheck::Laws(const std::string& function) {
  const std::string batch = absl::StrFormat(
      "(SELECT i, j, size, a, b, c, l, (SELECT pmoves_sync.%s(v ORDER BY n) FROM (VALUES (1, a), "
      "(2, b), (3, c)) AS x(n, v)) AS together FROM pmoves_triple WHERE i < 8 AND j < 8 AND k < 8 "
      "AND l_failed IS NULL) b",
      function);
  return {
      {kTotal, "merge(a, b) has a value for all a and b",
       Count("(SELECT i, j, size, failed, format('a = %s, b = %s', quote_nullable(a), "
             "quote_nullable(b)) AS inputs FROM pmoves_pair UNION ALL SELECT i, j, size, "
             "COALESCE(l_failed, r_failed), format('a = %s, b = %s, c = %s', quote_nullable(a), "
             "quote_nullable(b), quote_nullable(c)) FROM pmoves_triple) x",
             "true", "failed IS NOT NULL", "format('%s: %s', inputs, failed)")},
      {"commutativity", "merge(a, b) = merge(b, a)",
       Count("(SELECT p.*, q.value AS other, q.failed AS other_failed FROM pmoves_pair p JOIN "
             "pmoves_pair q ON q.i = p.j AND q.j = p.i WHERE p.i < p.j) p",
             "failed IS NULL AND other_failed IS NULL", "NOT pg_temp.pmoves_same(value, other)",
             "format('a = %s, b = %s give %s and %s', quote_nullable(a), quote_nullable(b), "
             "quote_nullable(value), quote_nullable(other))")},
      {"associativity", "merge(merge(a, b), c) = merge(a, merge(b, c))",
       Count("pmoves_triple", "l_failed IS NULL AND r_failed IS NULL",
             "NOT pg_temp.pmoves_same(l, r)",
             "format('a = %s, b = %s, c = %s give %s and %s', quote_nullable(a), "
             "quote_nullable(b), quote_nullable(c), quote_nullable(l), quote_nullable(r))")},
      {"idempotence", "merge(a, a) = a",
       Count("pmoves_pair", "i = j AND failed IS NULL", "NOT pg_temp.pmoves_same(value, a)",
             "format('a = %s gives %s', quote_nullable(a), quote_nullable(value))")},
      {"batch equals fold", "all at once gives what one by one gives",
       Count(batch.c_str(), "true", "NOT pg_temp.pmoves_same(together, l)",
             "format('%s, %s, %s give %s and %s', quote_nullable(a), quote_nullable(b), "
             "quote_nullable(c), quote_nullable(together), quote_nullable(l))")},
  };
}

absl::StatusOr<LawResult> ExpressionCheck::Create(const TargetColumn& column, const Rule& rule) {
  // One statement only: with parameters, even none, the server takes no second one.
  auto execute = [this](const std::string& sql) {
    return connection_.Execute(sql, std::span<const PgParam>()).status();
  };
  const std::string wrong = CheckExpressionText(rule.expression);
  absl::Status status = wrong.empty()
                            ? execute(CreateExpressionProbe(rule, column))
                            : absl::InvalidArgumentError(absl::StrFormat("the text %s", wrong));
  if (status.ok()) status = execute("DROP TABLE pg_temp.pmoves_probe");
  if (status.ok()) {
    ASSIGN_OR_RETURN(const bool made, IsMade(connection_, rule, column));
    if (!made) status = execute(CreateExpressionFunction(rule, column));
    if (!made && status.ok()) status = execute(CreateExpressionAggregate(rule, column));
  }
  if (status.ok()) return LawResult{kImmutable, 1};
  const std::string state = SqlStateOf(status);
  if (state == "42501") {
    return absl::FailedPreconditionError(absl::StrFormat(
        "%s; run `config check-rules` once as the role that ran init", MessageOf(status)));
  }
  if (!IsOfTheText(status)) return status;
  if (state == "42P17" || state == "0A000")
    return LawResult{kImmutable, 1, MessageOf(status), kNeedsPure};
  return LawResult{"well-formedness", 1, MessageOf(status),
                   absl::StrFormat("write SQL over a and b, two values of type %s, that gives one "
                                   "value of that type",
                                   column.type)};
}

absl::Status ExpressionCheck::Fill(const TargetColumn& column, const ValuePool& values,
                                   const std::string& function) {
  RETURN_IF_ERROR(
      connection_
          .Execute(absl::StrReplaceAll(kHelpersSql, {{"{f}", function}, {"{t}", column.type}}))
          .status());
  for (size_t i = 0; i < values.texts.size(); ++i) {
    RETURN_IF_ERROR(
        connection_
            .Execute(absl::StrFormat("INSERT INTO pg_temp.pmoves_value VALUES (%d, $1)", i),
                     {PgParam(values.texts[i])})
            .status());
  }
  return connection_.Execute(kTablesSql).status();
}

absl::Status ExpressionCheck::Try(const TargetColumn& column, const Rule& rule,
                                  std::vector<LawResult>* laws) {
  ASSIGN_OR_RETURN(const ValuePool values, pool_.Of(column, rule));
  if (values.texts.size() < kFewestValues && !values.complete) {
    laws->push_back({kTotal, 0,
                     absl::StrFormat("only %d values of type %s could be made, too few to try it "
                                     "on",
                                     values.texts.size(), column.type),
                     "give the column a type of PostgreSQL's own; allow_divergence: true would "
                     "admit it untried",
                     true});
    if (values.texts.empty()) return absl::OkStatus();
  }
  const std::string function = SqlIdentifier(ExpressionName(rule, column));
  RETURN_IF_ERROR(Fill(column, values, function));
  for (const Law& law : Laws(function)) {
    ASSIGN_OR_RETURN(const PgRows rows, connection_.Execute(law.sql));
    LawResult& result = laws->emplace_back(LawResult{law.name, rows.Int(0, 0)});
    if (rows.Int(0, 1) == 0) continue;
    result.broken = absl::StrFormat("%s, but %s", law.says, rows.Text(0, 2));
    result.fix = result.law == kTotal ? kNeedsValue : kWouldAdmit;
    result.admissible = true;
  }
  // Session-wide: the next expression makes its own.
  return connection_.Execute("DROP FUNCTION pg_temp.pmoves_try, pg_temp.pmoves_same").status();
}

absl::Status ExpressionCheck::Record(const TargetColumn& column, const Rule& rule,
                                     const std::vector<LawResult>& laws) {
  const std::string name = ExpressionName(rule, column);
  const std::string seed = std::to_string(seed_);
  std::string diverges;
  for (const LawResult& law : laws) {
    if (law.broken.empty()) continue;
    diverges += absl::StrFormat("%s%s", diverges.empty() ? "" : ", ", law.law);
  }
  return connection_
      .Execute(
          absl::StrFormat("INSERT INTO pmoves_sync.rule_check (name, expression, column_type, "
                          "passed_at, seed, diverges, labels) VALUES ($1, $2, $3, now(), $4, $5, "
                          "%s) ON CONFLICT (name) DO UPDATE SET passed_at = EXCLUDED.passed_at, "
                          "seed = EXCLUDED.seed, diverges = EXCLUDED.diverges, labels = "
                          "EXCLUDED.labels",
                          LabelsOf(column)),
          {PgParam(name), PgParam(rule.expression), PgParam(column.type), PgParam(seed),
           diverges.empty() ? PgParam() : PgParam(diverges)})
      .status();
}

absl::StatusOr<std::vector<LawResult>> ExpressionCheck::Check(const TargetColumn& column,
                                                              const Rule& rule,
                                                              bool allow_divergence) {
  RETURN_IF_ERROR(pool_.Prepare());
  // Two checks at once, or an init: one after the other.
  absl::Status status =
      connection_
          .Execute(absl::StrFormat("BEGIN; SELECT pg_advisory_xact_lock(%d, 0)", kTableLockClass))
          .status();
  if (status.ok()) status = connection_.Execute(kSettlePath).status();
  std::vector<LawResult> laws;
  if (status.ok()) {
    if (auto made = Create(column, rule); made.ok()) {
      laws.push_back(*std::move(made));
    } else {
      status = made.status();
    }
  }
  if (status.ok() && laws.front().broken.empty()) status = Try(column, rule, &laws);
  const bool admitted = std::all_of(laws.begin(), laws.end(), [&](const LawResult& law) {
    return law.broken.empty() || (law.admissible && allow_divergence);
  });
  if (status.ok() && admitted) status = Record(column, rule, laws);
  if (status.ok() && admitted) status = connection_.Commit();
  if (status.ok() && admitted) return laws;
  connection_.Rollback();
  RETURN_IF_ERROR(status);
  // What another table admits with allow_divergence stays.
  RETURN_IF_ERROR(connection_
                      .Execute("DELETE FROM pmoves_sync.rule_check WHERE name = $1 AND diverges IS "
                               "NULL",
                               {PgParam(ExpressionName(rule, column))})
                      .status());
  return laws;
}

absl::StatusOr<ExpressionState> StateOfExpression(PgConnection& connection,
                                                  const TargetColumn& column, const Rule& rule,
                                                  bool allow_divergence) {
  const std::string name = ExpressionName(rule, column);
  auto rows = connection.Execute(
      absl::StrFormat("SELECT COALESCE(diverges, ''), labels = %s FROM pmoves_sync.rule_check "
                      "WHERE name = $1",
                      LabelsOf(column)),
      {PgParam(name)});
  const std::string state_text = SqlStateOf(rows.status());
  if (state_text == "42P01" || state_text == "42703")
    return ExpressionState{"schema pmoves_sync is that of an earlier version; run init"};
  RETURN_IF_ERROR(rows.status());
  ASSIGN_OR_RETURN(const bool made, IsMade(connection, rule, column));
  if (rows->size() == 0 || !made) {
    return ExpressionState{
        "the expression has not passed; run `pmoves-sync-subscriber config check-rules`"};
  }
  if (!rows->Bool(0, 1)) {
    return ExpressionState{absl::StrFormat(
        "type %s has other labels since the expression passed; run `pmoves-sync-subscriber config "
        "check-rules`",
        column.type)};
  }
  ExpressionState state{"", rows->String(0, 0)};
  if (!state.diverges.empty() && !allow_divergence) {
    state.problem = absl::StrFormat(
        "the expression breaks %s, and only allow_divergence: true admits that", state.diverges);
  }
  return state;
}

}  // namespace pmoves
