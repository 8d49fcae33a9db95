#include "common/io/http_server.h"

#include <civetweb.h>
#include <netdb.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <stop_token>
#include <thread>
#include <utility>

#include "absl/strings/str_format.h"
#include "common/io/host_port.h"

namespace pmoves {
namespace {

struct Answer {
  int code = 200;
  std::string body;
  const char* content_type = "text/plain; charset=utf-8";
};

const char* Reason(int code) {
  switch (code) {
    case 200:
      return "OK";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    default:
      return "Service Unavailable";
  }
}

// civetweb does not say why it could not listen: do the same once by hand and ask the system.
std::string WhyNotListening(const std::string& listen) {
  const HostPort address = SplitHostPort(listen);
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  const int lookup = getaddrinfo(address.host.c_str(), address.port.c_str(), &hints, &found);
  if (lookup != 0) return gai_strerror(lookup);
  std::string why = "the web server did not start";
  const int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || bind(fd, found->ai_addr, found->ai_addrlen) != 0 || ::listen(fd, 1) != 0) {
    why = std::strerror(errno);
  }
  if (fd >= 0) close(fd);
  freeaddrinfo(found);
  return why;
}

}  // namespace

struct HttpServer::State {
  std::shared_ptr<prometheus::Registry> registry;
  HttpCallbacks callbacks;
  std::string listen;
  mg_context* context = nullptr;

  ~State() {
    if (context == nullptr) return;
    // civetweb's listening thread looks at its stop flag every 2 s, or when somebody connects: so
    // connect until it has seen it. "/" runs no callback.
    const std::string self = SplitHostPort(listen).host + ":" + std::to_string(Port());
    std::jthread waker([&self](std::stop_token done) {
      while (!done.stop_requested()) {
        (void)HttpGet(self, "/", absl::Milliseconds(100));
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
      }
    });
    mg_stop(context);  // joins its threads: no callback runs after this
  }

  int Port() const {
    mg_server_port ports[4] = {};
    const int count = mg_get_server_ports(context, 4, ports);
    return count > 0 ? ports[0].port : 0;
  }

  Answer AnswerTo(const std::string& path) const {
    if (path == "/metrics") {
      if (callbacks.before_metrics) callbacks.before_metrics();
      return {200, prometheus::TextSerializer().Serialize(registry->Collect()),
              "text/plain; version=0.0.4; charset=utf-8"};
    }
    if (path == "/livez") {
      const bool alive = !callbacks.alive || callbacks.alive();
      return {alive ? 200 : 503, alive ? "ok\n" : "the main loop has not turned for 60 s\n"};
    }
    if (path == "/readyz") {
      std::string reasons = callbacks.not_ready ? callbacks.not_ready() : "";
      if (reasons.empty()) return {200, "ok\n"};
      if (reasons.back() != '\n') reasons.push_back('\n');
      return {503, std::move(reasons)};
    }
    if (path == "/status") {
      return {200, callbacks.status_json ? callbacks.status_json() : "{}",
              "application/json; charset=utf-8"};
    }
    return {404, "there are /metrics, /livez, /readyz and /status\n"};
  }

  static int Handle(mg_connection* connection, void* user) {
    const auto* state = static_cast<const State*>(user);
    const mg_request_info* request = mg_get_request_info(connection);
    const std::string method = request->request_method;
    const bool head = method == "HEAD";
    const Answer answer = head || method == "GET" ? state->AnswerTo(request->local_uri)
                                                  : Answer{405, "only GET and HEAD\n"};
    const std::string header = absl::StrFormat(
        "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n"
        "Cache-Control: no-store\r\nConnection: close\r\n\r\n",
        answer.code, Reason(answer.code), answer.content_type, answer.body.size());
    mg_write(connection, header.data(), header.size());
    if (!head) mg_write(connection, answer.body.data(), answer.body.size());
    return answer.code;
  }
};

HttpServer::HttpServer(std::unique_ptr<State> state) : state_(std::move(state)) {}
HttpServer::~HttpServer() = default;

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(
    const std::string& listen, std::shared_ptr<prometheus::Registry> registry,
    HttpCallbacks callbacks) {
  // Without TLS: civetweb would dlopen libssl.so, which only libssl-dev installs. TLS belongs in a
  // reverse proxy.
  static const unsigned features = mg_init_library(0);
  (void)features;
  auto state = std::make_unique<State>();
  state->registry = std::move(registry);
  state->callbacks = std::move(callbacks);
  state->listen = listen;
  const char* options[] = {"listening_ports",    listen.c_str(), "num_threads", "3",
                           "request_timeout_ms", "10000",        nullptr};
  mg_callbacks hooks{};
  // Its own messages would go to stderr past our log.
  hooks.log_message = [](const mg_connection*, const char*) { return 1; };
  state->context = mg_start(&hooks, nullptr, options);
  if (state->context == nullptr) {
    return absl::UnavailableError(absl::StrFormat("metrics.listen: cannot listen on %s: %s", listen,
                                                  WhyNotListening(listen)));
  }
  // One handler and exact paths: civetweb's own matching takes /metrics/x for /metrics.
  mg_set_request_handler(state->context, "/", &State::Handle, state.get());
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(state)));
}

int HttpServer::port() const { return state_->Port(); }

}  // namespace pmoves
