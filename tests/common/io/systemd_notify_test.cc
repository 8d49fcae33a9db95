#include "common/io/systemd_notify.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <string>

#include "gtest/gtest.h"

namespace pmoves {
namespace {

// What systemd does: a datagram socket with an abstract name.
class Listener {
 public:
  Listener() : name_("@pmoves-sync-test-" + std::to_string(getpid())) {
    fd_ = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path + 1, name_.data() + 1, name_.size() - 1);
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name_.size());
    EXPECT_EQ(bind(fd_, reinterpret_cast<sockaddr*>(&address), size), 0);
  }
  ~Listener() { close(fd_); }

  const std::string& name() const { return name_; }
  std::string Receive() const {
    pollfd poller{fd_, POLLIN, 0};
    if (poll(&poller, 1, 10000) != 1) return "nothing came";
    char buffer[1000];
    const ssize_t size = recv(fd_, buffer, sizeof(buffer), 0);
    return std::string(buffer, static_cast<size_t>(size));
  }

 private:
  std::string name_;
  int fd_;
};

TEST(SystemdNotify, SendsOneDatagramForEachNews) {
  const Listener listener;
  const SystemdNotify notify(listener.name(), absl::Seconds(60));
  notify.Ready("connecting");
  EXPECT_EQ(listener.Receive(), "READY=1\nSTATUS=connecting");
  notify.Status("streaming\nREADY=0");
  EXPECT_EQ(listener.Receive(), "STATUS=streaming READY=0");
  notify.Watchdog();
  EXPECT_EQ(listener.Receive(), "WATCHDOG=1");
  notify.Stopping("draining");
  EXPECT_EQ(listener.Receive(), "STOPPING=1\nSTATUS=draining");
}

TEST(SystemdNotify, IsSilentWithoutASocketAndSurvivesAMissingOne) {
  SystemdNotify("", absl::InfiniteDuration()).Ready("x");
  SystemdNotify("/does/not/exist", absl::InfiniteDuration()).Ready("x");
  SystemdNotify(std::string(500, 'x'), absl::InfiniteDuration()).Ready("x");
}

TEST(SystemdNotify, TheWatchdogIsFedTwiceInItsTime) {
  EXPECT_EQ(SystemdNotify("", absl::Seconds(60)).watchdog_interval(), absl::Seconds(30));
  EXPECT_EQ(SystemdNotify("", absl::InfiniteDuration()).watchdog_interval(),
            absl::InfiniteDuration());
}

TEST(SystemdNotify, ReadsTheEnvironmentOfTheUnit) {
  const Listener listener;
  setenv("NOTIFY_SOCKET", listener.name().c_str(), 1);
  setenv("WATCHDOG_USEC", "2000000", 1);
  unsetenv("WATCHDOG_PID");
  EXPECT_EQ(SystemdNotify().watchdog_interval(), absl::Seconds(1));
  SystemdNotify().Watchdog();
  EXPECT_EQ(listener.Receive(), "WATCHDOG=1");
  setenv("WATCHDOG_PID", "1", 1);  // meant for another process
  EXPECT_EQ(SystemdNotify().watchdog_interval(), absl::InfiniteDuration());
  unsetenv("NOTIFY_SOCKET");
  unsetenv("WATCHDOG_USEC");
  unsetenv("WATCHDOG_PID");
}

}  // namespace
}  // namespace pmoves
