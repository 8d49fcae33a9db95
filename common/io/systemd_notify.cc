#include "common/io/systemd_notify.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <utility>

namespace pmoves {
namespace {

std::string Variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

absl::Duration WatchdogFromEnvironment() {
  const std::string pid = Variable("WATCHDOG_PID");
  const long long microseconds = std::atoll(Variable("WATCHDOG_USEC").c_str());
  if (microseconds <= 0 || (!pid.empty() && pid != std::to_string(getpid()))) {
    return absl::InfiniteDuration();
  }
  return absl::Microseconds(microseconds);
}

// A status is one line of the datagram: a line break would begin another assignment.
std::string OneLine(std::string_view text) {
  std::string line(text);
  for (char& c : line) {
    if (c == '\n' || c == '\r') c = ' ';
  }
  return line;
}

}  // namespace

SystemdNotify::SystemdNotify()
    : SystemdNotify(Variable("NOTIFY_SOCKET"), WatchdogFromEnvironment()) {}

SystemdNotify::SystemdNotify(std::string socket, absl::Duration watchdog_timeout)
    : socket_(std::move(socket)), watchdog_timeout_(watchdog_timeout) {}

void SystemdNotify::Ready(std::string_view status) const {
  Send("READY=1\nSTATUS=" + OneLine(status));
}

void SystemdNotify::Status(std::string_view status) const { Send("STATUS=" + OneLine(status)); }

void SystemdNotify::Stopping(std::string_view status) const {
  Send("STOPPING=1\nSTATUS=" + OneLine(status));
}

void SystemdNotify::Watchdog() const { Send("WATCHDOG=1"); }

absl::Duration SystemdNotify::watchdog_interval() const { return watchdog_timeout_ / 2; }

void SystemdNotify::Send(const std::string& message) const {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socket_.empty() || socket_.size() >= sizeof(address.sun_path)) return;
  std::memcpy(address.sun_path, socket_.data(), socket_.size());
  if (address.sun_path[0] == '@') address.sun_path[0] = '\0';
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + socket_.size());
  const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return;
  // Not delivered is not worth a failure: systemd notices by its own timeouts.
  (void)sendto(fd, message.data(), message.size(), MSG_NOSIGNAL | MSG_DONTWAIT,
               reinterpret_cast<const sockaddr*>(&address), size);
  close(fd);
}

}  // namespace pmoves
