#include "publisher/io/nonfinite_reader.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_format.h"
#include "common/base/reaction.h"
#include "common/base/status.h"
#include "common/io/log.h"
#include "proto/json_token.h"
#include "publisher/io/key_lookup.h"

namespace pmoves {
namespace {

// The column of `change` that belongs to column `index` of the relation; nullptr when the event
// leaves it out. Columns come in attnum order, so without left-out columns the index is right at
// once.
const proto::RawColumn* ColumnAt(const WalChange& change, const Relation& relation, size_t index) {
  const std::string& token = relation.columns[index].token;
  if (index < change.columns.size() && change.columns[index].name == token) {
    return &change.columns[index];
  }
  for (const proto::RawColumn& column : change.columns) {
    if (column.name == token) return &column;
  }
  return nullptr;
}

bool Suspicious(const WalChange& change, const Relation& relation, size_t index) {
  if (!relation.columns[index].may_be_nonfinite) return false;
  const proto::RawColumn* column = ColumnAt(change, relation, index);
  return column != nullptr && column->value == "null";
}

// A key column of the old row is never NULL: its null is a NaN or an infinity.
bool HidesOldKey(const WalChange& change, const RelationColumn& column) {
  if (!column.key || !column.may_be_nonfinite) return false;
  return std::any_of(change.identity.begin(), change.identity.end(), [&](const auto& old) {
    return old.name == column.token && old.value == "null";
  });
}

bool HidesKey(const WalChange& change, const Relation& relation) {
  return std::any_of(relation.columns.begin(), relation.columns.end(),
                     [&](const RelationColumn& column) { return HidesOldKey(change, column); });
}

// The token by which the server's input function reads the value back: wal2json cuts the \x.
std::string InputToken(uint32_t type_oid, std::string_view token) {
  constexpr uint32_t kByteaOid = 17;
  if (type_oid != kByteaOid || token.size() < 2 || token[0] != '"') return std::string(token);
  return absl::StrFormat("\"\\\\x%s", std::string(token.substr(1)));
}

// The new key of the row as tokens; nullopt when a part of it is missing or null (a NaN inside a
// key cannot be looked up). A large key that did not change stands in the old one only.
std::optional<std::vector<std::string>> KeyOf(const WalChange& change, const Relation& relation) {
  std::vector<std::string> key;
  for (size_t i = 0; i < relation.columns.size(); ++i) {
    if (!relation.columns[i].key) continue;
    const proto::RawColumn* column = ColumnAt(change, relation, i);
    for (const proto::RawColumn& old : change.identity) {
      if (column == nullptr && old.name == relation.columns[i].token) column = &old;
    }
    if (column == nullptr || column->value == "null") return std::nullopt;
    key.push_back(InputToken(relation.columns[i].type_oid, column->value));
  }
  if (key.empty()) return std::nullopt;
  return key;
}

// Length-prefixed, so that two keys never join to the same text.
std::string Joined(const std::vector<std::string>& key) {
  std::string joined;
  for (const std::string& part : key) joined += absl::StrFormat("%d:", part.size()) + part;
  return joined;
}

constexpr char kFinite = '0';
constexpr char kUnread = 'u';

std::string_view TokenOf(char mark) {
  switch (mark) {
    case 'n':
      return "\"NaN\"";
    case 'i':
      return "\"Infinity\"";
    case 'm':
      return "\"-Infinity\"";
    case kUnread:
      return proto::kUnreadToken;
    default:
      return {};
  }
}

// One mark per nonfinite column of the row t. A name may be taken by another column by now: then
// the statement fails, and nothing is guessed.
std::string MarksSql(const Relation& relation) {
  std::string marks;
  for (const RelationColumn& column : relation.columns) {
    if (!column.may_be_nonfinite) continue;
    marks += absl::StrFormat(
        "%sCASE t.%s WHEN 'NaN' THEN 'n' WHEN 'Infinity' THEN 'i' WHEN '-Infinity' THEN 'm' "
        "ELSE '0' END",
        marks.empty() ? "" : ", ", QuoteIdentifier(column.name));
  }
  return marks;
}

std::vector<std::string> KeyColumns(const Relation& relation) {
  std::vector<std::string> names;
  for (const RelationColumn& column : relation.columns) {
    if (column.key) names.push_back(column.name);
  }
  return names;
}

std::string NameOf(const Relation& relation) {
  return absl::StrFormat("%s.%s", relation.schema, relation.table);
}

}  // namespace

bool HasSuspiciousNull(const WalChange& change, const Relation& relation) {
  for (size_t i = 0; i < relation.columns.size(); ++i) {
    if (Suspicious(change, relation, i)) return true;
  }
  return HidesKey(change, relation);
}

void NonfiniteReader::Want(const WalChange& change, const Relation& relation, uint32_t xid) {
  std::optional<std::vector<std::string>> key = KeyOf(change, relation);
  if (!key.has_value()) return;
  transactions_.insert(xid);
  const auto [entry, added] = tables_.try_emplace(relation.oid);
  Table& table = entry->second;
  if (added) table.relation = relation;
  if (!table.rows.emplace(Joined(*key), table.keys.size()).second) return;
  table.keys.push_back(*std::move(key));
  ++wanted_;
}

// A transaction holds the lock on its own number until after its changes are visible. False: not
// in time; synchronous replication may be waiting.
absl::StatusOr<bool> NonfiniteReader::AwaitVisible() {
  std::string list = "{";
  for (uint32_t xid : transactions_)
    list += absl::StrFormat("%s%u", list.size() > 1 ? "," : "", xid);
  list += "}";
  const SteadyTime deadline = SteadyIn(kVisibleWait);
  while (true) {
    ASSIGN_OR_RETURN(
        const PgRows rows,
        connection_.Execute(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'transactionid' AND "
            "mode = 'ExclusiveLock' AND granted AND transactionid::text = ANY ($1::text[])",
            {PgParam(list)}));
    if (rows.Int(0, 0) == 0) return true;
    if (SteadyNow() >= deadline) return false;
    RETURN_IF_ERROR(connection_.Execute("SELECT pg_sleep(0.002)").status());
  }
}

absl::Status NonfiniteReader::Fetch() {
  if (tables_.empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(const bool visible, AwaitVisible());
  if (!visible) {
    return absl::UnavailableError(
        "a committed transaction does not become visible, so its NaN and NULL cannot be told apart "
        "yet; synchronous replication may be waiting for a standby");
  }
  for (auto& [oid, table] : tables_) RETURN_IF_ERROR(FetchTable(&table));
  return absl::OkStatus();
}

absl::Status NonfiniteReader::FetchTable(Table* table) {
  const auto locked = locked_.find(NameOf(table->relation));
  absl::Status status;
  if (locked != locked_.end() && SteadyNow() < locked->second.until) {
    status = absl::AbortedError(locked->second.why);
  } else {
    status = ReadTable(table);
    if (status.ok()) locked_.erase(NameOf(table->relation));
  }
  return status.ok() ? status : LeaveUnread(status, table);
}

absl::Status NonfiniteReader::ReadTable(Table* table) {
  KeyLookup lookup(connection_, table->relation);
  RETURN_IF_ERROR(lookup.Prepare(KeyColumns(table->relation)));
  ASSIGN_OR_RETURN(const PgRows rows, lookup.Find(table->keys, MarksSql(table->relation)));
  table->marks.resize(table->keys.size());
  for (int row = 0; row < rows.size(); ++row) {
    std::vector<char>& marks = table->marks.at(static_cast<size_t>(rows.Int(row, 0)));
    marks.clear();
    for (int i = 1; i < rows.columns(); ++i) {
      marks.push_back(rows.Text(row, i).empty() ? kFinite : rows.Text(row, i)[0]);
    }
  }
  return absl::OkStatus();
}

absl::Status NonfiniteReader::LeaveUnread(const absl::Status& why, Table* table) {
  if (!connection_.IsOpen()) return why;
  const std::string name = NameOf(table->relation);
  const bool known = absl::IsAborted(why) && SqlStateOf(why).empty();
  const std::string reason =
      known ? MessageOf(why)
            : absl::StrFormat(
                  "rows of %s with a null where NaN may have been cannot be read again: %s. The "
                  "centre sets them aside and asks for them until they can",
                  name, LoggableMessage(why));
  if (!known) {
    if (locked_.size() >= kMostUnread) locked_.clear();
    locked_[name] = {reason, SteadyIn(kLockedPause)};
    LogLimited(LogLevel::kWarn, "nonfinite.unread", reason,
               {{"table", name}, {"sqlstate", SqlStateOf(why)}});
  }
  if (SteadyNow() - unread_since_ > absl::ToChronoNanoseconds(kUnreadInterval)) {
    unread_since_ = SteadyNow();
    unread_ = 0;
  }
  unread_ += table->keys.size();
  if (unread_ > kMostUnread) {
    return absl::UnavailableError(reason + "; there are so many of them that all else waits, too");
  }
  metrics_.source_nonfinite_unread.Increment(static_cast<double>(table->keys.size()));
  table->unread = true;
  return absl::OkStatus();
}

std::string NonfiniteReader::Trouble() const {
  std::string all;
  for (const auto& [table, locked] : locked_) {
    if (SteadyNow() > locked.until + absl::ToChronoNanoseconds(kUnreadInterval)) continue;
    all += (all.empty() ? "" : "; ") + locked.why;
  }
  return all;
}

// Which of the three it is, nobody can look up: a row that has it now need not be the same row.
void NonfiniteReader::PatchKey(const Relation& relation, WalChange* change) {
  key_token_ = absl::StrFormat("%s%d)\"", std::string(proto::kUnreadKeyBegin), ++unread_keys_);
  for (const RelationColumn& column : relation.columns) {
    if (!column.key || !column.may_be_nonfinite) continue;
    for (auto* row : {&change->columns, &change->identity}) {
      for (proto::RawColumn& part : *row) {
        if (part.name == column.token && part.value == "null") part.value = key_token_;
      }
    }
  }
}

void NonfiniteReader::Patch(const Relation& relation, WalChange* change) {
  const std::vector<char>* marks = nullptr;
  bool unread = false;
  const std::optional<std::vector<std::string>> key = KeyOf(*change, relation);
  const auto table = tables_.find(relation.oid);
  if (key.has_value() && table != tables_.end()) {
    const auto row = table->second.rows.find(Joined(*key));
    unread = table->second.unread || row == table->second.rows.end();
    if (!unread) marks = &table->second.marks[row->second];
  } else {
    unread = true;  // not even its key is known
  }
  PatchKey(relation, change);
  if (!unread && marks->empty()) return;  // the row is gone: a later change says so
  PatchValues(relation, unread ? nullptr : marks, change);
}

// Without marks they are not known.
void NonfiniteReader::PatchValues(const Relation& relation, const std::vector<char>* marks,
                                  WalChange* change) {
  size_t mark = 0;
  for (size_t i = 0; i < relation.columns.size(); ++i) {
    if (!relation.columns[i].may_be_nonfinite) continue;
    const char found = marks == nullptr || mark >= marks->size() ? kUnread : (*marks)[mark++];
    const std::string_view token = TokenOf(found);
    if (token.empty() || !Suspicious(*change, relation, i)) continue;
    for (proto::RawColumn& column : change->columns) {
      if (column.name == relation.columns[i].token) column.value = token;
    }
  }
}

void NonfiniteReader::Clear() {
  transactions_.clear();
  tables_.clear();
  wanted_ = 0;
}

}  // namespace pmoves
