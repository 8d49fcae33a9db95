// RowBinder: the parameters of one prepared statement, as NUL-terminated text for libpq. Reused
// from row to row. Thread: its owner's.
#ifndef PMOVES_SUBSCRIBER_IO_ROW_BINDER_H_
#define PMOVES_SUBSCRIBER_IO_ROW_BINDER_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/time_text.h"
#include "subscriber/core/batch.h"
#include "subscriber/core/change.h"

namespace pmoves {

class RowBinder {
 public:
  void Clear() {
    text_.clear();
    offsets_.clear();
  }
  void Add(std::string_view text) {
    offsets_.push_back(static_cast<ptrdiff_t>(text_.size()));
    text_.append(text);
    text_.push_back('\0');
  }
  void AddNull() { offsets_.push_back(-1); }
  void AddValue(const ChangeSet& set, const Value& value) {
    if (value.is_null) {
      AddNull();
    } else {
      Add(set.Text(value));
    }
  }
  // The written columns of a row of `shape`.
  void AddRow(const ChangeSet& set, const Shape& shape, size_t first_value) {
    for (int written : shape.written)
      AddValue(set, set.values[first_value + static_cast<size_t>(written)]);
  }
  void AddKey(const ChangeSet& set, const Shape& shape, size_t first_value) {
    for (int position : shape.key)
      AddValue(set, set.values[first_value + static_cast<size_t>(position)]);
  }
  // source, committed, version: the last parameters of every row statement of merge_sql.
  void AddVersion(const Change& change) {
    Add(*change.source);
    Add(FormatRfc3339(change.commit_us));
    Add(std::to_string(change.hlc.value));
  }
  // Pointers for libpq; valid until the next Add or Clear.
  const char* const* Pointers() {
    pointers_.clear();
    for (ptrdiff_t offset : offsets_)
      pointers_.push_back(offset < 0 ? nullptr : text_.data() + offset);
    return pointers_.data();
  }
  int size() const { return static_cast<int>(offsets_.size()); }

 private:
  std::string text_;
  std::vector<ptrdiff_t> offsets_;
  std::vector<const char*> pointers_;
};

}  // namespace pmoves

#endif  // PMOVES_SUBSCRIBER_IO_ROW_BINDER_H_
