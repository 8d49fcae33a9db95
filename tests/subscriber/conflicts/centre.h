// Centre: a real central database with one table per rule case.
// Thread: one.
#ifndef PMOVES_TESTS_SUBSCRIBER_CONFLICTS_CENTRE_H_
#define PMOVES_TESTS_SUBSCRIBER_CONFLICTS_CENTRE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/io/pg_connection.h"
#include "subscriber/config.h"
#include "tests/subscriber/conflicts/applier.h"
#include "tests/subscriber/conflicts/conflict_model.h"
#include "tests/subscriber/conflicts/rule_cases.h"
#include "tests/testing/postgres_server.h"

namespace pmoves::conflicts {

// A row of the centre: its id, and its source where the key has it (identity: per-source).
using RowKey = std::pair<int64_t, std::string>;

class Centre {
 public:
  static constexpr size_t kWorkers = 2;
  static absl::StatusOr<std::unique_ptr<Centre>> Start(const std::vector<RuleCase>& cases);

  // Empties the table of a case and everything that is known of sources and deletes.
  absl::Status Clear(const RuleCase& rule);
  // Forgets positions alone, so that everything is applied anew.
  absl::Status ForgetPositions();
  // Forgets deletes. By source: every version that is still to come is at least that.
  absl::Status Collect(const RuleCase& rule, const std::vector<int64_t>& lowest_to_come);
  // What people see, by key.
  absl::StatusOr<std::map<RowKey, ModelRow>> Read(const RuleCase& rule);

  Applier& worker(size_t index = 0) { return *workers_[index]; }

 private:
  Centre() = default;
  absl::Status CreateTables(const std::vector<RuleCase>& cases);
  // As `config check-rules` does.
  absl::Status AdmitExpressions();
  absl::Status ReadPositions();

  std::unique_ptr<PostgresServer> server_;
  SubscriberConfig config_;
  std::unique_ptr<PgConnection> connection_;
  std::vector<std::unique_ptr<Applier>> workers_;
  std::string clear_schema_;  // statements that empty the tables of pmoves_sync
};

}  // namespace pmoves::conflicts

#endif  // PMOVES_TESTS_SUBSCRIBER_CONFLICTS_CENTRE_H_
