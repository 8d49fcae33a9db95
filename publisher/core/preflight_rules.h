// preflight_rules: is the world such that nothing would be lost or corrupted silently? (design 4.6)
//
// In the flow:  catalog and settings (publisher/io/pg_preflight) -> facts -> Judge* -> `check`,
// start of each session Each result is a verdict, a sentence and, unless it passes, what to do.
// FAIL keeps the publisher from starting, unless it concerns a table that can wait alone.
// Thread:       any. Pure.
#ifndef PMOVES_PUBLISHER_CORE_PREFLIGHT_RULES_H_
#define PMOVES_PUBLISHER_CORE_PREFLIGHT_RULES_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "publisher/core/captured_tables.h"

namespace pmoves {

enum class Verdict { kPass, kInfo, kWarn, kFail };
std::string_view VerdictName(Verdict verdict);  // "PASS", "INFO", "WARN", "FAIL"

// Headers, subject and protocol of one message beside its body.
inline constexpr int64_t kMessageOverhead = 4096;

struct CheckResult {
  Verdict verdict = Verdict::kPass;
  std::string subject;  // "wal_level", "table public.jobs"
  std::string message;
  std::string fix;
  // It fails, but waits alone: all else goes on.
  bool waits = false;
};

struct ServerFacts {
  int version = 0;       // 150018
  std::string encoding;  // server_encoding
  std::string wal_level;
  bool in_recovery = false;
  bool may_replicate = false;  // REPLICATION or superuser
  std::string role;
  std::optional<std::string>
      plugin_list;  // output_plugin_libraries; none: the server has no such setting
  int64_t max_slots = 0;
  int64_t used_slots = 0;
  int64_t max_walsenders = 0;
  int64_t used_walsenders = 0;
  bool slot_exists = false;
  int64_t slot_limit_mb = -1;        // max_slot_wal_keep_size; -1: unlimited
  bool allow_unlimited_wal = false;  // postgres.allow_unlimited_wal
};

struct TableFacts {
  std::string schema;
  std::string table;
  char kind = 'r';         // pg_class.relkind
  char persistence = 'p';  // pg_class.relpersistence
  bool is_partition = false;
  // Tables that inherit from it, not as partitions: schema, \x1e, table.
  std::vector<std::string> children;
  char identity = 'd';           // pg_class.relreplident
  bool has_key = false;          // an immediate unique index that wal2json can use
  bool has_primary_key = false;  // any, also a deferrable one
  bool may_select = true;
  bool row_security = false;                   // row level security filters what our role reads
  std::vector<std::string> nonfinite_columns;  // float or numeric without a guard
  std::vector<std::string> nonfinite_keys;     // of these, parts of the key
  std::vector<std::string>
      local_columns;  // oid, reg*, "char", money: the text has another meaning elsewhere
};

struct NatsFacts {
  int64_t max_payload = 0;
  int64_t max_message_bytes = 0;  // stream.max_message_bytes
  std::string server_version;
};

std::vector<CheckResult> JudgeServer(const ServerFacts& facts);
// `found`: all relations of the schemas and names that were asked for.
std::vector<CheckResult> JudgeTables(const CapturedTables& tables,
                                     const std::vector<TableFacts>& found);
std::vector<CheckResult> JudgeNats(const NatsFacts& facts);

// The first FAIL as one sentence with its fix; "" when there is none.
std::string FirstFailure(const std::vector<CheckResult>& results);

}  // namespace pmoves

#endif  // PMOVES_PUBLISHER_CORE_PREFLIGHT_RULES_H_
