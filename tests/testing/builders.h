// A small language for source transactions: writes the text that wal2json would send, and describes
// tables.
//
//   Txn txn(0x1A0, /*xid=*/7);
//   txn.Insert("jobs", {{"id", "1"}, {"name", "\"a\""}}).Delete("jobs", {{"id", "2"}});
//   for (const std::string& payload : txn.Payloads()) decoder.Decode(payload);
//
//   Relation jobs = Table("jobs", {Key("id"), Column("name"), Toasted("body")});
//
// Column names are plain text; values are raw JSON tokens. A table is of schema public unless a
// TableName says otherwise.
#ifndef PMOVES_TESTS_TESTING_BUILDERS_H_
#define PMOVES_TESTS_TESTING_BUILDERS_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "common/base/lsn.h"
#include "common/base/time_text.h"
#include "proto/json_token.h"
#include "publisher/core/relation.h"

namespace pmoves {

// 2026-11-22 09:25:41.029291 UTC
inline constexpr int64_t kSomeCommitUs = 1795339541029291;

struct TableName {
  std::string schema;
  std::string table;

  TableName(const char* a_table) : schema("public"), table(a_table) {}         // NOLINT
  TableName(const std::string& a_table) : schema("public"), table(a_table) {}  // NOLINT
  TableName(std::string a_schema, std::string a_table)
      : schema(std::move(a_schema)), table(std::move(a_table)) {}
};

struct Cell {
  std::string name;
  std::string token;
  bool operator==(const Cell&) const = default;
};
using Cells = std::vector<Cell>;

// As Postgres prints a timestamptz in UTC.
inline std::string PgTimestamp(int64_t unix_us) {
  std::string text = FormatRfc3339(unix_us);
  text[text.find('T')] = ' ';
  text.replace(text.size() - 1, 1, "+00");
  return text;
}

inline std::string CellsText(const Cells& cells) {
  std::string text = "[";
  for (const Cell& cell : cells) {
    if (text.size() > 1) text += ',';
    text += absl::StrFormat(R"({"name":%s,"value":%s})", proto::JsonString(cell.name), cell.token);
  }
  return text + "]";
}

// One source transaction, with the options that the publisher asks for.
class Txn {
 public:
  explicit Txn(uint64_t position, uint32_t xid = 1, int64_t commit_us = kSomeCommitUs)
      : position_{position}, xid_(xid), commit_us_(commit_us) {}

  Txn& Insert(const TableName& table, const Cells& row) {
    return Add('I', table, R"(,"columns":)" + CellsText(row));
  }
  Txn& Update(const TableName& table, const Cells& row, const Cells& identity) {
    return Add('U', table,
               R"(,"columns":)" + CellsText(row) + R"(,"identity":)" + CellsText(identity));
  }
  Txn& Delete(const TableName& table, const Cells& identity) {
    return Add('D', table, R"(,"identity":)" + CellsText(identity));
  }
  Txn& Truncate(const TableName& table) { return Add('T', table, ""); }
  Txn& Message(std::string_view prefix, std::string_view content) {
    changes_.push_back(absl::StrFormat(
        R"({"action":"M","xid":%d,"lsn":"0/1","transactional":true,"prefix":%s,"content":%s})",
        xid_, proto::JsonString(prefix), proto::JsonString(content)));
    return *this;
  }

  Lsn position() const { return position_; }
  uint32_t xid() const { return xid_; }
  int64_t commit_us() const { return commit_us_; }

  std::string BeginPayload() const { return Frame('B'); }
  std::string CommitPayload() const { return Frame('C'); }
  const std::vector<std::string>& ChangePayloads() const { return changes_; }
  std::vector<std::string> Payloads() const {
    std::vector<std::string> all = {BeginPayload()};
    all.insert(all.end(), changes_.begin(), changes_.end());
    all.push_back(CommitPayload());
    return all;
  }

 private:
  Txn& Add(char action, const TableName& table, const std::string& rest) {
    changes_.push_back(absl::StrFormat(
        R"({"action":"%c","xid":%d,"timestamp":"%s","lsn":"0/1","schema":%s,"table":%s%s})", action,
        xid_, PgTimestamp(commit_us_), proto::JsonString(table.schema),
        proto::JsonString(table.table), rest));
    return *this;
  }
  std::string Frame(char action) const {
    return absl::StrFormat(R"({"action":"%c","xid":%d,"timestamp":"%s","lsn":"%s","nextlsn":"%s"})",
                           action, xid_, PgTimestamp(commit_us_),
                           Lsn{position_.value - 1}.ToString(), position_.ToString());
  }

  Lsn position_;
  uint32_t xid_;
  int64_t commit_us_;
  std::vector<std::string> changes_;
};

inline RelationColumn Column(std::string_view name, uint32_t type_oid = 23) {
  RelationColumn column;
  column.name = std::string(name);
  column.token = proto::JsonString(name);
  column.type_oid = type_oid;
  return column;
}
// Part of the replica identity.
inline RelationColumn Key(std::string_view name, uint32_t type_oid = 23) {
  RelationColumn column = Column(name, type_oid);
  column.key = true;
  return column;
}
// May be left out of an UPDATE.
inline RelationColumn Toasted(std::string_view name, uint32_t type_oid = 25) {
  RelationColumn column = Column(name, type_oid);
  column.toastable = true;
  return column;
}
inline RelationColumn ToastedKey(std::string_view name, uint32_t type_oid = 25) {
  RelationColumn column = Toasted(name, type_oid);
  column.key = true;
  return column;
}

inline Relation Table(const TableName& name, std::vector<RelationColumn> columns,
                      uint32_t oid = 16384) {
  Relation relation;
  relation.oid = oid;
  relation.schema = name.schema;
  relation.table = name.table;
  relation.columns = std::move(columns);
  return relation;
}

}  // namespace pmoves

#endif  // PMOVES_TESTS_TESTING_BUILDERS_H_
