#include "subscriber/io/value_limits.h"

#include <charconv>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_split.h"
#include "common/base/status.h"

namespace pmoves {
namespace {

// All types that a value of the table is made of. children: type and modifier of each, in order;
// of a multirange type its range type (PostgreSQL 14 and later).
constexpr const char kTypesSql[] = R"sql(
WITH RECURSIVE child(parent, position, oid, modifier) AS (
  SELECT t.oid, 0, t.typbasetype, t.typtypmod FROM pg_type t WHERE t.typtype = 'd'
  UNION ALL SELECT t.oid, 0, t.typelem, -1 FROM pg_type t WHERE t.typcategory = 'A' AND t.typelem <> 0 AND t.typtype = 'b'
  UNION ALL SELECT t.oid, a.attnum, a.atttypid, a.atttypmod FROM pg_type t JOIN pg_attribute a ON a.attrelid = t.typrelid
    WHERE t.typtype = 'c' AND a.attnum > 0 AND NOT a.attisdropped
  UNION ALL SELECT r.rngtypid, 0, r.rngsubtype, -1 FROM pg_range r
  UNION ALL SELECT (to_jsonb(r)->>'rngmultitypid')::oid, 0, r.rngtypid, -1 FROM pg_range r
), reached(oid) AS (
  SELECT atttypid FROM pg_attribute WHERE attrelid = $1 AND attnum > 0 AND NOT attisdropped
  UNION SELECT c.oid FROM reached r JOIN child c ON c.parent = r.oid
)
SELECT t.oid, CASE WHEN t.typnamespace = 'pg_catalog'::regnamespace THEN t.typname ELSE '' END,
  CASE WHEN t.typcategory = 'A' AND t.typtype = 'b' THEN 'A' ELSE t.typtype END, t.typdelim,
  COALESCE((SELECT string_agg(c.oid || ' ' || c.modifier, ',' ORDER BY c.position) FROM child c WHERE c.parent = t.oid), '')
FROM reached r JOIN pg_type t ON t.oid = r.oid)sql";

constexpr const char kColumnsSql[] =
    "SELECT attname, atttypid, atttypmod FROM pg_attribute WHERE attrelid = $1 AND attnum > 0 AND "
    "NOT attisdropped";

// More levels than any type has that somebody uses.
constexpr int kMostLevels = 32;

int64_t Number(std::string_view text) {
  int64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

class Types {
 public:
  explicit Types(const PgRows& rows) {
    for (int i = 0; i < rows.size(); ++i) {
      Type& type = types_[rows.Int(i, 0)];
      type.name = rows.String(i, 1);
      type.kind = rows.Text(i, 2)[0];
      type.delimiter = rows.Text(i, 3)[0];
      const std::string children = rows.String(i, 4);
      for (const auto& child : absl::StrSplit(children, ',', absl::SkipEmpty())) {
        const std::pair<std::string, std::string> parts = absl::StrSplit(child, ' ');
        type.children.emplace_back(Number(parts.first), Number(parts.second));
      }
    }
  }

  ValueLimit LimitOfType(int64_t oid, int64_t modifier, int level = 0) const {
    const auto found = types_.find(oid);
    if (found == types_.end() || level > kMostLevels) return {};
    const Type& type = found->second;
    switch (type.kind) {
      case 'd': {
        const auto& [base, own] = type.children.at(0);
        return LimitOfType(base, modifier >= 0 ? modifier : own, level + 1);
      }
      case 'A':
        return WithParts(ValueLimit::Kind::kArray, type, modifier, level);
      case 'c':
        return WithParts(ValueLimit::Kind::kComposite, type, -1, level);
      case 'r':
        return WithParts(ValueLimit::Kind::kRange, type, -1, level);
      case 'm': {
        ValueLimit limit =
            LimitOfType(type.children.at(0).first, type.children.at(0).second, level + 1);
        if (limit.kind == ValueLimit::Kind::kRange) limit.kind = ValueLimit::Kind::kMultirange;
        return limit;
      }
      default:
        return pmoves::LimitOf(type.name, static_cast<int32_t>(modifier));
    }
  }

 private:
  struct Type {
    std::string name;  // empty: not of PostgreSQL itself
    char kind = 'b';   // pg_type.typtype, or A: an array
    char delimiter = ',';
    std::vector<std::pair<int64_t, int64_t>> children;
  };

  // kNone unless one of the parts can lose something. The modifier of an array is its elements'.
  ValueLimit WithParts(ValueLimit::Kind kind, const Type& type, int64_t modifier, int level) const {
    ValueLimit limit;
    limit.delimiter = type.delimiter;
    for (const auto& [oid, own] : type.children) {
      limit.parts.push_back(LimitOfType(oid, modifier >= 0 ? modifier : own, level + 1));
      if (CanLoseParts(limit.parts.back())) limit.kind = kind;
    }
    if (limit.kind == ValueLimit::Kind::kNone) return {};
    return limit;
  }

  std::map<int64_t, Type> types_;
};

}  // namespace

absl::Status ReadValueLimits(PgConnection& connection, TargetTable* table) {
  const std::string oid = std::to_string(table->oid);
  ASSIGN_OR_RETURN(const PgRows types, connection.Execute(kTypesSql, {PgParam(oid)}));
  ASSIGN_OR_RETURN(const PgRows columns, connection.Execute(kColumnsSql, {PgParam(oid)}));
  const Types known(types);
  for (int i = 0; i < columns.size(); ++i) {
    const int index = table->Find(columns.Text(i, 0));
    if (index < 0) continue;
    table->columns[static_cast<size_t>(index)].limit =
        known.LimitOfType(columns.Int(i, 1), columns.Int(i, 2));
  }
  return absl::OkStatus();
}

}  // namespace pmoves
