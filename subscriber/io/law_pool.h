// LawPool: generated values that the types of the centre really take.
//
// In the flow:  law_values -> LawPool -> expression_check, rule_trials
// Thread:       its connection's.
#ifndef PMOVES_SUBSCRIBER_IO_LAW_POOL_H_
#define PMOVES_SUBSCRIBER_IO_LAW_POOL_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/io/pg_connection.h"
#include "subscriber/core/target_table.h"

namespace pmoves {

struct ValuePool {
  std::vector<std::string> texts;  // distinct, as the type prints them, the simplest first
  bool nullable = true;            // the type takes NULL
  bool complete = false;           // the type has no others
};

class LawPool {
 public:
  // So many values at most: the laws look at all triples.
  static constexpr size_t kMostValues = 24;

  LawPool(PgConnection& connection, uint64_t seed) : connection_(connection), seed_(seed) {}

  // Makes what the others need in the session. Where a transaction may be rolled back: before it.
  absl::Status Prepare();
  // Values of the column that suit the rule.
  absl::StatusOr<ValuePool> Of(const TargetColumn& column, const Rule& rule);
  // The column's type takes all of these.
  absl::StatusOr<bool> TakesAll(const TargetColumn& column, const std::vector<std::string>& texts);

 private:
  // What the catalog knows of the values of a type.
  struct TypeFacts {
    std::vector<std::string> labels;    // of an enum
    std::vector<std::string> literals;  // in the CHECKs of domains
  };
  absl::StatusOr<TypeFacts> FactsOf(const TargetColumn& column);
  absl::StatusOr<TargetColumn> ElementOf(const TargetColumn& array);
  absl::StatusOr<std::vector<std::string>> Candidates(const TargetColumn& column, const Rule& rule,
                                                      const TypeFacts& facts);
  // Of those, what the type takes, as it prints them; of sums, what may be added up.
  absl::StatusOr<PgRows> Cast(const TargetColumn& column, bool sums,
                              const std::vector<std::string>& texts);

  PgConnection& connection_;
  const uint64_t seed_;
  bool prepared_ = false;
};

}  // namespace pmoves

#endif  // PMOVES_SUBSCRIBER_IO_LAW_POOL_H_
