#include "common/io/jetstream.h"

#include <simdjson.h>

#include "absl/strings/escaping.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "common/base/status.h"

namespace pmoves {
namespace {

using simdjson::dom::element;

// Error codes of the server's API that we tell apart.
constexpr int64_t kConsumerNotFound = 10014;
constexpr int64_t kMessageNotFound = 10037;
constexpr int64_t kStreamNameInUse = 10058;
constexpr int64_t kStreamNotFound = 10059;
constexpr int64_t kSubjectsOverlap = 10065;

constexpr const char kErrorCodePayload[] = "pmoves/jetstream-error";
constexpr int64_t kDuplicateWindowNs = int64_t{120} * 1000 * 1000 * 1000;
constexpr int64_t kInactiveThresholdNs = int64_t{300} * 1000 * 1000 * 1000;
constexpr int kMaxListPages = 10000;
constexpr std::string_view kHeaderVersion = "NATS/1.0";
constexpr size_t kStatusBytes = 3;

// Missing or mistyped members read as the fallback: newer servers may leave zero values out.
int64_t IntAt(const element& object, const char* key, int64_t fallback = 0) {
  int64_t value = 0;
  return object[key].get(value) == simdjson::SUCCESS ? value : fallback;
}
std::string TextAt(const element& object, const char* key) {
  std::string_view value;
  return object[key].get(value) == simdjson::SUCCESS ? std::string(value) : std::string();
}
std::vector<std::string> TextsAt(const element& object, const char* key) {
  std::vector<std::string> texts;
  simdjson::dom::array array;
  if (object[key].get(array) != simdjson::SUCCESS) return texts;
  for (const element entry : array) {
    std::string_view text;
    if (entry.get(text) == simdjson::SUCCESS) texts.emplace_back(text);
  }
  return texts;
}

absl::Status BadAnswer(const char* what) {
  return absl::FailedPreconditionError(
      absl::StrFormat("JetStream gave an answer without a readable %s", what));
}

absl::Status ErrorOf(const element& error, const std::string& verb) {
  const int64_t code = IntAt(error, "code");
  const int64_t detail = IntAt(error, "err_code");
  const std::string message = absl::StrFormat("JetStream refused %s: %s (error %d)", verb,
                                              TextAt(error, "description"), detail);
  absl::Status status;
  if (code == 404 || detail == kStreamNotFound || detail == kMessageNotFound ||
      detail == kConsumerNotFound) {
    status = absl::NotFoundError(message);
  } else if (code == 503 || code == 429) {
    status = absl::UnavailableError(message);
  } else {
    status = absl::FailedPreconditionError(message);
  }
  status.SetPayload(kErrorCodePayload, absl::Cord(std::to_string(detail)));
  return status;
}

int64_t ErrorCodeOf(const absl::Status& status) {
  const auto payload = status.GetPayload(kErrorCodePayload);
  return payload.has_value() ? std::stoll(std::string(*payload)) : 0;
}

bool TrueAt(const element& object, const char* key) {
  bool value = false;
  return object[key].get(value) == simdjson::SUCCESS && value;
}
// Objects and arrays that are not empty.
bool FilledAt(const element& object, const char* key) {
  element value;
  if (object[key].get(value) != simdjson::SUCCESS) return false;
  simdjson::dom::object members;
  simdjson::dom::array entries;
  return (value.get(members) == simdjson::SUCCESS && members.size() > 0) ||
         (value.get(entries) == simdjson::SUCCESS && entries.size() > 0);
}

StreamSettings ParseSettings(const element& config) {
  StreamSettings settings;
  settings.retention = TextAt(config, "retention");
  settings.storage = TextAt(config, "storage");
  settings.discard = TextAt(config, "discard");
  settings.persist_mode = TextAt(config, "persist_mode");
  settings.max_bytes = IntAt(config, "max_bytes", -1);
  settings.max_msgs = IntAt(config, "max_msgs", -1);
  settings.max_msgs_per_subject = IntAt(config, "max_msgs_per_subject", -1);
  settings.max_msg_size = IntAt(config, "max_msg_size", -1);
  settings.max_age_ns = IntAt(config, "max_age");
  settings.max_consumers = IntAt(config, "max_consumers", -1);
  settings.delete_marker_ttl_ns = IntAt(config, "subject_delete_marker_ttl");
  settings.discard_new_per_subject = TrueAt(config, "discard_new_per_subject");
  settings.no_ack = TrueAt(config, "no_ack");
  settings.sealed = TrueAt(config, "sealed");
  settings.deny_purge = TrueAt(config, "deny_purge");
  settings.allow_rollup = TrueAt(config, "allow_rollup_hdrs");
  settings.counter = TrueAt(config, "allow_msg_counter");
  settings.mirror = FilledAt(config, "mirror");
  settings.sources = FilledAt(config, "sources");
  settings.subject_transform = FilledAt(config, "subject_transform");
  return settings;
}

StreamInfo ParseStream(const element& answer) {
  StreamInfo info;
  element config;
  if (answer["config"].get(config) == simdjson::SUCCESS) {
    info.name = TextAt(config, "name");
    info.max_bytes = IntAt(config, "max_bytes", -1);
    info.subjects = TextsAt(config, "subjects");
    info.settings = ParseSettings(config);
  }
  element state;
  if (answer["state"].get(state) == simdjson::SUCCESS) {
    info.first_sequence = static_cast<uint64_t>(IntAt(state, "first_seq"));
    info.last_sequence = static_cast<uint64_t>(IntAt(state, "last_seq"));
    info.messages = static_cast<uint64_t>(IntAt(state, "messages"));
    info.bytes = static_cast<uint64_t>(IntAt(state, "bytes"));
  }
  info.created = TextAt(answer, "created");
  return info;
}

// Does `pattern` match everything that `subject` (which may have wildcards itself) matches?
bool Covers(const std::string& pattern, const std::string& subject) {
  const std::vector<std::string> want = absl::StrSplit(subject, '.');
  const std::vector<std::string> have = absl::StrSplit(pattern, '.');
  for (size_t i = 0; i < have.size(); ++i) {
    if (i >= want.size()) return false;
    if (have[i] == ">") return true;
    if (want[i] == ">") return false;
    if (have[i] != "*" && have[i] != want[i]) return false;
  }
  return have.size() == want.size();
}

absl::Status CheckExisting(const StreamInfo& info, const StreamConfig& config) {
  for (const std::string& subject : config.subjects) {
    bool covered = false;
    for (const std::string& pattern : info.subjects) {
      covered = covered || Covers(pattern, subject);
    }
    if (!covered) {
      return absl::FailedPreconditionError(absl::StrFormat(
          "stream %s exists but does not store subject %s: add the subject to it (nats stream "
          "edit %s), or rename the stream",
          config.name, subject, config.name));
    }
  }
  return StreamFaults(config.name, info.settings, config.use(), config.largest_message);
}

std::string CreateRequest(const StreamConfig& config) {
  const bool last_value = config.max_messages_per_subject > 0;
  std::string subjects;
  for (const std::string& subject : config.subjects) {
    if (!subjects.empty()) subjects += ',';
    subjects += proto::JsonString(subject);
  }
  return absl::StrFormat(
      R"({"name":%s,"subjects":[%s],"retention":"limits","storage":"file","discard":"%s",)"
      R"("max_bytes":%d,"max_msgs":-1,"max_msgs_per_subject":%d,"max_msg_size":-1,"max_age":0,)"
      R"("max_consumers":-1,"num_replicas":%d,"duplicate_window":%d,"allow_direct":true,)"
      R"("deny_delete":%s,"deny_purge":false,"allow_rollup_hdrs":false})",
      proto::JsonString(config.name), subjects, last_value ? "old" : "new", config.max_bytes,
      config.max_messages_per_subject, config.replicas, kDuplicateWindowNs,
      last_value ? "false" : "true");
}

std::string_view Trimmed(std::string_view text) {
  constexpr std::string_view kSpaces = " \t\v\f\r\n";
  const size_t begin = text.find_first_not_of(kSpaces);
  if (begin == std::string_view::npos) return "";
  return text.substr(begin, text.find_last_not_of(kSpaces) + 1 - begin);
}

// "NATS/1.0 503 No Responders": a status that stands in the first line counts as headers of these
// names, before all others, as the library has it.
void AppendInlineStatus(std::string_view line,
                        std::vector<std::pair<std::string, std::string>>* headers) {
  if (!line.starts_with(kHeaderVersion)) return;
  line = Trimmed(line.substr(kHeaderVersion.size()));
  if (line.empty()) return;
  headers->emplace_back("Status", line.substr(0, kStatusBytes));
  const std::string_view description = Trimmed(line.substr(std::min(kStatusBytes, line.size())));
  if (!description.empty()) headers->emplace_back("Description", description);
}

// The server stores header blocks as sent: "NATS/1.0\r\nName: value\r\n...\r\n\r\n".
std::vector<std::pair<std::string, std::string>> ParseHeaderBlock(std::string_view block) {
  std::vector<std::pair<std::string, std::string>> headers;
  for (bool first = true; !block.empty(); first = false) {
    const size_t end = std::min(block.find("\r\n"), block.size());
    const std::string_view line = block.substr(0, end);
    block.remove_prefix(std::min(end + 2, block.size()));
    if (first) AppendInlineStatus(line, &headers);
    const size_t colon = line.find(':');
    if (first || colon == std::string_view::npos) continue;
    std::string_view value = line.substr(colon + 1);
    while (!value.empty() && value.front() == ' ') value.remove_prefix(1);
    while (!value.empty() && value.back() == ' ') value.remove_suffix(1);
    headers.emplace_back(line.substr(0, colon), value);
  }
  return headers;
}

absl::StatusOr<StoredRecord> ParseMessage(const element& answer) {
  element message;
  if (answer["message"].get(message) != simdjson::SUCCESS) return BadAnswer("message");
  StoredRecord record;
  record.subject = TextAt(message, "subject");
  record.sequence = static_cast<uint64_t>(IntAt(message, "seq"));
  std::string block;
  if (!absl::Base64Unescape(TextAt(message, "data"), &record.data) ||
      !absl::Base64Unescape(TextAt(message, "hdrs"), &block) || record.sequence == 0) {
    return BadAnswer("message");
  }
  record.headers = ParseHeaderBlock(block);
  absl::Time stored;
  std::string problem;
  if (!absl::ParseTime(absl::RFC3339_full, TextAt(message, "time"), &stored, &problem)) {
    return BadAnswer("time of the message");
  }
  record.stored_us = absl::ToUnixMicros(stored);
  return record;
}

// Parses into *parser; the element lives as long as it.
absl::StatusOr<element> Parse(const std::string& json, simdjson::dom::parser* parser) {
  element answer;
  if (parser->parse(json).get(answer) != simdjson::SUCCESS) return BadAnswer("JSON object");
  return answer;
}

}  // namespace

proto::HeaderLookup StoredRecord::Lookup() const {
  return [this](const char* name) -> std::optional<std::string_view> {
    for (const auto& [key, value] : headers) {
      if (key == name) return value;
    }
    return std::nullopt;
  };
}

JetStream::JetStream(NatsClient& client, std::string domain, absl::Duration timeout)
    : client_(client),
      prefix_(domain.empty() ? "$JS.API" : "$JS." + domain + ".API"),
      timeout_(timeout) {}

absl::StatusOr<std::string> JetStream::Call(const std::string& verb, const std::string& body) {
  absl::StatusOr<NatsMsgPtr> reply = client_.Request(prefix_ + "." + verb, body, timeout_);
  if (absl::IsNotFound(reply.status())) {
    return absl::UnavailableError(absl::StrFormat(
        "nobody answers %s.%s: JetStream is off, or its domain is not connected", prefix_, verb));
  }
  if (!reply.ok()) {
    return absl::UnavailableError(
        absl::StrFormat("JetStream does not answer: %s", MessageOf(reply.status())));
  }
  std::string json(natsMsg_GetData(reply->get()),
                   static_cast<size_t>(natsMsg_GetDataLength(reply->get())));
  simdjson::dom::parser parser;
  ASSIGN_OR_RETURN(const element answer, Parse(json, &parser));
  element error;
  if (answer["error"].get(error) == simdjson::SUCCESS) return ErrorOf(error, verb);
  return json;
}

absl::StatusOr<StreamInfo> JetStream::GetStream(const std::string& name) {
  ASSIGN_OR_RETURN(const std::string json, Call("STREAM.INFO." + name, ""));
  simdjson::dom::parser parser;
  ASSIGN_OR_RETURN(const element answer, Parse(json, &parser));
  StreamInfo info = ParseStream(answer);
  if (info.name != name) return BadAnswer("stream configuration");
  return info;
}

absl::Status JetStream::EnsureStream(const StreamConfig& config) {
  // Twice, because somebody else may create it between our look and our attempt.
  for (int attempt = 0; attempt < 2; ++attempt) {
    const absl::StatusOr<StreamInfo> info = GetStream(config.name);
    if (info.ok()) return CheckExisting(*info, config);
    if (!absl::IsNotFound(info.status())) return info.status();
    const absl::Status created =
        Call("STREAM.CREATE." + config.name, CreateRequest(config)).status();
    switch (ErrorCodeOf(created)) {
      case kStreamNameInUse:
        continue;
      case kSubjectsOverlap:
        return absl::FailedPreconditionError(absl::StrFormat(
            "cannot create stream %s: another stream already stores subjects that overlap %s. Find "
            "it (nats stream find --subject '%s') and remove or narrow its subjects",
            config.name, config.subjects.empty() ? "" : config.subjects.front(),
            config.subjects.empty() ? "" : config.subjects.front()));
      default:
        return created;
    }
  }
  return absl::UnavailableError(
      absl::StrFormat("stream %s is being created and deleted by somebody else", config.name));
}

absl::StatusOr<StreamInfo> JetStream::ResizeStream(const std::string& name, int64_t max_bytes) {
  ASSIGN_OR_RETURN(const std::string json, Call("STREAM.INFO." + name, ""));
  simdjson::dom::parser parser;
  ASSIGN_OR_RETURN(const element answer, Parse(json, &parser));
  const StreamInfo info = ParseStream(answer);
  simdjson::dom::object config;
  if (info.name != name || answer["config"].get(config) != simdjson::SUCCESS)
    return BadAnswer("stream configuration");
  if (max_bytes > 0 && info.bytes > static_cast<uint64_t>(max_bytes)) {
    return absl::FailedPreconditionError(absl::StrFormat(
        "stream %s holds %d bytes already: with a limit of %d messages would be lost", name,
        info.bytes, max_bytes));
  }
  std::string request = absl::StrFormat(R"({"max_bytes":%d)", max_bytes);
  for (const auto& field : config) {
    if (field.key == "max_bytes") continue;
    absl::StrAppendFormat(&request, ",%s:%s", proto::JsonString(field.key),
                          simdjson::minify(field.value));
  }
  RETURN_IF_ERROR(Call("STREAM.UPDATE." + name, request + "}").status());
  return GetStream(name);
}

absl::Status JetStream::RemoveStream(const std::string& name) {
  return Call("STREAM.DELETE." + name, "").status();
}

absl::StatusOr<std::vector<std::string>> JetStream::ListStreams() {
  std::vector<std::string> names;
  simdjson::dom::parser parser;
  for (int page = 0; page < kMaxListPages; ++page) {
    ASSIGN_OR_RETURN(const std::string json,
                     Call("STREAM.NAMES", absl::StrFormat(R"({"offset":%d})", names.size())));
    ASSIGN_OR_RETURN(const element answer, Parse(json, &parser));
    const std::vector<std::string> more = TextsAt(answer, "streams");
    names.insert(names.end(), more.begin(), more.end());
    if (more.empty() || static_cast<int64_t>(names.size()) >= IntAt(answer, "total")) break;
  }
  return names;
}

absl::StatusOr<StoredRecord> JetStream::ReadMessage(const std::string& stream,
                                                    const std::string& request) {
  ASSIGN_OR_RETURN(const std::string json, Call("STREAM.MSG.GET." + stream, request));
  simdjson::dom::parser parser;
  ASSIGN_OR_RETURN(const element answer, Parse(json, &parser));
  return ParseMessage(answer);
}

absl::StatusOr<StoredRecord> JetStream::GetMessage(const std::string& stream, uint64_t sequence) {
  return ReadMessage(stream, absl::StrFormat(R"({"seq":%d})", sequence));
}

absl::StatusOr<StoredRecord> JetStream::GetLastMessage(const std::string& stream,
                                                       const std::string& subject) {
  return ReadMessage(stream, absl::StrFormat(R"({"last_by_subj":%s})", proto::JsonString(subject)));
}

absl::Status JetStream::CreateConsumer(const std::string& stream, const std::string& consumer,
                                       uint64_t start_sequence) {
  const std::string request = absl::StrFormat(
      R"({"stream_name":%s,"config":{"name":%s,"deliver_policy":"by_start_sequence",)"
      R"("opt_start_seq":%d,"ack_policy":"none","replay_policy":"instant","mem_storage":true,)"
      R"("num_replicas":1,"inactive_threshold":%d}})",
      proto::JsonString(stream), proto::JsonString(consumer), std::max<uint64_t>(start_sequence, 1),
      kInactiveThresholdNs);
  return Call(absl::StrFormat("CONSUMER.CREATE.%s.%s", stream, consumer), request).status();
}

absl::Status JetStream::DeleteConsumer(const std::string& stream, const std::string& consumer) {
  return Call(absl::StrFormat("CONSUMER.DELETE.%s.%s", stream, consumer), "").status();
}

absl::Status JetStream::PurgeBelow(const std::string& stream, const std::string& created,
                                   uint64_t sequence) {
  ASSIGN_OR_RETURN(const StreamInfo info, GetStream(stream));
  if (info.created != created) {
    return absl::AbortedError(absl::StrFormat(
        "stream %s was made anew at %s: what was applied of the one of %s says nothing of it",
        stream, info.created, created));
  }
  if (sequence < 2 || sequence > info.last_sequence) {
    return absl::InvalidArgumentError(
        absl::StrFormat("refused to purge %s below %d: that would empty it (it holds %d to %d)",
                        stream, sequence, info.first_sequence, info.last_sequence));
  }
  if (sequence <= info.first_sequence) return absl::OkStatus();
  return Call("STREAM.PURGE." + stream, absl::StrFormat(R"({"seq":%d})", sequence)).status();
}

}  // namespace pmoves
