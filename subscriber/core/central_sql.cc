#include "subscriber/core/central_sql.h"

#include <cstdint>

#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "subscriber/core/central_register_sql.h"
#include "subscriber/core/merge_sql.h"

namespace pmoves {
namespace {

// As DeleteFromStage of merge_sql: the newest delete of a key stays.
constexpr const char kNewestTombstone[] =
    "ON CONFLICT (relation, key) DO UPDATE SET version = EXCLUDED.version, source = "
    "EXCLUDED.source, deleted_at = EXCLUDED.deleted_at, recorded_at = now() WHERE (d.version, "
    "d.source) < (EXCLUDED.version, EXCLUDED.source)";

std::string Central() { return SqlLiteral(kCentralSource); }

// The tombstone of `key`, and what a truncate of all rows left, as (version, source).
std::string Burials(const TargetTable& table, const std::string& key) {
  const std::string relation = SqlLiteral(table.Name());
  std::string burials = absl::StrFormat(
      "SELECT d.version, d.source FROM pmoves_sync.tombstone d WHERE d.relation = %s AND d.key = "
      "%s",
      relation, key);
  if (table.policy.truncate == TruncatePolicy::kAll) {
    burials += absl::StrFormat(
        " UNION ALL SELECT f.version, f.source FROM pmoves_sync.truncate_floor f WHERE f.relation "
        "= %s",
        relation);
  }
  return burials;
}

std::string Buried(const TargetTable& table, const std::string& key) {
  return absl::StrFormat(
      "EXISTS (SELECT 1 FROM (%s) b WHERE (b.version, b.source) > (t._sync_version, t._source "
      "COLLATE \"C\"))",
      Burials(table, key));
}

std::string StampUpdate(const TargetTable& table) {
  // append-only keeps the oldest row of a key: one that a person mends must not become a younger
  // one, which any late insert would replace.
  const char* version = table.policy.row.kind == RuleKind::kAppendOnly
                            ? "OLD._sync_version"
                            : "GREATEST(pmoves_sync.central_version(), OLD._sync_version + 1)";
  // Where _source is in the key, the row stays its source's.
  const std::string source =
      table.key_has_source ? "" : absl::StrFormat("    NEW._source := %s;\n", Central());
  return absl::StrFormat(
      "%s    NEW._source_updated_at := clock_timestamp();\n"
      "    NEW._sync_version := %s;\n"
      "    RETURN NEW;\n",
      source, version);
}

// All rows are gone; whoever inserts meanwhile may not have seen it, hence the look at the table.
std::string BuryAll(const TargetTable& table) {
  const std::string relation = SqlLiteral(table.Name());
  std::string lines;
  if (table.policy.truncate == TruncatePolicy::kAll) {
    lines = absl::StrFormat(
        "    SELECT GREATEST(pmoves_sync.central_version(), max(t._sync_version) + 1) INTO "
        "my_version FROM %s t;\n"
        "    INSERT INTO pmoves_sync.truncate_floor AS f (relation, version, source) VALUES (%s, "
        "my_version, %s) ON CONFLICT (relation) DO UPDATE SET version = EXCLUDED.version, source "
        "= EXCLUDED.source WHERE (f.version, f.source) < (EXCLUDED.version, EXCLUDED.source);\n",
        SqlTable(table), relation, Central());
  } else {
    lines = absl::StrFormat(
        "    my_version := pmoves_sync.central_version();\n"
        "    INSERT INTO pmoves_sync.tombstone AS d (relation, key, version, source, deleted_at) "
        "SELECT %s, %s, GREATEST(my_version, t._sync_version + 1), %s, clock_timestamp() FROM %s "
        "t %s;\n",
        relation, TombstoneKey(table, "t"), Central(), SqlTable(table), kNewestTombstone);
  }
  return lines + absl::StrFormat(
                     "    INSERT INTO pmoves_sync.recompute_queue (relation, key, source) VALUES "
                     "(%s, NULL, %s);\n",
                     relation, Central());
}

// soft, by row version (identity: per-source): the row that was deleted is back at once, marked.
std::string MarkDeleted(const TargetTable& table) {
  std::vector<std::string> names;
  std::vector<std::string> values;
  bool overriding = false;
  for (const TargetColumn& column : table.columns) {
    if (column.generated) continue;
    overriding = overriding || column.identity_always;
    const std::string name = SqlIdentifier(column.name);
    names.push_back(name);
    values.push_back(column.name == table.policy.soft_delete_column ? "clock_timestamp()"
                                                                    : "OLD." + name);
  }
  return absl::StrFormat(
      "  IF TG_OP = 'DELETE' THEN\n"
      "    PERFORM set_config('%s', 'on', true);\n"
      "    INSERT INTO %s (%s, _source, _source_updated_at, _sync_version)%s VALUES (%s, "
      "OLD._source, clock_timestamp(), my_version);\n"
      "    PERFORM set_config('%s', 'off', true);\n"
      "    RETURN NULL;\n"
      "  END IF;\n",
      kApplyingSetting, SqlTable(table), absl::StrJoin(names, ", "),
      overriding ? " OVERRIDING SYSTEM VALUE" : "", absl::StrJoin(values, ", "), kApplyingSetting);
}

// What follows an INSERT, a DELETE, or an UPDATE that changes the key.
std::string BuryAndRaise(const TargetTable& table) {
  const std::string relation = SqlLiteral(table.Name());
  const std::string queue = absl::StrFormat(
      "    INSERT INTO pmoves_sync.recompute_queue (relation, key, source) VALUES (%s, my_key, "
      "%s);\n",
      relation, Central());
  const std::string mark =
      table.policy.on_delete == DeletePolicy::kSoft ? MarkDeleted(table) : std::string();
  const std::string bury = absl::StrFormat(
      "    my_key := %s;\n"
      "    my_version := GREATEST(pmoves_sync.central_version(), OLD._sync_version + 1);\n%s"
      "    IF TG_OP = 'UPDATE' THEN\n"
      "      IF my_key = %s THEN\n"
      "        RETURN NULL;\n"
      "      END IF;\n"
      "      my_version := GREATEST(my_version, NEW._sync_version);\n"
      "    END IF;\n"
      "    INSERT INTO pmoves_sync.tombstone AS d (relation, key, version, source, deleted_at) "
      "VALUES (%s, my_key, my_version, %s, clock_timestamp()) %s;\n",
      TombstoneKey(table, "OLD"), mark, TombstoneKey(table, "NEW"), relation, Central(),
      kNewestTombstone);
  const std::string raise = absl::StrFormat(
      "    my_key := %s;\n"
      "    SELECT max(b.version) + 1 INTO my_version FROM (%s) b WHERE (b.version, b.source) > "
      "(NEW._sync_version, NEW._source COLLATE \"C\");\n"
      "    IF my_version IS NOT NULL AND (TG_OP = 'UPDATE' OR NEW._source = %s) THEN\n"
      "      PERFORM set_config('%s', 'on', true);\n"
      "      UPDATE %s t SET _sync_version = my_version WHERE %s;\n"
      "      PERFORM set_config('%s', 'off', true);\n"
      "    END IF;\n",
      TombstoneKey(table, "NEW"), Burials(table, "my_key"), Central(), kApplyingSetting,
      SqlTable(table), KeysEqual(table, "t", "NEW"), kApplyingSetting);
  // From now on the sources' changes may meet those of the centre: conflicts are looked for.
  const std::string writer = absl::StrFormat(
      "  IF NOT EXISTS (SELECT 1 FROM pmoves_sync.table_source w WHERE w.relation = %s AND "
      "w.source "
      "= %s) THEN\n"
      "    INSERT INTO pmoves_sync.table_source (relation, source) VALUES (%s, %s) ON CONFLICT DO "
      "NOTHING;\n"
      "  END IF;\n",
      relation, Central(), relation, Central());
  return absl::StrFormat(
      "%s  IF TG_OP <> 'INSERT' THEN\n%s%s  END IF;\n  IF TG_OP <> 'DELETE' THEN\n%s%s  END "
      "IF;\n",
      writer, bury, queue, raise, queue);
}

std::string Trigger(const TargetTable& table, const char* name, const char* events,
                    const char* level) {
  return absl::StrFormat(
      "CREATE TRIGGER %s %s ON %s FOR EACH %s WHEN (current_setting('%s', true) IS DISTINCT FROM "
      "'on') EXECUTE FUNCTION pmoves_sync.%s()",
      name, events, SqlTable(table), level, kApplyingSetting,
      SqlIdentifier(CentralFunctionName(table)));
}

}  // namespace

std::string CentralFunctionName(const TargetTable& table) {
  // FNV-1a, as ExpressionName: two names of 63 bytes do not fit into one.
  uint64_t hash = 0xcbf29ce484222325u;
  for (char c : SqlTable(table)) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return absl::StrFormat("central_%016x", hash);
}

std::string CentralFunctionBody(const TargetTable& table) {
  const bool registers = UsesRegisters(table.policy);
  return absl::StrFormat(
      "\n#variable_conflict use_column\n"
      "-- Made by `pmoves-sync-subscriber init`, to be run again when the table is altered.\n"
      "DECLARE\n%s"
      "BEGIN\n"
      "  IF TG_OP = 'TRUNCATE' THEN\n%s    RETURN NULL;\n  END IF;\n"
      "  IF TG_WHEN = 'BEFORE' THEN\n%s  END IF;\n"
      "%s"
      "  RETURN NULL;\n"
      "END\n",
      registers ? kCentralRegisterVariables : "  my_key text;\n  my_version bigint;\n",
      registers ? CentralTruncate(table) : BuryAll(table), StampUpdate(table),
      registers ? CentralReports(table) : BuryAndRaise(table));
}

std::string CreateCentralFunction(
    const TargetTable& table, const std::vector<std::pair<std::string, std::string>>& settings) {
  std::string set;
  for (const auto& [name, value] : settings)
    absl::StrAppendFormat(&set, " SET %s TO %s", name, SqlLiteral(value));
  return absl::StrFormat(
      "CREATE OR REPLACE FUNCTION pmoves_sync.%s() RETURNS trigger LANGUAGE plpgsql SECURITY "
      "DEFINER SET search_path TO pg_catalog, pg_temp%s AS %s",
      SqlIdentifier(CentralFunctionName(table)), set, SqlLiteral(CentralFunctionBody(table)));
}

std::vector<CentralTrigger> CentralTriggers(const TargetTable& table) {
  return {{"pmoves_sync_stamp", Trigger(table, "pmoves_sync_stamp", "BEFORE UPDATE", "ROW")},
          {"pmoves_sync_write",
           Trigger(table, "pmoves_sync_write", "AFTER INSERT OR UPDATE OR DELETE", "ROW")},
          {"pmoves_sync_truncate",
           Trigger(table, "pmoves_sync_truncate", "BEFORE TRUNCATE", "STATEMENT")}};
}

std::string SettleBuried(const TargetTable& table) {
  const std::string relation = SqlLiteral(table.Name());
  return absl::StrFormat(
      "DELETE FROM %s t USING pg_temp.pmoves_touched k WHERE k.relation = %s AND %s AND %s; DELETE "
      "FROM %s t WHERE EXISTS (SELECT 1 FROM pg_temp.pmoves_touched k WHERE k.relation = %s AND "
      "k.key IS NULL) AND %s",
      SqlTable(table), relation, KeyFromText(table, "t", "k"), Buried(table, "k.key"),
      SqlTable(table), relation, Buried(table, TombstoneKey(table, "t")));
}

}  // namespace pmoves
