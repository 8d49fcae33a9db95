#include "subscriber/io/central_writes.h"

#include <memory>
#include <vector>

#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "common/base/reaction.h"
#include "common/base/status.h"
#include "common/io/steady_time.h"
#include "subscriber/core/central_sql.h"
#include "subscriber/core/merge_sql.h"
#include "subscriber/core/register_sql.h"
#include "subscriber/core/sql_array.h"
#include "subscriber/io/central_schema.h"
#include "subscriber/io/pg_catalog.h"

namespace pmoves {
namespace {

// The coordinator has other duties than to wait for a lock.
constexpr absl::Duration kLockWait = absl::Seconds(2);
constexpr absl::Duration kPutOff = absl::Minutes(1);

constexpr const char kDue[] = "(q.retry_at IS NULL OR q.retry_at <= now())";

// Of the tables of an array, in its order: has one rows that are due.
std::string Queued() {
  return absl::StrFormat(
      "SELECT EXISTS (SELECT 1 FROM pmoves_sync.recompute_queue q WHERE q.relation = n.name AND "
      "%s) FROM unnest($1) WITH ORDINALITY AS n(name, place) ORDER BY n.place",
      kDue);
}

std::string OldestDue(const TargetTable& table, int limit) {
  return absl::StrFormat(
      "SELECT q.relation, q.id FROM pmoves_sync.recompute_queue q WHERE q.relation = %s AND %s "
      "ORDER BY q.id LIMIT %d FOR UPDATE SKIP LOCKED",
      SqlLiteral(table.Name()), kDue, limit);
}

}  // namespace

absl::StatusOr<CentralWrites::Settled> CentralWrites::Settle(absl::Duration budget) {
  Settled settled;
  std::vector<std::string> names;
  for (const TableConfig& table : config_.tables)
    names.push_back(absl::StrFormat("%s.%s", table.schema, table.table));
  RETURN_IF_ERROR(connection_.PrepareOnce("pmoves_queued", "text[]", Queued()));
  ASSIGN_OR_RETURN(const PgRows waiting, connection_.Execute(absl::StrFormat(
                                             "EXECUTE pmoves_queued(%s)", TextArray(names))));
  const absl::Time end = MonotonicTime() + budget;
  for (int i = 0; i < waiting.size(); ++i) {
    if (!waiting.Bool(i, 0)) continue;
    const absl::Status status = SettleTable(config_.tables[static_cast<size_t>(i)], end, &settled);
    if (!connection_.IsOpen()) return status;
    if (settled.problem.ok()) settled.problem = status;
  }
  return settled;
}

absl::Status CentralWrites::SettleTable(const TableConfig& config, absl::Time end,
                                        Settled* settled) {
  TargetCatalog catalog(connection_, config_.tables);
  catalog.RequireRules();
  ASSIGN_OR_RETURN(TargetTable* const table,
                   catalog.Find(config.SourceSchema(), config.SourceTable()));
  int limit = kBatch;
  while (true) {
    const auto taken = SettleBatch(*table, limit, settled);
    if (!taken.ok()) {
      if (!connection_.IsOpen()) return taken.status();
      connection_.Rollback();
      if (IsAltered(taken.status())) {
        settled->more = true;
        return absl::OkStatus();
      }
      const Reaction reaction = ReactionTo(taken.status()).reaction;
      if (reaction != Reaction::kSplit && reaction != Reaction::kBlock) return taken.status();
      if (limit > 1) {
        limit = 1;  // one by one, up to the one that is to blame
        continue;
      }
      RETURN_IF_ERROR(PutOff(*table, taken.status()));
      ++settled->failed;
    } else if (*taken < limit) {
      return absl::OkStatus();
    }
    if (MonotonicTime() >= end) {
      settled->more = true;
      return absl::OkStatus();
    }
  }
}

absl::StatusOr<int64_t> CentralWrites::SettleBatch(const TargetTable& table, int limit,
                                                   Settled* settled) {
  const bool registers = UsesRegisters(table.policy);
  RETURN_IF_ERROR(connection_.Execute(CreateTouched()).status());
  RETURN_IF_ERROR(
      connection_
          .Execute(absl::StrFormat("BEGIN; SET LOCAL lock_timeout = %d; %s",
                                   absl::ToInt64Milliseconds(kLockWait), LockTable(table)))
          .status());
  ASSIGN_OR_RETURN(
      const PgRows taken,
      connection_.Execute(absl::StrFormat(
          "WITH due AS (%s), taken AS (DELETE FROM pmoves_sync.recompute_queue q USING due WHERE "
          "q.relation = due.relation AND q.id = due.id RETURNING q.relation, q.key, q.source) "
          "INSERT INTO pg_temp.pmoves_touched (relation, key, source) SELECT relation, key, source "
          "FROM taken",
          OldestDue(table, limit))));
  ASSIGN_OR_RETURN(const PgRows logged,
                   connection_.Execute(registers ? Recompute(table) : SettleBuried(table)));
  RETURN_IF_ERROR(RequireUnaltered(connection_, {&table}));
  RETURN_IF_ERROR(connection_.Commit());
  settled->keys += taken.affected();
  for (int i = 0; registers && i < logged.size(); ++i) {
    settled->conflicts[{DisplayTable(table.schema, table.table), logged.String(i, 0),
                        logged.String(i, 1)}] += logged.Int(i, 2);
  }
  return taken.affected();
}

absl::Status CentralWrites::PutOff(const TargetTable& table, const absl::Status& why) {
  return connection_
      .Execute(absl::StrFormat("WITH due AS (%s) UPDATE pmoves_sync.recompute_queue q SET retry_at "
                               "= now() + interval '%d seconds', sqlstate = %s FROM due WHERE "
                               "q.relation = due.relation AND q.id = due.id",
                               OldestDue(table, 1), absl::ToInt64Seconds(kPutOff),
                               SqlLiteral(SqlStateOf(why))))
      .status();
}

absl::Status CentralWrites::Forget() {
  return connection_
      .Execute(absl::StrFormat("DELETE FROM pmoves_sync.recompute_queue WHERE queued_at < now() - "
                               "interval '%d hours'",
                               absl::ToInt64Hours(kForget)))
      .status();
}

}  // namespace pmoves
