// Recompute: the rows of touched keys from their registers. See register_sql.h.
#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "subscriber/core/conflict_log_sql.h"
#include "subscriber/core/json_sql.h"
#include "subscriber/core/merge_sql.h"
#include "subscriber/core/register_sql.h"
#include "subscriber/core/rule_sql.h"

namespace pmoves {
namespace {

// Whether the row exists, over all registers of a key.
std::string Alive(const TablePolicy& policy) {
  switch (policy.on_delete) {
    case DeletePolicy::kDeleteWins:
      return "bool_and(c.live)";
    case DeletePolicy::kUpdateWins:
    case DeletePolicy::kOwnOnly:
    case DeletePolicy::kSoft:
      return "bool_or(c.live)";
    case DeletePolicy::kLastWriteWins:
    case DeletePolicy::kIgnore:
      break;
  }
  return "(array_agg(c.live ORDER BY c.version DESC, c.source DESC))[1]";
}

// The registers of the touched keys as c.
std::string Candidates(const TargetTable& table) {
  const std::string relation = SqlLiteral(table.Name());
  std::string live = "NOT g.deleted";
  if (table.policy.truncate == TruncatePolicy::kAll) {
    live = absl::StrFormat(
        "(NOT g.deleted AND NOT EXISTS (SELECT 1 FROM pmoves_sync.truncate_floor f WHERE "
        "f.relation = %s AND (g.version, g.source) < (f.version, f.source)))",
        relation);
  }
  // update-wins: a delete is void while the row lives, so what its source said before counts.
  const std::string counts =
      table.policy.on_delete == DeletePolicy::kUpdateWins ? "g.image_version >= 0" : live;
  return absl::StrFormat(
      "SELECT g.key, g.source, g.version, g.first_version, g.image_version AS v, g.committed_at, "
      "g.image, g.versions, g.peaks, k.sources, %s AS live, %s AS counts FROM (SELECT key, "
      "jsonb_agg(DISTINCT source) AS sources FROM pg_temp.pmoves_touched WHERE relation = %s GROUP "
      "BY key) k JOIN pmoves_sync.register g ON g.relation = %s AND g.key = k.key",
      live, counts, relation, relation);
}

// The aggregates of p, each once, and the value of each column over them.
class Picks {
 public:
  explicit Picks(const TargetTable& table) : table_(table) {}

  struct Picked {
    std::string present;  // the registers know the column
    std::string text;     // its value
  };

  Picked Of(const TargetColumn& column) {
    for (const ColumnRule& entry : table_.policy.columns) {
      if (std::find(entry.columns.begin(), entry.columns.end(), column.name) == entry.columns.end())
        continue;
      const int first = table_.Find(entry.columns.front());
      return By({table_, entry.rule, table_.columns[static_cast<size_t>(first)]}, column);
    }
    return By({table_, table_.policy.row, column}, column);
  }

  Picked OfKey(const TargetColumn& column) {
    return FromImage(Add("(array_agg(c.image ORDER BY c.v DESC, c.source DESC) FILTER (WHERE "
                         "c.counts))[1]"),
                     column);
  }

  const std::vector<std::string>& items() const { return items_; }

 private:
  Picked By(const RuleColumn& at, const TargetColumn& column) {
    const RuleInfo& info = InfoOf(at.rule.kind);
    if (info.combine != nullptr) {
      const Combination combination = info.combine(at);
      const std::string collected = Add(combination.collect);
      const std::string present =
          Add(absl::StrFormat("COALESCE(bool_or(c.image ? %s) FILTER (WHERE c.counts), false)",
                              SqlLiteral(column.name)));
      return {present, absl::StrReplaceAll(combination.value, {{"{p}", collected}})};
    }
    const bool over_peaks =
        at.rule.kind == RuleKind::kValuePriority && at.rule.scope != ValueScope::kSource;
    const std::string name = SqlLiteral(at.column.name);
    const std::string image =
        over_peaks ? absl::StrFormat("c.peaks->%s->'i'", name) : std::string("c.image");
    std::string filter = over_peaks ? absl::StrFormat("c.peaks ? %s", name) : "c.counts";
    // The centre reports those columns with rules of their own that people changed.
    if (!over_peaks && HasOwnRule(at)) filter += absl::StrFormat(" AND c.image ? %s", name);
    return FromImage(Add(absl::StrFormat("(array_agg(%s ORDER BY %s) FILTER (WHERE %s))[1]", image,
                                         info.order(at), filter)),
                     column);
  }

  static Picked FromImage(const std::string& image, const TargetColumn& column) {
    const std::string name = SqlLiteral(column.name);
    return {absl::StrFormat("%s ? %s", image, name), absl::StrFormat("%s->>%s", image, name)};
  }

  // The alias of an aggregate.
  std::string Add(const std::string& aggregate) {
    auto [found, inserted] = aliases_.try_emplace(aggregate, aliases_.size());
    const std::string alias = absl::StrFormat("a%d", found->second);
    if (inserted) items_.push_back(absl::StrFormat("%s AS %s", aggregate, alias));
    return absl::StrFormat("p.%s", alias);
  }

  const TargetTable& table_;
  std::map<std::string, size_t> aliases_;
  std::vector<std::string> items_;
};

struct RowParts {
  std::vector<std::string> names;
  std::vector<std::string> values;
  std::vector<std::string> sets;
  std::vector<std::string> stored;  // as text, of t
  std::vector<std::string> wanted;  // as text, of EXCLUDED
  std::vector<std::string> key;
  std::vector<TextPair> image;  // of r's columns
  bool overriding = false;

  void Add(const std::string& name, const std::string& value, bool settable) {
    names.push_back(name);
    values.push_back(value);
    if (!settable) return;
    sets.push_back(absl::StrFormat("%s = EXCLUDED.%s", name, name));
    stored.push_back(absl::StrFormat("t.%s::text", name));
    wanted.push_back(absl::StrFormat("EXCLUDED.%s::text", name));
  }
};

RowParts PartsOf(const TargetTable& table, Picks* picks) {
  RowParts parts;
  for (size_t i = 0; i < table.columns.size(); ++i) {
    const TargetColumn& column = table.columns[i];
    if (column.generated) continue;
    const std::string name = SqlIdentifier(column.name);
    const bool in_key =
        std::find(table.key.begin(), table.key.end(), static_cast<int>(i)) != table.key.end();
    const Picks::Picked picked = in_key ? picks->OfKey(column) : picks->Of(column);
    if (in_key) parts.key.push_back(name);
    parts.overriding = parts.overriding || column.identity_always;
    // A column that no source sends belongs to the centre: it stays as it is.
    const std::string otherwise = column.default_sql.empty() ? "NULL" : column.default_sql;
    const std::string value =
        in_key ? absl::StrFormat("(%s)::%s", picked.text, column.type)
               : absl::StrFormat(
                     "CASE WHEN %s THEN (%s)::%s WHEN old._source IS NOT NULL THEN "
                     "old.%s ELSE %s END",
                     picked.present, picked.text, column.type, name, otherwise);
    parts.image.push_back({column.name, absl::StrFormat("r.v%d", parts.values.size())});
    parts.Add(name, value, !column.identity_always);
  }
  parts.Add("_source", "p.winner", true);
  parts.Add("_source_updated_at", "p.committed_at", true);
  parts.Add("_sync_version", "p.v", true);
  std::vector<int> all;
  for (size_t i = 0; i < table.columns.size(); ++i) all.push_back(static_cast<int>(i));
  parts.sets.back() =
      absl::StrFormat("_sync_version = %s", VersionUnlessFixed(table, all, "t", "EXCLUDED"));
  return parts;
}

// WITH c, p, r: the touched keys as they shall be, in r.v0.. in the order of `parts`.
std::string Computed(const TargetTable& table, const Picks& picks, const RowParts& parts) {
  const char* newest = "ORDER BY c.v DESC, c.source DESC) FILTER (WHERE c.counts))[1]";
  std::vector<std::string> values;
  for (size_t i = 0; i < parts.values.size(); ++i)
    values.push_back(absl::StrFormat("%s AS v%d", parts.values[i], i));
  return absl::StrFormat(
      "WITH c AS (%s), p AS MATERIALIZED (SELECT c.key, (array_agg(c.sources))[1] AS sources, "
      "count(*) AS writers, %s AND bool_or(c.counts) AS alive, (array_agg(c.source %s AS winner, "
      "(array_agg(c.committed_at %s AS committed_at, (array_agg(c.v %s AS v, %s FROM c GROUP BY "
      "c.key), r AS MATERIALIZED (SELECT p.key, p.sources, p.writers, p.alive, %s FROM p LEFT JOIN "
      "%s old ON %s)",
      Candidates(table), Alive(table.policy), newest, newest, newest,
      absl::StrJoin(picks.items(), ", "), absl::StrJoin(values, ", "), SqlTable(table),
      KeyFromText(table, "old", "p"));
}

}  // namespace

std::string RowsToBe(const TargetTable& table, int limit) {
  Picks picks(table);
  const RowParts parts = PartsOf(table, &picks);
  return absl::StrFormat("%s SELECT %s, r.v%d FROM r WHERE r.alive ORDER BY r.key LIMIT %d",
                         Computed(table, picks, parts), TextObject(parts.image),
                         parts.values.size() - 3, limit);
}

// Rows that go do so before others are written: those may take over what is unique. A row that
// changes mostly gets another version: that is seen before all columns are compared.
std::string Recompute(const TargetTable& table) {
  Picks picks(table);
  const RowParts parts = PartsOf(table, &picks);
  std::vector<std::string> results;
  for (size_t i = 0; i < parts.values.size(); ++i) results.push_back(absl::StrFormat("r.v%d", i));
  std::string log;
  std::string report = "SELECT NULL::text, NULL::text, 0::bigint WHERE false";
  if (table.policy.log != ConflictLog::kOff) {
    log = absl::StrFormat(
        ", log AS (%s RETURNING type, resolution)",
        LogOfRecompute(table, TextObject(parts.image), KeyFromText(table, "old", "r")));
    report = "SELECT type, resolution, count(*) FROM log GROUP BY type, resolution";
  }
  return absl::StrFormat(
      "%s, gone AS (DELETE FROM %s t USING r WHERE NOT r.alive AND %s RETURNING 1)%s, written AS "
      "(INSERT INTO %s AS t (%s)%s SELECT %s FROM r WHERE r.alive AND (SELECT count(*) FROM gone) "
      ">= 0 ON CONFLICT (%s) DO UPDATE SET %s WHERE t._sync_version <> EXCLUDED._sync_version OR "
      "ROW(%s) IS DISTINCT FROM ROW(%s)) %s",
      Computed(table, picks, parts), SqlTable(table), KeyFromText(table, "t", "r"), log,
      SqlTable(table), absl::StrJoin(parts.names, ", "),
      parts.overriding ? " OVERRIDING SYSTEM VALUE" : "", absl::StrJoin(results, ", "),
      absl::StrJoin(parts.key, ", "), absl::StrJoin(parts.sets, ", "),
      absl::StrJoin(parts.stored, ", "), absl::StrJoin(parts.wanted, ", "), report);
}

}  // namespace pmoves
