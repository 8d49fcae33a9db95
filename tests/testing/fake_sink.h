// FakeStream and FakeSink: a stream and a MessageSink in memory, held to the same contract as
// JetStreamSink (tests/contract/message_sink_test.cc).
//
// Acks are decided when a message is published and handed out by TakeAcks, unless the stream holds
// them back.
//
// Thread: one.
#ifndef PMOVES_TESTS_TESTING_FAKE_SINK_H_
#define PMOVES_TESTS_TESTING_FAKE_SINK_H_

#include <cstdint>
#include <deque>
#include <limits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "common/base/check.h"
#include "publisher/core/message_sink.h"

namespace pmoves {

struct FakeStream {
  std::vector<OutgoingMessage> messages;                     // sequence i + 1 is messages[i]
  size_t max_messages = std::numeric_limits<size_t>::max();  // full beyond: discard new
  bool hold_acks = false;                                    // a stalled server
  absl::Status down;  // a lost server: nothing is stored, TakeAcks says this
};

class FakeSink : public MessageSink {
 public:
  FakeSink(FakeStream& stream, uint64_t expected_last_sequence, size_t window_messages = 256,
           size_t window_bytes = 4 << 20)
      : stream_(stream),
        last_sequence_(expected_last_sequence),
        window_messages_(window_messages),
        window_bytes_(window_bytes) {}

  bool HasRoom() const override {
    if (!failed_.ok() || !full_.ok()) return false;
    return in_flight_.empty() ||
           (in_flight_.size() < window_messages_ && in_flight_bytes_ < window_bytes_);
  }

  absl::Status Publish(OutgoingMessage message) override {
    if (!failed_.ok()) return failed_;
    PMOVES_CHECK(HasRoom());
    InFlight entry;
    entry.stored = {.position = message.envelope.position,
                    .last = message.envelope.last,
                    .sequence = last_sequence_ + 1,
                    .changes = message.changes,
                    .commit_us = message.commit_us};
    entry.bytes = message.subject.size() + message.body.size();
    entry.sequence = last_sequence_;
    entry.verdict = Store(message, entry.sequence);
    entry.message = std::move(message);
    ++last_sequence_;
    in_flight_bytes_ += entry.bytes;
    in_flight_.push_back(std::move(entry));
    return absl::OkStatus();
  }

  absl::Status TakeAcks(std::vector<StoredMessage>* acks) override {
    if (!failed_.ok()) return failed_;
    if (!stream_.down.ok()) return failed_ = stream_.down;
    if (stream_.hold_acks) return absl::OkStatus();
    while (!in_flight_.empty()) {
      InFlight& front = in_flight_.front();
      if (absl::IsResourceExhausted(front.verdict) || !full_.ok()) {
        front.verdict = Store(front.message, front.sequence);
        full_ = absl::IsResourceExhausted(front.verdict) ? front.verdict : absl::OkStatus();
        if (!full_.ok()) return absl::OkStatus();
        // Those behind it were refused with it.
        for (size_t i = 1; i < in_flight_.size(); ++i)
          in_flight_[i].verdict = Store(in_flight_[i].message, in_flight_[i].sequence);
      }
      if (!front.verdict.ok()) return failed_ = front.verdict;
      open_bytes_ = front.stored.last ? 0 : open_bytes_ + front.bytes;
      in_flight_bytes_ -= front.bytes;
      acks->push_back(front.stored);
      in_flight_.pop_front();
    }
    return absl::OkStatus();
  }

  absl::Status full() const override { return full_; }
  size_t open_transaction_bytes() const override { return open_bytes_; }
  size_t in_flight_messages() const override { return in_flight_.size(); }
  size_t in_flight_bytes() const override { return in_flight_bytes_; }

 private:
  struct InFlight {
    StoredMessage stored;
    size_t bytes = 0;
    absl::Status verdict;
    uint64_t sequence = 0;  // expected last one
    OutgoingMessage message;
  };

  absl::Status Store(const OutgoingMessage& message, uint64_t expected) {
    if (!stream_.down.ok()) return stream_.down;
    if (stream_.messages.size() != expected) {
      return absl::AbortedError("wrong last sequence");
    }
    if (stream_.messages.size() >= stream_.max_messages) {
      return absl::ResourceExhaustedError("maximum messages exceeded");
    }
    stream_.messages.push_back(message);
    return absl::OkStatus();
  }

  FakeStream& stream_;
  uint64_t last_sequence_;  // the fence of the next message
  const size_t window_messages_;
  const size_t window_bytes_;
  std::deque<InFlight> in_flight_;
  size_t in_flight_bytes_ = 0;
  absl::Status failed_;
  absl::Status full_;
  size_t open_bytes_ = 0;
};

}  // namespace pmoves

#endif  // PMOVES_TESTS_TESTING_FAKE_SINK_H_
