#include "subscriber/core/bisect.h"

#include "common/base/status.h"

namespace pmoves {

absl::Status Bisect(size_t begin, size_t end, const BisectCallbacks& callbacks) {
  if (begin == end) return absl::OkStatus();
  absl::Status status = callbacks.try_range(begin, end);
  if (status.ok()) return status;
  if (!callbacks.splits_on(status)) return status;
  if (end - begin == 1) return callbacks.set_aside(begin, status);
  const size_t middle = begin + (end - begin) / 2;
  RETURN_IF_ERROR(Bisect(begin, middle, callbacks));
  return Bisect(middle, end, callbacks);
}

}  // namespace pmoves
