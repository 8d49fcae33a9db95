#include "subscriber/io/pull_window.h"

#include <algorithm>

namespace pmoves {
namespace {

// A request that ends unserved sooner than this is not renewed at once: the server would be asked
// in a tight loop.
constexpr int64_t kShortLifeNs = int64_t{1000} * 1000 * 1000;

}  // namespace

int64_t PullWindow::cost() const {
  int64_t sum = queued_bytes_ + queued_messages_ * kMessageCost;
  for (const Open& request : open_)
    sum += CostOf(request.left.messages, request.left.bytes, request.limited);
  return sum;
}

std::optional<PullRequest> PullWindow::Next(int64_t now_ns, const PullRoom& room) {
  starved_ = false;
  if (now_ns < not_before_ns_) return std::nullopt;
  // An unserved oldest request means that the stream is idle: another one would bring nothing.
  if (!open_.empty() && !open_.front().served) return std::nullopt;
  int64_t messages = int64_t{2} * options_.messages - queued_messages_;
  int64_t bytes = 2 * options_.bytes - queued_bytes_;
  int64_t more = pending_;  // that nobody has asked for
  for (const Open& request : open_) {
    messages -= request.left.messages;
    more -= request.left.messages;
    bytes -= request.left.bytes;
  }
  if (single_ && messages > 0 && bytes > 0) {
    starved_ = CostOf(1, 0, false) > room.spare;
    if (starved_) return std::nullopt;
    single_ = false;
    return Send(1, 0, now_ns);
  }
  if (messages * 2 < options_.messages || bytes * 2 < options_.bytes) return std::nullopt;
  const int most = static_cast<int>(std::min<int64_t>(messages, options_.messages));
  bytes = std::min(bytes, options_.bytes);
  if (more > 0 || larger_) {
    // Not more than there are: what stays open unserved holds the room of others.
    const int wanted = static_cast<int>(std::clamp<int64_t>(more, 1, most));
    starved_ = CostOf(wanted, bytes, true) > room.spare;
    if (!starved_) return Send(wanted, bytes, now_ns);
    // What it has will do until there is room; with nothing, it goes on by little.
    if (larger_ || !open_.empty() || queued_messages_ > 0) return std::nullopt;
  }
  const int probe = std::min(most, room.probe_messages);
  const int64_t probe_bytes = std::min(bytes, room.probe_bytes);
  if (!open_.empty() && CostOf(probe, probe_bytes, true) > room.spare) return std::nullopt;
  return Send(probe, probe_bytes, now_ns);
}

PullRequest PullWindow::Send(int messages, int64_t bytes, int64_t now_ns) {
  const PullRequest request{.number = ++last_number_, .messages = messages, .bytes = bytes};
  open_.push_back(Open{.left = request, .limited = bytes > 0, .sent_ns = now_ns});
  if (open_.size() == 1) heard_ns_ = now_ns;  // silence counts from here
  return request;
}

void PullWindow::Received(int64_t bytes, int64_t pending, int64_t now_ns) {
  heard_ns_ = now_ns;
  pending_ = pending;
  larger_ = false;
  ++queued_messages_;
  queued_bytes_ += bytes;
  if (open_.empty()) return;
  Open& request = open_.front();
  request.served = true;
  if (request.limited) request.left.bytes = std::max<int64_t>(request.left.bytes - bytes, 0);
  // A request whose bytes are used up exactly ends without a word.
  const bool used_up = request.limited && request.left.bytes == 0;
  if (--request.left.messages == 0 || used_up) open_.pop_front();
}

void PullWindow::Taken(int64_t bytes) {
  --queued_messages_;
  queued_bytes_ -= bytes;
}

std::deque<PullWindow::Open>::iterator PullWindow::Find(uint64_t number) {
  return std::find_if(open_.begin(), open_.end(),
                      [&](const Open& request) { return request.left.number == number; });
}

void PullWindow::Ended(uint64_t number, int64_t now_ns) {
  const auto request = Find(number);
  if (request == open_.end()) return;
  if (!request->served && now_ns - request->sent_ns < kShortLifeNs) {
    not_before_ns_ = now_ns + kShortLifeNs;
  }
  if (!request->served) pending_ = 0;
  open_.erase(request);
}

void PullWindow::EndedBySize(uint64_t number) {
  const auto request = Find(number);
  if (request == open_.end()) return;
  // A request that brought messages was simply used up; a fresh one says that the message fits
  // none.
  if (!request->served) {
    (request->left.bytes < options_.bytes && !larger_ ? larger_ : single_) = true;
  }
  open_.erase(request);
}

void PullWindow::Refused(uint64_t number, int64_t until_ns) {
  const auto request = Find(number);
  if (request != open_.end()) open_.erase(request);
  not_before_ns_ = until_ns;
}

void PullWindow::Expire(int64_t now_ns) {
  const size_t expired = std::erase_if(
      open_, [&](const Open& request) { return now_ns - request.sent_ns >= options_.expires_ns; });
  if (expired > 0) pending_ = 0;
}

}  // namespace pmoves
