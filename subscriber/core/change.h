// Change: one row change, decoded and ready to be merged, and ChangeSet, the memory that holds many
// of them.
//
// In the flow:  row_decoder -> source_clock -> ChangeSet -> batch (net effect per key) -> merge_sql
// Values are the text that Postgres's input functions read, kept in one growing buffer and
// addressed by offset: no allocation per value. Thread: one worker.
#ifndef PMOVES_SUBSCRIBER_CORE_CHANGE_H_
#define PMOVES_SUBSCRIBER_CORE_CHANGE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/hlc.h"
#include "common/base/lsn.h"
#include "proto/change_message.h"
#include "subscriber/core/target_table.h"

namespace pmoves {

struct Value {
  uint64_t offset = 0;
  uint32_t length = 0;
  bool is_null = true;
};

// A message as received, kept until its changes are committed: a change that has to be set aside is
// stored as it came.
struct ReceivedMessage {
  proto::Envelope envelope;
  std::string subject;
  std::string body;       // parts joined
  uint64_t sequence = 0;  // in its stream, of its (last) part
  int64_t stored_us = 0;  // when JetStream stored that part, microseconds since 1970; 0: not known
};

enum class ChangeKind {
  kWhole,    // the whole new row: insert or overwrite
  kPartial,  // an update that left unchanged TOASTed columns out
  kDelete,
  kMove,  // a key change that left columns out: the missing ones come from the row under the old
          // key. Where the table moves rows in place, every key change (then Change::whole says)
  kTruncate,
};

struct Change {
  TargetTable* table = nullptr;
  const std::string* source = nullptr;  // interned, lives as long as the worker
  ChangeKind kind = ChangeKind::kWhole;
  Hlc hlc;      // version in the centre (SourceClock); before that, the message's
  Hlc claimed;  // what the source asked for; another than hlc when that was not above its earlier
                // ones, or clamped
  int64_t commit_us = 0;
  const Shape* shape = nullptr;      // of the row (of the key for kDelete); null for kTruncate
  uint64_t first_value = 0;          // index into ChangeSet::values; one per shape column
  const Shape* old_shape = nullptr;  // kMove: shape of the old key ...
  uint64_t first_old_value = 0;      // ... and its values
  uint64_t key_offset = 0;           // key values, length-prefixed, in ChangeSet::text; behind
                                     // the source where the table's key has it
  uint32_t key_length = 0;
  const ReceivedMessage* message = nullptr;
  Lsn position;           // of its transaction
  uint32_t row = 0;       // index of the row change in its message
  bool whole = false;     // kMove: no column is missing
  bool inserted = false;  // kWhole: the source had no row of this key before
  bool clamped = false;   // `claimed` was too far in the future and was not believed
  // kWhole: the row as it is at the source, sent because it was asked for. It has the version of
  // the newest change of the row that is set aside, and none if nothing is.
  bool refetched = false;
  // The column (of TargetTable::columns) that cannot hold its value as it is: the change is not
  // carried out. -1: none.
  int inexact = -1;
};

// The delete that a move is for its old key.
inline Change OldKeyOf(const Change& move) {
  Change old = move;
  old.kind = ChangeKind::kDelete;
  old.shape = move.old_shape;
  old.first_value = move.first_old_value;
  return old;
}

class ChangeSet {
 public:
  std::vector<Change> changes;
  std::vector<Value> values;
  std::string text;
  std::vector<std::unique_ptr<ReceivedMessage>> messages;

  std::string_view Text(const Value& value) const {
    return {text.data() + value.offset, value.length};
  }
  std::string_view Key(const Change& change) const {
    return {text.data() + change.key_offset, change.key_length};
  }
  const Value& At(const Change& change, int column) const {
    return values[change.first_value + static_cast<size_t>(column)];
  }
  size_t bytes() const {
    return text.size() + values.size() * sizeof(Value) + changes.size() * sizeof(Change) +
           message_bytes;
  }
  size_t message_bytes = 0;

  void Clear() {
    changes.clear();
    values.clear();
    text.clear();
    messages.clear();
    message_bytes = 0;
    // A giant row must not stay in memory for ever.
    if (text.capacity() > (size_t{32} << 20)) text.shrink_to_fit();
  }
};

}  // namespace pmoves

#endif  // PMOVES_SUBSCRIBER_CORE_CHANGE_H_
