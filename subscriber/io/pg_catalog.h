// TargetCatalog: the configured tables as the centre has them.
//
// In the flow:  RowDecoder asks it for the table that a message names
// Invariant:    a TargetTable that was handed out stays valid as long as the catalog (changes of a
// batch point at it), also after Invalidate. Thread:       one worker (it uses the worker's
// connection).
#ifndef PMOVES_SUBSCRIBER_IO_PG_CATALOG_H_
#define PMOVES_SUBSCRIBER_IO_PG_CATALOG_H_

#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "common/io/pg_connection.h"
#include "subscriber/config.h"
#include "subscriber/core/target_table.h"

namespace pmoves {

// Behind the last statement that wrote `tables` in a transaction, before its commit: they are as
// they were when they were read (table_mark.h). Else IsAltered: nothing of the transaction may
// stay, and it is made anew with tables that are read again.
absl::Status RequireUnaltered(PgConnection& connection, const std::set<const TargetTable*>& tables);
absl::Status AlteredMeanwhile(const std::string& table);
bool IsAltered(const absl::Status& status);

class TargetCatalog {
 public:
  TargetCatalog(PgConnection& connection, const std::vector<TableConfig>& tables)
      : connection_(connection), tables_(tables) {}

  // The table that takes what sources call so (tables[].from).
  // kNotFound: not configured (quarantine). kFailedPrecondition: configured, but the centre is not
  // as needed (the source waits): no such table, no primary key or not that of its identity, inline
  // columns missing, row level security would hide rows, its policy does not fit its columns.
  absl::StatusOr<TargetTable*> Find(std::string_view schema, std::string_view table);
  // The table as it is in the centre, whether it fits its configuration or not.
  // kFailedPrecondition: it cannot be merged at all.
  absl::StatusOr<std::unique_ptr<TargetTable>> Read(const TableConfig& config);
  // What of its configuration it cannot carry out, one text each: CheckPolicy, constants that are
  // no values of their column, expressions that have not passed `config check-rules`.
  absl::StatusOr<std::vector<std::string>> Misfits(const TargetTable& table);
  // From now on Find gives no table whose rule is not the one that made its rows (table_rules.h):
  // kFailedPrecondition. A new one by row version is recorded.
  void RequireRules() { require_rules_ = true; }
  // From now on the first Find of a table logs which of its expressions diverge. For catalogs that
  // last, as a worker's.
  void LogDivergences() { log_divergences_ = true; }
  // Of the columns with conflict: expression, one text each.
  struct Expressions {
    std::vector<std::string> misfits;      // not passed
    std::vector<std::string> divergences;  // break a law, and allow_divergence admits them
  };
  absl::StatusOr<Expressions> LookAtExpressions(const TargetTable& table);
  // The table is read again at its next use; an unchanged one keeps its identity and so its
  // prepared statements.
  void Invalidate();
  // Reads all of these again. True when one of them is another now, or cannot be merged any more:
  // what was made of the old ones must be made anew.
  bool Reread(const std::set<const TargetTable*>& tables);
  // Counts up when a table was found changed: statements prepared before must not be used.
  int generation() const { return generation_; }

 private:
  absl::Status CheckRule(const TargetTable& table);

  PgConnection& connection_;
  const std::vector<TableConfig>& tables_;
  bool require_rules_ = false;
  bool log_divergences_ = false;
  struct Entry {
    TargetTable* table = nullptr;
    bool fresh = false;
  };
  std::map<std::pair<std::string, std::string>, Entry, std::less<>> entries_;
  std::deque<std::unique_ptr<TargetTable>> owned_;
  int generation_ = 0;
};

}  // namespace pmoves

#endif  // PMOVES_SUBSCRIBER_IO_PG_CATALOG_H_
