// RowDecoder: DECODE. The body of one message -> Changes of a ChangeSet, in the order of the
// source.
//
// In the flow:  source_order -> RowDecoder -> ChangeSet -> batch
// An UPDATE that changed the key becomes two changes of the same version: a delete of the old key
// and a whole row under the new one (or one kMove when unchanged TOASTed columns were left out,
// or the table moves rows in place).
// The source's names become the centre's here (TargetTable::mapping).
// Invariant:    all of a message's changes are appended, or none (then a Status says why).
// Thread:       one worker (keeps a cache of the last message's columns). Pure.
#ifndef PMOVES_SUBSCRIBER_CORE_ROW_DECODER_H_
#define PMOVES_SUBSCRIBER_CORE_ROW_DECODER_H_

#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "proto/change_message.h"
#include "subscriber/core/change.h"
#include "subscriber/core/target_table.h"

namespace pmoves {

class RowDecoder {
 public:
  // Appends the changes of `body` (parsed from message.body) to *out. `after` cuts a group:
  // transactions at or below it are left out. kFailedPrecondition: the centre lacks a column that
  // the message carries, or two would become one (the source must wait). kInvalidArgument: the
  // content is malformed or lacks key columns (quarantine).
  absl::Status Append(const proto::Body& body, const ReceivedMessage& message,
                      const std::string* source, TargetTable* table, Lsn after, ChangeSet* out);

 private:
  struct RowVersion {
    Hlc hlc;
    int64_t commit_us;
    Lsn position;
  };
  absl::Status AppendRow(const proto::Body& body, size_t row, const RowVersion& version,
                         Change common, ChangeSet* out);
  // What a list of columns in a message stands for.
  enum class Extent { kKey, kPart, kWhole };
  static constexpr size_t kExtents = 3;
  // The shape of those columns in the centre; of a whole row also the constants, behind them.
  absl::StatusOr<const Shape*> ShapeOf(std::span<const proto::RawColumn> columns, Extent extent,
                                       TargetTable* table);
  // *inexact: the first column that cannot hold its value as it is; else it stays as it is.
  absl::Status AppendValues(std::span<const proto::RawColumn> columns, const Shape& shape,
                            const TargetTable& table, ChangeSet* out, uint64_t* first,
                            int* inexact);
  absl::Status SetKey(const Shape& shape, const TargetTable& table, uint64_t first_value,
                      Change* change, ChangeSet* out);

  struct ShapeCache {
    const TargetTable* table = nullptr;
    const Shape* shape = nullptr;
    std::vector<std::string> names;  // raw tokens
  };
  ShapeCache caches_[kExtents];
};

}  // namespace pmoves

#endif  // PMOVES_SUBSCRIBER_CORE_ROW_DECODER_H_
