#include "subscriber/large_lane.h"

#include <algorithm>

namespace pmoves {

bool LargeLane::TryEnter(const std::string& source) {
  MutexLock lock(mutex_);
  if (std::find(line_.begin(), line_.end(), source) == line_.end()) line_.push_back(source);
  if (!inside_.empty() || line_.front() != source) return false;
  line_.pop_front();
  inside_ = source;
  return true;
}

void LargeLane::Leave(const std::string& source) {
  MutexLock lock(mutex_);
  if (inside_ == source) inside_.clear();
  line_.erase(std::remove(line_.begin(), line_.end(), source), line_.end());
}

std::string LargeLane::inside() const {
  MutexLock lock(mutex_);
  return inside_;
}

}  // namespace pmoves
