#include "subscriber/core/row_decoder.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "absl/strings/str_format.h"
#include "common/base/status.h"
#include "proto/message_codec.h"

namespace pmoves {
namespace {

using proto::Operation;

std::span<const proto::RawColumn> RowOf(const std::vector<proto::RawColumn>& columns,
                                        const std::vector<uint32_t>& offsets, size_t row) {
  return {columns.data() + offsets[row], offsets[row + 1] - offsets[row]};
}

// True when the row is all that the table takes from the source: unchanged TOASTed columns that are
// skipped are not missed.
bool IsWhole(const proto::Body& body, const TargetTable& table) {
  return std::all_of(body.unchanged.begin(), body.unchanged.end(),
                     [&](const std::string& name) { return table.mapping.skip.count(name) > 0; });
}

// The index of the column that takes what the source calls `name`; -1: it is not written.
absl::StatusOr<int> ColumnOf(const std::string& name, const TargetTable& table) {
  const ColumnMapping& mapping = table.mapping;
  if (mapping.skip.count(name) > 0) return -1;
  const auto renamed = mapping.rename.find(name);
  const std::string& target = renamed == mapping.rename.end() ? name : renamed->second;
  if (mapping.constants.count(target) > 0) {
    return absl::FailedPreconditionError(absl::StrFormat(
        "the source sends a column \"%s\", which tables[].constants of %s fills; name it in "
        "tables[].skip, or drop the constant",
        name, table.Name()));
  }
  const int index = table.Find(target);
  if (index < 0) {
    return absl::FailedPreconditionError(absl::StrFormat(
        "table %s of the centre has no column \"%s\", which the source sends; add it: "
        "ALTER TABLE ... ADD COLUMN, replication goes on by itself; or name it in tables[].skip",
        table.Name(), target));
  }
  return index;
}

// Never in the key: two rows would become one.
bool MayNarrow(const TargetTable& table, int column) {
  return table.narrowing_allowed &&
         std::find(table.key.begin(), table.key.end(), column) == table.key.end();
}

// Two of the source's columns would become one of the centre.
absl::Status NamedTwice(const TargetTable& table, int column) {
  const std::string& name = table.columns[static_cast<size_t>(column)].name;
  for (const auto& [old_name, new_name] : table.mapping.rename) {
    if (new_name != name) continue;
    return absl::FailedPreconditionError(absl::StrFormat(
        "the source sends a column \"%s\" beside \"%s\", which tables[].rename of %s calls so "
        "too; name one of them in tables[].skip",
        name, old_name, table.Name()));
  }
  return absl::InvalidArgumentError("a row names a column twice");
}

}  // namespace

absl::Status RowDecoder::Append(const proto::Body& body, const ReceivedMessage& message,
                                const std::string* source, TargetTable* table, Lsn after,
                                ChangeSet* out) {
  const size_t changes_before = out->changes.size();
  const size_t values_before = out->values.size();
  const size_t text_before = out->text.size();
  Change common;
  common.table = table;
  common.source = source;
  common.message = &message;

  const size_t total = body.changes();
  size_t entry = 0;
  size_t left_in_entry = body.transactions.empty() ? total : body.transactions[0].rows;
  RowVersion version{message.envelope.hlc, body.commit_us, message.envelope.position};
  if (!body.transactions.empty()) {
    version = {body.transactions[0].hlc, body.transactions[0].commit_us,
               body.transactions[0].position};
  }
  for (size_t row = 0; row < total; ++row) {
    while (left_in_entry == 0) {
      const proto::TransactionEntry& next = body.transactions[++entry];
      version = {next.hlc, next.commit_us, next.position};
      left_in_entry = next.rows;
    }
    --left_in_entry;
    if (body.transactions.empty() || version.position > after) {
      if (absl::Status status = AppendRow(body, row, version, common, out); !status.ok()) {
        out->changes.resize(changes_before);
        out->values.resize(values_before);
        out->text.resize(text_before);
        return status;
      }
    }
    // Whatever a stream holds must not overflow.
    if (version.hlc.value < std::numeric_limits<int64_t>::max()) ++version.hlc.value;
  }
  return absl::OkStatus();
}

absl::Status RowDecoder::AppendRow(const proto::Body& body, size_t row, const RowVersion& version,
                                   Change common, ChangeSet* out) {
  Change change = common;
  change.hlc = version.hlc;
  change.commit_us = version.commit_us;
  change.position = version.position;
  change.row = static_cast<uint32_t>(row);
  TargetTable* table = common.table;
  if (body.operation == Operation::kTruncate) {
    change.kind = ChangeKind::kTruncate;
    out->changes.push_back(change);
    return absl::OkStatus();
  }

  const bool has_key = body.key_rows() > 0;
  const Shape* key_shape = nullptr;
  uint64_t key_values = 0;
  int inexact_key = -1;
  if (has_key) {
    auto columns = RowOf(body.key_columns, body.key_offsets, row);
    ASSIGN_OR_RETURN(key_shape, ShapeOf(columns, Extent::kKey, table));
    RETURN_IF_ERROR(AppendValues(columns, *key_shape, *table, out, &key_values, &inexact_key));
  }
  if (body.operation == Operation::kDelete) {
    if (key_shape == nullptr) return absl::InvalidArgumentError("a DELETE without keys");
    change.kind = ChangeKind::kDelete;
    change.inexact = inexact_key;
    change.shape = key_shape;
    change.first_value = key_values;
    RETURN_IF_ERROR(SetKey(*key_shape, *table, key_values, &change, out));
    out->changes.push_back(change);
    return absl::OkStatus();
  }

  auto columns = RowOf(body.data_columns, body.data_offsets, row);
  const bool whole = IsWhole(body, *table);
  ASSIGN_OR_RETURN(change.shape, ShapeOf(columns, whole ? Extent::kWhole : Extent::kPart, table));
  RETURN_IF_ERROR(
      AppendValues(columns, *change.shape, *table, out, &change.first_value, &change.inexact));
  RETURN_IF_ERROR(SetKey(*change.shape, *table, change.first_value, &change, out));
  change.kind = whole ? ChangeKind::kWhole : ChangeKind::kPartial;
  change.inserted = body.operation == Operation::kInsert;
  change.refetched = body.operation == Operation::kSnapshot;
  if (has_key) {
    Change old = common;
    old.kind = ChangeKind::kDelete;
    old.hlc = change.hlc;
    old.commit_us = change.commit_us;
    old.position = change.position;
    old.row = change.row;
    old.shape = key_shape;
    old.first_value = key_values;
    old.inexact = inexact_key;
    RETURN_IF_ERROR(SetKey(*key_shape, *table, key_values, &old, out));
    if (out->Key(old) == out->Key(change)) {
      // REPLICA IDENTITY USING INDEX: the identity changed, the key of the centre did not.
      out->changes.push_back(change);
      return absl::OkStatus();
    }
    if (change.kind == ChangeKind::kPartial || table->moves_in_place) {
      change.whole = change.kind == ChangeKind::kWhole;
      change.kind = ChangeKind::kMove;
      change.old_shape = key_shape;
      change.first_old_value = key_values;
      if (change.inexact < 0) change.inexact = inexact_key;
      out->changes.push_back(change);
    } else {
      out->changes.push_back(old);
      out->changes.push_back(change);
    }
    return absl::OkStatus();
  }
  out->changes.push_back(change);
  return absl::OkStatus();
}

absl::StatusOr<const Shape*> RowDecoder::ShapeOf(std::span<const proto::RawColumn> columns,
                                                 Extent extent, TargetTable* table) {
  ShapeCache& cache = caches_[static_cast<size_t>(extent)];
  if (cache.table == table && cache.names.size() == columns.size()) {
    bool same = true;
    for (size_t i = 0; same && i < columns.size(); ++i) same = cache.names[i] == columns[i].name;
    if (same) return cache.shape;
  }
  std::vector<int> wanted;
  std::string name;
  for (const proto::RawColumn& column : columns) {
    name.clear();
    ASSIGN_OR_RETURN(const bool is_text, proto::AppendTokenText(column.name, &name));
    (void)is_text;
    ASSIGN_OR_RETURN(const int index, ColumnOf(name, *table));
    if (index >= 0 && std::find(wanted.begin(), wanted.end(), index) != wanted.end()) {
      return NamedTwice(*table, index);
    }
    const bool written = index >= 0 && !table->columns[static_cast<size_t>(index)].generated;
    wanted.push_back(written ? index : -1);
  }
  if (extent == Extent::kWhole) {
    for (const auto& [column, text] : table->mapping.constants) {
      wanted.push_back(table->Find(column));
    }
  }
  const Shape& shape = table->Intern(std::move(wanted));
  if (!shape.has_key) {
    return absl::InvalidArgumentError(
        absl::StrFormat("the message lacks key columns of %s: the source's replica identity does "
                        "not cover the primary key of the centre",
                        table->Name()));
  }
  cache.table = table;
  cache.shape = &shape;
  cache.names.clear();
  for (const proto::RawColumn& column : columns) cache.names.emplace_back(column.name);
  return &shape;
}

absl::Status RowDecoder::AppendValues(std::span<const proto::RawColumn> columns, const Shape& shape,
                                      const TargetTable& table, ChangeSet* out, uint64_t* first,
                                      int* inexact) {
  *first = out->values.size();
  for (size_t i = 0; i < columns.size(); ++i) {
    Value value;
    value.offset = out->text.size();
    const int index = shape.columns[i];
    if (index < 0) {  // nothing reads it: it must not cost memory
      out->values.push_back(value);
      continue;
    }
    if (table.columns[static_cast<size_t>(index)].is_bytea &&
        columns[i].value.substr(0, 4) != "\"\\\\x") {
      if (columns[i].value != "null") out->text += "\\x";
    }
    ASSIGN_OR_RETURN(const bool present, proto::AppendTokenText(columns[i].value, &out->text));
    value.is_null = !present;
    const size_t length = out->text.size() - value.offset;
    if (length > UINT32_MAX) return absl::InvalidArgumentError("a value is larger than 4 GiB");
    value.length = static_cast<uint32_t>(length);
    const ValueLimit& limit = table.columns[static_cast<size_t>(index)].limit;
    if (limit.kind != ValueLimit::Kind::kNone && present &&
        !HoldsExactly(limit, out->Text(value))) {
      if (MayNarrow(table, index)) {
        value.length = static_cast<uint32_t>(CutTo(limit, out->Text(value)).size());
      } else if (*inexact < 0) {
        *inexact = index;
      }
    }
    out->values.push_back(value);
  }
  for (size_t i = columns.size(); i < shape.columns.size(); ++i) {
    const std::string& column = table.columns[static_cast<size_t>(shape.columns[i])].name;
    const std::string& text = table.mapping.constants.find(column)->second;
    out->values.push_back({out->text.size(), static_cast<uint32_t>(text.size()), false});
    out->text += text;
  }
  return absl::OkStatus();
}

absl::Status RowDecoder::SetKey(const Shape& shape, const TargetTable& table, uint64_t first_value,
                                Change* change, ChangeSet* out) {
  change->key_offset = out->text.size();
  const auto append_length = [out](size_t length) {
    const uint32_t bytes = static_cast<uint32_t>(length);
    char text[sizeof(bytes)];
    std::memcpy(text, &bytes, sizeof(bytes));
    out->text.append(text, sizeof(text));
  };
  if (table.key_has_source) {
    append_length(change->source->size());
    out->text += *change->source;
  }
  for (size_t i = 0; i < shape.key.size(); ++i) {
    const Value value = out->values[first_value + static_cast<size_t>(shape.key[i])];
    if (value.is_null) {
      return absl::InvalidArgumentError(
          absl::StrFormat("key column \"%s\" of %s is null",
                          table.columns[static_cast<size_t>(table.key[i])].name, table.Name()));
    }
    const TargetColumn& column = table.columns[static_cast<size_t>(table.key[i])];
    if (column.key_text == TargetColumn::KeyText::kPlain) {  // most keys: no copy
      append_length(value.length);
      out->text.append(out->text, value.offset, value.length);
      continue;
    }
    const std::string text = KeyTextOf(column.key_text, out->Text(value));
    append_length(text.size());
    out->text += text;
  }
  change->key_length = static_cast<uint32_t>(out->text.size() - change->key_offset);
  return absl::OkStatus();
}

}  // namespace pmoves
