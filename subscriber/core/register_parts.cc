#include "subscriber/core/register_parts.h"

#include <vector>

#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "subscriber/core/json_sql.h"
#include "subscriber/core/merge_sql.h"

namespace pmoves {
namespace {

// The names of the members of a JSON object; none of what is no object.
std::string Members(const std::string& image, const std::string& column) {
  const std::string value = absl::StrFormat("(%s->>%s)::jsonb", image, SqlLiteral(column));
  return absl::StrFormat("jsonb_object_keys(CASE jsonb_typeof(%s) WHEN 'object' THEN %s END)",
                         value, value);
}

}  // namespace

std::string FirstVersions(const TablePlan& plan, const std::string& image,
                          const std::string& version) {
  std::vector<std::string> pairs;
  for (const TrackedColumns& tracked : plan.tracked)
    pairs.push_back(JsonPair(tracked.name, version));
  for (const std::string& column : plan.merged_json) {
    pairs.push_back(
        JsonPair(column, absl::StrFormat("COALESCE((SELECT jsonb_object_agg(m, %s) FROM "
                                         "%s m), '{}')",
                                         version, Members(image, column))));
  }
  return JsonObject(pairs);
}

std::string NextVersions(const TablePlan& plan, const std::string& image,
                         const std::string& version) {
  std::vector<std::string> pairs;
  for (const TrackedColumns& tracked : plan.tracked) {
    std::vector<std::string> same;
    for (const std::string& column : tracked.columns) {
      same.push_back(absl::StrFormat("g.image->%s IS NOT DISTINCT FROM %s->%s", SqlLiteral(column),
                                     image, SqlLiteral(column)));
    }
    const std::string name = SqlLiteral(tracked.name);
    pairs.push_back(
        JsonPair(tracked.name,
                 absl::StrFormat("CASE WHEN %s THEN COALESCE(g.versions->%s, to_jsonb(%s)) ELSE "
                                 "to_jsonb(%s) END",
                                 absl::StrJoin(same, " AND "), name, version, version)));
  }
  for (const std::string& column : plan.merged_json) {
    const std::string name = SqlLiteral(column);
    pairs.push_back(JsonPair(
        column,
        absl::StrFormat(
            "COALESCE((SELECT jsonb_object_agg(m, CASE WHEN (g.image->>%s)::jsonb->m IS NOT "
            "DISTINCT FROM (%s->>%s)::jsonb->m THEN COALESCE(g.versions->%s->m, to_jsonb(%s)) "
            "ELSE to_jsonb(%s) END) FROM (SELECT %s UNION SELECT "
            "jsonb_object_keys(g.versions->%s)) "
            "AS members(m)), '{}')",
            name, image, name, name, version, version, Members(image, column), name)));
  }
  return JsonObject(pairs);
}

std::string FirstPeaks(const TablePlan& plan, const std::string& image,
                       const std::string& version) {
  std::vector<std::string> pairs;
  for (const Peak& peak : plan.peaks) {
    const std::string epoch = peak.epoch_column.empty()
                                  ? "'0'"
                                  : absl::StrFormat("COALESCE(%s->>%s, '-Infinity')", image,
                                                    SqlLiteral(peak.epoch_column));
    pairs.push_back(JsonPair(
        peak.name, absl::StrFormat("jsonb_build_object('e', %s, 'r', %s, 'v', %s, 'i', %s)", epoch,
                                   ValueRank(peak.values, image, peak.name), version, image)));
  }
  return JsonObject(pairs);
}

std::string NextPeaks(const TablePlan& plan, const std::string& candidate) {
  std::vector<std::string> pairs;
  for (const Peak& peak : plan.peaks) {
    const std::string name = SqlLiteral(peak.name);
    auto order = [&name](const std::string& from) {
      return absl::StrFormat(
          "((%s->%s->>'e')::numeric, -(%s->%s->>'r')::bigint, (%s->%s->>'v')::bigint)", from, name,
          from, name, from, name);
    };
    pairs.push_back(JsonPair(
        peak.name,
        absl::StrFormat("CASE WHEN NOT g.peaks ? %s OR %s > %s THEN %s->%s ELSE g.peaks->%s END",
                        name, order(candidate), order("g.peaks"), candidate, name, name)));
  }
  return JsonObject(pairs);
}

}  // namespace pmoves
