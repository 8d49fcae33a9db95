// TableRulesTest: starts of the subscriber by one rule after another, on a table that has rows,
// beside a person who writes it.
#ifndef PMOVES_TESTS_SUBSCRIBER_IO_TABLE_RULES_FIXTURE_H_
#define PMOVES_TESTS_SUBSCRIBER_IO_TABLE_RULES_FIXTURE_H_

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "subscriber/io/table_rules.h"
#include "tests/testing/centre.h"

namespace pmoves {

inline TablePolicy RowRule(RuleKind kind, std::vector<std::string> priority = {}) {
  TablePolicy policy;
  policy.row.kind = kind;
  policy.row.priority = std::move(priority);
  return policy;
}

class TableRulesTest : public CentreTest {
 protected:
  void SetUp() override {
    CentreTest::SetUp();
    PgOptions options;
    options.dsn = server_->Dsn();
    auto person = PgConnection::Connect(options);
    ASSERT_THAT(person, IsOk());
    person_ = *std::move(person);
  }
  // A start of the subscriber with this rule.
  absl::Status StartWith(const TablePolicy& policy) {
    Configure(policy);
    told_.clear();
    TableRules::Ports ports;
    ports.stopping = [this] { return --steps_ < 0; };
    ports.tell = [this](const TargetTable&, const std::string& what) {
      told_.push_back(what);
      if (const auto on_told = on_told_) on_told(what);
    };
    const auto left_out = TableRules(*connection_, config_).CarryOut(ports);
    if (left_out.ok()) left_out_ = *left_out;
    return left_out.status();
  }
  // "3 conflict: keep-central"
  std::string Rule() {
    return Execute("SELECT version || ' ' || policy FROM pmoves_sync.table_rule").String(0, 0);
  }
  // "1:new 2:done"
  std::string Statuses() {
    return Execute(
               "SELECT COALESCE(string_agg(id || ':' || status, ' ' ORDER BY id), '') FROM jobs")
        .String(0, 0);
  }

  // As a worker asks for the table.
  absl::Status Ask() {
    TargetCatalog catalog(*connection_, config_.tables);
    catalog.RequireRules();
    return catalog.Find("public", "jobs").status();
  }

  std::vector<std::string> told_;
  std::unique_ptr<PgConnection> person_;
  std::function<void(const std::string& what)> on_told_;
  int steps_ = 1000;  // before it is told to stop
  int left_out_ = 0;
};

}  // namespace pmoves

#endif  // PMOVES_TESTS_SUBSCRIBER_IO_TABLE_RULES_FIXTURE_H_
