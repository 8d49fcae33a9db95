// RelationHistory: what a table was at a place in the WAL. Read from pmoves_sync.relation_history.
//
// In the flow:  DDL -> event trigger -> history row and mark in the WAL -> RelationHistory ->
//               ChangePump -> MessagePlan, NonfiniteReader
//
// A definition holds for all changes that the WAL has behind its mark and before the next one:
// whoever changes a table keeps writers out from before the mark until its commit. So the meaning
// of a change is a function of its table and its place alone, also inside the transaction that
// altered the table, and also when it is read days later.
//
// Why At seldom waits: another transaction can write a table only once the one that altered it is
// visible, so only changes of that transaction itself can come before its row can be read.
//
// Invariant:    a definition that cannot be read yet is waited for, never guessed. Pointers stay
//               valid as long as the history.
// Thread:       publish loop only (queries on the session's SQL connection).
#ifndef PMOVES_PUBLISHER_IO_RELATION_HISTORY_H_
#define PMOVES_PUBLISHER_IO_RELATION_HISTORY_H_

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/lsn.h"
#include "common/io/pg_connection.h"
#include "publisher/core/captured_tables.h"
#include "publisher/core/relation.h"

namespace pmoves {

class RelationHistory {
 public:
  // Both must outlive the history.
  RelationHistory(PgConnection& connection, const CapturedTables& tables)
      : connection_(connection), tables_(tables) {}

  // Installs what is missing where the role may, and reads all. Without it the history stays
  // inactive, and PgCatalog must do.
  absl::Status Open();
  bool active() const { return active_; }
  // Begins a transaction: what was not visible before is looked for once.
  absl::Status Begin(uint32_t xid);
  // Reads rows whose marks have not come yet.
  absl::Status ReadNew() { return Load(""); }
  // Whether `content` is that of a mark of the event trigger. It came in the transaction that began
  // last.
  bool TakeMark(std::string_view content);
  // The definition of a captured table for a change at `at` in transaction `xid`; null: the name is
  // not that of an ordinary table there. kUnavailable: the definition cannot be read yet.
  absl::StatusOr<const Relation*> At(std::string_view schema, std::string_view table, Lsn at,
                                     uint32_t xid);
  // Compares the history with the catalog. A change that the trigger did not see is noted, and
  // said.
  absl::Status Verify();

 private:
  struct Version {
    Lsn mark;
    uint32_t xid = 0;
    const Relation* relation = nullptr;  // null: the name is free, or another kind of relation's
  };
  struct Name {
    std::string schema;
    std::string table;
    bool operator<(const Name& other) const {
      return std::tie(schema, table) < std::tie(other.schema, other.table);
    }
  };
  struct Pending {
    int64_t id = 0;
    uint32_t xid = 0;
  };
  static constexpr int kVisibleAttempts = 500;  // of 10 ms: below statement and walsender timeouts

  absl::Status Load(const std::string& ids);
  absl::Status Resolve();
  void Add(int64_t id, const Relation& relation, bool gone, Lsn mark, uint32_t xid);
  const Relation* Choose(const std::vector<Version>& versions, Lsn at, uint32_t xid) const;

  PgConnection& connection_;
  const CapturedTables& tables_;
  bool active_ = false;
  Lsn begins_;
  std::map<int64_t, bool> known_;  // ids that were read
  std::deque<Relation> relations_;
  std::map<Name, std::vector<Version>> versions_;  // by mark
  std::map<uint32_t, Name> names_;                 // of a relid, as the newest row has it
  std::vector<Pending> pending_;                   // marks whose rows are not visible yet
  // Rows come in runs of one table.
  const Name* last_name_ = nullptr;
  const Relation* last_ = nullptr;
  Lsn last_from_, last_until_;
  uint32_t xid_ = 0;
};

}  // namespace pmoves

#endif  // PMOVES_PUBLISHER_IO_RELATION_HISTORY_H_
