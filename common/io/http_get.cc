#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <climits>
#include <cstring>

#include "absl/strings/str_format.h"
#include "common/base/status.h"
#include "common/io/host_port.h"
#include "common/io/http_server.h"

namespace pmoves {
namespace {

constexpr size_t kMaxAnswerBytes = 64 << 20;

using Deadline = std::chrono::steady_clock::time_point;

class Socket {
 public:
  explicit Socket(int fd) : fd_(fd) {}
  ~Socket() {
    if (fd_ >= 0) close(fd_);
  }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  int fd() const { return fd_; }

 private:
  int fd_;
};

absl::Status WaitFor(int fd, int16_t events, Deadline deadline) {
  while (true) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) return absl::DeadlineExceededError("no answer in time");
    pollfd poller{fd, events, 0};
    const int result = poll(&poller, 1, static_cast<int>(std::min<int64_t>(left.count(), INT_MAX)));
    if (result > 0) return absl::OkStatus();
    if (result < 0 && errno != EINTR) return absl::UnavailableError(std::strerror(errno));
  }
}

absl::Status Connect(const Socket& socket, const addrinfo& address, Deadline deadline) {
  if (socket.fd() < 0) return absl::UnavailableError(std::strerror(errno));
  if (connect(socket.fd(), address.ai_addr, address.ai_addrlen) == 0) return absl::OkStatus();
  if (errno != EINPROGRESS) return absl::UnavailableError(std::strerror(errno));
  RETURN_IF_ERROR(WaitFor(socket.fd(), POLLOUT, deadline));
  int error = 0;
  socklen_t size = sizeof(error);
  getsockopt(socket.fd(), SOL_SOCKET, SO_ERROR, &error, &size);
  return error == 0 ? absl::OkStatus() : absl::UnavailableError(std::strerror(error));
}

absl::StatusOr<std::string> Exchange(const Socket& socket, const std::string& request,
                                     Deadline deadline) {
  RETURN_IF_ERROR(WaitFor(socket.fd(), POLLOUT, deadline));
  // A request is far smaller than an empty send buffer, so it goes in one piece.
  const ssize_t sent = send(socket.fd(), request.data(), request.size(), MSG_NOSIGNAL);
  if (sent != static_cast<ssize_t>(request.size())) {
    return absl::UnavailableError("the request could not be sent");
  }
  std::string answer;
  char buffer[16384];
  while (answer.size() <= kMaxAnswerBytes) {
    RETURN_IF_ERROR(WaitFor(socket.fd(), POLLIN, deadline));
    const ssize_t got = recv(socket.fd(), buffer, sizeof(buffer), 0);
    if (got == 0) return answer;
    if (got > 0) {
      answer.append(buffer, static_cast<size_t>(got));
    } else if (errno != EAGAIN && errno != EINTR) {
      return absl::UnavailableError(std::strerror(errno));
    }
  }
  return absl::ResourceExhaustedError("the answer is larger than 64 MiB");
}

absl::StatusOr<std::string> BodyOf(const std::string& answer) {
  const size_t header_end = answer.find("\r\n\r\n");
  if (answer.rfind("HTTP/1.", 0) != 0 || header_end == std::string::npos) {
    return absl::UnavailableError("what answers there does not speak HTTP");
  }
  const std::string code = answer.substr(std::min<size_t>(9, header_end), 3);
  std::string body = answer.substr(header_end + 4);
  if (code == "200") return body;
  return absl::FailedPreconditionError(absl::StrFormat("HTTP %s: %s", code, body));
}

absl::StatusOr<std::string> Get(const HostPort& address, const std::string& path,
                                Deadline deadline) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  const int lookup = getaddrinfo(address.host.c_str(), address.port.c_str(), &hints, &list);
  if (lookup != 0) return absl::UnavailableError(gai_strerror(lookup));
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(list, &freeaddrinfo);
  absl::Status last = absl::UnavailableError("no address");
  for (const addrinfo* one = list; one != nullptr; one = one->ai_next) {
    const Socket socket(::socket(one->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    last = Connect(socket, *one, deadline);
    if (!last.ok()) continue;
    // 1.0: the server closes the connection at the end, and sends no chunks.
    const std::string request = absl::StrFormat("GET %s HTTP/1.0\r\nHost: localhost\r\n\r\n", path);
    ASSIGN_OR_RETURN(const std::string answer, Exchange(socket, request, deadline));
    return BodyOf(answer);
  }
  return last;
}

}  // namespace

absl::StatusOr<std::string> HttpGet(const std::string& listen, const std::string& path,
                                    absl::Duration timeout) {
  HostPort address = SplitHostPort(listen);
  if (address.host == "0.0.0.0") address.host = "127.0.0.1";
  if (address.host == "::") address.host = "::1";
  absl::StatusOr<std::string> body =
      Get(address, path, std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(timeout));
  if (body.ok()) return body;
  return absl::Status(body.status().code(),
                      absl::StrFormat("http://%s%s: %s", listen, path, MessageOf(body.status())));
}

}  // namespace pmoves
