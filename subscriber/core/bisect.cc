#include "subscriber/core/bisect.h"

#include "common/base/status.h"

namespace pmoves {

absl::Status Bisect(size_t begin, size_t end, const BisectCallbacks& callbacks) {
  if (begin == end) return absl::OkStatus();
  absl::Status status = callbacks.try_range(begin, end);
  if (status.ok()) return status;
  if (!callbacks.splits_on(status)) return status;
  if (end - begin == 1) return callbacks.set_aside(begin, status);
  const size_t middle =
      callbacks.cut == nullptr ? begin + (end - begin) / 2 : callbacks.cut(begin, end);
  RETURN_IF_ERROR(Bisect(begin, middle, callbacks));
  return Bisect(middle, end, callbacks);
}

size_t CutBetweenTransactions(const ChangeSet& set, size_t begin, size_t end) {
  const size_t middle = begin + (end - begin) / 2;
  auto begins_transaction = [&set](size_t index) {
    const Change& change = set.changes[index];
    const Change& before = set.changes[index - 1];
    return change.source != before.source || change.position != before.position;
  };
  for (size_t away = 0; away < end - begin; ++away) {
    if (middle > begin + away && begins_transaction(middle - away)) return middle - away;
    if (middle + away < end && begins_transaction(middle + away)) return middle + away;
  }
  return middle;
}

}  // namespace pmoves
