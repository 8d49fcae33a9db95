#include "publisher/io/key_lookup.h"

#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/substitute.h"
#include "common/base/status.h"
#include "proto/json_token.h"

namespace pmoves {
namespace {

// Plans are made for a few keys whatever the statistics say: by index, never by reading the table.
constexpr char kBeginSql[] =
    "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY; SET LOCAL lock_timeout = %d; SET LOCAL "
    "statement_timeout = %d; SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off; SET "
    "LOCAL enable_mergejoin = off; SET LOCAL jit = off";

// One row per column that was asked for. $1: the table, $2: the columns, as literals.
constexpr char kColumnsSql[] = R"(
SELECT n.nspname, c.relname, a.attname, format_type(a.atttypid, a.atttypmod),
       (SELECT quote_ident(cn.nspname) || '.' || quote_ident(co.collname)
          FROM pg_collation co JOIN pg_namespace cn ON cn.oid = co.collnamespace
         WHERE co.oid = coalesce(k.indcollation[p.at], a.attcollation)),
       (SELECT quote_ident(pn.nspname) || '.' || o.oprname
          FROM pg_opclass oc
          JOIN pg_amop ao ON ao.amopfamily = oc.opcfamily AND ao.amopstrategy = 3
           AND ao.amoplefttype = oc.opcintype AND ao.amoprighttype = oc.opcintype
          JOIN pg_operator o ON o.oid = ao.amopopr
          JOIN pg_namespace pn ON pn.oid = o.oprnamespace
         WHERE oc.oid = k.indclass[p.at]),
       k.indrelid IS NOT NULL,
       EXISTS (SELECT 1 FROM pg_type y
                WHERE y.oid = a.atttypid AND (y.oid IN (114, 3802) OR y.typbasetype IN (114, 3802)))
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
   AND a.attname = ANY ($2::text[])
  LEFT JOIN LATERAL (
    SELECT i.* FROM pg_index i
     WHERE i.indrelid = c.oid AND i.indisunique AND i.indimmediate AND i.indisvalid
       AND i.indpred IS NULL AND i.indexprs IS NULL
       AND NOT EXISTS (
         SELECT 1 FROM generate_series(0, i.indnkeyatts - 1) q
           JOIN pg_attribute b ON b.attrelid = c.oid AND b.attnum = i.indkey[q]
          WHERE b.attname <> ALL ($2::text[]))
     ORDER BY i.indisprimary DESC, i.indexrelid LIMIT 1) k ON true
  LEFT JOIN LATERAL (
    SELECT q AS at FROM generate_series(0, k.indnkeyatts - 1) q
     WHERE k.indkey[q] = a.attnum LIMIT 1) p ON true
 WHERE c.oid = $1::oid)";

std::string TextArray(const std::vector<std::string>& texts) {
  std::string literal = "{";
  for (const std::string& text : texts) {
    if (literal.size() > 1) literal.push_back(',');
    literal.push_back('"');
    for (char c : text) {
      if (c == '"' || c == '\\') literal.push_back('\\');
      literal.push_back(c);
    }
    literal.push_back('"');
  }
  literal.push_back('}');
  return literal;
}

}  // namespace

bool IsLockedOrSlow(const absl::Status& status) {
  const std::string state = SqlStateOf(status);
  return state == "55P03" || state == "57014" || state == "40P01";
}

KeyLookup::KeyLookup(PgConnection& connection, const Relation& relation)
    : connection_(connection), relation_(relation) {}

KeyLookup::~KeyLookup() { connection_.Rollback(); }

absl::Status KeyLookup::Prepare(const std::vector<std::string>& columns) {
  // In one round trip.
  const std::string begin = absl::StrFormat(kBeginSql, absl::ToInt64Milliseconds(kReadLockTimeout),
                                            absl::ToInt64Milliseconds(kReadTimeout));
  const std::string look = absl::Substitute(kColumnsSql, "", relation_.oid,
                                            connection_.QuoteLiteral(TextArray(columns)));
  ASSIGN_OR_RETURN(const PgRows rows, connection_.Execute(begin + ";" + look));
  if (rows.size() != static_cast<int>(columns.size())) {
    return absl::FailedPreconditionError(absl::StrFormat(
        "table %s.%s was altered or dropped a moment ago", relation_.schema, relation_.table));
  }
  if (!rows.Bool(0, 6)) {
    return absl::FailedPreconditionError(absl::StrFormat(
        "a row of %s.%s cannot be found by %s: no unique index of the edge has only these columns; "
        "create one, or give the table in the centre the key of the edge",
        relation_.schema, relation_.table, absl::StrJoin(columns, ", ")));
  }
  table_ = QuoteIdentifier(rows.Text(0, 0)) + "." + QuoteIdentifier(rows.Text(0, 1));
  std::map<std::string, Column, std::less<>> found;
  for (int i = 0; i < rows.size(); ++i) {
    found[rows.String(i, 2)] = {rows.String(i, 2), rows.String(i, 3), rows.String(i, 4),
                                rows.String(i, 5), rows.Bool(i, 7)};
  }
  columns_.clear();
  for (const std::string& name : columns) columns_.push_back(found[name]);
  return absl::OkStatus();
}

absl::StatusOr<PgRows> KeyLookup::Find(const std::vector<std::vector<std::string>>& keys,
                                       std::string_view select) {
  std::string json = "[";
  for (size_t n = 0; n < keys.size(); ++n) {
    json += absl::StrFormat("%s{\"n\":%d", n > 0 ? "," : "", n);
    for (size_t i = 0; i < keys[n].size(); ++i)
      json += absl::StrFormat(",\"k%d\":", i) + keys[n][i];
    json += "}";
  }
  json += "]";
  std::string types = "n int";
  std::string match;
  for (size_t i = 0; i < columns_.size(); ++i) {
    const Column& column = columns_[i];
    const std::string collate =
        column.collation.empty() ? std::string() : " COLLATE " + column.collation;
    types += absl::StrFormat(", k%d %s%s", i, column.is_json ? "text" : column.type, collate);
    const std::string value = column.is_json ? absl::StrFormat("CAST(x.k%d AS %s)", i, column.type)
                                             : absl::StrFormat("x.k%d", i);
    if (!match.empty()) match += " AND ";
    if (!column.equals.empty()) {
      match += absl::StrFormat("t.%s%s OPERATOR(%s) %s", QuoteIdentifier(column.name), collate,
                               column.equals, value);
    } else {
      match += absl::StrFormat("format('%%s', t.%s) = format('%%s', %s)",
                               QuoteIdentifier(column.name), value);
    }
  }
  return connection_.Execute(
      absl::StrFormat(
          "SELECT x.n, %s FROM json_to_recordset($1::json) AS x(%s) JOIN ONLY %s t ON %s",
          std::string(select), types, table_, match),
      {PgParam(json)});
}

}  // namespace pmoves
