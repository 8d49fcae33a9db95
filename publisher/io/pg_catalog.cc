#include "publisher/io/pg_catalog.h"

#include "absl/strings/str_format.h"
#include "common/base/status.h"
#include "proto/message_codec.h"
#include "publisher/core/relation_message.h"

namespace pmoves {
namespace {

// One row per column, in attnum order. The key is what wal2json puts into "identity": the replica
// identity index, or the primary key. Only immediate unique indexes count, as in the server's
// RelationGetIndexList; INCLUDE columns do not. Under REPLICA IDENTITY FULL the primary key tells
// which of the old columns identify the row.
constexpr const char kColumnsSql[] = R"(
SELECT c.oid, n.nspname, c.relname, a.attname, a.atttypid, a.attlen = -1 AND a.attstorage <> 'p',
       coalesce(a.attnum = ANY (k.attnums), false),
       a.atttypid IN (700, 701, 1700) AND NOT EXISTS (
         SELECT 1 FROM pg_constraint g
          WHERE g.conrelid = c.oid AND g.contype = 'c' AND g.convalidated
            AND g.conname LIKE 'pmoves\_sync\_finite\_%' AND a.attnum = ANY (g.conkey)),
       k.attnums IS NOT NULL, pg_catalog.format_type(a.atttypid, a.atttypmod), a.attnotnull,
       c.relreplident
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
  LEFT JOIN LATERAL (
    SELECT (i.indkey::int2[])[0:i.indnkeyatts - 1] AS attnums
      FROM pg_index i
     WHERE i.indrelid = c.oid AND i.indimmediate AND i.indisvalid
       AND ((c.relreplident IN ('d', 'f') AND i.indisprimary) OR
            (c.relreplident = 'i' AND i.indisreplident))
     LIMIT 1) k ON true
 WHERE n.nspname = $1 AND ($2::text IS NULL OR c.relname = $2)
   AND c.relkind = 'r' AND c.relpersistence = 'p'
 ORDER BY c.oid, a.attnum)";

}  // namespace

proto::ReplicaIdentity IdentityOf(std::string_view relreplident) {
  switch (relreplident.empty() ? 'd' : relreplident.front()) {
    case 'i':
      return proto::ReplicaIdentity::kIndex;
    case 'f':
      return proto::ReplicaIdentity::kFull;
    case 'n':
      return proto::ReplicaIdentity::kNothing;
    default:
      return proto::ReplicaIdentity::kDefault;
  }
}

PgCatalog::PgCatalog(PgConnection& connection, const CapturedTables& tables)
    : connection_(connection), tables_(tables) {}

absl::Status PgCatalog::Load() {
  std::map<Key, std::unique_ptr<Relation>, Less> before;
  before.swap(relations_);
  last_found_ = nullptr;
  refreshed_at_ = SteadyNow();
  absl::Status status;
  for (const TablePattern& pattern : tables_.patterns()) status.Update(Read(pattern));
  for (auto& [key, relation] : relations_) {
    const auto found = before.find(key);
    const bool known = relation != nullptr && found != before.end() && found->second != nullptr;
    if (known && DefinitionOf(*relation) == DefinitionOf(*found->second)) {
      relation->version = found->second->version;
    }
  }
  return status;
}

absl::Status PgCatalog::Admits(std::string_view schema, std::string_view table,
                               uint32_t oid) const {
  if (floors_.empty()) return absl::OkStatus();
  const auto floor = floors_.find({std::string(schema), std::string(table)});
  if (floor == floors_.end() || oid > floor->second) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrFormat(
      "table %s.%s appeared by a rename: rows of before would be missing", schema, table));
}

bool PgCatalog::Awaits(std::string_view schema, std::string_view table) const {
  if (floors_.empty() || !floors_.contains({std::string(schema), std::string(table)})) return false;
  const auto found = relations_.find(std::pair<std::string_view, std::string_view>(schema, table));
  return found == relations_.end() || found->second == nullptr;
}

absl::Status PgCatalog::Read(const TablePattern& pattern) {
  const PgParam table = pattern.whole_schema ? PgParam() : PgParam(pattern.table);
  ASSIGN_OR_RETURN(PgRows rows, connection_.Execute(kColumnsSql, {pattern.schema, table}));
  Relation* relation = nullptr;
  for (int row = 0; row < rows.size(); ++row) {
    const auto oid = static_cast<uint32_t>(rows.Int(row, 0));
    if (relation == nullptr || relation->oid != oid) {
      auto& entry = relations_[Key(rows.String(row, 1), rows.String(row, 2))];
      entry = std::make_unique<Relation>();
      relation = entry.get();
      relation->oid = oid;
      RETURN_IF_ERROR(Admits(rows.Text(row, 1), rows.Text(row, 2), oid));
      relation->schema = rows.String(row, 1);
      relation->table = rows.String(row, 2);
      relation->has_usable_identity = rows.Bool(row, 8);
      relation->identity = IdentityOf(rows.Text(row, 11));
      relation->version = ++versions_;
    }
    RelationColumn column;
    column.name = rows.String(row, 3);
    column.token = proto::JsonString(column.name);
    column.type_oid = static_cast<uint32_t>(rows.Int(row, 4));
    column.toastable = rows.Bool(row, 5);
    column.key = rows.Bool(row, 6);
    column.may_be_nonfinite = rows.Bool(row, 7);
    column.type = rows.String(row, 9);
    column.not_null = rows.Bool(row, 10);
    relation->columns.push_back(std::move(column));
  }
  return absl::OkStatus();
}

const Relation* PgCatalog::Find(std::string_view schema, std::string_view table) {
  if (last_found_ != nullptr && last_found_->table == table && last_found_->schema == schema) {
    return last_found_;
  }
  const std::pair<std::string_view, std::string_view> key(schema, table);
  if (IsLeftOut(schema, table)) return nullptr;
  auto found = relations_.find(key);
  if (found == relations_.end()) {
    if (!tables_.Matches(schema, table)) return nullptr;
    absl::Status status = Read(TablePattern{std::string(schema), std::string(table), false});
    if (!status.ok()) {
      query_status_.Update(status);
      return nullptr;
    }
    // Leaves an empty entry when the catalog has no ordinary table of that name.
    found = relations_.try_emplace(Key(schema, table)).first;
  }
  if (found->second != nullptr) last_found_ = found->second.get();
  return found->second.get();
}

std::vector<std::string> PgCatalog::Missing() const {
  std::vector<std::string> missing;
  for (const TablePattern& pattern : tables_.patterns()) {
    if (pattern.whole_schema) continue;
    const auto found = relations_.find(
        std::pair<std::string_view, std::string_view>(pattern.schema, pattern.table));
    if (found != relations_.end() && found->second != nullptr) continue;
    missing.push_back(pattern.schema + "." + pattern.table);
  }
  for (const auto& [schema, table] : left_out_)
    missing.push_back(schema + "." + table + " (left out)");
  return missing;
}

absl::StatusOr<const Relation*> PgCatalog::LookUp(std::string_view schema, std::string_view table) {
  last_found_ = nullptr;
  relations_.erase(Key(schema, table));
  const Relation* const relation = Find(schema, table);
  RETURN_IF_ERROR(query_status_);
  return relation;
}

absl::StatusOr<bool> PgCatalog::IsOtherKind(std::string_view schema, std::string_view table) {
  ASSIGN_OR_RETURN(
      PgRows rows,
      connection_.Execute("SELECT EXISTS (SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = "
                          "c.relnamespace WHERE n.nspname = $1 AND c.relname = $2)",
                          {schema, table}));
  return rows.Bool(0, 0);
}

void PgCatalog::Refresh() {
  if (SteadyNow() < refreshed_at_ + absl::ToChronoNanoseconds(kRefreshInterval)) return;
  query_status_.Update(Load());
}

}  // namespace pmoves
