// TargetTable: what the subscriber knows of a table in the centre. Plain data, filled from the
// catalog by io.
//
// A shape is a set of columns as one kind of message carries it, in the message's order. Shapes are
// interned per table, so that statements can be cached by shape and rows of one shape staged
// together. Thread: one worker owns a TargetTable and its shapes.
#ifndef PMOVES_SUBSCRIBER_CORE_TARGET_TABLE_H_
#define PMOVES_SUBSCRIBER_CORE_TARGET_TABLE_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "subscriber/core/conflict_rule.h"
#include "subscriber/core/exact_value.h"

namespace pmoves {

enum class OnError { kRow, kTransaction, kBlock };

// How a table is called in sync_status, metrics and /status: bare in schema public, as the services
// know it, else with its schema.
inline std::string DisplayTable(std::string_view schema, std::string_view table) {
  if (schema.empty() || schema == "public") return std::string(table);
  return std::string(schema) + "." + std::string(table);
}

// The columns that init adds to each table. No configuration may name them.
inline bool IsInlineColumn(std::string_view name) {
  return name == "_source" || name == "_source_updated_at" || name == "_sync_version";
}

// How the columns that a source sends become columns of the centre. Names are plain UTF-8.
struct ColumnMapping {
  std::map<std::string, std::string, std::less<>> rename;  // the source's name -> the centre's
  std::set<std::string, std::less<>> skip;  // of the source's columns, those that are not written
  std::map<std::string, std::string, std::less<>> constants;  // the centre's column -> its text

  bool operator==(const ColumnMapping&) const = default;
};

struct TargetColumn {
  std::string name;  // plain UTF-8
  // As format_type() prints it with its modifier: numeric(8,2), public."My Type"[]. With its schema
  // where that is not pg_catalog: functions have a search_path of their own.
  std::string type;
  // With schema and modifier, whatever the search path is: pg_catalog."numeric" 524294. For names
  // and comparisons, no SQL.
  std::string type_identity = {};
  uint32_t type_oid = 0;       // without the modifier
  std::string base_type = {};  // pg_type.typname below all domains: int4, timestamptz, _text
  char category = 'S';         // pg_type.typcategory of it: N number, D date or time, A array, ...
  bool orderable = true;       // it (of an array: its element) has an order
  bool is_bytea = false;       // wal2json leaves \x out: it is put back
  bool is_enum = false;        // itself, not as a domain
  std::string default_sql = {};  // DEFAULT of the column, as SQL; empty: none
  bool generated = false;        // GENERATED ALWAYS AS (...) STORED: computed here, never written
  bool identity_always =
      false;  // GENERATED ALWAYS AS IDENTITY: needs OVERRIDING SYSTEM VALUE, cannot be updated
  // How the column's value becomes canonical text for a tombstone's key: equal values must give
  // equal text.
  enum class KeyText { kPlain, kNumeric, kCitext, kBlankPadded, kFloat } key_text = KeyText::kPlain;
  // Of a key column: the equality of the primary key's operator class, as SQL. With its schema
  // where that is not pg_catalog: what "=" means must not depend on a search_path (citext that is
  // not found there is compared as text).
  std::string equals = "=";
  ValueLimit limit = {};  // which values it cannot hold as they are

  bool operator==(const TargetColumn&) const = default;
};

// The one text of equal key values, as far as bytes tell (TombstoneKey does it in SQL): else the
// changes of one row would be planned as those of two. Letters beyond ASCII that citext holds equal
// stay apart here; the centre refuses a batch with both, and it is split.
std::string KeyTextOf(TargetColumn::KeyText kind, std::string_view value);

struct Shape {
  std::vector<int> columns;  // indexes into TargetTable::columns, -1 for one that is not written
                             // here (generated, or skipped)
  std::vector<int> written;  // positions in `columns` that are written, in order
  std::vector<int> key;      // for each key column of the table: its position in `columns`
  bool has_key = false;      // all key columns are there
  int id = 0;                // unique within the table
};

// A deferrable constraint that the server does not check in the session that applies.
struct UnseenConstraint {
  std::string name;
  std::string sql_state;  // of what the server would say
  std::string sql;        // a row if one of the rows whose keys are in $1 conflicts with another

  bool operator==(const UnseenConstraint&) const = default;
};

struct TargetTable {
  uint32_t oid = 0;
  std::string mark;  // TableMark() when it was read
  std::string schema;
  std::string table;
  std::vector<TargetColumn> columns;  // in attnum order, without the inline columns _source,
                                      // _source_updated_at, _sync_version
  std::vector<int> key;               // indexes of the key columns, in index order
  bool key_has_source = false;        // the primary key is _source and these: Identity::kPerSource
  std::vector<std::string> key_problems = {};  // key_types.h; then it is not handed out
  OnError on_error = OnError::kRow;
  // Triggers or foreign keys of others would see a delete where a key changes: the row is updated.
  bool moves_in_place = false;
  std::vector<UnseenConstraint> unseen;
  bool narrowing_allowed = false;  // outside of the key
  TablePolicy policy;
  std::string source_schema;  // what the sources call it; empty: the same ...
  std::string source_table;
  ColumnMapping mapping;             // ... and its columns
  std::vector<std::string> sources;  // who may write it; empty: everybody
  std::deque<Shape> shapes;

  std::string Name() const { return schema + "." + table; }
  const std::string& SourceSchema() const { return source_table.empty() ? schema : source_schema; }
  const std::string& SourceTable() const { return source_table.empty() ? table : source_table; }
  int Find(std::string_view name) const {
    for (size_t i = 0; i < columns.size(); ++i) {
      if (columns[i].name == name) return static_cast<int>(i);
    }
    return -1;
  }
  bool Allows(std::string_view source) const {
    if (sources.empty()) return true;
    for (const std::string& allowed : sources) {
      if (allowed == source) return true;
    }
    return false;
  }
  // What a position in shape.written holds.
  const TargetColumn& WrittenColumn(const Shape& shape, int written) const {
    return columns[static_cast<size_t>(shape.columns[static_cast<size_t>(written)])];
  }
  // The shape of these columns, made on first sight. A reference stays valid as long as the table.
  const Shape& Intern(std::vector<int> wanted);
};

}  // namespace pmoves

#endif  // PMOVES_SUBSCRIBER_CORE_TARGET_TABLE_H_
