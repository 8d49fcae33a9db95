// PullWindow: the flow control of one stream: which pull requests are open, and when to send the
// next one.
//
// In the flow:  JetStreamSource -> PullWindow -> pull request -> server
//
// The server serves requests in the order of their arrival, and tells when one ends early. Data
// messages do not name their request, so each is counted to the oldest open one; a wrong guess
// (after a lost status message) only shifts the count, it ends with the requests' own time limit.
//
// Invariant: requested + queued never passes twice the size of a request, in messages and bytes,
//            but for one message larger than a whole request, which is fetched alone. While nothing
//            arrives, one request is open.
// Thread:    its owner's. Pure: the time is given.
#ifndef PMOVES_SUBSCRIBER_IO_PULL_WINDOW_H_
#define PMOVES_SUBSCRIBER_IO_PULL_WINDOW_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>

namespace pmoves {

struct PullRequest {
  uint64_t number = 0;
  int messages = 0;
  int64_t bytes = 0;  // 0: no limit

  bool operator==(const PullRequest&) const = default;
};

class PullWindow {
 public:
  struct Options {
    int messages = 128;  // of one request
    int64_t bytes = 2 << 20;
    int64_t expires_ns = 0;
    int64_t silence_ns =
        0;  // no word from the server for so long while a request is open: it is gone
  };

  explicit PullWindow(Options options) : options_(options) {}

  // The next request to send now, if one is due. Call again until there is none.
  std::optional<PullRequest> Next(int64_t now_ns);

  void Received(int64_t bytes, int64_t now_ns);
  void Taken(int64_t bytes);
  void Heard(int64_t now_ns) { heard_ns_ = now_ns; }
  // A request ended: served, timed out. Unknown numbers are ignored.
  void Ended(uint64_t number, int64_t now_ns);
  // A request ended because the next message is larger than what was left of its bytes.
  void EndedBySize(uint64_t number);
  // A request was refused for now: none is sent before `until_ns`.
  void Refused(uint64_t number, int64_t until_ns);
  // Forgets requests whose time is over: old servers do not always tell.
  void Expire(int64_t now_ns);
  bool IsSilent(int64_t now_ns) const {
    return !open_.empty() && now_ns - heard_ns_ > options_.silence_ns;
  }

  size_t open_requests() const { return open_.size(); }
  int64_t queued_messages() const { return queued_messages_; }
  int64_t queued_bytes() const { return queued_bytes_; }

 private:
  struct Open {
    PullRequest left;  // what it may still bring
    bool limited = true;
    bool served = false;
    int64_t sent_ns = 0;
  };
  std::deque<Open>::iterator Find(uint64_t number);
  PullRequest Send(int messages, int64_t bytes, int64_t now_ns);

  Options options_;
  std::deque<Open> open_;  // oldest first
  uint64_t last_number_ = 0;
  int64_t queued_messages_ = 0;
  int64_t queued_bytes_ = 0;
  int64_t heard_ns_ = 0;
  int64_t not_before_ns_ = 0;
  bool single_ = false;  // the next message is larger than a request
};

}  // namespace pmoves

#endif  // PMOVES_SUBSCRIBER_IO_PULL_WINDOW_H_
