// NonfiniteReader: brings NaN and Infinity back, which wal2json 2.5 writes as null.
//
// A null in a float4, float8 or numeric column may be a real NULL or a NaN. Such rows are read
// again by key over SQL, many in one statement, and a current NaN / Infinity / -Infinity is sent as
// a JSON string. Exact once the last change of the row has arrived: if the row changed since, its
// later event carries the newer state, and a deleted row needs no value. A column with a CHECK
// constraint named pmoves_sync_finite_* cannot hold such values and is never read again.
//
// In the flow:  WalChange with suspicious nulls -> Want -> Fetch -> Patch -> MessagePlan
// Thread:       publish loop only (queries on the session's SQL connection).
#ifndef PMOVES_PUBLISHER_IO_NONFINITE_READER_H_
#define PMOVES_PUBLISHER_IO_NONFINITE_READER_H_

#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/io/pg_connection.h"
#include "publisher/core/relation.h"
#include "publisher/core/wal2json_decoder.h"

namespace pmoves {

// True if the change carries a null where NaN or Infinity might have been. Cheap: called for every
// row.
bool HasSuspiciousNull(const WalChange& change, const Relation& relation);

class NonfiniteReader {
 public:
  // The connection must outlive the reader.
  explicit NonfiniteReader(PgConnection& connection) : connection_(connection) {}

  // Notes the row of `change` for the next Fetch. REQUIRES: HasSuspiciousNull(change, relation).
  // `xid` is its transaction: the WAL tells of a commit a moment before other sessions see it, so
  // Fetch waits for that.
  void Want(const WalChange& change, const Relation& relation, uint32_t xid);
  // Reads all noted rows, one statement per table. A table that may not be read, or is gone, gives
  // no values: its nulls stay (preflight warns about the missing right).
  absl::Status Fetch();
  // Replaces the nulls of *change that are known to be NaN or Infinity. The new tokens are static
  // text.
  void Patch(const Relation& relation, WalChange* change) const;
  // Forgets what was noted and read.
  void Clear();
  size_t wanted() const { return wanted_; }

 private:
  struct Table {
    Relation relation;                           // a copy: the catalog may be read again in between
    std::vector<std::vector<std::string>> keys;  // per key column, the texts of the rows
    std::unordered_map<std::string, std::vector<char>>
        answers;  // joined key -> per nonfinite column one mark
  };
  absl::Status FetchTable(Table* table);
  absl::Status AwaitVisible();

  PgConnection& connection_;
  std::map<uint32_t, Table> tables_;  // by relation oid
  std::set<uint32_t> transactions_;   // of the noted rows
  size_t wanted_ = 0;
};

}  // namespace pmoves

#endif  // PMOVES_PUBLISHER_IO_NONFINITE_READER_H_
