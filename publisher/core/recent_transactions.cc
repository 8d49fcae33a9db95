#include "publisher/core/recent_transactions.h"

#include <algorithm>
#include <vector>

#include "absl/status/status.h"
#include "proto/decimal.h"

namespace pmoves {
namespace {

// Numbers up to `separator` (or the end), cut to the 32 bits that the WAL tells.
bool TakeXid(std::string_view* text, char separator, uint32_t* xid) {
  const size_t end = text->find(separator);
  uint64_t full = 0;
  if (!proto::ParseDecimal(text->substr(0, end), &full)) return false;
  *xid = static_cast<uint32_t>(full);
  text->remove_prefix(end == std::string_view::npos ? text->size() : end + 1);
  return true;
}

// Transaction numbers wrap: compared as the server does.
bool Precedes(uint32_t a, uint32_t b) { return static_cast<int32_t>(a - b) < 0; }

}  // namespace

absl::StatusOr<bool> RecentTransactions::AllVisibleIn(std::string_view snapshot) const {
  const absl::Status malformed = absl::InvalidArgumentError("not the text of a snapshot");
  uint32_t xmin = 0;
  uint32_t xmax = 0;
  if (std::count(snapshot.begin(), snapshot.end(), ':') != 2 || !TakeXid(&snapshot, ':', &xmin) ||
      !TakeXid(&snapshot, ':', &xmax)) {
    return malformed;
  }
  std::vector<uint32_t> running;
  while (!snapshot.empty()) {
    if (!TakeXid(&snapshot, ',', &running.emplace_back())) return malformed;
  }
  return std::none_of(xids_.begin(), xids_.begin() + static_cast<ptrdiff_t>(count_),
                      [&](uint32_t xid) {
                        if (Precedes(xid, xmin)) return false;
                        return !Precedes(xid, xmax) ||
                               std::find(running.begin(), running.end(), xid) != running.end();
                      });
}

}  // namespace pmoves
