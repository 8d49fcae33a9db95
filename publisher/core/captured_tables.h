// CapturedTables: which tables the operator asked for, and how wal2json is told so.
//
// In the flow:  postgres.tables -> CapturedTables -> START_REPLICATION "add-tables", PgCatalog
// Invariant:    a schema of the platform (auth, storage, pg_catalog, ...) is captured only where
// its table is named, never by
//               a wildcard: those schemas hold secrets and per-instance state.
// Thread:       any. Pure.
#ifndef PMOVES_PUBLISHER_CORE_CAPTURED_TABLES_H_
#define PMOVES_PUBLISHER_CORE_CAPTURED_TABLES_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace pmoves {

struct TablePattern {
  std::string schema;
  std::string table;          // empty for a whole schema
  bool whole_schema = false;  // "schema.*"

  bool operator==(const TablePattern&) const = default;
};

// auth, storage, realtime, vault, ... and pg_*, information_schema, and our own schema pmoves_sync.
bool IsPlatformSchema(std::string_view schema);

class CapturedTables {
 public:
  // kInvalidArgument: nothing is left, or a wildcard over a schema of the platform.
  static absl::StatusOr<CapturedTables> Make(std::vector<TablePattern> patterns);

  const std::vector<TablePattern>& patterns() const { return patterns_; }
  bool Matches(std::string_view schema, std::string_view table) const;
  // By its own name, and not only by a "schema.*".
  bool Names(std::string_view schema, std::string_view table) const;
  // The value of wal2json's option "add-tables": every character of both parts is escaped, which is
  // the one rule that is right for commas, dots, blanks, stars and UTF-8 alike.
  std::string AddTablesOption() const;

 private:
  std::vector<TablePattern> patterns_;
};

}  // namespace pmoves

#endif  // PMOVES_PUBLISHER_CORE_CAPTURED_TABLES_H_
