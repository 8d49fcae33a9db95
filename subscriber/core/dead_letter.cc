#include "subscriber/core/dead_letter.h"

#include <simdjson.h>

#include <algorithm>
#include <functional>
#include <vector>

#include "absl/strings/str_format.h"
#include "common/base/status.h"
#include "proto/json_token.h"
#include "proto/message_codec.h"

namespace pmoves {
namespace {

constexpr const char kReasonPayload[] = "pmoves/reason";

absl::Status WithReason(absl::Status status, std::string_view reason) {
  status.SetPayload(kReasonPayload, absl::Cord(absl::string_view(reason.data(), reason.size())));
  return status;
}

// What the source calls a column of the centre.
const std::string& NameAtSource(const TargetTable& table, const std::string& column) {
  for (const auto& [source, centre] : table.mapping.rename) {
    if (centre == column) return source;
  }
  return column;
}

std::string KeyOf(const ChangeSet& set, const TargetTable& table, const Shape& shape,
                  uint64_t first_value) {
  std::string text = "{";
  for (size_t i = 0; i < shape.key.size(); ++i) {
    const TargetColumn& column = table.columns[static_cast<size_t>(table.key[i])];
    if (table.mapping.constants.count(column.name) > 0) continue;
    if (text.size() > 1) text += ',';
    proto::AppendJsonString(NameAtSource(table, column.name), &text);
    text += ':';
    const Value& value = set.values[first_value + static_cast<size_t>(shape.key[i])];
    proto::AppendJsonString(KeyTextOf(column.key_text, set.Text(value)), &text);
  }
  return text.append("}");
}

}  // namespace

std::string KeyText(const ChangeSet& set, const Change& change) {
  if (change.shape == nullptr) return "";
  return KeyOf(set, *change.table, *change.shape, change.first_value);
}

std::string OldKeyText(const ChangeSet& set, const Change& change) {
  return KeyOf(set, *change.table, *change.old_shape, change.first_old_value);
}

absl::Status NeedsWholeRow(std::string_view reason, const TargetTable& table) {
  const char* const found = reason == kUpdateMissing ? "the centre has no such row"
                            : reason == kUpdateIncomplete
                                ? "the row is another source's"
                                : "an earlier change of the row is a dead letter";
  return WithReason(absl::NotFoundError(absl::StrFormat(
                        "%s: %s in %s, and the update does not carry its unchanged TOASTed columns",
                        reason, found, table.Name())),
                    reason);
}

absl::Status WaitsBehindLetter(const TargetTable& table) {
  return WithReason(
      absl::InvalidArgumentError(absl::StrFormat(
          "joined: an earlier change of the row is a dead letter, and what %s shows depends on "
          "every change of it: retry them in their order, or discard the earlier one",
          table.Name())),
      kJoined);
}

absl::Status ComesTooLate(const TargetTable& table) {
  return WithReason(
      absl::InvalidArgumentError(absl::StrFormat(
          "too_late: the change is older than deletes in %s that are forgotten (it was away for "
          "longer than conflicts.tombstone_retention); applied, it may bring a deleted row back. "
          "Retry it by its id if the row belongs there, else discard it",
          table.Name())),
      kTooLate);
}

absl::Status HoldsInexactly(const TargetTable& table, int column) {
  const TargetColumn& target = table.columns[static_cast<size_t>(column)];
  const bool in_key = std::find(table.key.begin(), table.key.end(), column) != table.key.end();
  return WithReason(
      absl::InvalidArgumentError(absl::StrFormat(
          "inexact: column \"%s\" of %s is %s and cannot hold the value as the source has it; "
          "ALTER the column, then retry%s",
          target.name, table.Name(), target.type,
          in_key ? "" : "; or let it be rounded and cut: tables[].narrowing: allow")),
      kInexact);
}

std::string ReasonOf(const absl::Status& why) {
  if (const auto reason = why.GetPayload(kReasonPayload); reason.has_value()) {
    return std::string(*reason);
  }
  const std::string sql_state = SqlStateOf(why);
  if (sql_state.substr(0, 2) == "23") return "constraint";
  if (sql_state.substr(0, 2) == "22") return "value";
  if (!sql_state.empty()) return "refused";
  return "malformed";
}

std::string DeadLetter::Identity() const {
  if (whole_message) {
    // Sequences are used again when a stream is made anew, so the content is part of the name.
    return absl::StrFormat("message/%s/%d/%x", source, sequence, std::hash<std::string>()(payload));
  }
  return absl::StrFormat("row/%s/%d/%s/%d/%d", source, epoch, position.ToString(), chunk, row);
}

bool DeadLetter::WantsRow() const {
  if (key.empty()) return false;
  return reason == kUpdateMissing || reason == kUpdateIncomplete || reason == kUnread ||
         (reason == kJoined && operation == "UPDATE");
}

namespace {

// The first year that Postgres has is 0001.
constexpr int64_t kFirstInstantUs = -62135596800000000;

std::optional<int64_t> StorableInstant(int64_t unix_us) {
  if (unix_us == 0 || unix_us < kFirstInstantUs) return std::nullopt;
  return unix_us;
}

// At most `most` bytes, cut between characters if it is text; bytes that are none as \xNN.
std::string StorableText(std::string_view text, size_t most, const char* what, std::string* notes) {
  const size_t whole = text.size();
  size_t end = std::min(whole, most);
  // A character has at most three more bytes.
  for (int i = 0; i < 3 && end > 0 && end < whole; ++i) {
    if ((static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  }
  text = text.substr(0, end);
  if (end < whole) {
    absl::StrAppendFormat(notes, " [%s: the first %d of %d bytes]", what, end, whole);
  }
  if (IsStorableText(text)) return std::string(text);
  absl::StrAppendFormat(notes, " [%s: bytes that are no text are written \\xNN]", what);
  std::string escaped;
  for (const char c : text) {
    if (c >= ' ' && c <= '~') {
      escaped += c;
    } else {
      absl::StrAppendFormat(&escaped, "\\x%02x", static_cast<unsigned char>(c));
    }
  }
  return escaped;
}

}  // namespace

StorableLetter StorableOf(const DeadLetter& letter) {
  StorableLetter storable;
  std::string notes;
  storable.schema = StorableText(letter.schema, kMostNameBytes, "schema", &notes);
  storable.table = StorableText(letter.table, kMostNameBytes, "table", &notes);
  storable.key = StorableText(letter.key, kMostPayloadBytes, "key", &notes);
  storable.subject = StorableText(letter.subject, kMostSubjectBytes, "subject", &notes);
  storable.message = StorableText(letter.message, kMostMessageBytes, "message", &notes);
  storable.payload = letter.payload;
  if (storable.payload.size() > kMostPayloadBytes) {
    storable.payload = storable.payload.substr(0, kMostPayloadBytes);
    absl::StrAppendFormat(&notes,
                          " [payload: the first %d of %d bytes; it cannot be retried, write the "
                          "row anew at its source]",
                          kMostPayloadBytes, letter.payload.size());
  }
  storable.payload_is_text = IsStorableText(storable.payload);
  storable.commit_us = StorableInstant(letter.commit_us);
  storable.stored_us = StorableInstant(letter.stored_us);
  storable.message += notes;
  return storable;
}

bool IsStorableText(std::string_view text) {
  return text.find('\0') == std::string_view::npos &&
         simdjson::validate_utf8(text.data(), text.size());
}

absl::StatusOr<std::string> SingleRowBody(const ReceivedMessage& message, uint32_t row,
                                          Lsn position) {
  proto::BodyReader reader;
  proto::Body body;
  std::string bytes = message.body;
  RETURN_IF_ERROR(reader.Read(&bytes, &body));
  proto::BodyWriter writer;
  writer.Start(body.source, body.schema, body.table, body.operation);
  auto cut = [row](const std::vector<proto::RawColumn>& columns,
                   const std::vector<uint32_t>& offsets) {
    if (row + 1 >= offsets.size()) return std::span<const proto::RawColumn>();
    return std::span<const proto::RawColumn>(columns.data() + offsets[row],
                                             offsets[row + 1] - offsets[row]);
  };
  if (body.operation != proto::Operation::kTruncate) {
    writer.AddRow(cut(body.data_columns, body.data_offsets),
                  cut(body.key_columns, body.key_offsets));
  }
  int64_t commit_us = body.commit_us;
  for (const proto::TransactionEntry& entry : body.transactions) {
    if (entry.position == position) commit_us = entry.commit_us;
  }
  return writer.Finish(commit_us, body.unchanged, {});
}

DeadLetter DeadLetterOf(const ChangeSet& set, const Change& change, const absl::Status& why) {
  DeadLetter letter;
  letter.source = *change.source;
  letter.epoch = change.message->envelope.epoch;
  letter.position = change.position;
  letter.chunk = change.message->envelope.chunk;
  letter.row = change.row;
  letter.schema = change.table->SourceSchema();
  letter.table = change.table->SourceTable();
  letter.key = KeyText(set, change);
  letter.hlc = change.hlc;
  letter.commit_us = change.commit_us;
  letter.stored_us = change.message->stored_us;
  letter.sequence = change.message->sequence;
  letter.subject = change.message->subject;
  letter.reason = ReasonOf(why);
  letter.sql_state = SqlStateOf(why);
  letter.message = MessageOf(why);
  switch (change.kind) {
    case ChangeKind::kWhole:
      letter.operation = "UPSERT";
      break;
    case ChangeKind::kPartial:
    case ChangeKind::kMove:
      letter.operation = "UPDATE";
      break;
    case ChangeKind::kDelete:
      letter.operation = "DELETE";
      break;
    case ChangeKind::kTruncate:
      letter.operation = "TRUNCATE";
      break;
  }
  auto body = SingleRowBody(*change.message, change.row, change.position);
  letter.payload = body.ok() ? *body : change.message->body;
  if (letter.reason == "value" &&
      letter.payload.find(proto::kUnreadKeyBegin) != std::string::npos) {
    letter.reason = std::string(kUnreadKey);
    letter.message =
        "unread_key: the key of the row holds NaN or Infinity, which wal2json does not show; write "
        "the row by hand if it belongs here, and discard the letter. A CHECK constraint on the "
        "edge "
        "keeps such keys out";
  } else if (letter.reason == "value" &&
             letter.payload.find(proto::kUnreadToken) != std::string::npos) {
    letter.reason = std::string(kUnread);
    letter.message =
        "unread: the edge could not tell a NaN of the row from NULL at that moment (its table was "
        "locked, or the publisher may not read it); the edge is asked for the row";
  }
  return letter;
}

DeadLetter DeadLetterOf(const std::string& source, const ReceivedMessage& message,
                        std::string reason, const absl::Status& why) {
  DeadLetter letter;
  letter.source = source;
  letter.whole_message = true;
  letter.epoch = message.envelope.epoch;
  letter.position = message.envelope.position;
  letter.chunk = message.envelope.chunk;
  letter.hlc = message.envelope.hlc;
  letter.stored_us = message.stored_us;
  letter.sequence = message.sequence;
  letter.subject = message.subject;
  letter.reason = std::move(reason);
  letter.sql_state = SqlStateOf(why);
  letter.message = MessageOf(why);
  letter.payload = message.body;
  return letter;
}

}  // namespace pmoves
