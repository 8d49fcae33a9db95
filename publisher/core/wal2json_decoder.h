// Wal2JsonDecoder: DECODE. One CopyData payload of wal2json format-version 2 -> one WalChange,
// values untouched.
//
// In the flow:  WalSource -> Wal2JsonDecoder -> TransactionOrder -> MessagePlan
// Invariant:    column values are the raw JSON tokens, byte for byte, and well-formed scalars;
//               any bytes give a Status, never a crash.
// Thread:       publish loop only (keeps a parser and buffers). Pure.
#ifndef PMOVES_PUBLISHER_CORE_WAL2JSON_DECODER_H_
#define PMOVES_PUBLISHER_CORE_WAL2JSON_DECODER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "common/base/lsn.h"
#include "proto/change_message.h"

namespace pmoves {

enum class WalAction {
  kBegin,
  kInsert,
  kUpdate,
  kDelete,
  kTruncate,
  kMessage,
  kCommit,
  kSnapshot,  // never from wal2json: a row that was read over SQL, in the form of an insert
};

// Views point into the decoder's buffer: valid until the next Decode.
struct WalChange {
  WalAction action = WalAction::kBegin;
  uint32_t xid = 0;       // B, C
  int64_t commit_us = 0;  // B, C: commit time, microseconds since 1970
  Lsn position;           // B, C: nextlsn, the end of the commit record
  std::string schema;     // I U D T, plain UTF-8
  std::string table;
  std::vector<proto::RawColumn> columns;  // I U: the new row; unchanged TOAST is absent
  std::vector<proto::RawColumn>
      identity;  // U D: the old key (or the whole old row under REPLICA IDENTITY FULL)
  bool transactional = false;  // M
  std::string prefix;          // M
  std::string content;         // M
};

class Wal2JsonDecoder {
 public:
  Wal2JsonDecoder();
  ~Wal2JsonDecoder();

  // kInvalidArgument says what is wrong and never shows content. The result lives until the next
  // call. A message (M) that is not UTF-8 comes back without prefix and content: anybody may write
  // one (pg_logical_emit_message), and it must not be able to stop the stream.
  absl::StatusOr<const WalChange*> Decode(std::string_view payload);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace pmoves

#endif  // PMOVES_PUBLISHER_CORE_WAL2JSON_DECODER_H_
