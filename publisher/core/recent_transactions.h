// RecentTransactions: the last transactions that came out of the WAL, to tell whether a session
// sees all of them already.
//
// The WAL tells of a commit a moment before other sessions see it (for as long as a standby is
// waited for, under synchronous replication). Whoever reads a row that must hold all changes up to
// a place in the WAL asks here first.
//
// In the flow:  ChangePump (each transaction) -> RecentTransactions <- Refetcher (a snapshot)
// Invariant:    constant memory: what is longer ago than kRemembered transactions counts as seen.
// Thread:       publish loop only. Pure.
#ifndef PMOVES_PUBLISHER_CORE_RECENT_TRANSACTIONS_H_
#define PMOVES_PUBLISHER_CORE_RECENT_TRANSACTIONS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "absl/status/statusor.h"

namespace pmoves {

class RecentTransactions {
 public:
  static constexpr size_t kRemembered = 4096;

  void Add(uint32_t xid) {
    xids_[next_] = xid;
    next_ = (next_ + 1) % kRemembered;
    if (count_ < kRemembered) ++count_;
  }
  // Whether all of them are visible in `snapshot`, the text of pg_current_snapshot():
  // xmin:xmax:xip,xip. kInvalidArgument: it is no such text.
  absl::StatusOr<bool> AllVisibleIn(std::string_view snapshot) const;

 private:
  std::array<uint32_t, kRemembered> xids_ = {};
  size_t next_ = 0;
  size_t count_ = 0;
};

}  // namespace pmoves

#endif  // PMOVES_PUBLISHER_CORE_RECENT_TRANSACTIONS_H_
