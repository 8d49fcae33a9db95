// WalSource: PORT. A logical replication stream of one slot.
//
// In the flow:  Postgres -> WalSource -> Wal2JsonDecoder
//               HandoffLedger -> WalSource::Report -> Postgres
// Thread:       publish loop only.
#ifndef PMOVES_PUBLISHER_CORE_WAL_SOURCE_H_
#define PMOVES_PUBLISHER_CORE_WAL_SOURCE_H_

#include <cstdint>
#include <optional>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/lsn.h"

namespace pmoves {

struct WalEvent {
  bool keepalive = false;
  bool reply_requested = false;  // keepalive: the server wants a Report now
  Lsn wal_start;                 // data: start position of the payload (never a point to resume at)
  Lsn wal_end;                   // keepalive: how far the server has sent
  std::string_view payload;      // data: one wal2json object; valid until the next Next()
};

class WalSource {
 public:
  virtual ~WalSource() = default;
  // The next event if one has arrived; nullopt when nothing has (never blocks).
  // kUnavailable: the connection ended. kDataLoss: the server dropped changes (a WARNING
  // "no tuple identifier ...") or the slot was invalidated.
  virtual absl::StatusOr<std::optional<WalEvent>> Next() = 0;
  // To poll() for POLLIN when Next said nullopt.
  virtual int fd() const = 0;
  // Tells the server what was received and what may be forgotten. `flush` is none (0) when the safe
  // position has not advanced since the last report: a repeated old flush makes a fast shutdown of
  // the server hang (facts/wal2json 0.10).
  virtual absl::Status Report(Lsn received, Lsn flush, bool ask_reply) = 0;
};

}  // namespace pmoves

#endif  // PMOVES_PUBLISHER_CORE_WAL_SOURCE_H_
