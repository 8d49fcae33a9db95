// PullWindow: the flow control of one stream: which pull requests are open, and when to send the
// next one.
//
// In the flow:  JetStreamSource -> PullWindow -> pull request -> server
//
// The server serves requests in the order of their arrival, and tells when one ends early. Data
// messages do not name their request, so each is counted to the oldest open one; a wrong guess
// (after a lost status message) only shifts the count, it ends with the requests' own time limit.
//
// Several streams share a budget (PullRoom): only one of which more is known to wait at the server
// asks for much, and only when there is room; every other has one small request open, a probe.
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
#include <limits>
#include <optional>

namespace pmoves {

struct PullRequest {
  uint64_t number = 0;
  int messages = 0;
  int64_t bytes = 0;  // 0: no limit

  bool operator==(const PullRequest&) const = default;
};

// What all streams of a reader may still ask for, and what each may ask for without more ado.
struct PullRoom {
  int64_t spare = std::numeric_limits<int64_t>::max();
  int probe_messages = std::numeric_limits<int>::max();
  int64_t probe_bytes = std::numeric_limits<int64_t>::max();
};

class PullWindow {
 public:
  // Memory that a message takes beside its bytes.
  static constexpr int64_t kMessageCost = 1024;

  struct Options {
    int messages = 128;  // of one request
    int64_t bytes = 2 << 20;
    int64_t largest = 1 << 20;  // no message is larger
    int64_t expires_ns = 0;
    int64_t silence_ns =
        0;  // no word from the server for so long while a request is open: it is gone
  };

  explicit PullWindow(Options options) : options_(options) {}

  // The next request to send now, if one is due. Call again until there is none.
  std::optional<PullRequest> Next(int64_t now_ns, const PullRoom& room = {});
  // Next() gave nothing, or a probe only, because of too little room.
  bool starved() const { return starved_; }
  // Of what is requested and queued, at the most.
  int64_t cost() const;

  // `pending`: messages at the server, behind this one.
  void Received(int64_t bytes, int64_t pending, int64_t now_ns);
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
  int64_t CostOf(int64_t messages, int64_t bytes, bool limited) const {
    return (limited ? bytes : options_.largest) + messages * kMessageCost;
  }
  PullRequest Send(int messages, int64_t bytes, int64_t now_ns);

  Options options_;
  std::deque<Open> open_;  // oldest first
  uint64_t last_number_ = 0;
  int64_t queued_messages_ = 0;
  int64_t queued_bytes_ = 0;
  int64_t heard_ns_ = 0;
  int64_t not_before_ns_ = 0;
  int64_t pending_ = 0;  // messages that the server has, more than what has come
  bool larger_ = false;  // the next message is larger than a probe
  bool single_ = false;  // the next message is larger than a request
  bool starved_ = false;
};

}  // namespace pmoves

#endif  // PMOVES_SUBSCRIBER_IO_PULL_WINDOW_H_
