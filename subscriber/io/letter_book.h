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
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/hlc.h"
#include "common/io/pg_connection.h"
#include "subscriber/core/change.h"
#include "subscriber/core/open_letters.h"
#include "subscriber/core/row_decoder.h"

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

// What a retry needs of a letter. `payload` is empty where there is none that can be read.
struct StoredLetter {
  int64_t id = 0;
  std::string source;
  bool whole_message = false;
  std::string reason;
  std::string payload;
  ReceivedMessage message;  // without the body
};

// The letter as changes again, with the versions that it was set aside with. `source` and `table`
// must outlive the set. kInvalidArgument: it cannot become changes.
absl::Status AppendLetter(const StoredLetter& letter, const std::string* source, TargetTable* table,
                          RowDecoder* decoder, ChangeSet* set);

class LetterBook {
 public:
  static constexpr const char kWholeCame[] = "a later change brought the whole row, or its delete";
  static constexpr const char kFolded[] = "applied together with a later change of the row";

  explicit LetterBook(PgConnection& connection) : connection_(connection) {}

  // All rows of `source` with an open letter, and tables with one of a whole message.
  // kFailedPrecondition: the schema is that of an earlier version of this program.
  absl::StatusOr<OpenLetters> Load(const std::string& source);
  // The version of the newest change of the row that is set aside.
  absl::StatusOr<std::optional<Hlc>> Newest(const LetterRow& row);
  // A message of the table that came before the change is set aside as a whole; and whether any is.
  struct Holes {
    bool before = false;
    bool any = false;
  };
  absl::StatusOr<Holes> HolesOf(const LetterRow& row);
  // Its letters, the oldest first, at most `limit`.
  absl::StatusOr<std::vector<StoredLetter>> Read(const LetterRow& row, int limit);
  // Of one letter, which is locked until the transaction ends. kNotFound when it is not open.
  absl::StatusOr<StoredLetter> Lock(int64_t id);
  // An open letter of an earlier change of the row, or of a whole message of its table if
  // `in_parts`, that is not letter `id`; 0: there is none.
  absl::StatusOr<int64_t> OlderThan(const LetterRow& row, int64_t id, bool in_parts);
  // Its letters are superseded, for `why` (for people). The number of them.
  absl::StatusOr<int64_t> Supersede(const LetterRow& row, const char* why = kWholeCame);
  // The same for all rows of the table (the source truncated it); the key is not looked at.
  absl::StatusOr<int64_t> SupersedeTable(const LetterRow& row);

 private:
  PgConnection& connection_;
};

}  // namespace pmoves

#endif  // PMOVES_SUBSCRIBER_IO_LETTER_BOOK_H_
