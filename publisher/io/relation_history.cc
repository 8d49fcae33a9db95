#include "publisher/io/relation_history.h"

#include <algorithm>
#include <tuple>

#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "common/base/status.h"
#include "common/io/log.h"
#include "proto/decimal.h"
#include "proto/json_token.h"
#include "publisher/io/history_schema.h"
#include "publisher/io/pg_catalog.h"

namespace pmoves {
namespace {

constexpr std::string_view kMarkContent = "ddl ";

// $1: the ids; null: all.
constexpr const char kLoadSql[] = R"(
SELECT h.id, h.relid, h.schema_name, h.table_name, h.mark_lsn, (h.xid::text::numeric % 4294967296)::bigint,
       h.definition IS NULL, coalesce((h.definition->>'usable')::boolean, false),
       c.name, c.type, c.toastable, c.key, c.nonfinite, format_type(c.type, c.typmod),
       h.definition->>'identity'
  FROM pmoves_sync.relation_history h
  LEFT JOIN LATERAL ROWS FROM (jsonb_to_recordset(h.definition->'columns') AS (
      name text, type oid, typmod integer, toastable boolean, key boolean, nonfinite boolean))
      WITH ORDINALITY c
      ON true
 WHERE $1::text IS NULL OR h.id = ANY ($1::bigint[])
 ORDER BY h.id, c.ordinality)";

}  // namespace

absl::Status RelationHistory::Open() {
  ASSIGN_OR_RETURN(active_, EnsureHistory(connection_));
  if (!active_) {
    LogLimited(LogLevel::kWarn, "history.missing",
               "the event trigger pmoves_sync_ddl is not installed and this role may not: a table "
               "that is altered while changes wait is read by the catalog of now. `init` prints "
               "the statements for a superuser",
               {});
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(PgRows noted, connection_.Execute("SELECT pmoves_sync.begin_history()"));
  if (noted.Int(0, 0) > 0) {
    LogInfo("history.noted", "definitions of tables were noted that the event trigger did not see",
            {{"tables", noted.Int(0, 0)}});
  }
  return Load("");
}

absl::Status RelationHistory::Load(const std::string& ids) {
  ASSIGN_OR_RETURN(PgRows rows,
                   connection_.Execute(kLoadSql, {ids.empty() ? PgParam() : PgParam(ids)}));
  for (int row = 0; row < rows.size();) {
    const int64_t id = rows.Int(row, 0);
    Relation relation;
    relation.oid = static_cast<uint32_t>(rows.Int(row, 1));
    relation.version = static_cast<uint64_t>(id);
    relation.schema = rows.String(row, 2);
    relation.table = rows.String(row, 3);
    relation.has_usable_identity = rows.Bool(row, 7);
    ASSIGN_OR_RETURN(const Lsn mark, Lsn::Parse(rows.Text(row, 4)));
    const auto xid = static_cast<uint32_t>(rows.Int(row, 5));
    const bool gone = rows.Bool(row, 6);
    for (; row < rows.size() && rows.Int(row, 0) == id; ++row) {
      if (rows.IsNull(row, 8)) continue;
      RelationColumn column;
      column.name = rows.String(row, 8);
      column.token = proto::JsonString(column.name);
      column.type_oid = static_cast<uint32_t>(rows.Int(row, 9));
      column.toastable = rows.Bool(row, 10);
      column.key = rows.Bool(row, 11);
      column.may_be_nonfinite = rows.Bool(row, 12);
      column.type = rows.String(row, 13);
      relation.identity = IdentityOf(rows.Text(row, 14));
      relation.columns.push_back(std::move(column));
    }
    Add(id, relation, gone, mark, xid);
  }
  return absl::OkStatus();
}

void RelationHistory::Add(int64_t id, const Relation& relation, bool gone, Lsn mark, uint32_t xid) {
  if (!known_.try_emplace(id, true).second) return;
  if (begins_.IsNone() || mark < begins_) begins_ = mark;
  const Name name{relation.schema, relation.table};
  const auto insert = [&](const Name& of, const Relation* what) {
    std::vector<Version>& versions = versions_[of];
    const auto at = std::upper_bound(versions.begin(), versions.end(), mark,
                                     [](Lsn lsn, const Version& v) { return lsn < v.mark; });
    versions.insert(at, Version{mark, xid, what});
  };
  const auto before = names_.find(relation.oid);
  if (before != names_.end() && (before->second < name || name < before->second)) {
    insert(before->second, nullptr);
    if (!gone && tables_.Matches(relation.schema, relation.table)) {
      LogLimited(LogLevel::kWarn, "table.renamed",
                 "a table was given a name that is captured: its changes count as those of the new "
                 "name from there on, and rows that it had before are not in the centre under it. "
                 "If it takes another table's place, start that table over",
                 {{"table", relation.schema + "." + relation.table},
                  {"before", before->second.schema + "." + before->second.table},
                  {"position", mark.ToString()}});
    }
  }
  if (tables_.Matches(relation.schema, relation.table)) {
    if (!gone) relations_.push_back(relation);
    insert(name, gone ? nullptr : &relations_.back());
  }
  names_[relation.oid] = name;
  last_name_ = nullptr;
}

absl::Status RelationHistory::Begin(uint32_t xid) {
  xid_ = xid;
  return pending_.empty() ? absl::OkStatus() : Resolve();
}

bool RelationHistory::TakeMark(std::string_view content) {
  if (content.substr(0, kMarkContent.size()) != kMarkContent) return false;
  int64_t id = 0;
  if (!proto::ParseDecimal(content.substr(kMarkContent.size()), &id)) return false;
  if (!known_.contains(id)) pending_.push_back({id, xid_});
  return true;
}

// Reads the rows of the marks that came, as far as they are visible.
absl::Status RelationHistory::Resolve() {
  const std::string ids = "{" +
                          absl::StrJoin(pending_, ",",
                                        [](std::string* out, const Pending& pending) {
                                          absl::StrAppendFormat(out, "%d", pending.id);
                                        }) +
                          "}";
  RETURN_IF_ERROR(Load(ids));
  std::erase_if(pending_, [this](const Pending& pending) { return known_.contains(pending.id); });
  return absl::OkStatus();
}

absl::StatusOr<const Relation*> RelationHistory::At(std::string_view schema, std::string_view table,
                                                    Lsn at, uint32_t xid) {
  const auto waits = [&] {
    return std::any_of(pending_.begin(), pending_.end(),
                       [xid](const Pending& pending) { return pending.xid == xid; });
  };
  for (int attempt = 0; waits(); ++attempt) {
    RETURN_IF_ERROR(Resolve());
    if (!waits()) break;
    if (attempt == kVisibleAttempts) {
      return absl::UnavailableError(absl::StrFormat(
          "transaction %d altered a table and is not visible yet, so its changes cannot be "
          "interpreted: the edge database waits for a synchronous standby "
          "(synchronous_standby_names). Trying again",
          xid));
    }
    RETURN_IF_ERROR(connection_.Execute("SELECT pg_sleep(0.01)").status());
  }
  if (last_name_ != nullptr && last_name_->table == table && last_name_->schema == schema &&
      at >= last_from_ && at < last_until_) {
    return last_;
  }
  const auto found = versions_.find(Name{std::string(schema), std::string(table)});
  if (found == versions_.end()) return nullptr;
  const std::vector<Version>& versions = found->second;
  const auto next = std::upper_bound(versions.begin(), versions.end(), at,
                                     [](Lsn lsn, const Version& v) { return lsn < v.mark; });
  if (next != versions.begin() && std::prev(next)->relation != nullptr) {
    last_name_ = &found->first;
    last_ = std::prev(next)->relation;
    last_from_ = std::prev(next)->mark;
    last_until_ = next == versions.end() ? Lsn{UINT64_MAX} : next->mark;
    return last_;
  }
  return Choose(versions, at, xid);
}

// Behind no definition: CREATE TABLE AS writes its rows before its mark, and what was in the WAL
// before the history began has the oldest definition.
const Relation* RelationHistory::Choose(const std::vector<Version>& versions, Lsn at,
                                        uint32_t xid) const {
  for (const Version& version : versions) {
    if (version.mark <= at || version.relation == nullptr) continue;
    if (version.xid == xid || at < begins_) return version.relation;
  }
  return nullptr;
}

absl::Status RelationHistory::Verify() {
  if (!active_) return absl::OkStatus();
  ASSIGN_OR_RETURN(PgRows noted, connection_.Execute("SELECT pmoves_sync.note_definitions()"));
  if (noted.Int(0, 0) == 0) return absl::OkStatus();
  LogLimited(LogLevel::kWarn, "history.unseen",
             "tables were altered past the event trigger pmoves_sync_ddl, so changes around that "
             "may have been misread: `verify` compares. Was it disabled (event_triggers = off, "
             "single-user mode)?",
             {{"tables", noted.Int(0, 0)}});
  return absl::OkStatus();
}

}  // namespace pmoves
