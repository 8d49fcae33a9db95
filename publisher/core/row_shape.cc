#include "publisher/core/row_shape.h"

#include <cstring>

#include "common/base/check.h"

namespace pmoves {
namespace {

// `,"unchanged":[]` and some air.
constexpr size_t kUnchangedFrameBytes = 24;
// `,{}` around a row and around its key.
constexpr size_t kRowFrameBytes = 8;

// Position of a name in columns, or -1. `hint` is where it most likely is: both sides are in attnum
// order.
int32_t IndexOf(std::span<const proto::RawColumn> columns, std::string_view name, size_t hint) {
  if (hint < columns.size() && columns[hint].name == name) return static_cast<int32_t>(hint);
  for (size_t i = 0; i < columns.size(); ++i) {
    if (columns[i].name == name) return static_cast<int32_t>(i);
  }
  return -1;
}

size_t BytesOf(std::span<const proto::RawColumn> columns) {
  size_t bytes = kRowFrameBytes;
  for (const proto::RawColumn& column : columns) {
    bytes += column.name.size() + column.value.size() + 2;
  }
  return bytes;
}

}  // namespace

void NameList::Clear() {
  text_.clear();
  sizes_.clear();
}

void NameList::Add(std::string_view name) {
  text_.append(name);
  sizes_.push_back(static_cast<uint32_t>(name.size()));
}

bool NameList::Matches(std::span<const proto::RawColumn> columns) const {
  if (columns.size() != sizes_.size()) return false;
  const char* text = text_.data();
  for (size_t i = 0; i < sizes_.size(); ++i) {
    const std::string_view name = columns[i].name;
    if (name.size() != sizes_[i] || std::memcmp(name.data(), text, name.size()) != 0) return false;
    text += name.size();
  }
  return true;
}

void RowShape::Learn(const WalChange& change, const Relation& relation) {
  action_ = change.action;
  relation_oid_ = relation.oid;
  relation_version_ = relation.version;
  traits_.clear();
  for (const RelationColumn& column : relation.columns) {
    traits_.push_back({column.key, column.toastable});
  }
  columns_.Clear();
  for (const proto::RawColumn& column : change.columns) columns_.Add(column.name);
  identity_.Clear();
  for (const proto::RawColumn& column : change.identity) identity_.Add(column.name);
  data_.Clear();
  origins_.clear();
  unchanged_.clear();
  unchanged_bytes_ = 0;
  key_.Clear();
  key_columns_.clear();
  whole_identity_is_key_ = false;
  if (action_ == WalAction::kInsert || action_ == WalAction::kSnapshot) data_ = columns_;
  if (action_ == WalAction::kUpdate) LearnRow(change, relation);
  if (action_ == WalAction::kUpdate || action_ == WalAction::kDelete) LearnKey(change, relation);
}

void RowShape::LearnRow(const WalChange& change, const Relation& relation) {
  // A column of the row that the catalog does not know yet is new, so it is behind the known ones.
  size_t known = 0;
  bool completed = false;
  for (const RelationColumn& column : relation.columns) {
    const int32_t in_row = IndexOf(change.columns, column.token, known);
    if (in_row >= 0) {
      ++known;
      origins_.push_back({false, static_cast<uint32_t>(in_row)});
      continue;
    }
    const int32_t in_old_row = IndexOf(change.identity, column.token, origins_.size());
    if (in_old_row >= 0) {
      completed = true;
      origins_.push_back({true, static_cast<uint32_t>(in_old_row)});
    } else if (column.toastable) {
      unchanged_.push_back(column.name);
      unchanged_bytes_ += column.token.size() + 1;
    }
  }
  if (!unchanged_.empty()) unchanged_bytes_ += kUnchangedFrameBytes;
  if (!completed) {
    origins_.clear();
    data_ = columns_;
    return;
  }
  for (size_t i = 0; i < change.columns.size() && known < change.columns.size(); ++i) {
    if (relation.FindToken(change.columns[i].name) != nullptr) continue;
    origins_.push_back({false, static_cast<uint32_t>(i)});
    ++known;
  }
  for (const Origin& origin : origins_) {
    data_.Add((origin.from_identity ? change.identity : change.columns)[origin.index].name);
  }
}

void RowShape::LearnKey(const WalChange& change, const Relation& relation) {
  const auto add = [&](size_t index) {
    const std::string_view name = change.identity[index].name;
    key_.Add(name);
    key_columns_.push_back({static_cast<uint32_t>(index), IndexOf(change.columns, name, index)});
  };
  for (size_t i = 0; i < change.identity.size(); ++i) {
    const RelationColumn* const column = relation.FindToken(change.identity[i].name);
    if (column != nullptr && column->key) add(i);
  }
  if (!key_columns_.empty()) {
    whole_identity_is_key_ = key_columns_.size() == change.identity.size();
    return;
  }
  // The catalog calls nothing of it a key: it is older or newer than this WAL. What wal2json sends
  // identifies the row.
  for (size_t i = 0; i < change.identity.size(); ++i) add(i);
  whole_identity_is_key_ = true;
}

bool RowShape::Fits(const WalChange& change, const Relation& relation) const {
  if (change.action != action_ || relation.oid != relation_oid_ ||
      relation.version != relation_version_) {
    return false;
  }
  if (relation.columns.size() != traits_.size()) return false;
  for (size_t i = 0; i < traits_.size(); ++i) {
    const RelationColumn& column = relation.columns[i];
    if (traits_[i] != RelationTraits{column.key, column.toastable}) return false;
  }
  return columns_.Matches(change.columns) && identity_.Matches(change.identity);
}

bool RowShape::KeyChanged(const WalChange& change) const {
  for (const KeyColumn& key : key_columns_) {
    if (key.column_index < 0) continue;
    if (change.columns[static_cast<size_t>(key.column_index)].value !=
        change.identity[key.identity_index].value) {
      return true;
    }
  }
  return false;
}

PlannedRow RowShape::Plan(const WalChange& change) {
  PlannedRow row;
  if (action_ == WalAction::kTruncate) return row;
  if (action_ != WalAction::kDelete) {
    row.data = change.columns;
    if (!origins_.empty()) {
      data_scratch_.clear();
      for (const Origin& origin : origins_) {
        data_scratch_.push_back(
            (origin.from_identity ? change.identity : change.columns)[origin.index]);
      }
      row.data = data_scratch_;
    }
    row.bytes += BytesOf(row.data);
  }
  const bool with_key =
      action_ == WalAction::kDelete || (action_ == WalAction::kUpdate && KeyChanged(change));
  if (with_key) {
    row.key = change.identity;
    if (!whole_identity_is_key_) {
      key_scratch_.clear();
      for (const KeyColumn& key : key_columns_) {
        key_scratch_.push_back(change.identity[key.identity_index]);
      }
      row.key = key_scratch_;
    }
    row.bytes += BytesOf(row.key);
  }
  return row;
}

bool RowShape::SameColumns(const RowShape& other) const {
  // The names of the key are compared even where no row carries it: they can differ only after a
  // change of the table.
  return action_ == other.action_ && data_ == other.data_ && key_ == other.key_ &&
         unchanged_ == other.unchanged_;
}

}  // namespace pmoves
