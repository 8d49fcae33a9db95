#include "common/io/nats_client.h"

#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <cstring>

#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "common/base/check.h"
#include "common/base/mutex.h"
#include "common/base/status.h"

namespace pmoves {
namespace {

constexpr int64_t kWriteDeadlineMs =
    5000;  // without one a black-holed link blocks the library's timer thread
constexpr int64_t kPingIntervalMs = 10000;
constexpr int kMaxPingsOut = 2;
constexpr size_t kHeaderFrameBytes = 12;  // "NATS/1.0\r\n" and the final "\r\n"
constexpr size_t kPerHeaderBytes = 4;     // ": " and "\r\n"
constexpr size_t kLotMessages = 64;
constexpr int64_t kLotBytes = 256 << 10;

absl::Status Fail(natsStatus status, std::string_view what, std::string_view detail) {
  const std::string message =
      detail.empty() ? absl::StrFormat("%s: %s", what, natsStatus_GetText(status))
                     : absl::StrFormat("%s: %s (%s)", what, natsStatus_GetText(status), detail);
  switch (status) {
    case NATS_NO_RESPONDERS:
    case NATS_NOT_FOUND:
      return absl::NotFoundError(message);
    case NATS_TIMEOUT:
      return absl::DeadlineExceededError(message);
    case NATS_INVALID_ARG:
    case NATS_INVALID_SUBJECT:
    case NATS_MAX_PAYLOAD:
      return absl::InvalidArgumentError(message);
    default:
      return absl::UnavailableError(message);
  }
}

int64_t TimeoutMs(absl::Duration timeout) {
  return std::max<int64_t>(1, absl::ToInt64Milliseconds(timeout));
}

// Replaces the library's default, which prints to stderr. The text stays readable through
// last_error().
void IgnoreAsyncError(natsConnection*, natsSubscription*, natsStatus, void*) {}

natsStatus SetServers(const std::string& urls, natsOptions* options) {
  const std::vector<std::string> list = absl::StrSplit(urls, ',', absl::SkipWhitespace());
  std::vector<std::string> trimmed;
  trimmed.reserve(list.size());
  for (const std::string& url : list) {
    trimmed.emplace_back(absl::StripAsciiWhitespace(url));
  }
  std::vector<const char*> pointers;
  bool tls = false;
  for (const std::string& url : trimmed) {
    pointers.push_back(url.c_str());
    tls = tls || url.rfind("tls://", 0) == 0;  // 3.4.1 does not switch TLS on by the scheme
  }
  if (pointers.empty()) return NATS_INVALID_ARG;
  natsStatus status =
      natsOptions_SetServers(options, pointers.data(), static_cast<int>(pointers.size()));
  if (status == NATS_OK && tls) status = natsOptions_SetSecure(options, true);
  return status;
}

natsStatus SetCredentials(const NatsConfig& config, natsOptions* options) {
  natsStatus status = NATS_OK;
  if (!config.user.empty()) {
    status = natsOptions_SetUserInfo(options, config.user.c_str(), config.password.c_str());
  }
  if (status == NATS_OK && !config.token.empty()) {
    status = natsOptions_SetToken(options, config.token.c_str());
  }
  if (status == NATS_OK && !config.credentials_file.empty()) {
    status =
        natsOptions_SetUserCredentialsFromFiles(options, config.credentials_file.c_str(), nullptr);
  }
  if (status == NATS_OK && !config.nkey_seed_file.empty()) {
    status = natsOptions_SetNKeyFromSeed(options, config.nkey_public.c_str(),
                                         config.nkey_seed_file.c_str());
  }
  return status;
}

natsStatus SetTls(const NatsConfig& config, natsOptions* options) {
  natsStatus status = NATS_OK;
  if (!config.tls_ca_file.empty()) {
    status = natsOptions_LoadCATrustedCertificates(options, config.tls_ca_file.c_str());
    if (status == NATS_OK) status = natsOptions_SetSecure(options, true);
  }
  if (status == NATS_OK && !config.tls_cert_file.empty()) {
    status = natsOptions_LoadCertificatesChain(options, config.tls_cert_file.c_str(),
                                               config.tls_key_file.c_str());
    if (status == NATS_OK) status = natsOptions_SetSecure(options, true);
  }
  return status;
}

natsStatus SetBehaviour(const NatsConfig& config, natsOptions* options) {
  natsStatus status = natsOptions_SetAllowReconnect(options, false);
  const auto next = [&](natsStatus result) {
    if (status == NATS_OK) status = result;
  };
  next(natsOptions_SetSendAsap(options, true));
  next(natsOptions_SetWriteDeadline(options, kWriteDeadlineMs));
  next(natsOptions_SetPingInterval(options, kPingIntervalMs));
  next(natsOptions_SetMaxPingsOut(options, kMaxPingsOut));
  next(natsOptions_SetTimeout(options, TimeoutMs(config.connect_timeout)));
  next(natsOptions_SetErrorHandler(options, IgnoreAsyncError, nullptr));
  if (!config.name.empty()) next(natsOptions_SetName(options, config.name.c_str()));
  if (!config.inbox_prefix.empty()) {
    next(natsOptions_SetCustomInboxPrefix(options, config.inbox_prefix.c_str()));
  }
  return status;
}

// Reads the greeting line of the server at host:port on a connection of its own: the library does
// not show it.
std::string ReadGreeting(const std::string& host, const std::string& port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (getaddrinfo(host.c_str(), port.c_str(), &hints, &found) != 0) return "";
  const std::unique_ptr<addrinfo, NatsDeleter<&freeaddrinfo>> addresses(found);
  const int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return "";
  const timeval limit{.tv_sec = 2, .tv_usec = 0};
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);  // bounds connect() too
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  std::string greeting;
  if (connect(fd, found->ai_addr, found->ai_addrlen) == 0) {
    char buffer[4096];
    ssize_t count = 0;
    while (greeting.find('\n') == std::string::npos && greeting.size() < sizeof buffer * 4 &&
           (count = recv(fd, buffer, sizeof buffer, 0)) > 0) {
      greeting.append(buffer, static_cast<size_t>(count));
    }
  }
  close(fd);
  return greeting;
}

}  // namespace

void NatsMsgDeleter::operator()(natsMsg* message) const {
  struct Lot {
    Mutex mutex;
    std::vector<natsMsg*> messages ABSL_GUARDED_BY(mutex);
    int64_t bytes ABSL_GUARDED_BY(mutex) = 0;
  };
  static Lot* const lot = new Lot();  // used until the last thread has ended
  std::vector<natsMsg*> full;
  {
    MutexLock lock(lot->mutex);
    lot->messages.push_back(message);
    lot->bytes += natsMsg_GetDataLength(message);
    if (lot->messages.size() < kLotMessages && lot->bytes < kLotBytes) return;
    full.swap(lot->messages);
    lot->bytes = 0;
    lot->messages.reserve(kLotMessages);
  }
  for (natsMsg* each : full) natsMsg_Destroy(each);
}

absl::Status NatsStatus(natsStatus status, std::string_view what) {
  if (status == NATS_OK) return absl::OkStatus();
  natsStatus last = NATS_OK;
  const char* text = nats_GetLastError(&last);
  return Fail(status, what, last == status && text != nullptr ? text : "");
}

// ---- NatsSubscription ----

// Ended subscriptions of a connection. In 3.4.1 the library's read loop uses a subscription without
// holding it (nats.c #638), so it may be freed only when that loop has ended. Lives until the
// client and all its subscriptions are gone.
class NatsSubscriptionGraveyard {
 public:
  // What every subscription of ours comes to. It has retained the graveyard.
  void Bury(natsSubscription* subscription) {
    natsSubscription_Unsubscribe(subscription);
    Add(subscription);
    Release();
  }
  // The connection is closed.
  void Empty() {
    MutexLock lock(mutex_);
    open_ = false;
    for (natsSubscription* subscription : ended_) natsSubscription_Destroy(subscription);
    ended_.clear();
  }
  void Retain() { references_.fetch_add(1); }
  void Release() {
    if (references_.fetch_sub(1) == 1) delete this;
  }

 private:
  void Add(natsSubscription* subscription) {
    MutexLock lock(mutex_);
    if (open_) {
      ended_.push_back(subscription);
    } else {
      natsSubscription_Destroy(subscription);
    }
  }

  std::atomic<int> references_{1};
  Mutex mutex_;
  bool open_ ABSL_GUARDED_BY(mutex_) = true;
  std::vector<natsSubscription*> ended_ ABSL_GUARDED_BY(mutex_);
};

struct NatsSubscription::State {
  using Handler = std::function<void(NatsMsgPtr)>;

  // What the library's delivery thread holds on to. Lives until both the owner and that thread are
  // done with it.
  class Gate {
   public:
    explicit Gate(Handler handler) : handler_(std::move(handler)) {}

    void Deliver(NatsMsgPtr message) {
      MutexLock lock(mutex_);  // one delivery thread: only a destructor ever waits here
      if (open_) handler_(std::move(message));
    }
    void Close() {
      MutexLock lock(mutex_);
      open_ = false;
    }
    void Release() {
      if (references_.fetch_sub(1) == 1) delete this;
    }

   private:
    Mutex mutex_;
    bool open_ ABSL_GUARDED_BY(mutex_) = true;
    const Handler handler_;
    std::atomic<int> references_{2};
  };

  static void OnMessage(natsConnection*, natsSubscription*, natsMsg* message, void* gate) {
    static_cast<Gate*>(gate)->Deliver(NatsMsgPtr(message));
  }
  static void OnComplete(void* gate) { static_cast<Gate*>(gate)->Release(); }

  natsSubscription* handle = nullptr;
  Gate* gate = nullptr;
  NatsSubscriptionGraveyard* graveyard = nullptr;
};

NatsSubscription::NatsSubscription(std::unique_ptr<State> state) : state_(std::move(state)) {
  state_->graveyard->Retain();
}

NatsSubscription::~NatsSubscription() {
  state_->gate->Close();
  state_->graveyard->Bury(state_->handle);
  state_->gate->Release();
}

// ---- NatsPolledSubscription ----

NatsPolledSubscription::NatsPolledSubscription(natsSubscription* handle,
                                               NatsSubscriptionGraveyard* graveyard)
    : handle_(handle), graveyard_(graveyard) {
  graveyard_->Retain();
}

NatsPolledSubscription::~NatsPolledSubscription() { graveyard_->Bury(handle_); }

NatsMsgPtr NatsPolledSubscription::Next(absl::Duration timeout, bool* unanswered) {
  natsMsg* message = nullptr;
  const int64_t ms = timeout > absl::ZeroDuration() ? TimeoutMs(timeout) : 0;
  natsStatus status = natsSubscription_NextMsg(&message, handle_, ms);
  if (status == NATS_SLOW_CONSUMER) {  // told once; what waits is still there
    status = natsSubscription_NextMsg(&message, handle_, ms);
  }
  *unanswered = status == NATS_NO_RESPONDERS;
  return NatsMsgPtr(status == NATS_OK ? message : nullptr);
}

// ---- NatsClient ----

struct NatsClient::State {
  // Runs on the library's callback thread, once per connection that was open.
  static void OnClosed(natsConnection*, void* closure) {
    auto* state = static_cast<State*>(closure);
    std::function<void()> notify;
    {
      MutexLock lock(state->mutex);
      if (!state->destroying) notify = std::move(state->on_closed);
    }
    if (notify) notify();
    MutexLock lock(state->mutex);
    state->callback_done = true;
    state->changed.notify_all();  // under the lock: the waiter frees this object
  }

  std::function<void()> on_closed;
  std::string inbox_prefix;
  NatsSubscriptionGraveyard* const graveyard = new NatsSubscriptionGraveyard();

  Mutex mutex;
  std::condition_variable_any changed;
  bool destroying ABSL_GUARDED_BY(mutex) = false;
  bool callback_done ABSL_GUARDED_BY(mutex) = false;
};

NatsClient::NatsClient() : state_(std::make_unique<State>()) {}

absl::StatusOr<std::unique_ptr<NatsClient>> NatsClient::Connect(const NatsConfig& config,
                                                                std::function<void()> on_closed) {
  std::unique_ptr<NatsClient> client(new NatsClient());
  client->state_->on_closed = std::move(on_closed);
  client->state_->inbox_prefix = config.inbox_prefix.empty() ? "_INBOX" : config.inbox_prefix;

  natsOptions* raw_options = nullptr;
  natsStatus status = natsOptions_Create(&raw_options);
  NatsOptionsPtr options(raw_options);
  if (status == NATS_OK) status = SetServers(config.url, raw_options);
  if (status == NATS_OK) status = SetBehaviour(config, raw_options);
  if (status == NATS_OK) status = SetCredentials(config, raw_options);
  if (status == NATS_OK) status = SetTls(config, raw_options);
  if (status == NATS_OK) {
    status = natsOptions_SetClosedCB(raw_options, State::OnClosed, client->state_.get());
  }
  if (status != NATS_OK) {
    return absl::InvalidArgumentError(MessageOf(NatsStatus(status, "bad NATS settings")));
  }
  natsConnection* connection = nullptr;
  status = natsConnection_Connect(&connection, raw_options);
  if (status != NATS_OK) {
    return absl::UnavailableError(MessageOf(NatsStatus(status, "cannot connect to NATS")));
  }
  client->connection_.reset(connection);
  return client;
}

NatsClient::~NatsClient() {
  if (connection_ != nullptr) {
    {
      MutexLock lock(state_->mutex);
      state_->destroying = true;
    }
    natsConnection_Close(connection_.get());
    // The library runs the closed callback on a thread of its own, also after Close returned. Its
    // read loop has ended by then.
    MutexLock lock(state_->mutex);
    while (!state_->callback_done) state_->changed.wait(state_->mutex);
  }
  state_->graveyard->Empty();
  state_->graveyard->Release();
}

absl::Status NatsClient::Publish(const std::string& subject, const std::string& reply,
                                 const Headers& headers, std::string_view body) {
  size_t bytes = body.size();
  if (!headers.empty()) bytes += kHeaderFrameBytes;
  for (const auto& [name, value] : headers) {
    bytes += std::strlen(name) + value.size() + kPerHeaderBytes;
  }
  // The library compares the body alone; the server counts headers too, and closes the connection
  // over it.
  if (static_cast<int64_t>(bytes) > max_payload()) {
    return absl::InvalidArgumentError(
        absl::StrFormat("a message of %d bytes is larger than the server's max_payload of %d",
                        bytes, max_payload()));
  }
  if (headers.empty()) {
    const int size = static_cast<int>(body.size());
    const natsStatus status =
        reply.empty() ? natsConnection_Publish(raw(), subject.c_str(), body.data(), size)
                      : natsConnection_PublishRequest(raw(), subject.c_str(), reply.c_str(),
                                                      body.data(), size);
    return NatsStatus(status, "publish");
  }
  natsMsg* message = nullptr;
  natsStatus status =
      natsMsg_Create(&message, subject.c_str(), reply.empty() ? nullptr : reply.c_str(),
                     body.data(), static_cast<int>(body.size()));
  NatsMsgPtr owned(message);
  for (const auto& [name, value] : headers) {
    if (status == NATS_OK) status = natsMsgHeader_Set(message, name, value.c_str());
  }
  if (status == NATS_OK) status = natsConnection_PublishMsg(raw(), message);
  return NatsStatus(status, "publish");
}

absl::StatusOr<NatsMsgPtr> NatsClient::Request(const std::string& subject, std::string_view body,
                                               absl::Duration timeout) {
  natsMsg* reply = nullptr;
  const natsStatus status =
      natsConnection_Request(&reply, raw(), subject.c_str(), body.data(),
                             static_cast<int>(body.size()), TimeoutMs(timeout));
  NatsMsgPtr owned(reply);
  if (status != NATS_OK) return NatsStatus(status, absl::StrFormat("request %s", subject));
  return owned;
}

absl::StatusOr<std::unique_ptr<NatsSubscription>> NatsClient::Subscribe(const std::string& subject,
                                                                        Handler handler) {
  auto state = std::make_unique<NatsSubscription::State>();
  state->gate = new NatsSubscription::State::Gate(std::move(handler));
  state->graveyard = state_->graveyard;
  natsStatus status = natsConnection_Subscribe(&state->handle, raw(), subject.c_str(),
                                               NatsSubscription::State::OnMessage, state->gate);
  if (status != NATS_OK) {
    delete state->gate;  // no delivery thread was started
    return NatsStatus(status, absl::StrFormat("subscribe %s", subject));
  }
  std::unique_ptr<NatsSubscription> subscription(new NatsSubscription(std::move(state)));
  natsSubscription* handle = subscription->state_->handle;
  status = natsSubscription_SetPendingLimits(handle, -1, -1);
  if (status == NATS_OK) {
    // Fails only when the connection has just closed. Then nobody tells when the delivery thread
    // ends, and the gate (closed, a few bytes) is left to it for good.
    status = natsSubscription_SetOnCompleteCB(handle, NatsSubscription::State::OnComplete,
                                              subscription->state_->gate);
  }
  if (status != NATS_OK) return NatsStatus(status, absl::StrFormat("subscribe %s", subject));
  return subscription;
}

absl::StatusOr<std::unique_ptr<NatsPolledSubscription>> NatsClient::SubscribePolled(
    const std::string& subject, size_t max_waiting) {
  natsSubscription* handle = nullptr;
  natsStatus status = natsConnection_SubscribeSync(&handle, raw(), subject.c_str());
  if (status != NATS_OK) return NatsStatus(status, absl::StrFormat("subscribe %s", subject));
  std::unique_ptr<NatsPolledSubscription> subscription(
      new NatsPolledSubscription(handle, state_->graveyard));
  status = natsSubscription_SetPendingLimits(handle, static_cast<int>(max_waiting), -1);
  if (status != NATS_OK) return NatsStatus(status, absl::StrFormat("subscribe %s", subject));
  return subscription;
}

std::string NatsClient::NewInbox() {
  natsInbox* inbox = nullptr;
  PMOVES_CHECK(natsInbox_Create(&inbox) == NATS_OK);
  const std::unique_ptr<natsInbox, NatsDeleter<&natsInbox_Destroy>> owned(inbox);
  const char* unique = std::strrchr(inbox, '.');
  PMOVES_CHECK(unique != nullptr);
  return state_->inbox_prefix + unique;
}

bool NatsClient::IsClosed() const { return natsConnection_IsClosed(connection_.get()); }

int64_t NatsClient::max_payload() const { return natsConnection_GetMaxPayload(connection_.get()); }

std::string NatsClient::server_version() const {
  char url[512];
  if (natsConnection_GetConnectedUrl(connection_.get(), url, sizeof url) != NATS_OK) return "";
  std::string address = url;
  if (const size_t scheme = address.find("://"); scheme != std::string::npos) {
    address.erase(0, scheme + 3);
  }
  if (const size_t at = address.rfind('@'); at != std::string::npos) address.erase(0, at + 1);
  const size_t colon = address.rfind(':');
  if (colon == std::string::npos) return "";
  std::string host = address.substr(0, colon);
  if (host.size() > 2 && host.front() == '[') host = host.substr(1, host.size() - 2);
  const std::string greeting = ReadGreeting(host, address.substr(colon + 1));
  constexpr std::string_view kKey = "\"version\":\"";
  const size_t begin = greeting.find(kKey);
  if (begin == std::string::npos) return "";
  const size_t end = greeting.find('"', begin + kKey.size());
  if (end == std::string::npos) return "";
  return greeting.substr(begin + kKey.size(), end - begin - kKey.size());
}

std::string NatsClient::last_error() const {
  const char* text = nullptr;
  const natsStatus status = natsConnection_GetLastError(connection_.get(), &text);
  if (status == NATS_OK || text == nullptr) return "";
  return text[0] != '\0' ? text : natsStatus_GetText(status);
}

absl::Status NatsClient::Flush(absl::Duration timeout) {
  return NatsStatus(natsConnection_FlushTimeout(raw(), TimeoutMs(timeout)), "flush");
}

}  // namespace pmoves
