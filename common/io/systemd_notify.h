// SystemdNotify: tells systemd that the program is up, what it does, and that it still turns. One
// datagram each; no libsystemd. Without $NOTIFY_SOCKET every call does nothing.
//
// READY belongs after a valid configuration, the metrics port and the first turn of the main loop,
// and does not wait for any server: an edge must start without its uplink. WATCHDOG only from a
// place that knows that every loop turned.
// Thread: any.
#ifndef PMOVES_COMMON_IO_SYSTEMD_NOTIFY_H_
#define PMOVES_COMMON_IO_SYSTEMD_NOTIFY_H_

#include <string>
#include <string_view>

#include "absl/time/time.h"

namespace pmoves {

class SystemdNotify {
 public:
  // From $NOTIFY_SOCKET, $WATCHDOG_USEC and $WATCHDOG_PID.
  SystemdNotify();
  // `socket`: a path, or '@' and an abstract name; "" for none.
  SystemdNotify(std::string socket, absl::Duration watchdog_timeout);

  void Ready(std::string_view status) const;
  void Status(std::string_view status) const;  // one line, shown by systemctl status
  void Stopping(std::string_view status) const;
  void Watchdog() const;
  // How often Watchdog() is due: half of the unit's WatchdogSec. Infinite when it has none.
  absl::Duration watchdog_interval() const;

 private:
  void Send(const std::string& message) const;

  std::string socket_;
  absl::Duration watchdog_timeout_;
};

}  // namespace pmoves

#endif  // PMOVES_COMMON_IO_SYSTEMD_NOTIFY_H_
