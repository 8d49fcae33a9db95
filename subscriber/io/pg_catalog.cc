#include "subscriber/io/pg_catalog.h"

#include <algorithm>

#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "common/base/status.h"
#include "common/io/log.h"
#include "subscriber/core/key_types.h"
#include "subscriber/core/merge_sql.h"
#include "subscriber/core/policy_check.h"
#include "subscriber/core/policy_text.h"
#include "subscriber/core/rule_change.h"
#include "subscriber/core/table_mark.h"
#include "subscriber/io/expression_check.h"
#include "subscriber/io/key_catalog.h"
#include "subscriber/io/unseen_constraints.h"
#include "subscriber/io/value_limits.h"

namespace pmoves {
namespace {

constexpr const char kTableSql[] = R"sql(
SELECT c.oid, c.relkind, row_security_active(c.oid),
  (SELECT count(*) FROM pg_attribute WHERE attrelid = c.oid AND attname IN ('_source', '_source_updated_at', '_sync_version') AND NOT attisdropped),
  EXISTS (SELECT 1 FROM pg_index i JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1])
          WHERE i.indrelid = c.oid AND i.indisprimary AND a.attname = '_source'),
  (SELECT conname FROM pg_constraint WHERE conrelid = c.oid AND contype = 'p'),
  %s
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2)sql";

// Does a trigger fire in this session that would see a row go and come? Those of this program look
// away. Foreign keys of other tables are triggers, too.
constexpr const char kFiresSql[] = R"sql(
SELECT EXISTS (SELECT 1 FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
  WHERE t.tgrelid = $1 AND p.pronamespace <> COALESCE(to_regnamespace('pmoves_sync'), 0)
    AND p.proname NOT IN ('RI_FKey_check_ins', 'RI_FKey_check_upd', 'unique_key_recheck')
    AND t.tgenabled IN ('A', CASE current_setting('session_replication_role') WHEN 'replica' THEN 'R' ELSE 'O' END)),
  current_setting('server_encoding'))sql";

constexpr const char kColumnsSql[] = R"sql(
SELECT a.attname,
  (SELECT CASE WHEN e.typnamespace <> 'pg_catalog'::regnamespace AND pg_type_is_visible(e.oid) THEN quote_ident(n.nspname) || '.' ELSE '' END
   FROM pg_type e JOIN pg_namespace n ON n.oid = e.typnamespace WHERE a.atttypid IN (e.oid, e.typarray) ORDER BY e.oid = a.atttypid LIMIT 1)
  || format_type(a.atttypid, a.atttypmod), a.atttypid, a.attgenerated <> '', a.attidentity = 'a',
  b.typname,
  COALESCE((SELECT array_position((i.indkey::int2[])[0:i.indnkeyatts - 1], a.attnum) FROM pg_index i
            WHERE i.indrelid = a.attrelid AND i.indisprimary AND i.indimmediate), -1) AS key_position,
  COALESCE((SELECT pg_get_expr(d.adbin, d.adrelid) FROM pg_attrdef d WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum AND a.attgenerated = ''),
    CASE WHEN a.attidentity <> '' THEN format('nextval(%L::regclass)', pg_get_serial_sequence(a.attrelid::regclass::text, a.attname)) END) AS default_sql,
  b.typcategory,
  EXISTS (SELECT 1 FROM pg_opclass o JOIN pg_am m ON m.oid = o.opcmethod
          JOIN pg_type e ON e.oid = CASE WHEN b.typcategory = 'A' THEN b.typelem ELSE b.oid END
          WHERE m.amname = 'btree' AND o.opcdefault
            AND (o.opcintype = e.oid
              OR (o.opcintype, e.typtype) IN (('anyenum'::regtype, 'e'), ('anyrange'::regtype, 'r'), ('record'::regtype, 'c'))
              OR EXISTS (SELECT 1 FROM pg_cast k WHERE k.castsource = e.oid AND k.casttarget = o.opcintype
                         AND k.castmethod = 'b' AND k.castcontext = 'i'))) AS orderable,
  (SELECT format('%I.%I %s', n.nspname, t.typname, a.atttypmod) FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE t.oid = a.atttypid) AS type_identity,
  (SELECT t.typtype = 'e' FROM pg_type t WHERE t.oid = a.atttypid) AS is_enum
FROM pg_attribute a
CROSS JOIN LATERAL (
  WITH RECURSIVE r(o) AS (SELECT a.atttypid UNION ALL SELECT t.typbasetype FROM r JOIN pg_type t ON t.oid = r.o WHERE t.typtype = 'd')
  SELECT t.oid, t.typname, t.typcategory, t.typelem FROM r JOIN pg_type t ON t.oid = r.o WHERE t.typtype <> 'd') b
WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped
  AND a.attname NOT IN ('_source', '_source_updated_at', '_sync_version')
ORDER BY a.attnum)sql";

// identity: per-source and a primary key with _source go together. `constraint`: the primary key's
// name, or empty.
absl::Status CheckIdentity(const TargetTable& table, const std::string& constraint) {
  const bool per_source = table.policy.identity == Identity::kPerSource;
  if (per_source == table.key_has_source) return absl::OkStatus();
  std::string key = per_source ? "_source" : "";
  for (int column : table.key) {
    const std::string name = SqlIdentifier(table.columns[static_cast<size_t>(column)].name);
    key += (key.empty() ? "" : ", ") + name;
  }
  const std::string drop =
      constraint.empty() ? "" : absl::StrFormat("DROP CONSTRAINT %s, ", SqlIdentifier(constraint));
  const std::string statement =
      absl::StrFormat("ALTER TABLE %s %sADD PRIMARY KEY (%s)", SqlTable(table), drop, key);
  return absl::FailedPreconditionError(
      per_source
          ? absl::StrFormat("table %s is configured with identity: per-source, so its primary key "
                            "must have _source, or rows of two sources would meet; %s",
                            table.Name(), statement)
          : absl::StrFormat("the primary key of table %s has _source, so each source has rows of "
                            "its own; configure it with identity: per-source, or %s",
                            table.Name(), statement));
}

constexpr const char kAlteredPayload[] = "pmoves/altered";

// What happens to rows that are written.
absl::Status ReadBehaviour(PgConnection& connection, TargetTable* table) {
  RETURN_IF_ERROR(ReadValueLimits(connection, table));
  RETURN_IF_ERROR(ReadUnseenConstraints(connection, table));
  const std::string oid = std::to_string(table->oid);
  ASSIGN_OR_RETURN(const PgRows fires, connection.Execute(kFiresSql, {PgParam(oid)}));
  // Others cannot hold every text, and count and cut the bytes of one differently.
  if (fires.Text(0, 1) != "UTF8") {
    return absl::FailedPreconditionError(absl::StrFormat(
        "the encoding of the central database is %s, which cannot hold every text of "
        "table %s; use a database with ENCODING 'UTF8'",
        fires.String(0, 1), table->Name()));
  }
  // Where a delete does not take the row away, a move leaves it, too.
  const DeletePolicy on_delete = table->policy.on_delete;
  table->moves_in_place =
      fires.Bool(0, 0) && on_delete != DeletePolicy::kIgnore && on_delete != DeletePolicy::kSoft;
  return absl::OkStatus();
}

}  // namespace

absl::Status AlteredMeanwhile(const std::string& table) {
  absl::Status status = absl::AbortedError(
      absl::StrFormat("table %s was altered in the centre since it was looked at", table));
  status.SetPayload(kAlteredPayload, absl::Cord("1"));
  return status;
}

bool IsAltered(const absl::Status& status) {
  return status.GetPayload(kAlteredPayload).has_value();
}

absl::Status RequireUnaltered(PgConnection& connection,
                              const std::set<const TargetTable*>& tables) {
  const MarkedTables marked = MarksOf(tables);
  ASSIGN_OR_RETURN(
      const PgRows altered,
      connection.Execute(AlteredTables("$1", "$2", "$3"),
                         {PgParam(marked.oids), PgParam(marked.names), PgParam(marked.marks)}));
  return altered.size() == 0 ? absl::OkStatus() : AlteredMeanwhile(altered.String(0, 0));
}

absl::StatusOr<TargetTable*> TargetCatalog::Find(std::string_view schema, std::string_view table) {
  const std::pair<std::string, std::string> name(schema, table);
  auto found = entries_.find(name);
  if (found != entries_.end() && found->second.fresh) return found->second.table;
  const auto config =
      std::find_if(tables_.begin(), tables_.end(), [&](const TableConfig& candidate) {
        return candidate.SourceSchema() == schema && candidate.SourceTable() == table;
      });
  if (config == tables_.end()) {
    return absl::NotFoundError(
        absl::StrFormat("table %s.%s is not configured in `tables`", name.first, name.second));
  }
  ASSIGN_OR_RETURN(std::unique_ptr<TargetTable> loaded, Read(*config));
  ASSIGN_OR_RETURN(const std::vector<std::string> misfits, Misfits(*loaded));
  if (!misfits.empty()) {
    return absl::FailedPreconditionError(
        absl::StrFormat("the configuration of table %s does not fit it: %s", loaded->Name(),
                        absl::StrJoin(misfits, "; ")));
  }
  if (require_rules_) RETURN_IF_ERROR(CheckRule(*loaded));
  Entry& entry = entries_[name];
  if (entry.table == nullptr && log_divergences_ && loaded->policy.allow_divergence) {
    ASSIGN_OR_RETURN(const Expressions expressions, LookAtExpressions(*loaded));
    for (const std::string& divergence : expressions.divergences)
      LogWarn("rule.diverges", divergence, {{"table", loaded->Name()}});
  }
  if (entry.table == nullptr || entry.table->oid != loaded->oid ||
      entry.table->columns != loaded->columns || entry.table->key != loaded->key ||
      entry.table->key_has_source != loaded->key_has_source ||
      entry.table->moves_in_place != loaded->moves_in_place ||
      entry.table->unseen != loaded->unseen) {
    if (entry.table != nullptr) ++generation_;
    entry.table = loaded.get();
    owned_.push_back(std::move(loaded));
  }
  if (loaded != nullptr) entry.table->mark = loaded->mark;
  entry.fresh = true;
  return entry.table;
}

absl::StatusOr<std::vector<std::string>> TargetCatalog::Misfits(const TargetTable& table) {
  std::vector<std::string> misfits = CheckPolicy(table);
  misfits.insert(misfits.end(), table.key_problems.begin(), table.key_problems.end());
  for (const auto& [name, text] : table.mapping.constants) {
    const int index = table.Find(name);
    if (index < 0) continue;
    if (!HoldsExactly(table.columns[static_cast<size_t>(index)].limit, text)) {
      misfits.push_back(absl::StrFormat(
          "constants.%s: a value that %s does not hold as it is written; write it as the column "
          "shows it",
          name, table.columns[static_cast<size_t>(index)].type));
      continue;
    }
    const absl::Status status =
        connection_
            .Execute(absl::StrFormat("SELECT CAST($1 AS %s)",
                                     table.columns[static_cast<size_t>(index)].type),
                     {PgParam(text)})
            .status();
    if (status.ok()) continue;
    if (!connection_.IsOpen()) return status;
    misfits.push_back(absl::StrFormat("constants.%s: %s", name, MessageOf(status)));
  }
  ASSIGN_OR_RETURN(Expressions expressions, LookAtExpressions(table));
  for (std::string& misfit : expressions.misfits) misfits.push_back(std::move(misfit));
  return misfits;
}

absl::Status TargetCatalog::CheckRule(const TargetTable& table) {
  const std::string relation = table.Name();
  const std::string policy = PolicyText(table.policy);
  auto look = [&] {
    return connection_.Execute(
        "SELECT policy = $2 AND NOT unfinished FROM pmoves_sync.table_rule WHERE relation = $1",
        {PgParam(relation), PgParam(policy)});
  };
  ASSIGN_OR_RETURN(PgRows recorded, look());
  if (recorded.size() == 0 && !UsesRegisters(table.policy)) {
    // A table that came after the start: nothing has made its rows by another rule.
    const std::string clock = ClockName(table.policy);
    RETURN_IF_ERROR(connection_
                        .Execute("INSERT INTO pmoves_sync.table_rule (relation, version, policy, "
                                 "uses_registers, clock) VALUES ($1, 1, $2, false, $3) ON CONFLICT "
                                 "DO NOTHING",
                                 {PgParam(relation), PgParam(policy), PgParam(clock)})
                        .status());
    ASSIGN_OR_RETURN(recorded, look());
  }
  if (recorded.size() > 0 && recorded.Bool(0, 0)) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrFormat("the rule of table %s is not in force yet; a start of the subscriber "
                      "carries it out, alone",
                      table.Name()));
}

absl::StatusOr<TargetCatalog::Expressions> TargetCatalog::LookAtExpressions(
    const TargetTable& table) {
  Expressions found;
  for (const ColumnRule& entry : table.policy.columns) {
    const std::string& name = entry.columns.front();
    const int index = table.Find(name);
    if (entry.rule.kind != RuleKind::kExpression || index < 0) continue;
    ASSIGN_OR_RETURN(const ExpressionState state,
                     StateOfExpression(connection_, table.columns[static_cast<size_t>(index)],
                                       entry.rule, table.policy.allow_divergence));
    if (!state.problem.empty()) {
      found.misfits.push_back(absl::StrFormat("columns.%s.conflict: %s", name, state.problem));
    } else if (!state.diverges.empty()) {
      found.divergences.push_back(absl::StrFormat(
          "columns.%s.conflict: the expression diverges, it breaks %s: what is shown "
          "depends on which report is the newer one",
          name, state.diverges));
    }
  }
  return found;
}

bool TargetCatalog::Reread(const std::set<const TargetTable*>& tables) {
  Invalidate();
  bool changed = false;
  for (const TargetTable* table : tables) {
    const auto found = Find(table->SourceSchema(), table->SourceTable());
    if (!connection_.IsOpen()) return false;
    changed = changed || !found.ok() || *found != table;
  }
  return changed;
}

void TargetCatalog::Invalidate() {
  for (auto& [name, entry] : entries_) entry.fresh = false;
}

absl::StatusOr<std::unique_ptr<TargetTable>> TargetCatalog::Read(const TableConfig& config) {
  const std::string display = config.schema + "." + config.table;
  ASSIGN_OR_RETURN(PgRows rows,
                   connection_.Execute(absl::StrFormat(kTableSql, TableMark("c.oid")),
                                       {PgParam(config.schema), PgParam(config.table)}));
  if (rows.size() == 0) {
    return absl::FailedPreconditionError(absl::StrFormat(
        "table %s does not exist in the centre; create it, then run init", display));
  }
  if (rows.Text(0, 1) != "r" && rows.Text(0, 1) != "p") {
    return absl::FailedPreconditionError(
        absl::StrFormat("%s is not a table in the centre", display));
  }
  if (rows.Bool(0, 2)) {
    return absl::FailedPreconditionError(
        absl::StrFormat("row level security of %s applies to this role and would hide rows "
                        "silently; ALTER ROLE ... BYPASSRLS, or use the owner",
                        display));
  }
  if (rows.Int(0, 3) != 3) {
    return absl::FailedPreconditionError(
        absl::StrFormat("table %s lacks the columns _source, _source_updated_at, _sync_version; "
                        "run `pmoves-sync-subscriber init`",
                        display));
  }
  auto table = std::make_unique<TargetTable>();
  table->oid = static_cast<uint32_t>(rows.Int(0, 0));
  table->mark = rows.String(0, 6);
  table->schema = config.schema;
  table->table = config.table;
  table->on_error = config.on_error;
  table->narrowing_allowed = config.narrowing_allowed;
  table->policy = config.policy;
  table->source_schema = config.from_schema;
  table->source_table = config.from_table;
  table->mapping = config.mapping;
  table->sources = config.sources;
  table->key_has_source = rows.Bool(0, 4);
  const std::string oid = rows.String(0, 0);
  ASSIGN_OR_RETURN(PgRows columns, connection_.Execute(kColumnsSql, {PgParam(oid)}));
  std::vector<std::pair<int64_t, int>> key;
  for (int i = 0; i < columns.size(); ++i) {
    TargetColumn& column = table->columns.emplace_back();
    column.name = columns.String(i, 0);
    column.type = columns.String(i, 1);
    column.type_oid = static_cast<uint32_t>(columns.Int(i, 2));
    column.generated = columns.Bool(i, 3);
    column.identity_always = columns.Bool(i, 4);
    column.base_type = columns.String(i, 5);
    column.is_bytea = column.base_type == "bytea";
    column.is_enum = columns.Bool(i, 11);
    column.key_text = KeyTextOfType(column.base_type);
    column.category = columns.Text(i, 8)[0];
    column.orderable = columns.Bool(i, 9);
    column.type_identity = columns.String(i, 10);
    column.default_sql = columns.String(i, 7);
    if (columns.Int(i, 6) >= 0) key.emplace_back(columns.Int(i, 6), i);
  }
  std::sort(key.begin(), key.end());
  for (const auto& [position, index] : key) table->key.push_back(index);
  if (table->key.empty()) {
    return absl::FailedPreconditionError(absl::StrFormat(
        "table %s has no primary key in the centre (or a deferrable one); changes are merged by it",
        display));
  }
  ASSIGN_OR_RETURN(table->key_problems, ReadKey(connection_, table.get()));
  RETURN_IF_ERROR(CheckIdentity(*table, rows.IsNull(0, 5) ? "" : rows.String(0, 5)));
  RETURN_IF_ERROR(ReadBehaviour(connection_, table.get()));
  return table;
}

}  // namespace pmoves
