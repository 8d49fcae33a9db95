#include "subscriber/io/rule_trials.h"

#include <algorithm>
#include <map>
#include <span>
#include <utility>

#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "common/base/status.h"
#include "subscriber/core/json_sql.h"
#include "subscriber/core/law_values.h"
#include "subscriber/core/merge_sql.h"
#include "subscriber/io/pg_catalog.h"

namespace pmoves {
namespace {

using Law = LawSchedule::Law;

constexpr int kHistories = 24;
// Where no key counts each delivery is a transaction of its own.
constexpr int kHistoriesOfOneKey = 8;
constexpr int kLastKey = kHistories * kLawSchedules - 1;
// Few keys go row by row, many through a stage: both are tried.
constexpr size_t kFewKeys = 16;
constexpr size_t kManyKeys = 240;
constexpr const char kOdd[] =
    "rules converge by construction, so something beside them writes: a trigger of yours on the "
    "tables of pmoves_sync, or a type whose order or equality is odd";
constexpr const char kWouldBeSetAside[] =
    "such changes would be set aside: let the column take whatever the rule makes";
// Registers are mostly found by index, in the order of their keys. No rule may rely on it. Where
// there are many that would take too long.
constexpr const char kFewRegisters[] =
    "SELECT pg_relation_size('pmoves_sync.register') + pg_relation_size('pmoves_sync.tombstone') < "
    "1048576";
constexpr const char kAsWritten[] =
    "SET LOCAL enable_seqscan = on; SET LOCAL enable_indexscan = off; SET LOCAL "
    "enable_indexonlyscan = off; SET LOCAL enable_bitmapscan = off";
constexpr const char kCopy[] = "pmoves_law";
constexpr int64_t kCommitUs = 1795339541029291;  // 2026-11-22 09:25:41 UTC, of the first report

const TargetColumn& ColumnAt(const TargetTable& table, int index) {
  return table.columns[static_cast<size_t>(index)];
}

}  // namespace

absl::Status RuleTrials::Open() {
  std::vector<std::string> key;
  for (int index : real_.key) key.push_back(SqlIdentifier(ColumnAt(real_, index).name));
  if (real_.key_has_source) key.push_back("_source");
  // Each PgTarget counts its prepared statements from the start.
  RETURN_IF_ERROR(connection_.ForgetStatements());
  RETURN_IF_ERROR(
      connection_
          .Execute(absl::StrFormat(
              "DROP TABLE IF EXISTS pg_temp.%s; CREATE TEMP TABLE %s (LIKE %s INCLUDING IDENTITY); "
              "ALTER TABLE pg_temp.%s ADD PRIMARY KEY (%s)",
              kCopy, kCopy, SqlTable(real_), kCopy, absl::StrJoin(key, ", ")))
          .status());
  ASSIGN_OR_RETURN(const PgRows found,
                   connection_.Execute(absl::StrFormat(
                       "SELECT n.nspname, (SELECT string_agg(format('ALTER TABLE pg_temp.%s ALTER "
                       "%%I DROP NOT NULL', a.attname), '; ') FROM pg_attribute a WHERE a.attrelid "
                       "= 'pg_temp.%s'::regclass AND a.attnum > 0 AND a.attnotnull AND "
                       "a.attidentity = '' AND a.attname NOT IN ('_source', '_source_updated_at', "
                       "'_sync_version') AND NOT EXISTS (SELECT 1 FROM pg_index i WHERE i.indrelid "
                       "= a.attrelid AND a.attnum = ANY (i.indkey::int2[]))) FROM pg_namespace n "
                       "WHERE n.oid = pg_my_temp_schema()",
                       kCopy, kCopy)));
  if (!found.IsNull(0, 1)) RETURN_IF_ERROR(connection_.Execute(found.String(0, 1)).status());
  ASSIGN_OR_RETURN(const PgRows few, connection_.Execute(kFewRegisters));
  few_registers_ = few.Bool(0, 0);
  TableConfig config = config_;
  config.schema = found.String(0, 0);
  config.table = kCopy;
  config.from_schema.clear();
  config.from_table.clear();
  config.mapping = ColumnMapping();
  config.policy.log = ConflictLog::kOff;  // its numbers would be used up
  const std::vector<TableConfig> configured = {config};
  ASSIGN_OR_RETURN(copy_, TargetCatalog(connection_, configured).Read(config));
  for (size_t i = 0; i < copy_->columns.size(); ++i) {
    const int index = static_cast<int>(i);
    const bool in_key = std::find(copy_->key.begin(), copy_->key.end(), index) != copy_->key.end();
    if (!in_key && !copy_->columns[i].generated) written_.push_back(index);
  }
  return FixKey();
}

absl::Status RuleTrials::FixKey() {
  for (size_t i = 0; i < copy_->key.size(); ++i) {
    const TargetColumn& column = ColumnAt(*copy_, copy_->key[i]);
    if (counting_ < 0 && LawKey(column, 0).has_value()) {
      ASSIGN_OR_RETURN(const bool takes,
                       pool_.TakesAll(column, {*LawKey(column, 0), *LawKey(column, kLastKey)}));
      if (takes) counting_ = static_cast<int>(i);
    }
    ASSIGN_OR_RETURN(const ValuePool values, pool_.Of(column, Rule()));
    if (values.texts.empty() && counting_ != static_cast<int>(i)) {
      return absl::FailedPreconditionError(absl::StrFormat(
          "no values of type %s could be made for key column %s", column.type, column.name));
    }
    fixed_.push_back(values.texts.empty() ? "" : values.texts.front());
  }
  return absl::OkStatus();
}

void RuleTrials::NameSources(const Rule& rule) {
  sources_.clear();
  for (size_t i = 0; i < rule.priority.size() && i < 2; ++i) sources_.push_back(rule.priority[i]);
  if (rule.kind == RuleKind::kKeepCentral) sources_.emplace_back(kCentralSource);
  for (const char* name : {"jetson-a", "jetson-b", "jetson-c"}) {
    if (sources_.size() < kLawSources) sources_.emplace_back(name);
  }
}

absl::StatusOr<std::vector<LawResult>> RuleTrials::TryColumns(
    const std::vector<std::string>& columns, const Rule& rule) {
  std::set<std::string> varied(columns.begin(), columns.end());
  if (!rule.epoch_column.empty()) varied.insert(rule.epoch_column);
  const TargetColumn& column = ColumnAt(*copy_, copy_->Find(columns.front()));
  ASSIGN_OR_RETURN(const ValuePool values, pool_.Of(column, rule));
  if (values.texts.empty()) {
    return absl::FailedPreconditionError(
        absl::StrFormat("no values of type %s to try it on", column.type));
  }
  return Try(varied, rule, false);
}

absl::StatusOr<std::vector<LawResult>> RuleTrials::TryRow(const std::set<std::string>& unsure) {
  std::set<std::string> varied;
  for (int index : written_) {
    const std::string& name = ColumnAt(*copy_, index).name;
    if (unsure.count(name) == 0) varied.insert(name);
  }
  return Try(varied, copy_->policy.row, true);
}

absl::StatusOr<std::vector<LawColumn>> RuleTrials::Columns(const std::set<std::string>& varied,
                                                           const Rule& rule) {
  std::vector<LawColumn> columns;
  for (int index : written_) {
    const TargetColumn& column = ColumnAt(*copy_, index);
    // In the row's trials each column keeps to what its own rule can merge.
    Rule own = rule;
    if (varied.count(column.name) == 0 || &rule == &copy_->policy.row) own = Rule();
    for (const ColumnRule& entry : copy_->policy.columns) {
      if (entry.columns.front() == column.name) own = entry.rule;
    }
    ASSIGN_OR_RETURN(ValuePool values, pool_.Of(column, own));
    if (values.texts.empty() && !values.nullable) {
      return absl::FailedPreconditionError(absl::StrFormat(
          "no values of type %s could be made for column %s", column.type, column.name));
    }
    columns.push_back({std::move(values.texts), values.nullable && !column.identity_always,
                       varied.count(column.name) > 0});
  }
  return columns;
}

absl::StatusOr<std::vector<LawResult>> RuleTrials::Try(const std::set<std::string>& varied,
                                                       const Rule& rule, bool deletes) {
  ASSIGN_OR_RETURN(const std::vector<LawColumn> columns, Columns(varied, rule));
  NameSources(rule);
  varied_ = varied;
  histories_.clear();
  std::vector<Job> jobs;
  const int histories = counting_ < 0 ? kHistoriesOfOneKey : kHistories;
  for (int n = 0; n < histories; ++n) {
    histories_.push_back(MakeHistory(columns, deletes, n, seed_));
    for (LawSchedule& schedule : SchedulesOf(histories_.back()))
      jobs.push_back({histories_.size() - 1, std::move(schedule), "", false});
  }
  RETURN_IF_ERROR(RunJobs(&jobs));
  return Compare(jobs);
}

absl::Status RuleTrials::RunJobs(std::vector<Job>* jobs) {
  int round = 0;
  for (size_t begin = 0; begin < jobs->size(); ++round) {
    const size_t size = counting_ < 0 ? 1 : round % 2 == 0 ? kFewKeys : kManyKeys;
    as_written_ = few_registers_ && round % 4 >= 2;
    const size_t end = std::min(begin + size, jobs->size());
    absl::Status status = RunRound(jobs, begin, end);
    if (!connection_.IsOpen()) return status;
    // Which of them cannot be applied?
    for (size_t i = begin; i < end && !status.ok(); ++i) {
      const absl::Status alone = RunRound(jobs, i, i + 1);
      if (!connection_.IsOpen()) return alone;
      if (alone.ok()) continue;
      (*jobs)[i].failed = true;
      (*jobs)[i].row = MessageOf(alone);
    }
    begin = end;
  }
  return absl::OkStatus();
}

absl::Status RuleTrials::RunRound(std::vector<Job>* jobs, size_t begin, size_t end) {
  size_t steps = 0;
  for (size_t i = begin; i < end; ++i) steps = std::max(steps, (*jobs)[i].schedule.batches.size());
  absl::Status status = target_.Begin();
  if (status.ok() && as_written_) status = connection_.Execute(kAsWritten).status();
  for (size_t step = 0; step < steps && status.ok(); ++step)
    status = ApplyStep(*jobs, begin, end, step);
  if (status.ok()) status = ReadRows(jobs, begin, end);
  target_.Rollback();
  return status;
}

absl::Status RuleTrials::ApplyStep(const std::vector<Job>& jobs, size_t begin, size_t end,
                                   size_t step) {
  ChangeSet set;
  for (size_t i = begin; i < end; ++i) {
    if (step >= jobs[i].schedule.batches.size()) continue;
    for (size_t report : jobs[i].schedule.batches[step])
      RETURN_IF_ERROR(AddReport(histories_[jobs[i].history][report], i, &set));
  }
  return target_.Apply(&set, 0, set.changes.size());
}

absl::Status RuleTrials::AddReport(const LawReport& report, size_t key, ChangeSet* set) {
  std::vector<std::string> names;
  std::vector<std::string> tokens;
  auto add = [&](const TargetColumn& column, const std::optional<std::string>& value) {
    names.push_back(proto::JsonString(column.name));
    // As wal2json has it, without the \x.
    const bool hex = value.has_value() && column.is_bytea;
    tokens.push_back(value.has_value() ? proto::JsonString(hex ? value->substr(2) : *value)
                                       : std::string("null"));
  };
  for (size_t i = 0; i < copy_->key.size(); ++i) {
    const TargetColumn& column = ColumnAt(*copy_, copy_->key[i]);
    const bool counts = static_cast<int>(i) == counting_;
    add(column, counts ? LawKey(column, static_cast<int>(key)) : fixed_[i]);
  }
  if (!report.deletes) {
    for (size_t i = 0; i < written_.size(); ++i)
      add(ColumnAt(*copy_, written_[i]), report.values[i]);
  }
  std::vector<proto::RawColumn> row;
  for (size_t i = 0; i < names.size(); ++i) row.push_back({names[i], tokens[i]});
  const std::string& source = sources_[static_cast<size_t>(report.source)];
  proto::BodyWriter writer;
  const std::span<const proto::RawColumn> none;
  writer.Start(source, copy_->schema, copy_->table,
               report.deletes   ? proto::Operation::kDelete
               : report.inserts ? proto::Operation::kInsert
                                : proto::Operation::kUpdate);
  writer.AddRow(report.deletes ? none : row,
                report.deletes ? std::span<const proto::RawColumn>(row) : none);
  auto message = std::make_unique<ReceivedMessage>();
  message->envelope.source = source;
  message->envelope.hlc = report.hlc;
  message->body = writer.Finish(kCommitUs + report.hlc.value % 1000, {}, {});
  proto::Body body;
  RETURN_IF_ERROR(reader_.Read(&message->body, &body));
  RETURN_IF_ERROR(decoder_.Append(body, *message, &source, copy_.get(), Lsn{}, set));
  set->messages.push_back(std::move(message));
  return absl::OkStatus();
}

absl::Status RuleTrials::ReadRows(std::vector<Job>* jobs, size_t begin, size_t end) {
  std::vector<std::string> pairs;
  for (int index : written_) {
    const std::string& name = ColumnAt(*copy_, index).name;
    pairs.push_back(JsonPair(name, absl::StrFormat("t.%s::text", SqlIdentifier(name))));
  }
  std::vector<std::string> keys;
  std::string match = "true";
  if (counting_ >= 0) {
    const TargetColumn& column = ColumnAt(*copy_, copy_->key[static_cast<size_t>(counting_)]);
    match = absl::StrFormat("t.%s = k.key::%s", SqlIdentifier(column.name), column.type);
    for (size_t i = begin; i < end; ++i)
      keys.push_back(
          absl::StrFormat("(%d, %s)", i, SqlLiteral(*LawKey(column, static_cast<int>(i)))));
  } else {
    keys.push_back(absl::StrFormat("(%d, '')", begin));
  }
  ASSIGN_OR_RETURN(
      const PgRows rows,
      connection_.Execute(absl::StrFormat(
          "SELECT k.n, COALESCE((SELECT string_agg(format('%%s of %%s at %%s', %s, t._source, "
          "t._sync_version), ' and ' ORDER BY t._source) FROM %s t WHERE %s), 'no row') FROM "
          "(VALUES %s) AS k(n, key)",
          JsonObject(pairs), SqlTable(*copy_), match, absl::StrJoin(keys, ", "))));
  for (int i = 0; i < rows.size(); ++i)
    (*jobs)[static_cast<size_t>(rows.Int(i, 0))].row = rows.String(i, 1);
  return absl::OkStatus();
}

std::string RuleTrials::Describe(const LawHistory& history) const {
  std::vector<std::string> reports;
  for (const LawReport& report : history) {
    std::vector<std::string> values;
    for (size_t i = 0; i < written_.size(); ++i) {
      const std::string& name = ColumnAt(*copy_, written_[i]).name;
      if (varied_.count(name) == 0) continue;
      values.push_back(absl::StrFormat(
          "%s = %s", name, report.values[i].has_value() ? SqlLiteral(*report.values[i]) : "NULL"));
    }
    reports.push_back(absl::StrFormat("%s at %d %s", sources_[static_cast<size_t>(report.source)],
                                      report.hlc.value,
                                      report.deletes ? "deletes" : absl::StrJoin(values, ", ")));
  }
  return absl::StrJoin(reports, "; ");
}

std::vector<LawResult> RuleTrials::Compare(const std::vector<Job>& jobs) const {
  std::map<Law, LawResult> laws;
  LawResult merged{"totality"};
  const Job* first = nullptr;
  auto keep_smallest = [](std::string text, LawResult* law) {
    if (law->broken.empty() || text.size() < law->broken.size()) law->broken = std::move(text);
  };
  for (const Job& job : jobs) {
    if (first == nullptr || first->history != job.history) first = &job;
    const LawHistory& history = histories_[job.history];
    ++merged.tried;
    if (job.failed)
      keep_smallest(
          absl::StrFormat("not every report can be merged: %s: %s", Describe(history), job.row),
          &merged);
    LawResult& law = laws[job.schedule.law];
    ++law.tried;
    if (job.failed || first->failed || job.row == first->row) continue;
    keep_smallest(absl::StrFormat("for %s: one delivery shows %s, another %s", Describe(history),
                                  first->row, job.row),
                  &law);
  }
  std::vector<LawResult> results;
  for (auto& [name, law] : laws) {
    law.law = NameOf(name);
    if (!law.broken.empty()) law.fix = kOdd;
    results.push_back(std::move(law));
  }
  if (!merged.broken.empty()) merged.fix = kWouldBeSetAside;
  results.push_back(std::move(merged));
  return results;
}

}  // namespace pmoves
