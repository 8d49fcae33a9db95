#include "publisher/core/captured_tables.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/strings/str_format.h"

namespace pmoves {
namespace {

constexpr std::array<std::string_view, 24> kPlatformSchemas = {
    "auth",
    "storage",
    "realtime",
    "_realtime",
    "_analytics",
    "vault",
    "extensions",
    "graphql",
    "graphql_public",
    "pgsodium",
    "pgsodium_masks",
    "cron",
    "net",
    "supabase_functions",
    "supabase_migrations",
    "pgbouncer",
    "_supavisor",
    "pgtle",
    "pgmq",
    "topology",
    "tiger",
    "repack",
    "information_schema",
    "pmoves_sync",
};

// A backslash before every character: also before UTF-8 ones, but never inside one, which the
// server's encoding check would refuse.
void AppendEscaped(std::string_view name, std::string* out) {
  for (char c : name) {
    const bool continuation = (static_cast<unsigned char>(c) & 0xC0) == 0x80;
    if (!continuation) out->push_back('\\');
    out->push_back(c);
  }
}

}  // namespace

bool IsPlatformSchema(std::string_view schema) {
  if (schema.substr(0, 3) == "pg_") return true;
  return std::find(kPlatformSchemas.begin(), kPlatformSchemas.end(), schema) !=
         kPlatformSchemas.end();
}

absl::StatusOr<CapturedTables> CapturedTables::Make(std::vector<TablePattern> patterns) {
  CapturedTables tables;
  for (TablePattern& pattern : patterns) {
    if (pattern.whole_schema && IsPlatformSchema(pattern.schema)) {
      return absl::InvalidArgumentError(absl::StrFormat(
          "postgres.tables: \"%s.*\": a schema of the platform is never captured by a wildcard; "
          "name the tables",
          pattern.schema));
    }
    auto& kept = tables.patterns_;
    if (std::find(kept.begin(), kept.end(), pattern) == kept.end()) {
      kept.push_back(std::move(pattern));
    }
  }
  // An empty add-tables would make wal2json emit nothing at all, without an error.
  if (tables.patterns_.empty()) {
    return absl::InvalidArgumentError("postgres.tables is empty: name the tables to capture");
  }
  return tables;
}

bool CapturedTables::Matches(std::string_view schema, std::string_view table) const {
  for (const TablePattern& pattern : patterns_) {
    if (pattern.schema == schema && (pattern.whole_schema || pattern.table == table)) return true;
  }
  return false;
}

bool CapturedTables::Names(std::string_view schema, std::string_view table) const {
  return std::any_of(patterns_.begin(), patterns_.end(), [&](const TablePattern& pattern) {
    return !pattern.whole_schema && pattern.schema == schema && pattern.table == table;
  });
}

std::string CapturedTables::AddTablesOption() const {
  std::string option;
  for (const TablePattern& pattern : patterns_) {
    if (!option.empty()) option.push_back(',');
    AppendEscaped(pattern.schema, &option);
    option.push_back('.');
    if (pattern.whole_schema) {
      option.push_back('*');
    } else {
      AppendEscaped(pattern.table, &option);
    }
  }
  return option;
}

}  // namespace pmoves
