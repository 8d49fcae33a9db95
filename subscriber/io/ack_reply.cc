#include "subscriber/io/ack_reply.h"

#include <array>
#include <charconv>

namespace pmoves {
namespace {

constexpr size_t kOldTokens = 7;  // behind "$JS.ACK."
constexpr size_t kNewTokens = 9;
constexpr size_t kMaxTokens = 16;

template <typename Number>
bool ParseNumber(std::string_view text, Number* number) {
  const char* end = text.data() + text.size();
  const auto result = std::from_chars(text.data(), end, *number);
  return result.ec == std::errc() && result.ptr == end;
}

}  // namespace

bool ParseAckReply(std::string_view subject, AckReply* reply) {
  if (!subject.starts_with(kAckReplyPrefix)) return false;
  subject.remove_prefix(kAckReplyPrefix.size());
  std::array<std::string_view, kMaxTokens> tokens;
  size_t count = 0;
  for (bool more = true; more;) {
    if (count == kMaxTokens) return false;
    const size_t dot = subject.find('.');
    more = dot != std::string_view::npos;
    tokens[count++] = subject.substr(0, dot);
    if (more) subject.remove_prefix(dot + 1);
  }
  if (count != kOldTokens && count < kNewTokens) return false;
  const std::string_view* token = tokens.data() + (count == kOldTokens ? 0 : 2);
  reply->stream = token[0];
  reply->consumer = token[1];
  return !reply->stream.empty() && !reply->consumer.empty() &&
         ParseNumber(token[2], &reply->delivered) &&
         ParseNumber(token[3], &reply->stream_sequence) &&
         ParseNumber(token[4], &reply->consumer_sequence) &&
         ParseNumber(token[5], &reply->stored_ns) && ParseNumber(token[6], &reply->pending);
}

}  // namespace pmoves
