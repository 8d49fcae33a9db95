// NonfiniteReader: brings NaN and Infinity back, which wal2json 2.5 writes as null.
//
// A null in a float4, float8 or numeric column may be a real NULL or a NaN. Such rows are read
// again by key over SQL, many in one statement, and a current NaN / Infinity / -Infinity is sent as
// a JSON string. Exact once the last change of the row has arrived: if the row changed since, its
// later event carries the newer state, and a deleted row needs no value. A column with a CHECK
// constraint named pmoves_sync_finite_* cannot hold such values and is never read again.
//
// A row that cannot be read in moments (a locked table, no right, a table that is gone) must
// neither be guessed nor hold up all others: its values are sent as proto::kUnreadToken. The centre
// sets that change aside and asks for the whole row until it comes.
//
// Invariant:    Fetch waits at most kVisibleWait for transactions and kReadLockTimeout for a table;
//               at most kMostUnread rows are sent unread in kUnreadInterval, then the session
//               waits.
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
#include "common/io/steady_time.h"
#include "publisher/core/relation.h"
#include "publisher/core/wal2json_decoder.h"
#include "publisher/metrics.h"

namespace pmoves {

// True if the change carries a null where NaN or Infinity might have been. Cheap: called for every
// row.
bool HasSuspiciousNull(const WalChange& change, const Relation& relation);

class NonfiniteReader {
 public:
  static constexpr absl::Duration kVisibleWait = absl::Seconds(2);
  // A table that was locked is not tried again for this long.
  static constexpr absl::Duration kLockedPause = absl::Seconds(1);
  static constexpr size_t kMostUnread = 1000;
  static constexpr absl::Duration kUnreadInterval = absl::Seconds(10);

  // Both must outlive the reader.
  NonfiniteReader(PgConnection& connection, Metrics& metrics)
      : connection_(connection), metrics_(metrics) {}

  // Notes the row of `change` for the next Fetch. REQUIRES: HasSuspiciousNull(change, relation).
  // `xid` is its transaction: the WAL tells of a commit a moment before other sessions see it, so
  // Fetch waits for that.
  void Want(const WalChange& change, const Relation& relation, uint32_t xid);
  // Reads all noted rows, one statement per table. kUnavailable: the connection is lost, or too
  // many rows cannot be read.
  absl::Status Fetch();
  // Replaces the nulls of *change that are known to be NaN or Infinity, or not known at all. The
  // new tokens live until the next call.
  void Patch(const Relation& relation, WalChange* change);
  // Forgets what was noted and read.
  void Clear();
  size_t wanted() const { return wanted_; }

  // What could not be read a moment ago and why, for people; "" when all could.
  std::string Trouble() const;

 private:
  struct Table {
    Relation relation;                           // a copy: the catalog may be read again in between
    std::vector<std::vector<std::string>> keys;  // per row the tokens of its key columns
    std::unordered_map<std::string, size_t> rows;  // joined key -> index in keys
    std::vector<std::vector<char>> marks;  // per row one per nonfinite column; empty: no such row
    bool unread = false;
  };
  struct Locked {
    std::string why;
    SteadyTime until;
  };
  absl::Status FetchTable(Table* table);
  absl::Status ReadTable(Table* table);
  absl::Status LeaveUnread(const absl::Status& why, Table* table);
  absl::StatusOr<bool> AwaitVisible();
  void PatchKey(const Relation& relation, WalChange* change);
  static void PatchValues(const Relation& relation, const std::vector<char>* marks,
                          WalChange* change);

  PgConnection& connection_;
  Metrics& metrics_;
  std::map<uint32_t, Table> tables_;  // by relation oid
  std::set<uint32_t> transactions_;   // of the noted rows
  size_t wanted_ = 0;
  std::map<std::string, Locked> locked_;  // by table: what could not be read
  std::string key_token_;                 // in the change that was patched last
  uint64_t unread_keys_ = 0;
  size_t unread_ = 0;  // since unread_since_
  SteadyTime unread_since_;
};

}  // namespace pmoves

#endif  // PMOVES_PUBLISHER_IO_NONFINITE_READER_H_
