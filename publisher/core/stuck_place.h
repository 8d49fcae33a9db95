// StuckPlace: does reading the WAL fail again and again at one place?
//
// Each failure ends the session, and the next one comes to the same place: a row that is larger
// than PostgreSQL's 1 GB as JSON, or output that cannot be decoded. Between two attempts everything
// looks well, so somebody must remember.
//
// In the flow:  PublishLoop (a read failed; how far it read) -> StuckPlace -> status, back-off
// Invariant:    stuck() holds from the kRepeats-th failure at a place until more than it was read.
// Thread:       publish loop only. Pure.
#ifndef PMOVES_PUBLISHER_CORE_STUCK_PLACE_H_
#define PMOVES_PUBLISHER_CORE_STUCK_PLACE_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "common/base/lsn.h"

namespace pmoves {

// How far the WAL was read.
struct WalPlace {
  Lsn passed;       // newest transaction read to its end
  Lsn transaction;  // the one that is open; none: none is
  uint32_t xid = 0;

  bool operator==(const WalPlace&) const = default;
};

class StuckPlace {
 public:
  static constexpr int kRepeats = 2;
  // A connection that breaks says nothing of the place, unless it always breaks there (a server
  // process that is killed for its memory).
  static constexpr int kBrokenRepeats = 5;

  // Reading failed at `place`. The status to go on with: when stuck, kFailedPrecondition with the
  // place and the way out.
  absl::Status Failed(const WalPlace& place, const absl::Status& why);
  // So far was read; REQUIRES: in the order of the WAL.
  void Passed(const WalPlace& place);

  bool stuck() const { return stuck_; }
  int failures() const { return failures_; }  // in a row at this place
  // For people; "" unless stuck.
  const std::string& reason() const { return reason_; }

 private:
  WalPlace place_;
  int failures_ = 0;
  bool stuck_ = false;
  std::string reason_;
};

}  // namespace pmoves

#endif  // PMOVES_PUBLISHER_CORE_STUCK_PLACE_H_
