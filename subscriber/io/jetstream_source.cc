#include "subscriber/io/jetstream_source.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <optional>
#include <unordered_map>

#include "absl/strings/str_format.h"
#include "common/base/status.h"
#include "proto/message_codec.h"
#include "subscriber/io/ack_reply.h"
#include "subscriber/io/pull_window.h"

namespace pmoves {
namespace {

constexpr int kMissedHeartbeats = 3;
constexpr int64_t kRefusalPauseNs = int64_t{1000} * 1000 * 1000;
// What this many streams ask for may wait: what others send to the inbox must not fill the memory.
constexpr size_t kMostStreams = 16384;
constexpr absl::Duration kTimerInterval = absl::Seconds(1);
// Headers, subject and reply count too, at the server by their true size, which the library does
// not tell. Rather too little than too much: the server's limit must be within ours.
constexpr int64_t kFramingBytes = 128;
// Parts of the memory: for small requests; so little taken that one of any size may go beyond.
constexpr int64_t kProbesPart = 4;
constexpr int64_t kAlwaysPart = 16;
constexpr int64_t kLeastProbeBytes = 8 << 10;
constexpr int64_t kLeastProbeMessages = 8;
constexpr size_t kBodyPadding = 64;  // what simdjson wants behind a document

int64_t NowNs() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

// "a.b.17" -> "a.b" and 17.
bool SplitNumber(std::string_view text, char separator, std::string_view* head, uint64_t* number) {
  const size_t at = text.rfind(separator);
  if (at == std::string_view::npos) return false;
  const char* end = text.data() + text.size();
  const auto result = std::from_chars(text.data() + at + 1, end, *number);
  *head = text.substr(0, at);
  return result.ec == std::errc() && result.ptr == end;
}

std::optional<std::string_view> Header(natsMsg* message, const char* name) {
  const char* value = nullptr;
  if (natsMsgHeader_Get(message, name, &value) != NATS_OK || value == nullptr) return std::nullopt;
  return value;
}

std::vector<std::pair<std::string, std::string>> AllHeaders(natsMsg* message) {
  std::vector<std::pair<std::string, std::string>> headers;
  const char** names = nullptr;
  int count = 0;
  if (natsMsgHeader_Keys(message, &names, &count) != NATS_OK) return headers;
  const std::unique_ptr<const char*, NatsDeleter<&std::free>> owned(names);
  for (int i = 0; i < count; ++i) {
    headers.emplace_back(names[i], Header(message, names[i]).value_or(""));
  }
  return headers;
}

struct Queued {
  NatsMsgPtr message;
  std::optional<StoredRecord> record;  // instead of `message`, which the library kept to itself
  uint64_t sequence = 0;
  int64_t stored_us = 0;
  uint64_t pending = 0;
  int64_t bytes = 0;  // for the flow control

  size_t BodyBytes() const {
    return message == nullptr ? 0 : static_cast<size_t>(natsMsg_GetDataLength(message.get()));
  }
};

// What the library takes for the server's word that nobody answers a request.
bool LooksUnanswered(const StoredRecord& record) {
  const auto status = record.Lookup()("Status");
  return record.data.empty() && status.has_value() && status->starts_with("503");
}

FetchedMessage ToFetched(const std::string& stream, Queued queued) {
  natsMsg* message = queued.message.get();
  FetchedMessage fetched;
  fetched.stream = stream;
  fetched.sequence = queued.sequence;
  fetched.stored_us = queued.stored_us;
  fetched.pending = queued.pending;
  if (queued.record.has_value()) {
    fetched.subject = std::move(queued.record->subject);
    fetched.envelope = proto::DecodeHeaders(queued.record->Lookup());
    fetched.headers = std::move(queued.record->headers);
    fetched.body.reserve(kBodyPadding);
    return fetched;
  }
  fetched.subject = natsMsg_GetSubject(message);
  fetched.envelope =
      proto::DecodeHeaders([message](const char* name) { return Header(message, name); });
  if (!fetched.envelope.ok()) fetched.headers = AllHeaders(message);
  const auto size = static_cast<size_t>(natsMsg_GetDataLength(message));
  fetched.body.reserve(size + kBodyPadding);
  if (size > 0) fetched.body.assign(natsMsg_GetData(message), size);
  return fetched;
}

// One stream being read.
struct Reader {
  Reader(uint64_t its_number, std::string stream_name, std::string consumer_name,
         uint64_t start_sequence, const PullWindow::Options& options)
      : number(its_number),
        stream(std::move(stream_name)),
        consumer(std::move(consumer_name)),
        window(options),
        next_sequence(start_sequence) {}

  const uint64_t number;
  const std::string stream;
  const std::string consumer;
  PullWindow window;
  int64_t counted = 0;   // of its cost, in State::used
  bool in_line = false;  // for room
  uint64_t next_consumer_sequence = 1;
  uint64_t next_sequence;  // of the stream, if nothing was removed from it
  std::deque<Queued> queue;
  absl::Status broken;  // nothing is queued or requested any more
};

}  // namespace

struct JetStreamSource::State {
  State(NatsClient& nats, JetStream& js, Options given)
      : client(nats), jetstream(js), options(given) {
    inbox = client.NewInbox();
    consumer_prefix = "sync-" + inbox.substr(inbox.rfind('.') + 1);
    window_options = {
        .messages = options.messages,
        .bytes = options.bytes,
        .largest = std::max<int64_t>(client.max_payload(), 1),
        .expires_ns = absl::ToInt64Nanoseconds(options.expires),
        .silence_ns = absl::ToInt64Nanoseconds(options.idle_heartbeat) * kMissedHeartbeats};
  }

  void Deliver(NatsMsgPtr message);
  void DeliverData(NatsMsgPtr message, std::string_view reply);
  void DeliverStatus(natsMsg* message);
  void Enqueue(Reader& reader, Queued queued);
  void FindHidden();
  void HandleStatus(Reader& reader, uint64_t request, std::string_view status,
                    std::string_view description);
  void RunTimers();

  Reader* FindByNumber(uint64_t number);
  Reader* FindByName(const std::string& stream);
  void Break(Reader& reader, absl::Status status);
  void BreakAll(const absl::Status& status);
  void Pull(Reader& reader);
  // How much of the memory the reader takes has changed.
  void Count(Reader& reader);
  PullRoom Room() const;
  void ServeLine();

  NatsClient& client;
  JetStream& jetstream;
  const Options options;
  std::string inbox;            // replies come to <inbox>.<reader>.<request>
  std::string consumer_prefix;  // consumers are called <prefix>-<reader>
  PullWindow::Options window_options;

  uint64_t last_number = 0;
  std::unordered_map<uint64_t, std::unique_ptr<Reader>> readers;
  std::unordered_map<std::string, uint64_t> numbers;  // by stream
  std::set<std::string> ready;                        // to be told by Await
  int64_t used = 0;                                   // the cost of all windows
  int64_t held = 0;                                   // by the owner
  std::deque<uint64_t> line;                          // readers that wait for room
  int64_t timers_due_ns = 0;
  std::unique_ptr<NatsPolledSubscription> arrivals;
};

Reader* JetStreamSource::State::FindByNumber(uint64_t number) {
  const auto found = readers.find(number);
  return found == readers.end() ? nullptr : found->second.get();
}

Reader* JetStreamSource::State::FindByName(const std::string& stream) {
  const auto found = numbers.find(stream);
  return found == numbers.end() ? nullptr : FindByNumber(found->second);
}

void JetStreamSource::State::Break(Reader& reader, absl::Status status) {
  if (!reader.broken.ok()) return;
  reader.broken = std::move(status);
  if (reader.queue.empty()) ready.insert(reader.stream);
}

void JetStreamSource::State::BreakAll(const absl::Status& status) {
  for (const auto& [number, reader] : readers) Break(*reader, status);
}

void JetStreamSource::State::Count(Reader& reader) {
  const int64_t cost = reader.window.cost();
  used += cost - reader.counted;
  reader.counted = cost;
}

PullRoom JetStreamSource::State::Room() const {
  const int64_t share =
      options.memory / kProbesPart / std::max<int64_t>(static_cast<int64_t>(readers.size()), 1) / 2;
  PullRoom room;
  room.probe_bytes = std::max(share, kLeastProbeBytes);
  room.probe_messages = static_cast<int>(
      std::clamp(share / PullWindow::kMessageCost, kLeastProbeMessages, int64_t{1} << 20));
  const int64_t taken = used + held;
  // With almost nothing taken, whatever it is must be possible.
  if (taken > options.memory / kAlwaysPart)
    room.spare = options.memory - options.memory / kProbesPart - taken;
  return room;
}

void JetStreamSource::State::ServeLine() {
  while (!line.empty()) {
    Reader* const reader = FindByNumber(line.front());
    if (reader != nullptr && Room().spare <= 0) return;
    line.pop_front();
    if (reader == nullptr) continue;
    reader->in_line = false;
    Pull(*reader);
    if (!reader->in_line) continue;
    line.pop_back();  // it stays the first
    line.push_front(reader->number);
    return;
  }
}

void JetStreamSource::State::Pull(Reader& reader) {
  Count(reader);
  if (!reader.broken.ok()) return;
  while (const std::optional<PullRequest> request = reader.window.Next(NowNs(), Room())) {
    Count(reader);
    const std::string max_bytes =
        request->bytes > 0 ? absl::StrFormat(R"(,"max_bytes":%d)", request->bytes) : "";
    // A failure means that the connection is closed, which Await notices.
    (void)client.Publish(
        absl::StrFormat("%s.CONSUMER.MSG.NEXT.%s.%s", jetstream.api_prefix(), reader.stream,
                        reader.consumer),
        absl::StrFormat("%s.%d.%d", inbox, reader.number, request->number), {},
        absl::StrFormat(R"({"batch":%d%s,"expires":%d,"idle_heartbeat":%d})", request->messages,
                        max_bytes, absl::ToInt64Nanoseconds(options.expires),
                        absl::ToInt64Nanoseconds(options.idle_heartbeat)));
  }
  if (reader.window.starved() && !reader.in_line) {
    reader.in_line = true;
    line.push_back(reader.number);
  }
}

// ---- what arrives ----

void JetStreamSource::State::Deliver(NatsMsgPtr message) {
  const char* reply = natsMsg_GetReply(message.get());
  if (reply != nullptr && std::string_view(reply).starts_with(kAckReplyPrefix)) {
    DeliverData(std::move(message), reply);
  } else {
    DeliverStatus(message.get());
  }
}

void JetStreamSource::State::DeliverData(NatsMsgPtr message, std::string_view reply) {
  AckReply ack;
  std::string_view prefix;
  uint64_t number = 0;
  if (!ParseAckReply(reply, &ack) || !SplitNumber(ack.consumer, '-', &prefix, &number) ||
      prefix != consumer_prefix) {
    return;
  }
  Reader* reader = FindByNumber(number);
  if (reader == nullptr || !reader->broken.ok() || ack.stream != reader->stream) return;
  if (ack.consumer_sequence != reader->next_consumer_sequence) {
    Break(*reader, absl::UnavailableError(absl::StrFormat(
                       "stream %s: delivery %d came instead of %d, messages were lost on the way",
                       reader->stream, ack.consumer_sequence, reader->next_consumer_sequence)));
    return;
  }
  const int64_t bytes = natsMsg_GetDataLength(message.get()) + kFramingBytes;
  Enqueue(*reader, {.message = std::move(message),
                    .record = std::nullopt,
                    .sequence = ack.stream_sequence,
                    .stored_us = ack.stored_ns / 1000,
                    .pending = ack.pending,
                    .bytes = bytes});
}

void JetStreamSource::State::Enqueue(Reader& reader, Queued queued) {
  ++reader.next_consumer_sequence;
  reader.next_sequence = queued.sequence + 1;
  if (reader.queue.empty()) ready.insert(reader.stream);
  reader.window.Received(queued.bytes, static_cast<int64_t>(queued.pending), NowNs());
  reader.queue.push_back(std::move(queued));
  Pull(reader);
}

// Somebody may have stored a message that the library takes for the server's: the next one of its
// stream. If there is none, nobody answers for a consumer: its silence will tell for which.
void JetStreamSource::State::FindHidden() {
  for (const auto& [number, reader] : readers) {
    if (!reader->broken.ok()) continue;
    auto record = jetstream.GetMessage(reader->stream, reader->next_sequence);
    if (!record.ok() || !LooksUnanswered(*record)) continue;
    const uint64_t sequence = record->sequence;
    const int64_t stored_us = record->stored_us;
    Enqueue(*reader, {.message = nullptr,
                      .record = *std::move(record),
                      .sequence = sequence,
                      .stored_us = stored_us,
                      .pending = 0,
                      .bytes = kFramingBytes});
    return;
  }
}

void JetStreamSource::State::DeliverStatus(natsMsg* message) {
  std::string_view head;
  std::string_view base;
  uint64_t number = 0;
  uint64_t request = 0;
  const std::optional<std::string_view> status = Header(message, "Status");
  if (!status.has_value() || !SplitNumber(natsMsg_GetSubject(message), '.', &head, &request) ||
      !SplitNumber(head, '.', &base, &number) || base != inbox) {
    return;
  }
  const std::string_view description = Header(message, "Description").value_or("");
  Reader* reader = FindByNumber(number);
  if (reader == nullptr || !reader->broken.ok()) return;
  reader->window.Heard(NowNs());
  HandleStatus(*reader, request, *status, description);
  Pull(*reader);
}

void JetStreamSource::State::HandleStatus(Reader& reader, uint64_t request, std::string_view status,
                                          std::string_view description) {
  const auto mentions = [&](std::string_view text) {
    return description.find(text) != std::string_view::npos;
  };
  const std::string what =
      absl::StrFormat("reading stream %s ended: %s %s", reader.stream, status, description);
  if (status == "100") return;  // heartbeat
  const bool over = mentions("Batch Completed") || mentions("Leadership");
  if (status == "404" || status == "408" || (status == "409" && over)) {
    reader.window.Ended(request, NowNs());
  } else if (status == "409" && mentions("Message Size Exceeds")) {
    reader.window.EndedBySize(request);
  } else if (status == "409" && mentions("Exceeded MaxWaiting")) {
    reader.window.Refused(request, NowNs() + kRefusalPauseNs);
  } else if (status == "400" || (status == "409" && mentions("push based"))) {
    Break(reader, absl::FailedPreconditionError(what));
  } else {
    // 409: consumer deleted, server shutdown, limits. 423, whatever comes later. (Not 503.)
    Break(reader, absl::UnavailableError(what));
  }
}

// ---- the public side ----

JetStreamSource::JetStreamSource(std::unique_ptr<State> state) : state_(std::move(state)) {}

absl::StatusOr<std::unique_ptr<JetStreamSource>> JetStreamSource::Create(NatsClient& client,
                                                                         JetStream& jetstream,
                                                                         Options options) {
  if (options.messages < 1 || options.bytes < 1 || options.idle_heartbeat > options.expires / 2) {
    return absl::InvalidArgumentError(
        "pull requests need messages and bytes, and heartbeats in at most half their time");
  }
  auto state = std::make_unique<State>(client, jetstream, options);
  ASSIGN_OR_RETURN(state->arrivals, client.SubscribePolled(
                                        state->inbox + ".>",
                                        kMostStreams * 2 * static_cast<size_t>(options.messages)));
  return std::unique_ptr<JetStreamSource>(new JetStreamSource(std::move(state)));
}

JetStreamSource::~JetStreamSource() {
  while (!state_->numbers.empty()) Close(std::string(state_->numbers.begin()->first));
}

absl::Status JetStreamSource::Open(const std::string& stream, uint64_t start_sequence) {
  Close(stream);
  const uint64_t number = ++state_->last_number;
  const std::string consumer = absl::StrFormat("%s-%d", state_->consumer_prefix, number);
  RETURN_IF_ERROR(state_->jetstream.CreateConsumer(stream, consumer, start_sequence));
  auto reader =
      std::make_unique<Reader>(number, stream, consumer, start_sequence, state_->window_options);
  state_->Pull(*reader);
  state_->numbers[stream] = number;
  state_->readers[number] = std::move(reader);
  return absl::OkStatus();
}

void JetStreamSource::Close(const std::string& stream) {
  const Reader* reader = state_->FindByName(stream);
  if (reader == nullptr) return;
  // A courtesy: the server forgets an unused consumer.
  (void)state_->client.Publish(
      absl::StrFormat("%s.CONSUMER.DELETE.%s.%s", state_->jetstream.api_prefix(), reader->stream,
                      reader->consumer),
      "");
  state_->used -= reader->counted;
  state_->readers.erase(reader->number);
  state_->numbers.erase(stream);
  state_->ready.erase(stream);
}

absl::Status JetStreamSource::Take(const std::string& stream, size_t max_messages, size_t max_bytes,
                                   std::vector<FetchedMessage>* out) {
  Reader* reader = state_->FindByName(stream);
  if (reader == nullptr) {
    return absl::NotFoundError(absl::StrFormat("stream %s is not open", stream));
  }
  if (reader->queue.empty()) return reader->broken;
  std::vector<Queued> taken;
  size_t bytes = 0;
  while (!reader->queue.empty() && taken.size() < max_messages &&
         (taken.empty() || bytes < max_bytes)) {
    Queued& front = reader->queue.front();
    bytes += front.BodyBytes();
    reader->window.Taken(front.bytes);
    state_->held += front.bytes + PullWindow::kMessageCost;  // until the owner tells
    taken.push_back(std::move(front));
    reader->queue.pop_front();
  }
  state_->Pull(*reader);  // first, so that more comes while these are read
  out->reserve(out->size() + taken.size());
  for (Queued& queued : taken) out->push_back(ToFetched(stream, std::move(queued)));
  return absl::OkStatus();
}

std::set<std::string> JetStreamSource::Await(absl::Duration limit) {
  State& state = *state_;
  const int64_t deadline_ns = NowNs() + absl::ToInt64Nanoseconds(limit);
  absl::Duration wait;  // nothing: first of all, what is there already
  state.ServeLine();
  while (true) {
    bool unanswered = false;
    if (NatsMsgPtr message = state.arrivals->Next(wait, &unanswered)) {
      state.Deliver(std::move(message));
      if (wait == absl::ZeroDuration()) continue;
    }
    if (unanswered) {
      state.FindHidden();
      wait = absl::ZeroDuration();
      continue;
    }
    state.RunTimers();
    const int64_t now_ns = NowNs();
    if (!state.ready.empty() || now_ns >= deadline_ns || state.client.IsClosed()) break;
    wait = absl::Nanoseconds(std::min(deadline_ns, state.timers_due_ns) - now_ns);
  }
  return std::exchange(state.ready, {});
}

// After what has arrived is received: until then its owner may have been silent, not the server.
void JetStreamSource::State::RunTimers() {
  const int64_t now_ns = NowNs();
  if (client.IsClosed()) BreakAll(absl::UnavailableError("the connection to NATS was lost"));
  if (now_ns < timers_due_ns) return;
  timers_due_ns = now_ns + absl::ToInt64Nanoseconds(kTimerInterval);
  for (const auto& [number, reader] : readers) {
    if (reader->window.IsSilent(now_ns)) {
      Break(*reader,
            absl::UnavailableError(absl::StrFormat("stream %s: the server missed %d heartbeats",
                                                   reader->stream, kMissedHeartbeats)));
    } else {
      reader->window.Expire(now_ns);
      Pull(*reader);
    }
  }
}

void JetStreamSource::SetHeld(int64_t bytes) { state_->held = bytes; }

int64_t JetStreamSource::memory_used() const { return state_->used + state_->held; }

size_t JetStreamSource::queued_messages() const {
  int64_t sum = 0;
  for (const auto& [number, reader] : state_->readers) sum += reader->window.queued_messages();
  return static_cast<size_t>(sum);
}

size_t JetStreamSource::queued_bytes() const {
  int64_t sum = 0;
  for (const auto& [number, reader] : state_->readers) sum += reader->window.queued_bytes();
  return static_cast<size_t>(sum);
}

}  // namespace pmoves
