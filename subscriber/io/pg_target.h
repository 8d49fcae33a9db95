// PgTarget: APPLY. Writes planned changes, dead letters and positions into the centre, in one
// transaction of one connection.
//
// In the flow:  worker -> PgTarget -> central Postgres
//
// Big groups are copied into a temporary stage and merged by one statement; small ones run as
// prepared statements in libpq's pipeline mode (one round trip for all). Both run the same SQL
// (merge_sql). A big group of inserts is first tried as a COPY into the table itself: if no key is
// there that is all there is to merge, and if one is, the COPY fails as a whole, is rolled back to
// a savepoint, and the stage decides. A batch that is small as a whole goes from BEGIN to COMMIT in
// one pipeline, on what earlier transactions found out; its last statement before COMMIT fails if
// that no longer holds, and then the batch takes the other way.
//
// Invariant: rows, tombstones, dead letters and positions commit together or not at all (promise
// S1). COMMIT is only carried out when every position row was exactly where the caller thought it
// was: a zombie worker is fenced by that even without its lock. And only when every table that was
// written, or for which a change was refused, is as it was when it was read (table_mark.h): a
// stage, a parameter's type or a key of before an ALTER TABLE decides nothing.
//
// Errors: statuses carry SQLSTATEs; ReactionTo says what follows. kAborted "fenced": somebody else
// moved the position.
//
// Thread: one worker.
#ifndef PMOVES_SUBSCRIBER_IO_PG_TARGET_H_
#define PMOVES_SUBSCRIBER_IO_PG_TARGET_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/io/pg_connection.h"
#include "common/io/steady_time.h"
#include "subscriber/config.h"
#include "subscriber/core/batch.h"
#include "subscriber/core/change.h"
#include "subscriber/core/copy_format.h"
#include "subscriber/core/dead_letter.h"
#include "subscriber/core/merge_sql.h"
#include "subscriber/core/register_sql.h"
#include "subscriber/core/source_clock.h"
#include "subscriber/core/table_mark.h"
#include "subscriber/io/row_binder.h"

namespace pmoves {

// How one source moves in a batch.
struct SourceProgress {
  std::string source;
  uint32_t old_epoch = 0;
  Lsn old_position;
  uint32_t epoch = 0;
  Lsn position;
  Hlc hlc;                            // SourceClock's state for commits ...
  std::vector<RelationClock> clocks;  // ... and the others that moved
  std::string stream_created;
  uint64_t sequence =
      0;  // stream sequence of the last message taken: a hint where to start reading
  uint64_t purge_to = 0;  // up to here nothing is of use to anybody, not even for a look back
  std::string origin;
  int64_t commit_us = 0;  // commit time of the newest transaction; 0: none
  int64_t transactions = 0;
  int64_t changes = 0;
};

// Connection options of a session that applies: pinned text format, timeouts, plans that never scan
// a big table for a small stage; and what it writes does not count as written in the centre.
PgOptions TargetSessionOptions(const SubscriberConfig& config, const std::string& application_name);

// Before the first row is written. kFailedPrecondition: the role may not.
absl::Status SetReplicationRole(PgConnection& connection, const SubscriberConfig& config);

// Of a status: Advance refused because of the collector's horizon.
bool IsTooLate(const absl::Status& status);

class PgTarget {
 public:
  explicit PgTarget(PgConnection& connection) : connection_(connection) {}

  // All changes, the positions and the commit in one round trip; no Begin before it, no Commit
  // after it. False: nothing is written, since that needs more round trips or since a row, the
  // commit or what is known here stands in the way; the other way then says what. Errors: of the
  // connection or passing ones, kUnknown when the transaction may have been committed.
  absl::StatusOr<bool> ApplyAtOnce(ChangeSet* set, const std::vector<SourceProgress>& sources);

  absl::Status Begin();
  // Applies changes [begin, end): all or an error (the transaction is then aborted, unless a
  // savepoint is rolled back to).
  absl::Status Apply(ChangeSet* set, size_t begin, size_t end);
  // The same inside a savepoint, so that an error leaves the transaction usable with nothing of the
  // range written.
  absl::Status ApplyInSavepoint(ChangeSet* set, size_t begin, size_t end);
  absl::Status AddDeadLetters(const std::vector<DeadLetter>& letters);
  // ApplyInSavepoint also looks at what deferred constraints will refuse at the commit. Until the
  // transaction ends.
  void CheckDeferred() { check_deferred_ = true; }
  // Was `why` a unique index of the table beside its primary key?
  absl::StatusOr<bool> RefusedBySecondaryUnique(const TargetTable& table, const absl::Status& why);
  // Change `index`, which is in `letter`, was so: the conflict log gets it and the row in its way.
  absl::Status LogUniqueConflict(ChangeSet* set, size_t index, const DeadLetter& letter);
  // The last statement before Commit. IsTooLate: a change that was applied is below what the
  // collector has forgotten; HorizonOf knows it now, and nothing of the transaction may stay.
  // IsAltered: nor may it when a table looks otherwise than its TargetTable says.
  absl::Status Advance(const std::vector<SourceProgress>& sources);
  // The same of the tables alone, where no position is moved.
  absl::Status RequireUnaltered();
  // Changes below this version come too late for the table, as far as this object has learned.
  Hlc HorizonOf(const TargetTable& table) const {
    if (horizons_.empty()) return Hlc{};
    const auto found = horizons_.find(table.Name());
    return found == horizons_.end() ? Hlc{} : found->second;
  }
  absl::Status Commit();
  void Rollback();
  // The caller has rolled back to a savepoint of its own.
  void SavepointRolledBack();
  // Table definitions changed: prepared statements and stages of before must not be used.
  void ForgetStatements();
  // Between transactions: temporary tables that are older than `age` are made anew when they are
  // needed. Autovacuum cannot freeze them, and the oldest holds back what the server may forget.
  void RenewStages(absl::Duration age);

  // Row changes of the last Apply that changed nothing because a newer version was there.
  int64_t hidden() const { return hidden_; }
  // What the last Apply had to merge: the changes' net effects, without what the policies leave
  // out.
  int64_t planned() const { return planned_; }

  // The table that the last statement was about when Apply or ApplyAtOnce failed; null: of another
  // kind of statement.
  const TargetTable* failed_at() const { return at_; }

  // Conflicts logged in this transaction: (table, type, resolution) -> rows.
  using ConflictCounts = std::map<std::tuple<std::string, std::string, std::string>, int64_t>;
  const ConflictCounts& conflicts() const { return conflicts_; }

 private:
  enum class StatementKind {
    kUpsert,
    kDelete,
    kPartial,
    kMove,
    kMoveInPlace,
    kMoveInPlaceWhole,
    kWhyUntouched,
    kTruncate,
    kStageUpsert,
    kStageUpsertNoTombstones,
    kStageDelete,
    kRecompute,
    kLogInsert,
    kLogUpdate,
    kLogDelete,
    kLogStageInsert,
    kLogStageUpdate,
    kLogStageDelete
  };
  using StatementKey = std::tuple<const TargetTable*, StatementKind, int>;  // and the shape's id

  // Up to so many rows of a group, one prepared statement per row in a pipeline is cheaper than
  // COPY and a merge (tests/bench).
  static constexpr size_t kRowPathLimit = 40;

  // What is wanted of a table's lock.
  struct Wanted {
    const TargetTable* table = nullptr;
    bool exclusive = false;
    std::set<std::string> new_writers;
  };
  // What holds of a table while its lock is held.
  struct Facts {
    bool buried = false;  // there are tombstones, or a floor
    bool shared = false;  // more than one source has ever written it
  };

  void NoteVersions(const ChangeSet& set, size_t begin, size_t end);
  void NoteTables(const ChangeSet& set, size_t begin, size_t end);
  // An error if a row of these changes conflicts with another by TargetTable::unseen.
  absl::Status CheckUnseen(const ChangeSet& set, size_t begin, size_t end);
  // Why Advance did not move every source.
  absl::Status WhyNotAdvanced();
  // lowest_ as the text of two arrays.
  struct Lowest {
    std::string relations;
    std::string versions;
  };
  Lowest LowestApplied() const;
  void ForgetTransaction();
  // The locks of tables, and what is asked under them.
  absl::Status PrepareLocks();
  std::map<uint32_t, Wanted> WantedLocks(const ChangeSet& set, size_t begin, size_t end) const;
  absl::Status LockTables(const ChangeSet& set, size_t begin, size_t end);
  absl::Status RunStep(const ChangeSet& set, const MergeStep& step);
  absl::Status RunStaged(const ChangeSet& set, const EffectGroup& group);
  absl::Status RunRows(const ChangeSet& set, const std::vector<const EffectGroup*>& groups);
  // A statement in the pipeline.
  struct Sent {
    const Effect* effect = nullptr;  // null: its rows tell nothing
    bool log = false;                // it logs conflicts, the one behind it merges
  };
  absl::Status PrepareRows(const std::vector<const EffectGroup*>& groups);
  // Those that begin with Send go into the pipeline and note in sent_ that they did.
  // An effect is logged, if its group is, and merged.
  absl::Status SendEffect(const ChangeSet& set, const EffectGroup& group, const Effect& effect);
  absl::Status SendRow(const ChangeSet& set, const Effect& effect, StatementKind kind);
  absl::Status SendCommand(const std::string& sql);
  // With the parameters in binder_.
  absl::Status SendPrepared(const std::string& name, Sent sent);
  // Ends the pipeline; the first error of what was sent.
  absl::Status ReadPipeline(std::vector<const Effect*>* untouched);
  // Does the batch need no answer before its commit?
  bool FitsAtOnce(const ChangeSet& set, const std::map<uint32_t, Wanted>& wanted) const;
  absl::Status SendAtOnce(const ChangeSet& set, const std::vector<MergeStep>& steps,
                          const std::map<uint32_t, Wanted>& wanted,
                          const std::vector<SourceProgress>& sources);
  absl::Status PrepareAdvanceOne();
  // Advance, and what was taken for known of the tables, as statements that fail.
  absl::Status SendPositions(const ChangeSet& set, const std::vector<SourceProgress>& sources);
  absl::Status SendAdvanceOne(const ChangeSet& set, const SourceProgress& source,
                              const MarkedTables& relied_on);
  // pg_target_moves.cc
  absl::Status RunMove(const ChangeSet& set, const Effect& effect);
  absl::StatusOr<bool> RunMoveInPlace(const ChangeSet& set, const Change& change);
  absl::Status LogMove(const ChangeSet& set, const Change& change);
  // Rows affected by a statement whose parameters are a row of `shape` and the change's version.
  absl::StatusOr<PgRows> RunRow(const ChangeSet& set, const Change& change, StatementKind kind,
                                const Shape& shape, uint64_t first_value);
  absl::Status RunTruncate(const Effect& effect);
  // NeedsWholeRow() when the row that a partial update needs is not there, or is another source's.
  absl::Status RequireHidden(const ChangeSet& set, const Effect& effect);
  bool LogsConflicts(const EffectGroup& group) const;
  bool LogsConflicts(const TargetTable& table) const;
  static StatementKind RowKind(const EffectGroup& group);
  static StatementKind LogKind(const EffectGroup& group, bool staged);
  absl::Status LogStaged(const EffectGroup& group, const std::string& stage);
  void CountConflicts(const TargetTable& table, const PgRows& logged);
  struct RowToBe {
    std::string image;
    std::string source;
  };
  struct UniqueConflict {
    int rows = 0;  // in the way; of the first:
    std::optional<std::string> local_source, local_version, local_row;
    std::optional<std::string> key, shown;  // of the refused row: its key, what is there
    std::string note;
  };
  // Leaves the rows' registers written: call inside a savepoint.
  absl::StatusOr<std::vector<RowToBe>> RowsRefused(ChangeSet* set, size_t index);
  absl::StatusOr<UniqueConflict> FindUniqueConflict(ChangeSet* set, size_t index);
  absl::Status WriteUniqueConflict(const ChangeSet& set, const Change& change,
                                   const UniqueConflict& conflict, const DeadLetter& letter);
  // Tables with registers: afterwards the rows of all touched keys are made from them.
  absl::Status BeginTouching();
  absl::Status RecomputeTouched(const ChangeSet& set, size_t begin, size_t end);
  absl::Status RecomputeTable(const TargetTable& table);
  // A row is moved from where the changes before it have left it.
  absl::Status RecomputeBeforeMove(const TargetTable& table);
  static RowStatement StatementOf(StatementKind kind, const TargetTable& table, const Shape* shape,
                                  const std::string& stage);
  static RowStatement RegisterStatementOf(StatementKind kind, const TargetTable& table,
                                          const Shape* shape, const std::string& stage);
  absl::StatusOr<std::string> Prepare(StatementKind kind, const TargetTable& table,
                                      const Shape* shape, const std::string& stage = "");
  absl::StatusOr<PgRows> RunPrepared(const std::string& name);
  absl::StatusOr<std::string> Stage(const TargetTable& table, const Shape& shape);
  // True: the rows are in the table. False: some key may be there already, nothing was written.
  absl::StatusOr<bool> CopyDirectly(const ChangeSet& set, const EffectGroup& group);
  // The columns have the types of `rows`; in the binary format if `binary` and it is possible.
  absl::Status CopyEffects(CopyRows rows, const std::string& copy_statement, bool binary);
  // What is in copy_buffer_, which is empty then; false: ErrorOf says why.
  bool SendBuffer();
  bool SendText(CopyRows* rows);
  void ForgetUncommittedStages();

  PgConnection& connection_;
  std::map<StatementKey, std::string> prepared_;
  std::vector<std::string> orphans_;  // prepared for a stage that was rolled back
  std::map<std::pair<const TargetTable*, int>, std::string>
      stages_;                          // existing temporary tables, by table and shape
  std::set<std::string> new_stages_;    // made in this transaction: gone if it rolls back
  std::set<std::string> dirty_stages_;  // filled in this transaction
  // After a COPY into a table failed: how many groups go by the stage before the next try.
  struct DirectCopy {
    int skip = 0;
    int next_skip = 1;
  };
  std::map<const TargetTable*, DirectCopy> direct_;
  ConflictCounts conflicts_;
  bool check_deferred_ = false;
  std::map<uint32_t, Facts> facts_;  // by table oid, of this transaction
  std::map<uint32_t, Facts> known_;  // as some transaction found them: they may have changed since
  // (table oid, source) in pmoves_sync.table_source; those of this transaction apart.
  std::set<std::pair<uint32_t, std::string>> writers_;
  std::set<std::pair<uint32_t, std::string>> new_writers_;
  bool touched_dirty_ = false;                // pmoves_touched has rows of this transaction
  std::map<uint32_t, bool> locks_;            // table oid -> exclusive, taken in this transaction
  std::map<const TargetTable*, Hlc> lowest_;  // version applied in this transaction
  std::set<const TargetTable*> relied_on_;    // what they look like, in this transaction
  std::map<std::string, Hlc> horizons_;       // by schema.table
  RowBinder binder_;
  std::vector<Sent> sent_;  // what is in the pipeline
  std::string copy_buffer_;
  int next_name_ = 0;
  const TargetTable* at_ = nullptr;
  SteadyTime stages_since_ = SteadyNow();
  int64_t hidden_ = 0;
  int64_t planned_ = 0;
};

}  // namespace pmoves

#endif  // PMOVES_SUBSCRIBER_IO_PG_TARGET_H_
