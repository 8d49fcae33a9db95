// LetterBook: the open dead letters of single rows, as the table has them: which there are, and how
// later changes settle them.
//
// In the flow:  worker (a change meets a row with a dead letter) -> LetterBook ->
// pmoves_sync.dead_letter
// Invariant:    works in the caller's transaction, so letters change together with the rows that
// settle them (promise S1).
// Thread:       its connection's.
#ifndef PMOVES_SUBSCRIBER_IO_LETTER_BOOK_H_
#define PMOVES_SUBSCRIBER_IO_LETTER_BOOK_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/hlc.h"
#include "common/io/pg_connection.h"
#include "subscriber/core/change.h"
#include "subscriber/core/open_letters.h"

namespace pmoves {

// One row of one source. `before`: only letters whose change has at most this version count, so
// that a change settles what came before it and nothing later.
struct LetterRow {
  std::string source;
  std::string schema;
  std::string table;
  std::string key;  // KeyText's
  Hlc before;
};

// `update`, an UPDATE of dead_letter that closes letters, and with them the conflicts that they
// are in. Result: the number of letters.
std::string Settling(const std::string& update);

// The row of a change, and what came before it.
LetterRow LetterRowOf(const ChangeSet& set, const Change& change);

class LetterBook {
 public:
  explicit LetterBook(PgConnection& connection) : connection_(connection) {}

  // All rows of `source` with an open letter. kFailedPrecondition: the schema is that of an earlier
  // version of this program.
  absl::StatusOr<OpenLetters> Load(const std::string& source);
  // The version of the newest change of the row that is set aside.
  absl::StatusOr<std::optional<Hlc>> Newest(const LetterRow& row);
  // Its letters are superseded: the whole row, or its delete, came. The number of them.
  absl::StatusOr<int64_t> Supersede(const LetterRow& row);
  // The same for all rows of the table (the source truncated it); the key is not looked at.
  absl::StatusOr<int64_t> SupersedeTable(const LetterRow& row);

 private:
  PgConnection& connection_;
};

}  // namespace pmoves

#endif  // PMOVES_SUBSCRIBER_IO_LETTER_BOOK_H_
