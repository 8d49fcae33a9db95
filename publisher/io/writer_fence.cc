#include "publisher/io/writer_fence.h"

#include <simdjson.h>
#include <unistd.h>

#include <array>
#include <random>

#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "common/base/status.h"
#include "common/base/time_text.h"
#include "common/io/json_text.h"
#include "proto/subject.h"

namespace pmoves {
namespace {

// A publisher that is alive answers in a round trip. One whose box lost power cannot, though the
// server may still list its subscription for minutes: its silence must not keep us out.
constexpr absl::Duration kAnswerTimeout = absl::Seconds(2);

std::string WriterSubject(const std::string& source) {
  return std::string(proto::kWriterPrefix) + source;
}

std::string Member(simdjson::dom::object object, const char* name) {
  std::string_view value;
  return object[name].get_string().get(value) == simdjson::SUCCESS ? std::string(value) : "unknown";
}

}  // namespace

absl::Status AskForWriter(NatsClient& client, const std::string& source, const std::string& own) {
  absl::StatusOr<NatsMsgPtr> answer = client.Request(WriterSubject(source), "{}", kAnswerTimeout);
  if (absl::IsNotFound(answer.status()) || absl::IsDeadlineExceeded(answer.status())) {
    return absl::OkStatus();
  }
  if (!answer.ok()) return answer.status();
  simdjson::dom::parser parser;
  simdjson::dom::object object;
  const std::string text(natsMsg_GetData(answer->get()),
                         static_cast<size_t>(natsMsg_GetDataLength(answer->get())));
  if (parser.parse(text).get_object().get(object) != simdjson::SUCCESS) {
    return absl::FailedPreconditionError(
        absl::StrFormat("something answers on %s that is not a publisher", WriterSubject(source)));
  }
  if (Member(object, "writer") == own) return absl::OkStatus();
  int64_t pid = 0;
  if (object["pid"].get_int64().get(pid) != simdjson::SUCCESS) pid = 0;
  return absl::FailedPreconditionError(absl::StrFormat(
      "another publisher writes source \"%s\" right now: host %s, pid %d, writer %s, since %s. "
      "Stop "
      "it, or give this edge another `source`",
      source, Member(object, "host"), pid, Member(object, "writer"), Member(object, "since")));
}

absl::StatusOr<std::unique_ptr<NatsSubscription>> AnswerAsWriter(NatsClient& client,
                                                                 const std::string& source,
                                                                 const std::string& writer) {
  std::array<char, 256> host = {};
  gethostname(host.data(), host.size() - 1);
  const std::string answer = absl::StrFormat(
      R"({"writer":%s,"host":%s,"pid":%d,"since":%s})", JsonText(writer), JsonText(host.data()),
      getpid(), JsonText(FormatRfc3339(absl::ToUnixMicros(absl::Now()))));
  return client.Subscribe(WriterSubject(source), [&client, answer](NatsMsgPtr request) {
    const char* reply = natsMsg_GetReply(request.get());
    if (reply != nullptr) (void)client.Publish(reply, answer);
  });
}

std::string NewWriterId() {
  std::random_device random;
  std::array<uint8_t, 16> bytes;
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
  bytes[6] = static_cast<uint8_t>((bytes[6] & 0x0f) | 0x40);  // version 4
  bytes[8] = static_cast<uint8_t>((bytes[8] & 0x3f) | 0x80);  // RFC 4122
  std::string text;
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text.push_back('-');
    text += absl::StrFormat("%02x", bytes[i]);
  }
  return text;
}

}  // namespace pmoves
