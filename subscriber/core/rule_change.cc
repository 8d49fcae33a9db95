#include "subscriber/core/rule_change.h"

#include <vector>

#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "subscriber/core/conflict_log_sql.h"
#include "subscriber/core/json_sql.h"
#include "subscriber/core/policy_text.h"
#include "subscriber/core/register_parts.h"

namespace pmoves {
namespace {

constexpr uint32_t kTidOid = 27;

// The touched keys of the table, as k.
std::string Touched(const TargetTable& table) {
  return absl::StrFormat("(SELECT key FROM pg_temp.pmoves_touched WHERE relation = %s) k",
                         SqlLiteral(table.Name()));
}

RowStatement TouchNext(const TargetTable& table, const char* from, int limit) {
  const std::string relation = SqlLiteral(table.Name());
  return {absl::StrFormat(
              "WITH next AS (SELECT DISTINCT key FROM pmoves_sync.%s WHERE relation = %s AND key > "
              "$1 ORDER BY key LIMIT %d), put AS (INSERT INTO pg_temp.pmoves_touched (relation, "
              "key, source) SELECT %s, key, '' FROM next) SELECT max(key) FROM next HAVING "
              "count(*) > 0",
              from, relation, limit, relation),
          {kTextOid}};
}

// The versions of register g under the rule that comes. What the rule before kept of a column is
// used where it is of the right kind; else the column counts from the report that it was in. Of
// rules that go by the report only the centre has versions of columns.
std::string VersionsUnder(const TargetTable& table) {
  std::vector<std::string> pairs;
  for (const ColumnRule& rule : OwnRules(table)) {
    const std::string name = SqlLiteral(rule.columns.front());
    const bool merged = rule.rule.kind == RuleKind::kJsonMerge;
    std::string otherwise = "NULL";
    std::string keeps =
        absl::StrFormat("jsonb_typeof(g.versions->%s) = '%s'", name, merged ? "object" : "number");
    TablePlan plan;
    if (merged) plan.merged_json.push_back(rule.columns.front());
    if (rule.rule.kind == RuleKind::kLastWriteWins)
      plan.tracked.push_back({rule.columns.front(), rule.columns});
    if (!plan.tracked.empty() || merged) {
      otherwise = absl::StrFormat("CASE WHEN g.image ? %s THEN (%s)->%s END", name,
                                  FirstVersions(plan, "g.image", "g.image_version"), name);
    } else {
      keeps += absl::StrFormat(" AND g.source = %s", SqlLiteral(kCentralSource));
    }
    pairs.push_back(JsonPair(
        rule.columns.front(),
        absl::StrFormat("CASE WHEN %s THEN g.versions->%s ELSE %s END", keeps, name, otherwise)));
  }
  return absl::StrFormat("jsonb_strip_nulls(%s)", JsonObject(pairs));
}

// The stronger of what g reports and the strongest that it ever reported, both by the rule that
// comes: ranks and runs may be others now.
std::string PeaksUnder(const TablePlan& plan) {
  std::vector<std::string> peaks;
  for (const Peak& peak : plan.peaks) {
    const std::string name = SqlLiteral(peak.name);
    TablePlan one;
    one.peaks.push_back(peak);
    peaks.push_back(absl::StrFormat(
        "COALESCE((SELECT jsonb_build_object(%s, p) FROM (VALUES (CASE WHEN g.image ? %s THEN "
        "%s->%s END), (CASE WHEN g.peaks ? %s THEN %s->%s END)) AS candidates(p) WHERE p IS NOT "
        "NULL ORDER BY (p->>'e')::numeric DESC, (p->>'r')::bigint, (p->>'v')::bigint DESC LIMIT "
        "1), '{}')",
        name, name, FirstPeaks(one, "g.image", "g.image_version"), name, name,
        FirstPeaks(one, absl::StrFormat("(g.peaks->%s->'i')", name),
                   absl::StrFormat("(g.peaks->%s->'v')", name)),
        name));
  }
  return peaks.empty() ? std::string("'{}'::jsonb") : absl::StrJoin(peaks, " || ");
}

// The relation under which pmoves_sync.source_clock has it.
std::string ClockRelation(const TargetTable& table, const std::string& clock) {
  return SqlLiteral(clock == "column" ? table.Name() : std::string());
}

// The version that source p has reached by that clock.
std::string Reached(const TargetTable& table, const std::string& clock) {
  if (clock == "commit") return "p.hlc";
  return absl::StrFormat(
      "COALESCE((SELECT b.hlc FROM pmoves_sync.source_clock b WHERE b.source = p.source AND "
      "b.relation = %s), 0)",
      ClockRelation(table, clock));
}

}  // namespace

std::string ClockName(const TablePolicy& policy) {
  switch (policy.version) {
    case VersionSource::kColumn:
      return "column";
    case VersionSource::kArrival:
      return "arrival";
    case VersionSource::kCommit:
      break;
  }
  return "commit";
}

bool ChangesClock(const std::optional<RecordedRule>& recorded, const TablePolicy& policy) {
  return recorded.has_value() && recorded->clock != ClockName(policy);
}

std::string RaiseClocks(const TargetTable& table, const std::string& before) {
  const std::string now = ClockName(table.policy);
  const std::string reached =
      before.empty() ? absl::StrFormat("GREATEST(%s, %s, %s)", Reached(table, "commit"),
                                       Reached(table, "column"), Reached(table, "arrival"))
                     : Reached(table, before);
  if (now == "commit") {
    return absl::StrFormat("UPDATE pmoves_sync.source_position p SET hlc = GREATEST(p.hlc, %s)",
                           reached);
  }
  return absl::StrFormat(
      "INSERT INTO pmoves_sync.source_clock AS c (source, relation, hlc) SELECT p.source, %s, %s "
      "FROM pmoves_sync.source_position p ON CONFLICT (source, relation) DO UPDATE SET hlc = "
      "GREATEST(c.hlc, EXCLUDED.hlc)",
      ClockRelation(table, now), reached);
}

bool BuriesAll(const RecordedRule& recorded) {
  return recorded.policy.empty() || recorded.unfinished ||
         recorded.policy.find("truncate: all") != std::string::npos;
}

RuleChange ChangeOf(const std::optional<RecordedRule>& recorded, const TablePolicy& policy) {
  const bool registers = UsesRegisters(policy);
  if (!recorded.has_value()) return registers ? RuleChange::kAdopt : RuleChange::kRecord;
  if (recorded->unfinished) return registers ? RuleChange::kRecompute : RuleChange::kForget;
  if (recorded->policy == PolicyText(policy)) return RuleChange::kNone;
  if (!recorded->uses_registers) return registers ? RuleChange::kAdopt : RuleChange::kRecord;
  return registers ? RuleChange::kRecompute : RuleChange::kForget;
}

std::string Describe(RuleChange change) {
  switch (change) {
    case RuleChange::kNone:
      return "the rows are made by it";
    case RuleChange::kRecord:
      return "rows stay as they are, what comes is merged by it";
    case RuleChange::kAdopt:
      return "rows stay as they are and become the reports of their _source; what they had "
             "replaced before is not known any more";
    case RuleChange::kRecompute:
      return "all rows are computed again from the sources' latest reports; what those had "
             "replaced before (for scope epoch or absorbing) is known only if the rule before "
             "kept it";
    case RuleChange::kForget:
      return "rows stay as they are shown; the reports of the single sources are given up";
  }
  return "";
}

RowStatement TouchNextRegisters(const TargetTable& table, int limit) {
  return TouchNext(table, "register", limit);
}

RowStatement TouchNextTombstones(const TargetTable& table, int limit) {
  return TouchNext(table, "tombstone", limit);
}

RowStatement AdoptRows(const TargetTable& table) {
  const TablePlan plan = PlanOf(table);
  const std::string relation = SqlLiteral(table.Name());
  return {
      absl::StrFormat(
          "INSERT INTO pmoves_sync.register AS g (%s) SELECT %s, n.key, n.source, n.version, "
          "n.version, n.version, false, n.committed_at, n.image, %s, %s FROM (SELECT %s AS "
          "key, t._source AS source, t._sync_version AS version, t._source_updated_at AS "
          "committed_at, %s AS image FROM %s t WHERE t.ctid >= $1 AND t.ctid < $2) n WHERE NOT "
          "EXISTS (SELECT 1 FROM pmoves_sync.register r WHERE r.relation = %s AND r.key = n.key "
          "AND (r.version, r.source) >= (n.version, n.source COLLATE \"C\")) ON CONFLICT "
          "(relation, key, source) DO UPDATE SET version = EXCLUDED.version, first_version = "
          "CASE WHEN g.deleted THEN EXCLUDED.version ELSE g.first_version END, image_version = "
          "EXCLUDED.image_version, deleted = false, committed_at = EXCLUDED.committed_at, image "
          "= EXCLUDED.image, versions = EXCLUDED.versions, peaks = %s WHERE g.version < "
          "EXCLUDED.version",
          kRegisterColumns, relation, FirstVersions(plan, "n.image", "n.version"),
          FirstPeaks(plan, "n.image", "n.version"), TombstoneKey(table, "t"), RowImage(table, "t"),
          SqlTable(table), relation,
          plan.peaks.empty() ? std::string("'{}'") : NextPeaks(plan, "EXCLUDED.peaks")),
      {kTidOid, kTidOid}};
}

std::string AdoptTombstones(const TargetTable& table) {
  const std::string relation = SqlLiteral(table.Name());
  // A truncate of own rows marks its tombstones by a blank behind the source.
  return absl::StrFormat(
      "INSERT INTO pmoves_sync.register AS g (%s) SELECT %s, d.key, rtrim(d.source), d.version, "
      "d.version, -1, true, d.deleted_at, '{}', '{}', '{}' FROM %s JOIN pmoves_sync.tombstone d ON "
      "d.relation = %s AND d.key = k.key WHERE NOT EXISTS (SELECT 1 FROM pmoves_sync.register r "
      "WHERE r.relation = %s AND r.key = k.key AND (r.version, r.source) >= (d.version, "
      "rtrim(d.source) COLLATE \"C\")) ON CONFLICT (relation, key, source) DO UPDATE SET version = "
      "EXCLUDED.version, deleted = true WHERE g.version < EXCLUDED.version",
      kRegisterColumns, relation, Touched(table), relation, relation);
}

std::string CompleteRegisters(const TargetTable& table) {
  std::string deleted = "g.deleted";
  if (table.policy.truncate != TruncatePolicy::kAll) {
    deleted = absl::StrFormat(
        "g.deleted OR EXISTS (SELECT 1 FROM pmoves_sync.truncate_floor f WHERE f.relation = g."
        "relation AND (g.version, g.source) < (f.version, f.source))");
  }
  const std::string versions = VersionsUnder(table);
  const std::string peaks = PeaksUnder(PlanOf(table));
  return absl::StrFormat(
      "UPDATE pmoves_sync.register AS g SET versions = %s, peaks = %s, deleted = %s FROM %s WHERE "
      "g.relation = %s AND g.key = k.key AND g.image_version >= 0 AND ROW(g.versions, g.peaks, "
      "g.deleted) IS DISTINCT FROM ROW(%s, %s, %s)",
      versions, peaks, deleted, Touched(table), SqlLiteral(table.Name()), versions, peaks, deleted);
}

std::string LockTouchedRows(const TargetTable& table) {
  return absl::StrFormat("SELECT 1 FROM %s t JOIN %s ON %s ORDER BY k.key FOR NO KEY UPDATE OF t",
                         SqlTable(table), Touched(table), KeyFromText(table, "t", "k"));
}

std::string ForgetFloor(const TargetTable& table) {
  return absl::StrFormat("DELETE FROM pmoves_sync.truncate_floor WHERE relation = %s",
                         SqlLiteral(table.Name()));
}

std::string ForgetRegisters(const TargetTable& table) {
  const std::string relation = SqlLiteral(table.Name());
  // What was truncated with all others is older than that truncate.
  return absl::StrFormat(
      "WITH gone AS (SELECT DISTINCT ON (g.key) g.key, g.version, g.source, g.committed_at FROM "
      "(SELECT g.key, g.version, g.source, g.committed_at FROM %s JOIN pmoves_sync.register g ON "
      "g.relation = %s AND g.key = k.key UNION ALL SELECT k.key, f.version, f.source, now() FROM "
      "%s JOIN pmoves_sync.truncate_floor f ON f.relation = %s) g WHERE NOT EXISTS (SELECT 1 "
      "FROM %s t WHERE %s) ORDER BY g.key, g.version DESC, g.source DESC), buried AS (INSERT INTO "
      "pmoves_sync.tombstone AS d (relation, key, version, source, deleted_at) SELECT %s, key, "
      "version, source, committed_at FROM gone ON CONFLICT (relation, key) DO UPDATE SET version = "
      "EXCLUDED.version, source = EXCLUDED.source, deleted_at = EXCLUDED.deleted_at, recorded_at "
      "= now() WHERE (d.version, d.source) < (EXCLUDED.version, EXCLUDED.source)) DELETE FROM "
      "pmoves_sync.register g USING %s WHERE g.relation = %s AND g.key = k.key",
      Touched(table), relation, Touched(table), relation, SqlTable(table),
      KeyFromText(table, "t", "g"), relation, Touched(table), relation);
}

}  // namespace pmoves
