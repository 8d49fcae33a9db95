// StopSignal: SIGINT and SIGTERM as something a loop can wait for.
//
// Invariant: Install() is called before any thread starts, so that all threads block the signals
// and one place sees them.
// Thread: any; fd() is readable (and stays so) once stopping was asked for.
#ifndef PMOVES_COMMON_IO_STOP_H_
#define PMOVES_COMMON_IO_STOP_H_

#include "absl/time/time.h"

namespace pmoves {

class StopSignal {
 public:
  // Blocks the signals and starts the watching thread; a second signal ends the process with 130.
  static StopSignal& Install();
  bool requested() const;
  int fd() const;
  void Request();  // from inside (fatal error elsewhere)
  // Waits at most `duration`; true when stopping was requested.
  bool WaitFor(absl::Duration duration) const;

 private:
  StopSignal() = default;
};

}  // namespace pmoves

#endif  // PMOVES_COMMON_IO_STOP_H_
