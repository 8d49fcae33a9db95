#include "subscriber/core/central_register_sql.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "subscriber/core/json_sql.h"
#include "subscriber/core/merge_sql.h"
#include "subscriber/core/register_parts.h"
#include "subscriber/core/rule_sql.h"

namespace pmoves {

std::string AboveAll(const TargetTable& table, const std::string& key) {
  const std::string relation = SqlLiteral(table.Name());
  std::string above = absl::StrFormat(
      "(SELECT max(r.version) + 1 FROM pmoves_sync.register r WHERE r.relation = %s AND r.key = "
      "%s)",
      relation, key);
  if (table.policy.truncate == TruncatePolicy::kAll) {
    above += absl::StrFormat(
        ", (SELECT f.version + 1 FROM pmoves_sync.truncate_floor f WHERE f.relation = %s)",
        relation);
  }
  return above;
}

std::vector<std::string> RowRuleColumns(const TargetTable& table) {
  const std::vector<ColumnRule> rules = OwnRules(table);
  std::vector<std::string> columns;
  for (const TargetColumn& column : table.columns) {
    const bool own = std::any_of(rules.begin(), rules.end(), [&](const ColumnRule& rule) {
      return std::find(rule.columns.begin(), rule.columns.end(), column.name) != rule.columns.end();
    });
    if (!own && !column.generated) columns.push_back(column.name);
  }
  return columns;
}

namespace {

std::string Central() { return SqlLiteral(kCentralSource); }

std::string Queue(const TargetTable& table, const char* key, const std::string& source) {
  return absl::StrFormat(
      "    INSERT INTO pmoves_sync.recompute_queue (relation, key, source) VALUES (%s, %s, %s);\n",
      SqlLiteral(table.Name()), key, source);
}

// jsonb of these columns of NEW or OLD.
std::string Texts(const std::vector<std::string>& columns, const char* row) {
  std::vector<std::string> pairs;
  for (const std::string& column : columns) {
    pairs.push_back(JsonPair(column, absl::StrFormat("%s.%s::text", row, SqlIdentifier(column))));
  }
  return JsonObject(pairs);
}

// As text: not every type has an equality.
std::string Differs(const std::string& column) {
  const std::string name = SqlIdentifier(column);
  return absl::StrFormat("NEW.%s::text IS DISTINCT FROM OLD.%s::text", name, name);
}

std::string Changed(const ColumnRule& rule) {
  std::vector<std::string> terms;
  for (const std::string& column : rule.columns) terms.push_back(Differs(column));
  if (!rule.rule.epoch_column.empty()) terms.push_back(Differs(rule.rule.epoch_column));
  return absl::StrJoin(terms, " OR ");
}

// The members of a JSON object in a column of a row; none of what is no object.
std::string Object(const std::string& column, const char* row) {
  const std::string value = absl::StrFormat("%s.%s::jsonb", row, SqlIdentifier(column));
  return absl::StrFormat("(CASE jsonb_typeof(%s) WHEN 'object' THEN %s END)", value, value);
}

// g.image and its versions after the column was changed.
std::string ChangeJson(const ColumnRule& rule) {
  const std::string& column = rule.columns.front();
  const std::string name = SqlLiteral(column);
  const std::string now = Object(column, "NEW");
  const std::string before = Object(column, "OLD");
  return absl::StrFormat(
      "      g.image := g.image || %s;\n"
      "      g.versions := g.versions || jsonb_build_object(%s, COALESCE(g.versions->%s, '{}') || "
      "COALESCE((SELECT jsonb_object_agg(m, my_version) FROM (SELECT jsonb_object_keys(%s) UNION "
      "SELECT jsonb_object_keys(%s)) AS members(m) WHERE %s->m IS DISTINCT FROM %s->m), '{}'));\n",
      Texts(rule.columns, "NEW"), name, name, now, before, now, before);
}

std::string ChangeSum(const TargetTable& table, const ColumnRule& rule) {
  const TargetColumn& column = table.columns[static_cast<size_t>(table.Find(rule.columns[0]))];
  const std::string name = SqlIdentifier(column.name);
  return absl::StrFormat(
      "      g.image := g.image || jsonb_build_object(%s, COALESCE((g.image->>%s)::%s + (NEW.%s - "
      "OLD.%s), NEW.%s - OLD.%s, NEW.%s)::text);\n",
      SqlLiteral(column.name), SqlLiteral(column.name), column.type, name, name, name, name, name);
}

std::string ChangePeak(const ColumnRule& rule) {
  if (rule.rule.kind != RuleKind::kValuePriority || rule.rule.scope == ValueScope::kSource)
    return "";
  TablePlan plan;
  plan.peaks.push_back({rule.columns.front(), rule.rule.epoch_column, rule.rule.values});
  const std::string run =
      rule.rule.epoch_column.empty() ? "" : " || " + Texts({rule.rule.epoch_column}, "NEW");
  return absl::StrFormat(
      "      my_image := g.image%s;\n      g.peaks := g.peaks || %s;\n", run,
      NextPeaks(plan, absl::StrFormat("(%s)", FirstPeaks(plan, "my_image", "my_version"))));
}

// Column rules after an UPDATE: what changed is reported, the rest keeps its version.
std::string OwnReports(const TargetTable& table) {
  std::string lines;
  for (const ColumnRule& rule : OwnRules(table)) {
    const std::string name = SqlLiteral(rule.columns.front());
    std::string change;
    std::string otherwise;
    if (rule.rule.kind == RuleKind::kJsonMerge) {
      change = ChangeJson(rule);
    } else if (rule.rule.kind == RuleKind::kSumOfSources) {
      change = ChangeSum(table, rule);
    } else {
      change = absl::StrFormat(
          "      g.image := g.image || %s;\n"
          "      g.versions := g.versions || jsonb_build_object(%s, my_version);\n%s",
          Texts(rule.columns, "NEW"), name, ChangePeak(rule));
      otherwise = absl::StrFormat(
          "    ELSIF g.image ? %s AND NOT g.versions ? %s THEN\n"
          "      g.versions := g.versions || jsonb_build_object(%s, g.image_version);\n",
          name, name, name);
    }
    lines += absl::StrFormat("    IF %s THEN\n%s%s    END IF;\n", Changed(rule), change, otherwise);
  }
  return lines;
}

// The register of the centre for `key` into g. One that is deleted begins anew, but for its peaks.
std::string ReadOwn(const TargetTable& table, const char* key) {
  return absl::StrFormat(
      "    SELECT r.* INTO g FROM pmoves_sync.register r WHERE r.relation = %s AND r.key = %s AND "
      "r.source = %s;\n"
      "    IF NOT FOUND OR g.deleted THEN\n"
      "      g.first_version := my_version;\n"
      "      g.image := '{}';\n"
      "      g.versions := '{}';\n"
      "      g.peaks := COALESCE(g.peaks, '{}');\n"
      "    END IF;\n",
      SqlLiteral(table.Name()), key, Central());
}

std::string WriteOwn(const TargetTable& table, const char* key) {
  return absl::StrFormat(
      "    INSERT INTO pmoves_sync.register (%s) VALUES (%s, %s, %s, my_version, g.first_version, "
      "my_version, false, clock_timestamp(), g.image, g.versions, g.peaks) ON CONFLICT (relation, "
      "key, source) DO UPDATE SET version = EXCLUDED.version, first_version = "
      "EXCLUDED.first_version, image_version = EXCLUDED.image_version, deleted = false, "
      "committed_at = EXCLUDED.committed_at, image = EXCLUDED.image, versions = "
      "EXCLUDED.versions, peaks = EXCLUDED.peaks;\n",
      kRegisterColumns, SqlLiteral(table.Name()), key, Central());
}

// A delete of the row OLD, whose key is my_old.
std::string Withdraw(const TargetTable& table) {
  if (table.policy.on_delete == DeletePolicy::kSoft) {
    // One more report: of the row as it stood, with the time.
    const std::string& column = table.policy.soft_delete_column;
    std::string lines = ReadOwn(table, "my_old");
    lines += absl::StrFormat(
        "    g.image := g.image || %s || jsonb_build_object(%s, clock_timestamp()::text);\n",
        Texts(RowRuleColumns(table), "OLD"), SqlLiteral(column));
    if (table.policy.granularity == Granularity::kColumn) {
      lines +=
          absl::StrFormat("    g.versions := g.versions || jsonb_build_object(%s, my_version);\n",
                          SqlLiteral(column));
    }
    return lines + WriteOwn(table, "my_old");
  }
  return absl::StrFormat(
      "    INSERT INTO pmoves_sync.register (%s) VALUES (%s, my_old, %s, my_version, my_version, "
      "-1, true, clock_timestamp(), '{}', '{}', '{}') ON CONFLICT (relation, key, source) DO "
      "UPDATE SET version = EXCLUDED.version, deleted = true;\n",
      kRegisterColumns, SqlLiteral(table.Name()), Central());
}

std::string Adopt(const TargetTable& table) {
  const TablePlan plan = PlanOf(table);
  const std::string relation = SqlLiteral(table.Name());
  return absl::StrFormat(
      "    IF NOT EXISTS (SELECT 1 FROM pmoves_sync.register r WHERE r.relation = %s AND r.key = "
      "my_old) THEN\n"
      "      my_image := %s;\n"
      "      INSERT INTO pmoves_sync.register (%s) VALUES (%s, my_old, OLD._source, "
      "OLD._sync_version, OLD._sync_version, OLD._sync_version, false, OLD._source_updated_at, "
      "my_image, %s, %s) ON CONFLICT DO NOTHING;\n"
      "    END IF;\n",
      relation, RowImage(table, "OLD"), kRegisterColumns, relation,
      FirstVersions(plan, "my_image", "OLD._sync_version"),
      FirstPeaks(plan, "my_image", "OLD._sync_version"));
}

// An INSERT, or the new key of an UPDATE, reports the whole row, of whatever source it says.
std::string Report(const TargetTable& table) {
  const TablePlan plan = PlanOf(table);
  return absl::StrFormat(
      "    my_version := NEW._sync_version;\n"
      "    IF NEW._source = %s THEN\n"
      "      my_version := GREATEST(my_version, %s);\n"
      "    END IF;\n"
      "    my_image := %s;\n"
      "    INSERT INTO pmoves_sync.register AS g (%s) VALUES (%s, my_new, NEW._source, my_version, "
      "my_version, my_version, false, NEW._source_updated_at, my_image, %s, %s) ON CONFLICT "
      "(relation, key, source) DO UPDATE SET version = EXCLUDED.version, first_version = CASE WHEN "
      "g.deleted THEN EXCLUDED.version ELSE g.first_version END, image_version = "
      "EXCLUDED.image_version, deleted = false, committed_at = EXCLUDED.committed_at, image = "
      "EXCLUDED.image, versions = EXCLUDED.versions, peaks = %s WHERE g.version < "
      "EXCLUDED.version;\n",
      Central(), AboveAll(table, "my_new"), RowImage(table, "NEW"), kRegisterColumns,
      SqlLiteral(table.Name()), FirstVersions(plan, "my_image", "my_version"),
      FirstPeaks(plan, "my_image", "my_version"), NextPeaks(plan, "EXCLUDED.peaks"));
}

}  // namespace

std::string CentralTruncate(const TargetTable& table) {
  const std::string relation = SqlLiteral(table.Name());
  const std::string key = TombstoneKey(table, "t");
  std::string lines = "    my_version := pmoves_sync.central_version();\n";
  if (table.policy.truncate == TruncatePolicy::kAll) {
    lines += absl::StrFormat(
        "    INSERT INTO pmoves_sync.truncate_floor AS f (relation, version, source) SELECT %s, "
        "GREATEST(my_version, max(r.version) + 1), %s FROM pmoves_sync.register r WHERE "
        "r.relation = %s ON CONFLICT (relation) DO UPDATE SET version = EXCLUDED.version, source "
        "= EXCLUDED.source WHERE (f.version, f.source) < (EXCLUDED.version, EXCLUDED.source);\n",
        relation, Central(), relation);
  } else {
    lines += absl::StrFormat(
        "    INSERT INTO pmoves_sync.register (%s) SELECT %s, n.key, %s, n.version, n.version, "
        "-1, true, clock_timestamp(), '{}', '{}', '{}' FROM (SELECT t.key, GREATEST(my_version, "
        "%s) AS version FROM (SELECT %s AS key FROM %s t) t) n ON CONFLICT (relation, key, source) "
        "DO UPDATE SET version = EXCLUDED.version, deleted = true;\n",
        kRegisterColumns, relation, Central(), AboveAll(table, "t.key"), key, SqlTable(table));
  }
  return lines + absl::StrFormat(
                     "    INSERT INTO pmoves_sync.recompute_queue (relation, key, source) SELECT "
                     "%s, %s, %s FROM %s t;\n",
                     relation, key, Central(), SqlTable(table));
}

std::string CentralReports(const TargetTable& table) {
  const std::string old_version = absl::StrFormat(
      "    my_version := GREATEST(pmoves_sync.central_version(), OLD._sync_version + 1, %s);\n",
      AboveAll(table, "my_old"));
  const std::string new_version = absl::StrFormat(
      "    my_version := GREATEST(NEW._sync_version, %s);\n", AboveAll(table, "my_new"));
  std::string lines = "  IF TG_OP <> 'INSERT' THEN\n";
  lines +=
      absl::StrFormat("    my_old := %s;\n%s  END IF;\n", TombstoneKey(table, "OLD"), Adopt(table));
  lines += absl::StrFormat("  IF TG_OP <> 'DELETE' THEN\n    my_new := %s;\n  END IF;\n",
                           TombstoneKey(table, "NEW"));
  lines += absl::StrFormat("  IF TG_OP = 'DELETE' OR my_old <> my_new THEN\n%s%s%s  END IF;\n",
                           old_version, Withdraw(table), Queue(table, "my_old", Central()));
  lines += absl::StrFormat("  IF my_old = my_new THEN\n%s%s    g.image := g.image || %s;\n%s%s%s",
                           new_version, ReadOwn(table, "my_new"),
                           Texts(RowRuleColumns(table), "NEW"), OwnReports(table),
                           WriteOwn(table, "my_new"), Queue(table, "my_new", Central()));
  lines += absl::StrFormat("  ELSIF TG_OP <> 'DELETE' THEN\n%s%s  END IF;\n", Report(table),
                           Queue(table, "my_new", "NEW._source"));
  return lines;
}

}  // namespace pmoves
