#include "common/io/stop.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <climits>
#include <cstdint>
#include <thread>

#include "common/base/check.h"

namespace pmoves {
namespace {

constexpr int kExitSecondSignal = 130;

// One per process, never freed: the watching thread lives as long as the process.
struct Shared {
  std::atomic<bool> requested{false};
  int event_fd = -1;
};

Shared& State() {
  static Shared* shared = new Shared;
  return *shared;
}

void WatchSignals(sigset_t signals) {
  bool seen = false;
  while (true) {
    int signal_number = 0;
    if (sigwait(&signals, &signal_number) != 0) continue;
    if (seen) _exit(kExitSecondSignal);
    seen = true;
    StopSignal::Install().Request();
  }
}

}  // namespace

StopSignal& StopSignal::Install() {
  static StopSignal* const instance = [] {
    State().event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    PMOVES_CHECK(State().event_fd >= 0);
    // A peer that went away is an error code of the write, not the end of the process.
    signal(SIGPIPE, SIG_IGN);
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    PMOVES_CHECK(pthread_sigmask(SIG_BLOCK, &signals, nullptr) == 0);
    std::thread(WatchSignals, signals).detach();
    return new StopSignal;
  }();
  return *instance;
}

bool StopSignal::requested() const { return State().requested.load(); }

int StopSignal::fd() const { return State().event_fd; }

void StopSignal::Request() {
  State().requested.store(true);
  const uint64_t one = 1;
  // Only a full counter can refuse, and then the descriptor is readable already.
  [[maybe_unused]] const ssize_t written = write(State().event_fd, &one, sizeof(one));
}

bool StopSignal::WaitFor(absl::Duration duration) const {
  // Not absl::Now(): the wall clock of an edge box may step by hours. A wait beyond a year is one
  // for ever.
  const auto now = std::chrono::steady_clock::now();
  const absl::Duration bounded = std::min(duration, absl::Hours(24 * 365));
  const auto deadline = now + absl::ToChronoNanoseconds(bounded);
  while (!requested()) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) return requested();
    pollfd poller{fd(), POLLIN, 0};
    const int result = poll(&poller, 1, static_cast<int>(std::min<int64_t>(left.count(), INT_MAX)));
    PMOVES_CHECK(result >= 0 || errno == EINTR);
  }
  return true;
}

}  // namespace pmoves
