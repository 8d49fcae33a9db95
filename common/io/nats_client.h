// NatsClient: one connection to a nats-server, owned. No reconnect inside.
//
// The library's own reconnect is switched OFF: after a disconnect nobody knows which publishes
// arrived, and nats.c gives up for ever in several cases even with MaxReconnect=-1. So a lost
// connection closes this object for good; both programs build a new one with backoff and go on from
// what is stored (the stream's tail, the position row).
//
// Thread: Publish/Request/Subscribe from any thread. Handlers run on library threads: they only
//         copy and hand over.
#ifndef PMOVES_COMMON_IO_NATS_CLIENT_H_
#define PMOVES_COMMON_IO_NATS_CLIENT_H_

#include <nats/nats.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace pmoves {

template <auto Destroy>
struct NatsDeleter {
  template <typename T>
  void operator()(T* handle) const {
    Destroy(handle);
  }
};
using NatsConnectionPtr = std::unique_ptr<natsConnection, NatsDeleter<&natsConnection_Destroy>>;
using NatsOptionsPtr = std::unique_ptr<natsOptions, NatsDeleter<&natsOptions_Destroy>>;
// The library frees messages on a thread of its own, which each natsMsg_Destroy wakes up: they are
// given back in lots. At most some hundred KiB wait for that.
struct NatsMsgDeleter {
  void operator()(natsMsg* message) const;
};
using NatsMsgPtr = std::unique_ptr<natsMsg, NatsMsgDeleter>;

struct NatsConfig {
  std::string url;   // nats://host:4222 or tls://host:4222, several separated by commas
  std::string name;  // shown by the server, e.g. pmoves-sync-publisher jetson-01
  std::string user, password, token;
  std::string credentials_file;  // NATS .creds
  std::string nkey_seed_file;    // with nkey_public
  std::string nkey_public;
  std::string tls_ca_file, tls_cert_file, tls_key_file;
  // e.g. _INBOX_jetson-01, so that edges cannot read each other's replies; empty: _INBOX
  std::string inbox_prefix;
  absl::Duration connect_timeout = absl::Seconds(5);
};

absl::Status NatsStatus(natsStatus status, std::string_view what);

class NatsSubscriptionGraveyard;

class NatsSubscription {
 public:
  // No handler runs after this returns; it waits for one that does, so never from inside the
  // handler. The client may be gone already.
  ~NatsSubscription();

 private:
  friend class NatsClient;
  struct State;
  explicit NatsSubscription(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// A subscription without a thread: what arrives waits until it is taken. One thread at a time.
// The library takes any message with an empty body and "Status: 503" for the server's word that
// nobody answers a request, and keeps it to itself.
class NatsPolledSubscription {
 public:
  // What waits is dropped. The client may be gone already.
  ~NatsPolledSubscription();
  // The next message; null when none came within `timeout` (milliseconds; zero: when none is
  // there), and at once when the connection is lost, or when the next message was such a one: then
  // *unanswered is true, and more may be there. The library waits by the wall clock: when that is
  // set back during a wait, only a message ends it.
  NatsMsgPtr Next(absl::Duration timeout, bool* unanswered);

 private:
  friend class NatsClient;
  NatsPolledSubscription(natsSubscription* handle, NatsSubscriptionGraveyard* graveyard);
  natsSubscription* const handle_;
  NatsSubscriptionGraveyard* const graveyard_;
};

class NatsClient {
 public:
  // kUnavailable when no server answers or the credentials are refused (the message says which,
  // never the secret). on_closed runs once, on a library thread, when the connection is lost.
  static absl::StatusOr<std::unique_ptr<NatsClient>> Connect(const NatsConfig& config,
                                                             std::function<void()> on_closed);
  ~NatsClient();

  using Headers = std::vector<std::pair<const char*, std::string>>;
  using Handler = std::function<void(NatsMsgPtr)>;

  absl::Status Publish(const std::string& subject, const std::string& reply, const Headers& headers,
                       std::string_view body);
  absl::Status Publish(const std::string& subject, std::string_view body) {
    return Publish(subject, "", {}, body);
  }
  // kNotFound: no responders. kDeadlineExceeded: no answer in time. kUnavailable: connection lost.
  absl::StatusOr<NatsMsgPtr> Request(const std::string& subject, std::string_view body,
                                     absl::Duration timeout);
  // Unlimited pending in the library: the caller bounds what it asks for. The handler owns the
  // message.
  absl::StatusOr<std::unique_ptr<NatsSubscription>> Subscribe(const std::string& subject,
                                                              Handler handler);
  // As Subscribe, but whoever needs a message waits for it himself: one thread less to be woken up.
  // What comes while `max_waiting` messages wait is lost.
  absl::StatusOr<std::unique_ptr<NatsPolledSubscription>> SubscribePolled(
      const std::string& subject, size_t max_waiting);
  // A fresh subject below the inbox prefix.
  std::string NewInbox();
  bool IsClosed() const;
  int64_t max_payload() const;
  // From the greeting of the server we are connected to, asked anew; "" when it cannot be read (TLS
  // before the greeting).
  std::string server_version() const;
  // What the server last complained about, e.g. a permissions violation (which only shows as
  // missing answers otherwise); "" if nothing.
  std::string last_error() const;
  // Round trip, so that everything published before has reached the server.
  absl::Status Flush(absl::Duration timeout);
  natsConnection* raw() { return connection_.get(); }

 private:
  struct State;
  NatsClient();
  std::unique_ptr<State> state_;
  NatsConnectionPtr connection_;
};

}  // namespace pmoves

#endif  // PMOVES_COMMON_IO_NATS_CLIENT_H_
