// RuleTrials: applies generated reports to a copy of a configured table, in every order and
// grouping, by the very statements that `run` uses, and compares the rows.
//
// In the flow:  rule_check -> RuleTrials -> PgTarget on a temporary table
// Invariant:    the copy is a temporary table of this session, with registers under its own name,
// and every transaction that writes is rolled back: no real row is touched.
// Thread:       its connection's.
#ifndef PMOVES_SUBSCRIBER_IO_RULE_TRIALS_H_
#define PMOVES_SUBSCRIBER_IO_RULE_TRIALS_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/io/pg_connection.h"
#include "proto/message_codec.h"
#include "subscriber/config.h"
#include "subscriber/core/law_trials.h"
#include "subscriber/core/row_decoder.h"
#include "subscriber/io/law_pool.h"
#include "subscriber/io/pg_target.h"

namespace pmoves {

class RuleTrials {
 public:
  // `table`: as the centre has it.
  RuleTrials(PgConnection& connection, const TableConfig& config, const TargetTable& table,
             uint64_t seed)
      : connection_(connection),
        config_(config),
        real_(table),
        seed_(seed),
        pool_(connection, seed),
        target_(connection) {}

  // Makes the copy. REQUIRES: no transaction is open.
  absl::Status Open();
  // The rule of these columns; the first is the one that it looks at.
  absl::StatusOr<std::vector<LawResult>> TryColumns(const std::vector<std::string>& columns,
                                                    const Rule& rule);
  // The rule of the row, and the policy for deletes: all columns vary but those of `unsure`.
  absl::StatusOr<std::vector<LawResult>> TryRow(const std::set<std::string>& unsure);

 private:
  // A history that arrives in one way, under a key of its own.
  struct Job {
    size_t history = 0;
    LawSchedule schedule;
    std::string row;  // what the table shows afterwards
    bool failed = false;
  };

  absl::StatusOr<std::vector<LawResult>> Try(const std::set<std::string>& varied, const Rule& rule,
                                             bool deletes);
  absl::StatusOr<std::vector<LawColumn>> Columns(const std::set<std::string>& varied,
                                                 const Rule& rule);
  absl::Status FixKey();
  void NameSources(const Rule& rule);
  // Applies and reads jobs [begin, end), each under its own key, in one transaction.
  absl::Status RunRound(std::vector<Job>* jobs, size_t begin, size_t end);
  absl::Status RunJobs(std::vector<Job>* jobs);
  absl::Status ApplyStep(const std::vector<Job>& jobs, size_t begin, size_t end, size_t step);
  absl::Status AddReport(const LawReport& report, size_t key, ChangeSet* set);
  absl::Status ReadRows(std::vector<Job>* jobs, size_t begin, size_t end);
  std::vector<LawResult> Compare(const std::vector<Job>& jobs) const;
  std::string Describe(const LawHistory& history) const;

  PgConnection& connection_;
  const TableConfig& config_;
  const TargetTable& real_;
  const uint64_t seed_;
  LawPool pool_;
  PgTarget target_;
  RowDecoder decoder_;
  proto::BodyReader reader_;
  std::unique_ptr<TargetTable> copy_;
  std::vector<int> written_;           // columns that reports carry beside the key
  std::set<std::string> varied_;       // of those, the ones that vary now
  std::vector<std::string> fixed_;     // value of each key column, but for that which counts
  int counting_ = -1;                  // position in the key of the column that counts; -1: none
  bool few_registers_ = false;         // in pmoves_sync
  bool as_written_ = false;            // plans that find registers in the order of their writing
  std::deque<std::string> sources_;    // names of the three
  std::vector<LawHistory> histories_;  // of the rule at hand
};

}  // namespace pmoves

#endif  // PMOVES_SUBSCRIBER_IO_RULE_TRIALS_H_
