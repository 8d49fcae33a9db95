#include "publisher/core/preflight_rules.h"

#include <utility>

#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"

namespace pmoves {
namespace {

constexpr int kOldestVersion = 120000;
// 15.14 fixed slots that went back, endless waits and exploding invalidation messages.
constexpr int kSoundMinor15 = 150014;

using Results = std::vector<CheckResult>;

void Add(Results* results, Verdict verdict, std::string subject, std::string message,
         std::string fix = "") {
  results->push_back({verdict, std::move(subject), std::move(message), std::move(fix)});
}

void JudgeVersion(const ServerFacts& facts, Results* results) {
  const int major = facts.version / 10000;
  const std::string text = absl::StrFormat("PostgreSQL %d.%d", major, facts.version % 10000);
  if (facts.version < kOldestVersion) {
    Add(results, Verdict::kFail, "version", text + " is too old", "use PostgreSQL 12 or newer");
  } else if (major == 15 && facts.version < kSoundMinor15) {
    Add(results, Verdict::kWarn, "version",
        text + " has faults in logical decoding that 15.14 repaired", "update to 15.14 or newer");
  } else {
    Add(results, Verdict::kPass, "version", text);
  }
}

void JudgeWal(const ServerFacts& facts, Results* results) {
  if (facts.in_recovery) {
    Add(results, Verdict::kFail, "primary", "the server is a standby",
        "give the address of the primary in postgres.dsn");
  }
  if (facts.wal_level == "logical") {
    Add(results, Verdict::kPass, "wal_level", "wal_level is logical");
  } else {
    Add(results, Verdict::kFail, "wal_level", "wal_level is " + facts.wal_level,
        "ALTER SYSTEM SET wal_level = logical; then restart PostgreSQL");
  }
  if (facts.slot_limit_mb >= 0) {
    Add(results, Verdict::kPass, "wal_limit",
        absl::StrFormat("max_slot_wal_keep_size is %d MB: an edge that is offline longer than this "
                        "lasts loses its slot, and never its disk",
                        facts.slot_limit_mb));
  } else {
    Add(results, facts.allow_unlimited_wal ? Verdict::kWarn : Verdict::kFail, "wal_limit",
        "max_slot_wal_keep_size is not set: while the centre cannot be reached, the slot keeps WAL "
        "until the disk is full and the database stops",
        "ALTER SYSTEM SET max_slot_wal_keep_size = '4GB'; SELECT pg_reload_conf(); or set "
        "postgres.allow_unlimited_wal: true");
  }
}

void JudgePlugin(const ServerFacts& facts, Results* results) {
  if (!facts.plugin_list.has_value()) {
    Add(results, Verdict::kPass, "plugin",
        "no list of output plugins is visible to this role (older servers have none)");
  } else if (facts.plugin_list->find("wal2json") != std::string::npos) {
    Add(results, Verdict::kPass, "plugin", "output_plugin_libraries allows wal2json");
  } else {
    Add(results, Verdict::kFail, "plugin",
        absl::StrFormat("output_plugin_libraries is \"%s\": the server refuses wal2json",
                        *facts.plugin_list),
        "ALTER SYSTEM SET output_plugin_libraries = pgoutput, test_decoding, wal2json; SELECT "
        "pg_reload_conf();");
  }
}

void JudgeRoom(const ServerFacts& facts, Results* results) {
  if (facts.slot_exists) {
    Add(results, Verdict::kPass, "slots", "the slot exists");
  } else if (facts.used_slots < facts.max_slots) {
    Add(results, Verdict::kPass, "slots",
        absl::StrFormat("%d of %d replication slots are free", facts.max_slots - facts.used_slots,
                        facts.max_slots));
  } else {
    Add(results, Verdict::kFail, "slots",
        absl::StrFormat("all %d replication slots are in use", facts.max_slots),
        "raise max_replication_slots and restart PostgreSQL, or drop a slot nobody uses");
  }
  if (facts.used_walsenders < facts.max_walsenders) {
    Add(results, Verdict::kPass, "walsenders",
        absl::StrFormat("%d of %d WAL senders are free",
                        facts.max_walsenders - facts.used_walsenders, facts.max_walsenders));
  } else {
    Add(results, Verdict::kFail, "walsenders",
        absl::StrFormat("all %d WAL senders are in use", facts.max_walsenders),
        "raise max_wal_senders and restart PostgreSQL");
  }
}

const TableFacts* Find(const std::vector<TableFacts>& found, const TablePattern& pattern) {
  for (const TableFacts& facts : found) {
    if (facts.schema == pattern.schema && facts.table == pattern.table) return &facts;
  }
  return nullptr;
}

const char* KindName(char kind) {
  switch (kind) {
    case 'v':
      return "a view";
    case 'm':
      return "a materialized view";
    case 'f':
      return "a foreign table";
    case 'S':
      return "a sequence";
    case 'i':
    case 'I':
      return "an index";
    default:
      return "not an ordinary table";
  }
}

// False: the relation cannot be captured at all, whatever its key.
bool JudgeKind(const TableFacts& facts, const std::string& subject, Results* results) {
  if (facts.kind == 'p') {
    Add(results, Verdict::kFail, subject,
        "is partitioned: its changes arrive under the names of its partitions",
        "partitioned tables are not supported in this version; take it out of postgres.tables");
    return false;
  }
  if (facts.kind != 'r') {
    Add(results, Verdict::kFail, subject, absl::StrFormat("is %s", KindName(facts.kind)),
        "name ordinary tables only");
    return false;
  }
  if (facts.persistence != 'p') {
    Add(results, Verdict::kFail, subject,
        absl::StrFormat("is %s: its changes are not in the WAL",
                        facts.persistence == 'u' ? "unlogged" : "temporary"),
        "ALTER TABLE ... SET LOGGED, or take it out of postgres.tables");
    return false;
  }
  return true;
}

// wal2json drops UPDATEs and DELETEs of a table without a usable key, with no more than a WARNING.
bool JudgeIdentity(const TableFacts& facts, const std::string& subject, Results* results) {
  const char* message = nullptr;
  const char* fix = "give it a primary key (not deferrable)";
  if (facts.identity == 'n') {
    message = "has REPLICA IDENTITY NOTHING: its UPDATEs and DELETEs would be lost";
    fix = "ALTER TABLE ... REPLICA IDENTITY DEFAULT";
  } else if (facts.identity == 'i' && !facts.has_key) {
    message =
        "has REPLICA IDENTITY USING INDEX, but that index is gone, not usable, or does not cover "
        "the primary key (which the centre merges by)";
    fix = "ALTER TABLE ... REPLICA IDENTITY DEFAULT (and a primary key)";
  } else if (facts.identity == 'f' && !facts.has_key) {
    message =
        "has REPLICA IDENTITY FULL and no primary key: rows that are equal cannot be told apart";
  } else if (!facts.has_key && facts.has_primary_key) {
    message = "has a DEFERRABLE primary key: its UPDATEs and DELETEs would be lost";
    fix = "make the primary key NOT DEFERRABLE";
  } else if (!facts.has_key) {
    message = "has no primary key: its UPDATEs and DELETEs would be lost";
  }
  if (message == nullptr) return true;
  Add(results, Verdict::kFail, subject, message, fix);
  return false;
}

void JudgeColumns(const TableFacts& facts, const std::string& subject, Results* results) {
  if (!facts.nonfinite_keys.empty()) {
    Add(results, Verdict::kWarn, subject,
        absl::StrFormat("key column %s is float or numeric: a NaN in it cannot be captured",
                        absl::StrJoin(facts.nonfinite_keys, ", ")),
        "add CHECK constraints named pmoves_sync_finite_<column> that forbid NaN and Infinity");
  }
  if (!facts.nonfinite_columns.empty()) {
    const bool readable = facts.may_select && !facts.row_security;
    Add(results, readable ? Verdict::kInfo : Verdict::kWarn, subject,
        absl::StrFormat(
            "wal2json writes NaN and Infinity as null; rows with a null in %s are read again by "
            "key%s",
            absl::StrJoin(facts.nonfinite_columns, ", "),
            readable ? ""
                     : ", which the role of postgres.dsn may not do: the centre sets them aside "
                       "until it may"),
        readable ? "" : "GRANT SELECT on the table (with row level security also BYPASSRLS)");
  }
  if (!facts.local_columns.empty()) {
    Add(results, Verdict::kWarn, subject,
        absl::StrFormat("the text of %s depends on the database (oid, reg*, \"char\" or money)",
                        absl::StrJoin(facts.local_columns, ", ")),
        "check that the value means the same in the centre");
  }
}

// A SELECT of a parent shows the rows of its children, but the WAL calls them by the child's name.
void JudgeChildren(const CapturedTables& tables, const TableFacts& facts, Results* results) {
  for (const std::string& child : facts.children) {
    const size_t dot = child.find('\x1e');
    const std::string schema = child.substr(0, dot);
    const std::string table = child.substr(dot + 1);
    if (tables.Matches(schema, table)) continue;
    Add(results, Verdict::kFail, "table " + facts.schema + "." + facts.table,
        absl::StrFormat("has the INHERITS child %s.%s, whose rows show in it and are not captured",
                        schema, table),
        "add the child to postgres.tables (the centre needs a table of that name), or ALTER TABLE "
        "the child NO INHERIT the parent");
  }
}

void JudgeTable(const CapturedTables& tables, const TableFacts& facts, Results* results) {
  const std::string subject = "table " + facts.schema + "." + facts.table;
  if (facts.kind == 'r') JudgeChildren(tables, facts, results);
  if (!JudgeKind(facts, subject, results) || !JudgeIdentity(facts, subject, results)) return;
  if (facts.is_partition) {
    Add(results, Verdict::kWarn, subject,
        "is a partition: a row that moves to another one arrives as DELETE and INSERT");
  }
  JudgeColumns(facts, subject, results);
  Add(results, Verdict::kPass, subject, "can be captured");
}

// A "schema.*": views and the like are simply no tables; what would be lost silently fails.
void JudgeSchema(const CapturedTables& tables, const TablePattern& pattern,
                 const std::vector<TableFacts>& found, Results* results) {
  int count = 0;
  for (const TableFacts& facts : found) {
    const bool table = facts.kind == 'r' || facts.kind == 'p';
    if (facts.schema != pattern.schema || !table) continue;
    if (facts.persistence != 'p') {
      Add(results, Verdict::kInfo, "table " + facts.schema + "." + facts.table,
          "is unlogged or temporary and is not captured");
      continue;
    }
    ++count;
    const size_t before = results->size();
    JudgeTable(tables, facts, results);
    // Anybody who may create a table could stop all others with one that has no key.
    const bool alone = facts.kind == 'p' || facts.identity == 'n' || !facts.has_key;
    for (size_t i = before; alone && i < results->size(); ++i) {
      if ((*results)[i].verdict == Verdict::kFail) (*results)[i].waits = true;
    }
  }
  if (count == 0) {
    Add(results, Verdict::kWarn, "schema " + pattern.schema, "holds no table yet",
        "check the name in postgres.tables");
  }
}

}  // namespace

std::string_view VerdictName(Verdict verdict) {
  switch (verdict) {
    case Verdict::kPass:
      return "PASS";
    case Verdict::kInfo:
      return "INFO";
    case Verdict::kWarn:
      return "WARN";
    case Verdict::kFail:
      return "FAIL";
  }
  return "FAIL";
}

std::vector<CheckResult> JudgeServer(const ServerFacts& facts) {
  Results results;
  JudgeVersion(facts, &results);
  if (facts.encoding == "UTF8") {
    Add(&results, Verdict::kPass, "encoding", "server_encoding is UTF8");
  } else {
    Add(&results, Verdict::kFail, "encoding",
        absl::StrFormat("server_encoding is %s: the WAL is not converted, so text would be broken",
                        facts.encoding),
        "move the data to a database with ENCODING 'UTF8'");
  }
  JudgeWal(facts, &results);
  if (facts.may_replicate) {
    Add(&results, Verdict::kPass, "role", absl::StrFormat("%s may replicate", facts.role));
  } else {
    Add(&results, Verdict::kFail, "role",
        absl::StrFormat("%s has neither REPLICATION nor SUPERUSER", facts.role),
        absl::StrFormat("ALTER ROLE \"%s\" REPLICATION", facts.role));
  }
  JudgePlugin(facts, &results);
  JudgeRoom(facts, &results);
  return results;
}

std::vector<CheckResult> JudgeTables(const CapturedTables& tables,
                                     const std::vector<TableFacts>& found) {
  Results results;
  for (const TablePattern& pattern : tables.patterns()) {
    if (pattern.whole_schema) {
      JudgeSchema(tables, pattern, found, &results);
      continue;
    }
    const std::string name = pattern.schema + "." + pattern.table;
    const TableFacts* facts = Find(found, pattern);
    if (facts == nullptr) {
      // Nothing of it can be lost: its changes are given out from its creation on.
      Add(&results, Verdict::kFail, "table " + name,
          "does not exist; it waits, and will be captured from its creation on",
          "create it, or take it out of postgres.tables (names are case sensitive)");
      results.back().waits = true;
    } else {
      JudgeTable(tables, *facts, &results);
    }
  }
  return results;
}

std::vector<CheckResult> JudgeNats(const NatsFacts& facts) {
  Results results;
  if (facts.max_payload >= facts.max_message_bytes + kMessageOverhead) {
    Add(&results, Verdict::kPass, "max_payload",
        absl::StrFormat("the server takes messages of %d bytes", facts.max_payload));
  } else {
    Add(&results, Verdict::kFail, "max_payload",
        absl::StrFormat("the NATS server takes messages of %d bytes, stream.max_message_bytes is "
                        "%d, and headers need up to %d more",
                        facts.max_payload, facts.max_message_bytes, kMessageOverhead),
        "raise max_payload in the server, or lower stream.max_message_bytes");
  }
  return results;
}

std::string FirstFailure(const std::vector<CheckResult>& results) {
  for (const CheckResult& result : results) {
    if (result.verdict != Verdict::kFail || result.waits) continue;
    return absl::StrFormat("%s: %s. %s", result.subject, result.message, result.fix);
  }
  return "";
}

}  // namespace pmoves
