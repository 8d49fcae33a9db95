#include "common/io/stop.h"

#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include "absl/time/time.h"
#include "gtest/gtest.h"

namespace pmoves {
namespace {

// The signal state belongs to the process, so each case runs in a child that reports by its exit
// code.
constexpr int kGood = 7;

bool Readable(int fd) {
  pollfd poller{fd, POLLIN, 0};
  return poll(&poller, 1, 0) == 1 && (poller.revents & POLLIN) != 0;
}

class StopSignalDeathTest : public ::testing::Test {
 protected:
  StopSignalDeathTest() { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

[[noreturn]] void OneSignal(int signal_number) {
  StopSignal& stop = StopSignal::Install();
  const bool quiet_before =
      !stop.requested() && !Readable(stop.fd()) && !stop.WaitFor(absl::Milliseconds(1));
  kill(getpid(), signal_number);
  const bool woken = stop.WaitFor(absl::Seconds(30));
  _exit(quiet_before && woken && stop.requested() && Readable(stop.fd()) ? kGood : 1);
}

TEST_F(StopSignalDeathTest, SigtermAsksToStop) {
  EXPECT_EXIT(OneSignal(SIGTERM), ::testing::ExitedWithCode(kGood), "");
}

TEST_F(StopSignalDeathTest, SigintAsksToStop) {
  EXPECT_EXIT(OneSignal(SIGINT), ::testing::ExitedWithCode(kGood), "");
}

[[noreturn]] void TwoSignals() {
  StopSignal& stop = StopSignal::Install();
  kill(getpid(), SIGTERM);
  stop.WaitFor(absl::InfiniteDuration());
  kill(getpid(), SIGTERM);
  while (true) pause();
}

TEST_F(StopSignalDeathTest, ASecondSignalEndsTheProcess) {
  EXPECT_EXIT(TwoSignals(), ::testing::ExitedWithCode(130), "");
}

[[noreturn]] void RequestFromInside() {
  StopSignal& stop = StopSignal::Install();
  stop.Request();
  stop.Request();
  _exit(&stop == &StopSignal::Install() && stop.WaitFor(absl::ZeroDuration()) && Readable(stop.fd())
            ? kGood
            : 1);
}

TEST_F(StopSignalDeathTest, CanBeAskedForFromInside) {
  EXPECT_EXIT(RequestFromInside(), ::testing::ExitedWithCode(kGood), "");
}

[[noreturn]] void WriteToClosedPipe() {
  StopSignal::Install();
  int ends[2];
  if (pipe(ends) != 0) _exit(1);
  close(ends[0]);
  _exit(write(ends[1], "x", 1) == -1 ? kGood : 1);
}

TEST_F(StopSignalDeathTest, APeerThatWentAwayDoesNotEndTheProcess) {
  EXPECT_EXIT(WriteToClosedPipe(), ::testing::ExitedWithCode(kGood), "");
}

}  // namespace
}  // namespace pmoves
