#include "publisher/io/stream_tail.h"

#include <optional>
#include <utility>

#include "absl/strings/str_format.h"
#include "common/base/status.h"
#include "proto/subject.h"

namespace pmoves {
namespace {

// An idle source stores one progress message a minute.
constexpr int kMaxLandmarkSteps = 200;

struct OwnMessage {
  proto::Envelope envelope;
  StoredRecord record;
};

// The message at `sequence` if it is one of ours. nullopt: purged, or somebody else's.
absl::StatusOr<std::optional<OwnMessage>> ReadOwn(JetStream& jetstream, const std::string& stream,
                                                  uint64_t sequence, const std::string& source) {
  absl::StatusOr<StoredRecord> record = jetstream.GetMessage(stream, sequence);
  if (absl::IsNotFound(record.status())) return std::optional<OwnMessage>();
  if (!record.ok()) return record.status();
  absl::StatusOr<proto::Envelope> envelope = proto::DecodeHeaders(record->Lookup());
  if (absl::IsUnimplemented(envelope.status()) &&
      record->Lookup()(proto::kHeaderSource).value_or("") == source) {
    return absl::FailedPreconditionError(absl::StrFormat("message %d of stream %s: %s", sequence,
                                                         stream, MessageOf(envelope.status())));
  }
  if (!envelope.ok() || envelope->source != source) return std::optional<OwnMessage>();
  // Good headers over a body that no publisher writes are a forgery, not our last word.
  if (envelope->parts == 1 && !LastHlc(*envelope, &*record).ok())
    return std::optional<OwnMessage>();
  return std::optional<OwnMessage>(OwnMessage{*std::move(envelope), *std::move(record)});
}

// `newest` belongs to a transaction without a last message.
absl::Status ResolveUnfinished(JetStream& jetstream, const std::string& stream,
                               const std::string& source, const OwnMessage& newest,
                               StreamTail* tail) {
  tail->unfinished = true;
  tail->position = newest.envelope.previous;
  tail->hlc = Hlc{newest.envelope.hlc.value - 1};
  if (newest.envelope.chunk >= newest.record.sequence) return absl::OkStatus();
  const uint64_t first = newest.record.sequence - newest.envelope.chunk;
  ASSIGN_OR_RETURN(std::optional<OwnMessage> chunk0, ReadOwn(jetstream, stream, first, source));
  if (chunk0.has_value() && chunk0->envelope.chunk == 0 &&
      chunk0->envelope.position == newest.envelope.position) {
    tail->hlc = Hlc{chunk0->envelope.hlc.value - 1};
  }
  return absl::OkStatus();
}

// The end of no transaction: its position is not one that the WAL shows again.
bool IsProgress(const OwnMessage& message) {
  auto subject = proto::ParseSubject(message.record.subject);
  return subject.ok() && subject->operation == proto::Operation::kProgress;
}

// Finds the newest complete transaction with rows, at `newest` or a little before it.
absl::Status FindLandmark(JetStream& jetstream, const std::string& stream,
                          const std::string& source, uint64_t first, const OwnMessage& newest,
                          StreamTail* tail) {
  OwnMessage found = newest;
  for (int step = 0; IsProgress(found); ++step) {
    uint64_t sequence = found.record.sequence;
    std::optional<OwnMessage> own;
    while (!own.has_value() && step < kMaxLandmarkSteps && sequence > first) {
      ++step;
      ASSIGN_OR_RETURN(own, ReadOwn(jetstream, stream, --sequence, source));
    }
    if (!own.has_value()) return absl::OkStatus();
    found = *std::move(own);
  }
  if (!found.envelope.last || found.envelope.epoch != newest.envelope.epoch) {
    return absl::OkStatus();
  }
  tail->landmark = found.envelope.position;
  tail->before_landmark = found.envelope.previous;
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Hlc> LastHlc(const proto::Envelope& envelope, StoredRecord* record) {
  if (envelope.parts > 1) return envelope.hlc;  // one row
  proto::BodyReader reader;
  proto::Body body;
  RETURN_IF_ERROR(reader.Read(&record->data, &body));
  if (body.operation == proto::Operation::kProgress) return envelope.hlc;
  if (!body.transactions.empty()) {
    const proto::TransactionEntry& last = body.transactions.back();
    return Hlc{last.hlc.value + last.rows - 1};
  }
  const auto changes = static_cast<int64_t>(body.changes());
  return Hlc{envelope.hlc.value + (changes > 0 ? changes - 1 : 0)};
}

absl::StatusOr<StreamTail> ReadTail(JetStream& jetstream, const std::string& stream,
                                    const std::string& source) {
  ASSIGN_OR_RETURN(StreamInfo info, jetstream.GetStream(stream));
  StreamTail tail;
  tail.last_sequence = info.last_sequence;
  const uint64_t first = info.messages == 0 ? info.last_sequence + 1 : info.first_sequence;
  uint64_t sequence = info.last_sequence;
  for (int step = 0; sequence >= first && sequence > 0; ++step, --sequence) {
    if (step == kMaxTailSteps) {
      return absl::FailedPreconditionError(absl::StrFormat(
          "the last %d messages of stream %s are not of source %s: something else writes into it. "
          "Remove that writer and its messages (nats stream rmm), then this goes on",
          kMaxTailSteps, stream, source));
    }
    ASSIGN_OR_RETURN(std::optional<OwnMessage> own, ReadOwn(jetstream, stream, sequence, source));
    if (!own.has_value()) {
      ++tail.foreign_messages;
      continue;
    }
    const proto::Envelope& envelope = own->envelope;
    tail.has_own_message = true;
    tail.epoch = envelope.epoch;
    tail.origin = envelope.origin;
    tail.writer = envelope.writer;
    tail.newest = envelope.position;
    if (!envelope.last) {
      RETURN_IF_ERROR(ResolveUnfinished(jetstream, stream, source, *own, &tail));
      return tail;
    }
    tail.position = envelope.position;
    ASSIGN_OR_RETURN(tail.hlc, LastHlc(envelope, &own->record));
    RETURN_IF_ERROR(FindLandmark(jetstream, stream, source, first, *own, &tail));
    return tail;
  }
  return tail;
}

}  // namespace pmoves
