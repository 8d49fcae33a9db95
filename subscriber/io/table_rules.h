// TableRules: which rule made the rows of each table, and the change to another one.
//
// In the flow:  Subscriber, before its workers start -> TableRules -> pmoves_sync.table_rule;
// `check` -> Look; TargetCatalog of a worker: a table is not applied to under another rule than the
// one that is recorded
//
// A rule is changed while nobody applies: by one process under an advisory lock, and only when no
// other subscriber process is alive or holds a source, because that one would go on by the rule of
// before. People may write meanwhile; the pieces take the table's lock like a worker.
//
// Invariant:  bounded pieces, each a transaction. The record is marked as unfinished before the
// first and written after the last, so what a crash leaves half done is done again.
// Thread:     its caller's.
#ifndef PMOVES_SUBSCRIBER_IO_TABLE_RULES_H_
#define PMOVES_SUBSCRIBER_IO_TABLE_RULES_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/io/pg_connection.h"
#include "subscriber/config.h"
#include "subscriber/core/rule_change.h"

namespace pmoves {

class TableRules {
 public:
  // Keys in one transaction, and pages of a table whose rows are taken over in one.
  static constexpr int kKeys = 1000;
  static constexpr int kPages = 500;

  struct Ports {
    std::function<bool()> stopping;
    // What is done to a table, for the log; at intervals how far it is.
    std::function<void(const TargetTable& table, const std::string& what)> tell;
  };
  struct State {
    std::optional<RecordedRule> recorded;
    std::string changed_at;  // UTC
    RuleChange change = RuleChange::kNone;
  };

  TableRules(PgConnection& connection, const SubscriberConfig& config)
      : connection_(connection), config_(config) {}

  absl::StatusOr<State> Look(const TableConfig& table) { return LookAt(connection_, table); }
  static absl::StatusOr<State> LookAt(PgConnection& connection, const TableConfig& table);
  // How many tables were left out, because they cannot be merged as they are now: their sources
  // wait anyway. kFailedPrecondition: `init` must be run, or another process stopped.
  // kUnavailable: another process is at it.
  absl::StatusOr<int> CarryOut(const Ports& ports);
  // True when a table whose change is due could be merged now.
  absl::StatusOr<bool> CouldCarryOut();

 private:
  absl::Status CarryOutAll(const Ports& ports, int* left_out);
  absl::Status CarryOut(const TargetTable& table, const TableConfig& config, const Ports& ports);
  absl::Status RefreshTriggers(const TargetTable& table, RuleChange change, const Ports& ports);
  absl::Status RequirePieces(const TargetTable& table, RuleChange change);
  absl::Status RequireAlone(const TargetTable& table);
  absl::Status Change(const TargetTable& table, RuleChange change, const Ports& ports);
  absl::StatusOr<int64_t> Pages(const TargetTable& table);  // at most
  absl::Status Adopt(const TargetTable& table, const Ports& ports);
  // One transaction; from tid `first` to the one before `last`.
  absl::Status AdoptRange(const TargetTable& table, const std::string& first,
                          const std::string& last, const Ports& ports);
  absl::Status AdoptPages(const TargetTable& table, int64_t first, int64_t last,
                          const Ports& ports);
  absl::Status AdoptPage(const TargetTable& table, int64_t page, const Ports& ports);
  absl::Status RecomputeAll(const TargetTable& table, const Ports& ports);
  absl::Status Record(const TargetTable& table, bool unfinished);
  absl::Status AwaitWriters(const TargetTable& table, const Ports& ports);
  // Runs a transaction again while it may succeed another time (kRetry).
  absl::Status Retried(const TargetTable& table, const Ports& ports,
                       const std::function<absl::Status()>& piece);

  // A piece: the keys behind `after`, at most `limit`; the last of them, or none.
  using Touch = RowStatement (*)(const TargetTable& table, int limit);
  absl::StatusOr<std::optional<std::string>> Piece(const TargetTable& table, Touch touch,
                                                   const std::string& after, int limit,
                                                   const std::vector<std::string>& statements);
  absl::Status AllPieces(const TargetTable& table, Touch touch,
                         const std::vector<std::string>& statements, const Ports& ports);
  // The key behind `after`, or none.
  absl::StatusOr<std::optional<std::string>> PutOff(const TargetTable& table, Touch touch,
                                                    const std::string& after);
  absl::Status BeginPiece(const TargetTable& table);

  PgConnection& connection_;
  const SubscriberConfig& config_;
};

}  // namespace pmoves

#endif  // PMOVES_SUBSCRIBER_IO_TABLE_RULES_H_
