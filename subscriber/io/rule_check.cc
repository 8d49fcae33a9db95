#include "subscriber/io/rule_check.h"

#include <algorithm>
#include <memory>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "common/base/status.h"
#include "subscriber/core/law_trials.h"
#include "subscriber/core/policy_check.h"
#include "subscriber/io/expression_check.h"
#include "subscriber/io/pg_catalog.h"
#include "subscriber/io/rule_trials.h"

namespace pmoves {
namespace {

using Grade = CheckLine::Grade;

// public.jobs.status: value-priority
std::string Title(const TargetTable& table, const std::string& column, const Rule& rule) {
  const std::string dot_column = column.empty() ? "" : absl::StrFormat(".%s", column);
  const std::string text = rule.kind == RuleKind::kExpression
                               ? absl::StrFormat(" \"%s\"", rule.expression)
                               : std::string();
  return absl::StrFormat("%s%s: %s%s", table.Name(), dot_column, InfoOf(rule.kind).name, text);
}

class TableCheck {
 public:
  TableCheck(PgConnection& connection, const TableConfig& config, uint64_t seed,
             std::vector<CheckLine>* lines)
      : connection_(connection), config_(config), seed_(seed), lines_(lines), tried_(config) {}

  absl::Status Run() {
    const std::vector<TableConfig> configured = {config_};
    TargetCatalog catalog(connection_, configured);
    auto table = catalog.Read(config_);
    if (!table.ok()) return Refuse(table.status());
    table_ = *std::move(table);
    const std::vector<std::string> misfits = CheckPolicy(*table_);
    for (const std::string& misfit : misfits) Refuse(misfit);
    if (!misfits.empty()) return absl::OkStatus();
    RETURN_IF_ERROR(CheckExpressions());
    return Try();
  }

 private:
  void Refuse(const std::string& why) {
    lines_->push_back({Grade::kFail,
                       absl::StrFormat("%s.%s: %s", config_.schema, config_.table, why),
                       "see the message; until then this cannot be tried"});
  }
  absl::Status Refuse(const absl::Status& why) {
    if (!connection_.IsOpen()) return why;
    Refuse(MessageOf(why));
    return absl::OkStatus();
  }

  absl::Status CheckExpressions() {
    ExpressionCheck check(connection_, seed_);
    for (const ColumnRule& entry : table_->policy.columns) {
      if (entry.rule.kind != RuleKind::kExpression) continue;
      const std::string& name = entry.columns.front();
      const int index = table_->Find(name);
      const auto laws = check.Check(table_->columns[static_cast<size_t>(index)], entry.rule,
                                    table_->policy.allow_divergence);
      Grade grade = Grade::kFail;
      if (laws.ok()) {
        grade = Add(Title(*table_, name, entry.rule), entry.rule.kind, *laws);
      } else {
        if (!connection_.IsOpen()) return laws.status();
        lines_->push_back({Grade::kFail,
                           absl::StrFormat("%s was not tried: %s", Title(*table_, name, entry.rule),
                                           MessageOf(laws.status())),
                           "see the message"});
      }
      if (grade == Grade::kPass) continue;
      unsure_.insert(name);
      Leave(name);
    }
    return absl::OkStatus();
  }

  // Without its aggregate no row of the table can be made, and one without a value makes none: the
  // other rules are tried without it.
  void Leave(const std::string& name) {
    std::vector<ColumnRule>& rules = tried_.policy.columns;
    rules.erase(
        std::remove_if(rules.begin(), rules.end(),
                       [&](const ColumnRule& rule) { return rule.columns.front() == name; }),
        rules.end());
  }

  absl::Status Try() {
    RuleTrials trials(connection_, tried_, *table_, seed_);
    if (const absl::Status opened = trials.Open(); !opened.ok()) return Refuse(opened);
    RETURN_IF_ERROR(AddTrials(Title(*table_, "", table_->policy.row), table_->policy.row.kind,
                              trials.TryRow(unsure_)));
    for (const ColumnRule& entry : table_->policy.columns) {
      if (entry.rule.kind == RuleKind::kExpression) continue;
      RETURN_IF_ERROR(AddTrials(Title(*table_, entry.columns.front(), entry.rule), entry.rule.kind,
                                trials.TryColumns(entry.columns, entry.rule)));
    }
    return absl::OkStatus();
  }

  absl::Status AddTrials(const std::string& title, RuleKind kind,
                         const absl::StatusOr<std::vector<LawResult>>& laws) {
    if (laws.ok()) {
      Add(title, kind, *laws);
      return absl::OkStatus();
    }
    if (!connection_.IsOpen()) return laws.status();
    // It converges by construction, whether it can be shown or not.
    lines_->push_back({Grade::kWarn,
                       absl::StrFormat("%s was not tried: %s", title, MessageOf(laws.status())),
                       "see the message"});
    return absl::OkStatus();
  }

  // The worst grade.
  Grade Add(const std::string& title, RuleKind kind, const std::vector<LawResult>& laws) {
    Grade worst = Grade::kPass;
    std::vector<std::string> names;
    int64_t tried = 0;
    for (const LawResult& law : laws) {
      names.push_back(law.law);
      tried += law.tried;
      if (law.broken.empty()) continue;
      const bool admitted = law.admissible && config_.policy.allow_divergence;
      const Grade grade = admitted ? Grade::kWarn : Grade::kFail;
      if (worst != Grade::kFail) worst = grade;
      lines_->push_back(
          {grade,
           absl::StrFormat("%s %s %s: %s", title, admitted ? "diverges, it breaks" : "breaks",
                           law.law, law.broken),
           admitted ? "admitted by allow_divergence: true" : law.fix});
    }
    if (worst == Grade::kPass) {
      lines_->push_back({Grade::kPass,
                         absl::StrFormat("%s keeps %s (%d trials); it shows the %s", title,
                                         absl::StrJoin(names, ", "), tried, InfoOf(kind).laws),
                         ""});
    }
    return worst;
  }

  PgConnection& connection_;
  const TableConfig& config_;
  const uint64_t seed_;
  std::vector<CheckLine>* const lines_;
  TableConfig tried_;  // without the expressions that break a law
  std::unique_ptr<TargetTable> table_;
  std::set<std::string> unsure_;  // columns whose expression breaks a law
};

}  // namespace

absl::StatusOr<std::vector<CheckLine>> CheckRules(PgConnection& connection,
                                                  const SubscriberConfig& config, uint64_t seed) {
  ASSIGN_OR_RETURN(const PgRows schema,
                   connection.Execute("SELECT to_regclass('pmoves_sync.rule_check') IS NOT NULL"));
  if (!schema.Bool(0, 0)) {
    return absl::FailedPreconditionError(
        "schema pmoves_sync is missing, or of an earlier version; run `pmoves-sync-subscriber "
        "init`");
  }
  std::vector<CheckLine> lines;
  for (const TableConfig& table : config.tables)
    RETURN_IF_ERROR(TableCheck(connection, table, seed, &lines).Run());
  return lines;
}

}  // namespace pmoves
