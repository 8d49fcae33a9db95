// AckReply: what JetStream says about a delivered message, in the message's reply subject.
//
//   $JS.ACK.<stream>.<consumer>.<delivered>.<stream seq>.<consumer seq>.<stored ns>.<pending>
//   $JS.ACK.<domain>.<account hash>.<stream>.<consumer>. ... .<pending>[.<more>]      newer servers
//
// Thread: any. Pure.
#ifndef PMOVES_SUBSCRIBER_IO_ACK_REPLY_H_
#define PMOVES_SUBSCRIBER_IO_ACK_REPLY_H_

#include <cstdint>
#include <string_view>

namespace pmoves {

inline constexpr std::string_view kAckReplyPrefix = "$JS.ACK.";

// Views point into the parsed text.
struct AckReply {
  std::string_view stream;
  std::string_view consumer;
  uint64_t delivered = 0;  // 1 at the first delivery
  uint64_t stream_sequence = 0;
  uint64_t consumer_sequence = 0;  // counts this consumer's deliveries from 1, without holes
  int64_t stored_ns = 0;           // since 1970
  uint64_t pending = 0;

  bool operator==(const AckReply&) const = default;
};

// False for anything that is not of the two forms.
bool ParseAckReply(std::string_view subject, AckReply* reply);

}  // namespace pmoves

#endif  // PMOVES_SUBSCRIBER_IO_ACK_REPLY_H_
