#include "publisher/core/refetch_queue.h"

#include "absl/strings/str_format.h"

namespace pmoves {

bool RefetchQueue::Offer(proto::RefetchRequest request) {
  std::string name = proto::EncodeRefetchRequest(request);
  if (names_.count(name) > 0) return true;
  if (names_.size() >= kMostRows) return false;
  names_.insert(std::move(name));
  waiting_.push_back(std::move(request));
  return true;
}

std::string RefetchQueue::Mark() {
  if (waiting_.empty() || !under_way_.empty()) return "";
  while (!waiting_.empty() && marked_.size() < kRowsPerMark) {
    marked_.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
  }
  under_way_ = absl::StrFormat("refetch %s %d", session_, ++marks_);
  return under_way_;
}

void RefetchQueue::GiveUpMark() {
  under_way_.clear();
  for (auto row = marked_.rbegin(); row != marked_.rend(); ++row)
    waiting_.push_front(std::move(*row));
  marked_.clear();
}

std::vector<proto::RefetchRequest> RefetchQueue::TakeMarked(std::string_view content) {
  std::vector<proto::RefetchRequest> rows;
  if (under_way_.empty() || content != under_way_) return rows;
  under_way_.clear();
  rows.swap(marked_);
  for (const proto::RefetchRequest& row : rows) names_.erase(proto::EncodeRefetchRequest(row));
  return rows;
}

void RefetchQueue::PutBack(std::vector<proto::RefetchRequest> rows) {
  for (auto row = rows.rbegin(); row != rows.rend(); ++row) {
    if (!names_.insert(proto::EncodeRefetchRequest(*row)).second) continue;
    waiting_.push_front(std::move(*row));
  }
}

std::vector<proto::RefetchRequest> RefetchQueue::TakeAll() {
  std::vector<proto::RefetchRequest> rows(std::make_move_iterator(waiting_.begin()),
                                          std::make_move_iterator(waiting_.end()));
  waiting_.clear();
  for (const proto::RefetchRequest& row : rows) names_.erase(proto::EncodeRefetchRequest(row));
  return rows;
}

}  // namespace pmoves
