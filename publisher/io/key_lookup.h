// KeyLookup: finds rows of a captured table by key values that came as JSON tokens, from wal2json
// or from the centre.
//
// The texts of both differ from what SQL prints (true and t, bytea with and without \x), so no text
// is compared: each value is read by the input function of its column's type and compared by the
// operator and collation of a unique index, wherever their schema is. That index need not be the
// replica identity: its columns must be among those that are given.
//
// In the flow:  NonfiniteReader, RowReader -> KeyLookup -> SQL
// Thread:       publish loop only.
#ifndef PMOVES_PUBLISHER_IO_KEY_LOOKUP_H_
#define PMOVES_PUBLISHER_IO_KEY_LOOKUP_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/io/pg_connection.h"
#include "publisher/core/relation.h"

namespace pmoves {

// How long a read may wait for a table that somebody has locked: the loop waits with it.
inline constexpr absl::Duration kReadLockTimeout = absl::Milliseconds(200);
// And how long it may take at all.
inline constexpr absl::Duration kReadTimeout = absl::Seconds(5);

// True for an error that passes by itself: a lock that was not given, a statement that took too
// long.
bool IsLockedOrSlow(const absl::Status& status);

class KeyLookup {
 public:
  // Opens a transaction for one read, which ends with its object. Both must outlive it.
  KeyLookup(PgConnection& connection, const Relation& relation);
  ~KeyLookup();
  KeyLookup(const KeyLookup&) = delete;
  KeyLookup& operator=(const KeyLookup&) = delete;

  // REQUIRES: `columns` (names) are columns of the relation. kFailedPrecondition: the table is gone
  // or was altered, or no unique index has only these columns.
  absl::Status Prepare(const std::vector<std::string>& columns);
  // The rows whose key is among `keys`: per key the tokens of the columns in the order of Prepare.
  // `select` is an SQL list over the row t; before it stands the index of the key that was found.
  absl::StatusOr<PgRows> Find(const std::vector<std::vector<std::string>>& keys,
                              std::string_view select);

 private:
  struct Column {
    std::string name;
    std::string type;       // in SQL
    std::string collation;  // in SQL, "" when the type has none
    std::string equals;     // the index's operator in SQL; "" when the index does not have it
    bool is_json = false;   // a string is a value of its own there, not its text
  };

  PgConnection& connection_;
  const Relation& relation_;
  std::string table_;  // in SQL, as it is called now
  std::vector<Column> columns_;
};

}  // namespace pmoves

#endif  // PMOVES_PUBLISHER_IO_KEY_LOOKUP_H_
