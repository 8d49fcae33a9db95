// RowShape: which columns a row change of one table brings, and what of it goes into a message.
//
// In the flow:  MessagePlan learns a shape from the first row of a run; the rows after it are only
//               compared with it.
// Decides:      for an UPDATE, columns missing from the new row (unchanged TOAST) are taken from
//               the old one where wal2json gives it (a toasted key, REPLICA IDENTITY FULL) and are
//               named as unchanged otherwise. Old rows are cut to the key.
// Thread:       publish loop only. Pure.
#ifndef PMOVES_PUBLISHER_CORE_ROW_SHAPE_H_
#define PMOVES_PUBLISHER_CORE_ROW_SHAPE_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "proto/change_message.h"
#include "publisher/core/relation.h"
#include "publisher/core/wal2json_decoder.h"

namespace pmoves {

// Column name tokens in one string: comparing a row with it touches little memory.
class NameList {
 public:
  void Clear();
  void Add(std::string_view name);
  bool Matches(std::span<const proto::RawColumn> columns) const;
  bool operator==(const NameList&) const = default;

 private:
  std::string text_;
  std::vector<uint32_t> sizes_;
};

// What of a row change goes into a message. Views as in BodyWriter::AddRow; valid until the next
// call of the shape.
struct PlannedRow {
  std::span<const proto::RawColumn> data;
  std::span<const proto::RawColumn> key;
  size_t bytes = 0;  // upper bound of what the row adds to a body
};

class RowShape {
 public:
  // REQUIRES: change is I, U, D, T or a snapshot, of this relation.
  void Learn(const WalChange& change, const Relation& relation);
  // The change has the columns in the order that was learnt, and the relation still says the same
  // of them.
  bool Fits(const WalChange& change, const Relation& relation) const;
  // REQUIRES: Fits(change).
  PlannedRow Plan(const WalChange& change);
  // Rows of both may stand in one message (if both have a key or none has one).
  bool SameColumns(const RowShape& other) const;

  const std::vector<std::string>& unchanged() const { return unchanged_; }
  // Upper bound of what the list of unchanged columns adds to a body.
  size_t unchanged_bytes() const { return unchanged_bytes_; }

 private:
  // Where a column of the new row comes from.
  struct Origin {
    bool from_identity = false;
    uint32_t index = 0;
  };
  struct KeyColumn {
    uint32_t identity_index = 0;
    int32_t column_index = -1;  // in `columns` of the change; -1: not there, so it did not change
  };
  struct RelationTraits {
    bool key = false;
    bool toastable = false;
    bool operator==(const RelationTraits&) const = default;
  };

  void LearnRow(const WalChange& change, const Relation& relation);
  void LearnKey(const WalChange& change, const Relation& relation);
  bool KeyChanged(const WalChange& change) const;

  WalAction action_ = WalAction::kInsert;
  uint32_t relation_oid_ = 0;
  uint64_t relation_version_ = 0;
  std::vector<RelationTraits> traits_;
  NameList columns_;  // as they came
  NameList identity_;
  NameList data_;  // as they leave
  NameList key_;
  std::vector<Origin> origins_;  // of data_; empty when `columns` passes as it is
  std::vector<KeyColumn> key_columns_;
  bool whole_identity_is_key_ = false;
  std::vector<std::string> unchanged_;
  size_t unchanged_bytes_ = 0;
  std::vector<proto::RawColumn> data_scratch_;
  std::vector<proto::RawColumn> key_scratch_;
};

}  // namespace pmoves

#endif  // PMOVES_PUBLISHER_CORE_ROW_SHAPE_H_
