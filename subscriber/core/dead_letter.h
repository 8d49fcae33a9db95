// DeadLetter: a change (or a whole message) that could not be applied, as it came, with the reason.
//
// In the flow:  worker / pg_target -> DeadLetter -> pmoves_sync.dead_letter -> `dead-letters retry`
// -> the same decoder and merge again The payload of a row is a message body with that one row, so
// that a retry needs no second format. Thread: any. Pure.
#ifndef PMOVES_SUBSCRIBER_CORE_DEAD_LETTER_H_
#define PMOVES_SUBSCRIBER_CORE_DEAD_LETTER_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "subscriber/core/change.h"

namespace pmoves {

struct DeadLetter {
  std::string source;  // the stream's source
  bool whole_message =
      false;  // kind 'message': payload is the body as received (or raw, when it is not UTF-8 text)
  uint32_t epoch = 0;
  Lsn position;
  uint32_t chunk = 0;
  uint32_t row = 0;
  std::string schema;
  std::string table;
  std::string key;  // KeyText of the row; "" when the letter is not about one row
  std::string operation;
  Hlc hlc;
  int64_t commit_us = 0;
  int64_t stored_us = 0;  // when JetStream stored it; 0: not known
  uint64_t sequence = 0;
  std::string subject;
  std::string
      reason;  // a short stable word: constraint, unique_conflict, value, refused,
               // inexact, update_missing, update_incomplete, joined, unread, unread_key, malformed,
               // not_configured, forged, not_allowed, transaction, truncate, too_late
  std::string sql_state;
  std::string message;  // for people
  std::string payload;

  // Equal for the same change however often it is redelivered.
  std::string Identity() const;
  // The whole row would settle it: the edge is asked for it.
  bool WantsRow() const;
};

// Reasons of a partial update that finds no row to lay itself over, by the names that PostgreSQL
// gives such conflicts.
inline constexpr std::string_view kUpdateMissing = "update_missing";  // the centre has no such row
inline constexpr std::string_view kUpdateIncomplete =
    "update_incomplete";  // the row is another source's

// A change of a row of which an earlier change is a dead letter: it would be laid over a hole.
inline constexpr std::string_view kJoined = "joined";
// Not for want of columns: the table's rule or policy depends on every change of the row.
absl::Status WaitsBehindLetter(const TargetTable& table);

// The edge could not read a value that wal2json does not show (proto::kUnreadToken).
inline constexpr std::string_view kUnread = "unread";
// The same of its key (proto::kUnreadKeyBegin): nobody can be asked.
inline constexpr std::string_view kUnreadKey = "unread_key";

// A change that is older than deletes of its table that are forgotten (collector.h).
inline constexpr std::string_view kTooLate = "too_late";
absl::Status ComesTooLate(const TargetTable& table);

// The centre would round, cut or reinterpret a value.
inline constexpr std::string_view kInexact = "inexact";
absl::Status HoldsInexactly(const TargetTable& table, int column);

// Another row has a value that is unique in the centre.
inline constexpr std::string_view kUniqueConflict = "unique_conflict";

// kNotFound, with one of the reasons of partial updates.
absl::Status NeedsWholeRow(std::string_view reason, const TargetTable& table);
// The stable word for a change that failed with `why`.
std::string ReasonOf(const absl::Status& why);

// The key of the row that a change is about, as a JSON object of texts in the order of the key,
// with the names of the source and one text for equal values: {"id":"7"}. "" for a truncate.
// OldKeyText: of the row that a kMove leaves.
std::string KeyText(const ChangeSet& set, const Change& change);
std::string OldKeyText(const ChangeSet& set, const Change& change);

// What of a letter somebody else wrote, as the table can hold it: a letter that cannot be stored
// would hold its source for ever. Bytes that are no text are escaped, what is too long is cut, and
// the message says so.
struct StorableLetter {
  std::string schema, table, key, subject, message;
  std::string_view payload;
  bool payload_is_text = true;
  std::optional<int64_t> commit_us, stored_us;
};
inline constexpr size_t kMostNameBytes = 256;  // names of the centre have 63; an index has them
inline constexpr size_t kMostSubjectBytes = 1024;
inline constexpr size_t kMostMessageBytes = 8192;
inline constexpr size_t kMostPayloadBytes = 256
                                            << 20;  // in hex it doubles, and a field ends at 1 GB
StorableLetter StorableOf(const DeadLetter& letter);

// Can a text column hold it? UTF-8 without NUL.
bool IsStorableText(std::string_view text);
// The body of `message` cut down to row change `row`, as a body of its own.
absl::StatusOr<std::string> SingleRowBody(const ReceivedMessage& message, uint32_t row,
                                          Lsn position);
// A dead letter for one change that failed with `why`.
DeadLetter DeadLetterOf(const ChangeSet& set, const Change& change, const absl::Status& why);
// A dead letter for a message that is refused as a whole.
DeadLetter DeadLetterOf(const std::string& source, const ReceivedMessage& message,
                        std::string reason, const absl::Status& why);

}  // namespace pmoves

#endif  // PMOVES_SUBSCRIBER_CORE_DEAD_LETTER_H_
