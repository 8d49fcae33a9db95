#include "subscriber/source_feed.h"

#include <utility>

#include "absl/strings/str_format.h"
#include "common/base/status.h"
#include "proto/subject.h"
#include "subscriber/io/pull_window.h"

namespace pmoves {
namespace {

// Of a message beside its body.
constexpr size_t kMessageCost = static_cast<size_t>(PullWindow::kMessageCost);

}  // namespace

void SourceFeed::Reset(uint32_t epoch, Lsn applied) {
  order_ = SourceOrder(epoch, applied);
  half_ = FedTransaction();
  joining_.reset();
  half_first_ = half_messages_ = half_bytes_ = 0;
  dropping_ = streaming_ = stream_complete_ = false;
  large_.reset();
  ready_.clear();
  ready_bytes_ = ready_messages_ = 0;
  pending_ = 0;
  last_sequence_ = 0;
  trouble_ = absl::OkStatus();
  passed_sequence_ = 0;
  only_passed_ = true;
}

absl::Status SourceFeed::Pump(JetStreamSource& reader, const std::string& stream,
                              size_t max_messages, size_t max_bytes) {
  if (Full()) return absl::OkStatus();
  RETURN_IF_ERROR(trouble_);
  std::vector<FetchedMessage> fetched;
  absl::Status status = reader.Take(stream, max_messages, max_bytes, &fetched);
  for (FetchedMessage& message : fetched) RETURN_IF_ERROR(Accept(std::move(message)));
  return status;
}

absl::Status SourceFeed::Accept(FetchedMessage message) {
  if (Full()) return absl::OkStatus();  // it is read again behind what is complete
  if (trouble_.ok()) trouble_ = Place(std::move(message));
  return trouble_;
}

absl::Status SourceFeed::Place(FetchedMessage message) {
  pending_ = message.pending;
  last_sequence_ = message.sequence;
  if (const absl::Status why = message.envelope.status(); absl::IsUnimplemented(why)) {
    const std::string stream = proto::StreamName(source_);
    return absl::UnimplementedError(absl::StrFormat(
        "message %d of stream %s: %s. All before it is applied. (If it is no publisher's, `nats "
        "stream purge %s --seq=%d` removes it.)",
        message.sequence, stream, MessageOf(why), stream, message.sequence + 1));
  } else if (!why.ok()) {
    Quarantine(std::move(message), "malformed", why);
    return absl::OkStatus();
  }
  const proto::Envelope envelope = *message.envelope;
  auto subject = proto::ParseSubject(message.subject);
  if (envelope.source != source_ || (subject.ok() && subject->source != source_)) {
    Quarantine(
        std::move(message), "forged",
        absl::InvalidArgumentError(absl::StrFormat(
            "a message in the stream of %s calls itself one of %s", source_, envelope.source)));
    return absl::OkStatus();
  }
  if (!subject.ok()) {
    Quarantine(std::move(message), "malformed", subject.status());
    return absl::OkStatus();
  }
  const Verdict verdict = order_.Judge(envelope);
  const bool passed = verdict == Verdict::kStale || verdict == Verdict::kDuplicate;
  only_passed_ = only_passed_ && passed;
  if (only_passed_) passed_sequence_ = message.sequence;
  switch (verdict) {
    case Verdict::kStale:
    case Verdict::kDuplicate:
      ++duplicates_;
      return absl::OkStatus();
    case Verdict::kGap:
      return absl::DataLossError(
          absl::StrFormat("the stream lacks what lies between position %s and %s (message %d, "
                          "chunk %d of %s); the source must be resynchronised",
                          order_.applied().ToString(), envelope.previous.ToString(),
                          message.sequence, envelope.chunk, envelope.position.ToString()));
    case Verdict::kForeignEpoch:
      return absl::DataLossError(absl::StrFormat(
          "the stream goes on in epoch %d, whose beginning is missing (applied: epoch %d)",
          envelope.epoch, order_.epoch()));
    case Verdict::kStart:
      RETURN_IF_ERROR(Begin(message, envelope));
      break;
    case Verdict::kContinue:
      break;
  }
  return AppendPart(std::move(message), envelope);
}

absl::Status SourceFeed::Begin(const FetchedMessage& message, const proto::Envelope& envelope) {
  if (order_.in_transaction()) {
    if (streaming_) {
      return absl::AbortedError(absl::StrFormat(
          "a transaction that was complete begins anew at message %d", message.sequence));
    }
    FedTransaction dead;
    dead.superseded = true;
    dead.position = half_.position;
    dead.sequence = message.sequence - 1;
    ready_.push_back(std::move(dead));
  }
  half_ = FedTransaction();
  half_.after = envelope.epoch == order_.epoch() ? order_.applied() : Lsn{};
  half_first_ = message.sequence;
  half_messages_ = half_bytes_ = 0;
  dropping_ = false;
  joining_.reset();
  return absl::OkStatus();
}

absl::Status SourceFeed::AppendPart(FetchedMessage message, const proto::Envelope& envelope) {
  const bool joins = joining_ != nullptr && envelope.part == joining_->envelope.part + 1 &&
                     envelope.parts == joining_->envelope.parts;
  if (envelope.part != 0 && !joins && !dropping_) {
    return absl::DataLossError(absl::StrFormat(
        "part %d of a large row is missing before message %d", envelope.part, message.sequence));
  }
  order_.Take(envelope);
  half_.epoch = envelope.epoch;
  half_.position = envelope.position;
  half_.origin = envelope.origin;
  half_.sequence = message.sequence;
  if (half_.stored_us == 0) half_.stored_us = message.stored_us;
  ++half_messages_;
  half_bytes_ += message.body.size();
  if (!dropping_) {
    if (envelope.part == 0) {
      joining_ = std::make_unique<ReceivedMessage>();
      joining_->subject = std::move(message.subject);
      joining_->body = std::move(message.body);
      joining_->envelope = envelope;
    } else {
      joining_->body += message.body;
      joining_->envelope.part = envelope.part;
      joining_->envelope.last = envelope.last;
    }
    joining_->sequence = message.sequence;
    joining_->stored_us = message.stored_us;
    if (envelope.part + 1 == envelope.parts) {
      half_.bytes += joining_->body.size();
      half_.messages.push_back(std::move(joining_));
    }
  }
  if (envelope.last) {
    Complete();
  } else if (!streaming_ && half_.bytes + JoiningBytes() >= oversized_bytes_) {
    DropHalf();
  }
  return absl::OkStatus();
}

void SourceFeed::DropHalf() {
  if (streaming_ || !order_.in_transaction()) return;
  dropping_ = true;
  half_.messages.clear();
  half_.messages.shrink_to_fit();
  half_.bytes = 0;
  joining_.reset();
}

size_t SourceFeed::half_held() const {
  return half_.bytes + JoiningBytes() + half_.messages.size() * kMessageCost;
}

size_t SourceFeed::held() const {
  return half_held() + ready_bytes_ + ready_messages_ * kMessageCost;
}

// The last message of a transaction was taken.
void SourceFeed::Complete() {
  if (streaming_) {
    stream_complete_ = true;
    return;
  }
  if (dropping_) {
    large_ = LargeTransaction{.stream_created = "",
                              .epoch = 0,
                              .after = half_.after,
                              .position = half_.position,
                              .first_sequence = half_first_,
                              .last_sequence = half_.sequence,
                              .bytes = half_bytes_,
                              .stored_us = half_.stored_us};
  } else {
    ready_bytes_ += half_.bytes;
    ready_messages_ += half_.messages.size();
    ready_.push_back(std::move(half_));
    half_ = FedTransaction();
  }
  dropping_ = false;
  half_messages_ = half_bytes_ = 0;
}

FedTransaction SourceFeed::Next() {
  FedTransaction next = std::move(ready_.front());
  ready_.pop_front();
  ready_bytes_ -= next.bytes;
  ready_messages_ -= next.messages.size();
  return next;
}

std::vector<std::unique_ptr<ReceivedMessage>> SourceFeed::TakePiece(bool* complete,
                                                                    FedTransaction* head) {
  *complete = stream_complete_;
  std::vector<std::unique_ptr<ReceivedMessage>> piece = std::move(half_.messages);
  half_.messages.clear();
  half_.bytes = 0;
  head->after = half_.after;
  head->epoch = half_.epoch;
  head->position = half_.position;
  head->origin = half_.origin;
  head->sequence = half_.sequence;
  head->stored_us = half_.stored_us;
  return piece;
}

SourceFeed::Incomplete SourceFeed::incomplete() const {
  if (!order_.in_transaction()) return {};
  return {half_.position, half_messages_, half_bytes_};
}

int64_t SourceFeed::waiting_since_us() const {
  if (!ready_.empty()) return ready_.front().stored_us;
  return half_.stored_us;
}

void SourceFeed::Quarantine(FetchedMessage message, const char* reason, const absl::Status& why) {
  ReceivedMessage received;
  received.sequence = message.sequence;
  received.stored_us = message.stored_us;
  received.subject = std::move(message.subject);
  received.body = std::move(message.body);
  FedTransaction item;
  item.quarantine = DeadLetterOf(source_, received, reason, why);
  only_passed_ = false;
  // What is half-received comes before it and is not applied: the letter must not let it be purged.
  item.sequence = order_.in_transaction() ? 0 : message.sequence;
  item.stored_us = message.stored_us;
  item.bytes = received.body.size();
  ready_bytes_ += item.bytes;
  ready_.push_back(std::move(item));
}

}  // namespace pmoves
