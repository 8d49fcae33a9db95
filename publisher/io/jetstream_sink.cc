#include "publisher/io/jetstream_sink.h"

#include <simdjson.h>

#include <charconv>
#include <chrono>
#include <cstring>
#include <utility>

#include "absl/strings/str_format.h"
#include "common/base/check.h"
#include "common/base/status.h"
#include "proto/message_codec.h"

namespace pmoves {
namespace {

// There cannot be more answers than messages in flight; what anybody else sends to the inbox must
// not fill the memory.
constexpr size_t kForgedAnswers = 1024;
constexpr char kFenceHeader[] = "Nats-Expected-Last-Sequence";

// Error codes of the server, with their names in its list.
constexpr int64_t kMessageTooLarge = 10054;    // JSStreamMessageExceedsMaximumErr
constexpr int64_t kWrongLastSequence = 10071;  // JSStreamWrongLastSequenceErrF
constexpr int64_t kWrongLastSequenceConstant = 10164;
constexpr int64_t kStoreFailed = 10077;  // JSStreamStoreFailedF: the stream's limits
// The server's or the account's storage is used up.
constexpr int64_t kAccountExceeded = 10002;  // JSAccountResourcesExceededErr
constexpr int64_t kInsufficient = 10023;     // JSInsufficientResourcesErr
constexpr int64_t kStorageExceeded = 10047;  // JSStorageResourcesExceededErr
// How often a full stream is tried.
constexpr int64_t kFullRetryNs = int64_t{500} * 1000 * 1000;

int64_t NowNs() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

absl::Status RefusalStatus(const std::string& stream, int64_t code, std::string_view description) {
  const std::string message =
      absl::StrFormat("stream %s refused a message: %s (error %d)", stream, description, code);
  switch (code) {
    case kWrongLastSequence:
    case kWrongLastSequenceConstant:
      return absl::AbortedError(message);
    case kStoreFailed:
    case kAccountExceeded:
    case kInsufficient:
    case kStorageExceeded:
      return absl::ResourceExhaustedError(message);
    case kMessageTooLarge:
      return absl::FailedPreconditionError(message);
    default:
      return absl::UnavailableError(message);
  }
}

}  // namespace

struct JetStreamSink::Ack {
  uint64_t number = 0;
  uint64_t sequence = 0;
  absl::Status status;
};

// Reads what the server answered.
class JetStreamSink::AckParser {
 public:
  explicit AckParser(const std::string& stream) : stream_(stream) {}

  Ack Parse(natsMsg* message) {
    Ack ack;
    const std::string_view subject = natsMsg_GetSubject(message);
    const size_t number = subject.rfind('.') + 1;  // 0 when there is no dot
    const auto [end, error] =
        std::from_chars(subject.data() + number, subject.data() + subject.size(), ack.number);
    if (error != std::errc() || end != subject.data() + subject.size()) {
      ack.status = absl::UnavailableError("an ack without a message number");
      return ack;
    }
    ack.status = ParseBody(message, &ack.sequence);
    return ack;
  }

 private:
  absl::Status ParseBody(natsMsg* message, uint64_t* sequence) {
    simdjson::dom::element answer;
    if (parser_.parse(natsMsg_GetData(message), static_cast<size_t>(natsMsg_GetDataLength(message)))
            .get(answer) != simdjson::SUCCESS) {
      return absl::UnavailableError("an ack that is not JSON");
    }
    simdjson::dom::element refusal;
    if (answer["error"].get(refusal) == simdjson::SUCCESS) {
      int64_t code = 0;
      std::string_view description = "no reason given";
      if (refusal["err_code"].get(code) != simdjson::SUCCESS) code = 0;
      if (refusal["description"].get(description) != simdjson::SUCCESS) code = 0;
      return RefusalStatus(stream_, code, description);
    }
    std::string_view stream;
    if (answer["stream"].get(stream) != simdjson::SUCCESS || stream != stream_) {
      return absl::AbortedError(
          absl::StrFormat("a message was stored by stream '%s' instead of %s", stream, stream_));
    }
    bool duplicate = false;
    if (answer["duplicate"].get(duplicate) == simdjson::SUCCESS && duplicate) {
      return absl::AbortedError(
          absl::StrFormat("stream %s took a message for a duplicate", stream_));
    }
    if (answer["seq"].get(*sequence) != simdjson::SUCCESS) {
      return absl::AbortedError(
          absl::StrFormat("stream %s sent an ack without a sequence", stream_));
    }
    return absl::OkStatus();
  }

  const std::string stream_;
  simdjson::dom::parser parser_;
};

absl::StatusOr<std::unique_ptr<JetStreamSink>> JetStreamSink::Create(
    NatsClient& client, std::string stream, uint64_t expected_last_sequence, Options options) {
  std::unique_ptr<JetStreamSink> sink(
      new JetStreamSink(client, std::move(stream), expected_last_sequence, options));
  ASSIGN_OR_RETURN(
      sink->answers_,
      client.SubscribePolled(sink->reply_ + "*", options.window_messages + kForgedAnswers));
  return sink;
}

JetStreamSink::JetStreamSink(NatsClient& client, std::string stream,
                             uint64_t expected_last_sequence, Options options)
    : client_(client),
      stream_(std::move(stream)),
      options_(options),
      reply_(client.NewInbox() + "."),
      reply_prefix_(reply_.size()),
      last_sequence_(expected_last_sequence),
      parser_(std::make_unique<AckParser>(stream_)) {
  PMOVES_CHECK(options_.window_messages > 0);
}

JetStreamSink::~JetStreamSink() = default;

bool JetStreamSink::HasRoom() const {
  if (!failed_.ok() || !full_.ok()) return false;
  return in_flight_.empty() ||
         (in_flight_.size() < options_.window_messages && in_flight_bytes_ < options_.window_bytes);
}

absl::Status JetStreamSink::Publish(OutgoingMessage message) {
  RETURN_IF_ERROR(failed_);
  PMOVES_CHECK(HasRoom());
  NatsClient::Headers headers = proto::EncodeHeaders(message.envelope);
  headers.emplace_back(kFenceHeader, std::to_string(last_sequence_));
  InFlight entry;
  entry.stored = {.position = message.envelope.position,
                  .last = message.envelope.last,
                  .sequence = last_sequence_ + 1,
                  .changes = message.changes,
                  .commit_us = message.commit_us};
  entry.bytes = message.subject.size() + message.body.size();
  for (const auto& [name, value] : headers) entry.bytes += std::strlen(name) + value.size();
  entry.subject = std::move(message.subject);
  entry.headers = std::move(headers);
  entry.body = std::move(message.body);
  RETURN_IF_ERROR(Send(&entry, first_number_ + in_flight_.size()));
  ++last_sequence_;
  in_flight_bytes_ += entry.bytes;
  in_flight_.push_back(std::move(entry));
  return absl::OkStatus();
}

absl::Status JetStreamSink::Send(InFlight* entry, uint64_t number) {
  char digits[24];
  char* end = std::to_chars(digits, digits + sizeof digits, number).ptr;
  reply_.resize(reply_prefix_);
  reply_.append(digits, end);
  entry->sent_ns = NowNs();
  const absl::Status sent = client_.Publish(entry->subject, reply_, entry->headers, entry->body);
  if (!sent.ok()) Cork(sent);
  return failed_;
}

absl::Status JetStreamSink::TakeAcks(std::vector<StoredMessage>* acks) {
  RETURN_IF_ERROR(failed_);
  bool unanswered = false;
  while (failed_.ok() && !unanswered) {  // whatever follows a failure is an echo of it
    const NatsMsgPtr answer = answers_->Next(absl::ZeroDuration(), &unanswered);
    if (answer == nullptr) break;
    Accept(parser_->Parse(answer.get()));
  }
  if (unanswered) {
    Cork(absl::UnavailableError(
        absl::StrFormat("no stream takes the messages of %s: it does not exist, JetStream is off, "
                        "or it has no leader",
                        stream_)));
  }
  while (!in_flight_.empty() && in_flight_.front().acknowledged) {
    in_flight_bytes_ -= in_flight_.front().bytes;
    open_transaction_bytes_ =
        in_flight_.front().stored.last ? 0 : open_transaction_bytes_ + in_flight_.front().bytes;
    acks->push_back(in_flight_.front().stored);
    in_flight_.pop_front();
    ++first_number_;
  }
  if (failed_.ok()) CheckOverdue();
  if (failed_.ok()) RetryWhenDue();
  return failed_;
}

void JetStreamSink::Accept(const Ack& ack) {
  const uint64_t index = ack.number - first_number_;
  if (!ack.status.ok()) {
    if (ack.number < echoes_below_) return;  // refused because of the one before it
    const bool known = ack.number >= first_number_ && index < in_flight_.size();
    if (absl::IsResourceExhausted(ack.status) && known) {
      Refused(index, ack.status);
    } else {
      Cork(ack.status);
    }
    return;
  }
  if (ack.number < first_number_ || index >= in_flight_.size() || in_flight_[index].acknowledged) {
    Cork(absl::AbortedError("an ack for a message that is not in flight"));
    return;
  }
  InFlight& entry = in_flight_[index];
  if (ack.sequence != entry.stored.sequence) {
    Cork(absl::AbortedError(absl::StrFormat("stream %s stored a message as %d instead of %d",
                                            stream_, ack.sequence, entry.stored.sequence)));
    return;
  }
  entry.acknowledged = true;
  entry.stored.took_ns = NowNs() - entry.sent_ns;
  if (full_.ok()) return;
  // There is room again.
  full_ = absl::OkStatus();
  for (size_t i = index + 1; i < in_flight_.size() && failed_.ok(); ++i) {
    (void)Send(&in_flight_[i], first_number_ + i);
  }
}

// The server has stored nothing from this message on.
void JetStreamSink::Refused(size_t index, const absl::Status& why) {
  for (size_t i = 0; i < index; ++i) {
    if (!in_flight_[i].acknowledged) {
      Cork(absl::AbortedError(
          absl::StrFormat("stream %s refused a message, but not the one before it", stream_)));
      return;
    }
  }
  full_ = why;
  retried_ = false;
  retry_ns_ = NowNs() + kFullRetryNs;
  echoes_below_ = first_number_ + in_flight_.size();
  first_number_ = echoes_below_ - index;
}

void JetStreamSink::RetryWhenDue() {
  if (full_.ok() || retried_ || NowNs() < retry_ns_) return;
  retried_ = true;
  (void)Send(&in_flight_.front(), first_number_);
}

void JetStreamSink::CheckOverdue() {
  if (client_.IsClosed()) {
    Cork(absl::UnavailableError("the connection to NATS was lost"));
    return;
  }
  if (in_flight_.empty() || (!full_.ok() && !retried_)) return;
  const int64_t age_ns = NowNs() - in_flight_.front().sent_ns;
  if (age_ns <= absl::ToInt64Nanoseconds(options_.ack_timeout)) return;
  const std::string complaint = client_.last_error();
  Cork(absl::UnavailableError(
      absl::StrFormat("stream %s did not acknowledge message %d for %d ms%s%s", stream_,
                      in_flight_.front().stored.sequence, age_ns / 1000000,
                      complaint.empty() ? "" : "; the server said: ", complaint)));
}

void JetStreamSink::Cork(absl::Status status) {
  PMOVES_CHECK(!status.ok());
  failed_ = std::move(status);
}

}  // namespace pmoves
