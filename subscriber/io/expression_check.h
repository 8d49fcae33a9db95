// ExpressionCheck: tries the laws of a conflict rule's own SQL on the central server, and makes its
// function and aggregate when they hold.
//
// In the flow:  `config check-rules` -> ExpressionCheck -> pmoves_sync.rule_check and the functions
// that rule_sql calls; TargetCatalog -> StateOfExpression
// Laws: it depends on a and b alone (immutable), gives a value for all of them (total), and merge
// is commutative, associative and idempotent; folding a batch is folding one by one. Values that
// the type holds equal count as equal, however they are spelled (1.0 and 1.00): of two such the
// one of the newer version is shown, which is a function of the set. An expression that breaks
// a law is folded all the same where allow_divergence admits it, the newest report first: what is
// shown then depends on which report is the newer one.
// Thread:       its connection's.
#ifndef PMOVES_SUBSCRIBER_IO_EXPRESSION_CHECK_H_
#define PMOVES_SUBSCRIBER_IO_EXPRESSION_CHECK_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/io/pg_connection.h"
#include "subscriber/core/law_trials.h"
#include "subscriber/core/target_table.h"
#include "subscriber/io/law_pool.h"

namespace pmoves {

class ExpressionCheck {
 public:
  ExpressionCheck(PgConnection& connection, uint64_t seed)
      : connection_(connection), pool_(connection, seed), seed_(seed) {}

  // Its laws. When all hold, or allow_divergence admits those that do not, the function, the
  // aggregate and their record are there afterwards. An error: the server cannot be asked.
  // REQUIRES: no transaction is open.
  absl::StatusOr<std::vector<LawResult>> Check(const TargetColumn& column, const Rule& rule,
                                               bool allow_divergence);

 private:
  struct Law {
    const char* name;
    const char* says;
    std::string sql;  // number tried, number that failed, the smallest of those
  };
  static std::vector<Law> Laws(const std::string& function);

  // In the open transaction: function and aggregate are made, or the law says why not.
  absl::StatusOr<LawResult> Create(const TargetColumn& column, const Rule& rule);
  // The other laws, of what was made.
  absl::Status Try(const TargetColumn& column, const Rule& rule, std::vector<LawResult>* laws);
  absl::Status Fill(const TargetColumn& column, const ValuePool& values,
                    const std::string& function);
  absl::Status Record(const TargetColumn& column, const Rule& rule,
                      const std::vector<LawResult>& laws);

  PgConnection& connection_;
  LawPool pool_;
  const uint64_t seed_;
};

struct ExpressionState {
  std::string problem = {};   // why it may not be used yet; empty: it may
  std::string diverges = {};  // the laws that it breaks
};
// What the last check left behind.
absl::StatusOr<ExpressionState> StateOfExpression(PgConnection& connection,
                                                  const TargetColumn& column, const Rule& rule,
                                                  bool allow_divergence);

}  // namespace pmoves

#endif  // PMOVES_SUBSCRIBER_IO_EXPRESSION_CHECK_H_
