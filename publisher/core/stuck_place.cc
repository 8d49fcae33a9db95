#include "publisher/core/stuck_place.h"

#include "absl/strings/str_format.h"
#include "common/base/status.h"

namespace pmoves {
namespace {

bool ConnectionBroke(const absl::Status& why) {
  return absl::IsUnavailable(why) || absl::IsAborted(why) || absl::IsDeadlineExceeded(why) ||
         absl::IsCancelled(why);
}

// PostgreSQL's own limits: one row, or one message, is too large.
bool TooLarge(const absl::Status& why) {
  const std::string state = SqlStateOf(why);
  return state == "54000" || state == "53200" ||
         why.message().find("memory alloc") != absl::string_view::npos;
}

}  // namespace

absl::Status StuckPlace::Failed(const WalPlace& place, const absl::Status& why) {
  if (failures_ == 0 || !(place == place_)) {
    *this = StuckPlace();
    place_ = place;
  }
  const bool broke = ConnectionBroke(why);
  if (broke && place.transaction.IsNone()) return why;
  ++failures_;
  if (failures_ < (broke ? kBrokenRepeats : kRepeats)) return why;
  stuck_ = true;
  const std::string where = place.transaction.IsNone()
                                ? absl::StrFormat("behind position %s", place.passed.ToString())
                                : absl::StrFormat("in the transaction at position %s, xid %d",
                                                  place.transaction.ToString(), place.xid);
  reason_ = absl::StrFormat(
      "reading the WAL failed %d times %s: %s.%s Nothing behind it can be published; see \"A "
      "transaction that cannot be read\" in docs/operations.md for the way out",
      failures_, where, MessageOf(why),
      TooLarge(why) ? " A row change or message of it is larger than 1 GB as JSON." : "");
  return WithSqlState(absl::FailedPreconditionError(reason_), SqlStateOf(why));
}

void StuckPlace::Passed(const WalPlace& place) {
  if (failures_ == 0) return;
  const Lsn behind = place_.transaction.IsNone() ? place_.passed : place_.transaction;
  const bool beyond = place_.transaction.IsNone() ? place.passed > behind : place.passed >= behind;
  if (beyond) *this = StuckPlace();
}

}  // namespace pmoves
