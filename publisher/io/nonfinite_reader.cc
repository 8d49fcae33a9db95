#include "publisher/io/nonfinite_reader.h"

#include <optional>
#include <utility>

#include "absl/strings/str_format.h"
#include "common/base/status.h"
#include "proto/message_codec.h"

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

// The new key of the row as texts; nullopt when a part of it is missing or null (a NaN inside a key
// cannot be looked up).
std::optional<std::vector<std::string>> KeyOf(const WalChange& change, const Relation& relation) {
  std::vector<std::string> key;
  for (size_t i = 0; i < relation.columns.size(); ++i) {
    if (!relation.columns[i].key) continue;
    const proto::RawColumn* column = ColumnAt(change, relation, i);
    if (column == nullptr) return std::nullopt;
    std::string text;
    absl::StatusOr<bool> present = proto::AppendTokenText(column->value, &text);
    if (!present.ok() || !*present) return std::nullopt;
    constexpr uint32_t kByteaOid = 17;  // wal2json cuts the \x
    if (relation.columns[i].type_oid == kByteaOid) text.insert(0, "\\x");
    key.push_back(std::move(text));
  }
  if (key.empty()) return std::nullopt;
  return key;
}

// Length-prefixed, so that two keys never join to the same text.
std::string Joined(const std::vector<std::string>& key) {
  std::string joined;
  for (const std::string& part : key) joined += absl::StrFormat("%d:%s", part.size(), part);
  return joined;
}

std::string ArrayLiteral(const std::vector<std::string>& texts) {
  std::string literal = "{";
  for (const std::string& text : texts) {
    if (literal.size() > 1) literal.push_back(',');
    literal.push_back('"');
    for (char c : text) {
      if (c == '"' || c == '\\') literal.push_back('\\');
      literal.push_back(c);
    }
    literal.push_back('"');
  }
  literal.push_back('}');
  return literal;
}

constexpr char kFinite = '0';
// Of 2 ms and a round trip each.
constexpr int kVisibleAttempts = 5000;

std::string_view TokenOf(char mark) {
  switch (mark) {
    case 'n':
      return "\"NaN\"";
    case 'i':
      return "\"Infinity\"";
    case 'm':
      return "\"-Infinity\"";
    default:
      return {};
  }
}

// The key texts, then one mark per nonfinite column, of the rows whose key parts are among the
// wanted ones. "= ANY ($1)" makes the server take the parameter for an array of the column's own
// type, so every type compares with its own operator and index. format('%s') is the type's output
// function, the same text that wal2json wrote (a cast of char(n) to text would cut its blanks).
std::string FetchSql(const Relation& relation) {
  std::string keys, marks, match;
  int key_number = 0;
  for (const RelationColumn& column : relation.columns) {
    const std::string name = QuoteIdentifier(column.name);
    if (column.key) {
      ++key_number;
      keys += absl::StrFormat("%sformat('%%s', t.%s)", key_number > 1 ? ", " : "", name);
      match +=
          absl::StrFormat("%st.%s = ANY ($%d)", key_number > 1 ? " AND " : "", name, key_number);
    }
    if (column.may_be_nonfinite) {
      marks += absl::StrFormat(
          ", CASE t.%s WHEN 'NaN' THEN 'n' WHEN 'Infinity' THEN 'i' WHEN '-Infinity' THEN 'm' "
          "ELSE '0' END",
          name);
    }
  }
  return absl::StrFormat("SELECT %s%s FROM ONLY %s.%s t WHERE %s", keys, marks,
                         QuoteIdentifier(relation.schema), QuoteIdentifier(relation.table), match);
}

}  // namespace

bool HasSuspiciousNull(const WalChange& change, const Relation& relation) {
  for (size_t i = 0; i < relation.columns.size(); ++i) {
    if (Suspicious(change, relation, i)) return true;
  }
  return false;
}

void NonfiniteReader::Want(const WalChange& change, const Relation& relation, uint32_t xid) {
  std::optional<std::vector<std::string>> key = KeyOf(change, relation);
  if (!key.has_value()) return;
  transactions_.insert(xid);
  const auto [entry, added] = tables_.try_emplace(relation.oid);
  Table& table = entry->second;
  if (added) table.relation = relation;
  if (!table.answers.emplace(Joined(*key), std::vector<char>()).second) return;
  table.keys.resize(key->size());
  for (size_t i = 0; i < key->size(); ++i) table.keys[i].push_back(std::move((*key)[i]));
  ++wanted_;
}

// A transaction holds the lock on its own number until after its changes are visible.
absl::Status NonfiniteReader::AwaitVisible() {
  std::string list = "{";
  for (uint32_t xid : transactions_)
    list += absl::StrFormat("%s%u", list.size() > 1 ? "," : "", xid);
  list += "}";
  for (int attempt = 0; attempt < kVisibleAttempts; ++attempt) {
    ASSIGN_OR_RETURN(
        const PgRows rows,
        connection_.Execute(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'transactionid' AND "
            "mode = 'ExclusiveLock' AND granted AND transactionid::text = ANY ($1::text[])",
            {PgParam(list)}));
    if (rows.Int(0, 0) == 0) return absl::OkStatus();
    RETURN_IF_ERROR(connection_.Execute("SELECT pg_sleep(0.002)").status());
  }
  return absl::UnavailableError(
      "a committed transaction does not become visible; synchronous replication may be waiting");
}

absl::Status NonfiniteReader::Fetch() {
  if (tables_.empty()) return absl::OkStatus();
  RETURN_IF_ERROR(AwaitVisible());
  for (auto& [oid, table] : tables_) RETURN_IF_ERROR(FetchTable(&table));
  return absl::OkStatus();
}

absl::Status NonfiniteReader::FetchTable(Table* table) {
  std::vector<std::string> literals;
  for (const auto& texts : table->keys) literals.push_back(ArrayLiteral(texts));
  const std::vector<PgParam> params(literals.begin(), literals.end());
  absl::StatusOr<PgRows> rows = connection_.Execute(FetchSql(table->relation), params);
  if (!rows.ok()) {
    // Without the right to read, or the table or column, the nulls stay what wal2json made of them.
    if (absl::IsPermissionDenied(rows.status()) || absl::IsNotFound(rows.status()) ||
        SqlStateOf(rows.status()) == "42703") {
      return absl::OkStatus();
    }
    return rows.status();
  }
  const int key_columns = static_cast<int>(table->keys.size());
  std::vector<std::string> key(table->keys.size());
  for (int row = 0; row < rows->size(); ++row) {
    for (int i = 0; i < key_columns; ++i) key[static_cast<size_t>(i)] = rows->String(row, i);
    auto answer = table->answers.find(Joined(key));
    if (answer == table->answers.end())
      continue;  // a combination of key parts that nobody asked for
    answer->second.clear();
    for (int i = key_columns; i < rows->columns(); ++i) {
      answer->second.push_back(rows->Text(row, i).empty() ? kFinite : rows->Text(row, i)[0]);
    }
  }
  return absl::OkStatus();
}

void NonfiniteReader::Patch(const Relation& relation, WalChange* change) const {
  auto table = tables_.find(relation.oid);
  if (table == tables_.end()) return;
  std::optional<std::vector<std::string>> key = KeyOf(*change, relation);
  if (!key.has_value()) return;
  auto answer = table->second.answers.find(Joined(*key));
  if (answer == table->second.answers.end()) return;
  const std::vector<char>& marks = answer->second;
  size_t mark = 0;
  for (size_t i = 0; i < relation.columns.size(); ++i) {
    if (!relation.columns[i].may_be_nonfinite) continue;
    if (mark >= marks.size()) return;
    const std::string_view token = TokenOf(marks[mark++]);
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
