// The plain structs of the wire protocol: what one JetStream message of a source says.
//
// In the flow:  publisher message_plan -> message_codec -> JetStream -> message_codec ->
//               subscriber source_order
// The grammar, a worked example and the rules for evolving it are in proto/README.md.
#ifndef PMOVES_PROTO_CHANGE_MESSAGE_H_
#define PMOVES_PROTO_CHANGE_MESSAGE_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/hlc.h"
#include "common/base/lsn.h"

namespace pmoves::proto {

// What is written; readers read from 1 up to it.
inline constexpr int kProtocolVersion = 2;

enum class Operation { kInsert, kUpdate, kDelete, kTruncate, kSnapshot, kProgress, kRelation };

// "INSERT", "UPDATE", ... as in the subject and the body.
std::string_view OperationName(Operation operation);
// False for an unknown name.
bool ParseOperation(std::string_view name, Operation* operation);
// Whether a body of this operation has "data" (new rows): INSERT, UPDATE, SNAPSHOT.
bool CarriesData(Operation operation);
// Whether it may have "keys" (old keys): DELETE always has them, an UPDATE when it changed the key.
bool MayCarryKeys(Operation operation);
// Whether its subject names no table: PROGRESS and RELATION.
bool IsControl(Operation operation);
// Whether its body names no table, either: PROGRESS.
bool IsWithoutTable(Operation operation);

// What travels in NATS headers: everything that ordering needs, so that the body is rows only.
struct Envelope {
  std::string source;  // [a-z0-9][a-z0-9-]{0,31}
  uint32_t epoch = 0;  // from 1
  std::string origin;  // identity of the database: "<system identifier>/<timeline>/<slot>"
  std::string writer;  // uuid of the publisher run that stored this message: fence of promise P3
  Lsn position;        // end of this (the last, if there are several) transaction's commit record
  Lsn previous;  // position of the transaction stored before the first one; 0/0 starts an epoch
  uint32_t chunk = 0;  // index of this message in its transaction, from 0
  bool last = false;   // true on a transaction's last message
  Hlc hlc;             // version of the first row change; row i of the same transaction has hlc + i
  uint32_t xid = 0;    // top-level transaction id at the source
  uint32_t part = 0;   // a row larger than a message: index of this part, from 0 ...
  uint32_t parts = 1;  // ... and how many there are. Their bodies joined are one body. Each part
                       // is a chunk of its own
  // PROGRESS: every commit up to this millisecond of the database's clock is stored before it; 0:
  // not said.
  int64_t caught_up_ms = 0;
};

// One whole source transaction inside a message that carries several (only of one table and
// operation).
struct TransactionEntry {
  Lsn position;
  uint32_t xid = 0;
  int64_t commit_us = 0;  // commit time, microseconds since 1970
  Hlc hlc;                // version of its first row change
  uint32_t rows = 0;      // how many consecutive rows of the message are its own, from 1

  bool operator==(const TransactionEntry&) const = default;
};

// A column of a table, as the changes behind a RELATION message see it.
struct RelationColumn {
  std::string name;       // plain UTF-8
  std::string type;       // with its modifier, as the source's format_type() prints it
  uint32_t type_oid = 0;  // at the source: the same everywhere for the server's own types
  bool key = false;       // part of what identifies a row
  bool not_null = false;

  bool operator==(const RelationColumn&) const = default;
};

// How old rows are identified: Postgres's REPLICA IDENTITY.
enum class ReplicaIdentity { kDefault, kIndex, kFull, kNothing };
std::string_view ReplicaIdentityName(ReplicaIdentity identity);  // "default", "index", ...
bool ParseReplicaIdentity(std::string_view name, ReplicaIdentity* identity);

// What a RELATION message says of its table.
struct RelationDefinition {
  std::vector<RelationColumn> columns;  // in the table's order
  ReplicaIdentity identity = ReplicaIdentity::kDefault;
  // Equal for equal definitions, else different. Compared, never taken apart.
  std::string fingerprint;

  bool operator==(const RelationDefinition&) const = default;
};

// A value as the codec hands it out: wal2json's raw JSON token, e.g.  12.50  or  "a\"b"  or  null.
// Views point into the message's body and live as long as it does.
struct RawColumn {
  std::string_view name;   // raw JSON string token, with its quotes and escapes
  std::string_view value;  // raw JSON token
};

// A parsed body. rows() of data and keys are flat arrays with offsets, to keep decoding free of
// small allocations.
struct Body {
  std::string source;
  std::string schema;
  std::string table;
  Operation operation = Operation::kInsert;
  int64_t commit_us = 0;  // of the (last) transaction
  // UPDATE: columns left out because their TOASTed value did not change.
  std::vector<std::string> unchanged;
  // Empty when the message belongs to one transaction.
  std::vector<TransactionEntry> transactions;

  RelationDefinition relation;  // RELATION

  // Row i of `data` is columns data_columns[data_offsets[i] .. data_offsets[i + 1]); likewise keys.
  std::vector<RawColumn> data_columns;
  std::vector<uint32_t> data_offsets = {0};
  std::vector<RawColumn> key_columns;
  std::vector<uint32_t> key_offsets = {0};

  size_t data_rows() const { return data_offsets.size() - 1; }
  size_t key_rows() const { return key_offsets.size() - 1; }
  // Row changes in this message: TRUNCATE counts as one.
  size_t changes() const {
    if (operation == Operation::kTruncate) return 1;
    return data_rows() > key_rows() ? data_rows() : key_rows();
  }
};

}  // namespace pmoves::proto

#endif  // PMOVES_PROTO_CHANGE_MESSAGE_H_
