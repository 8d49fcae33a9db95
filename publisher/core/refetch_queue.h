// RefetchQueue: the rows that the centre asks for, and the mark in the WAL at which they are read.
//
// A row is sent at a place in the WAL: the publisher writes a mark there (one transaction with a
// logical message), and when the mark comes out of the WAL again the row is read and put into the
// stream at its position. Only one mark is under way at a time.
//
// In the flow:  RefetchFeed -> Offer;  Mark -> WAL -> TakeMarked -> rows
// Invariant:    a row is in the queue once, at most kMostRows of them. Only a mark of this session
// counts: anybody may write one.
// Thread:       publish loop only. Pure.
#ifndef PMOVES_PUBLISHER_CORE_REFETCH_QUEUE_H_
#define PMOVES_PUBLISHER_CORE_REFETCH_QUEUE_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proto/refetch.h"

namespace pmoves {

class RefetchQueue {
 public:
  static constexpr size_t kMostRows = 1000;
  static constexpr size_t kRowsPerMark = 32;

  // `session` makes the marks of this run its own.
  explicit RefetchQueue(std::string session) : session_(std::move(session)) {}

  // False: the queue is full. A row that is there already is there once.
  bool Offer(proto::RefetchRequest request);
  // Rows wait and no mark is under way.
  bool ready() const { return !waiting_.empty() && under_way_.empty(); }
  // The content of a mark for the rows that wait first; "" when none waits or one is under way.
  std::string Mark();
  // The mark could not be written: its rows wait again.
  void GiveUpMark();
  // The rows of the mark that came out of the WAL; none if it is not the one under way.
  std::vector<proto::RefetchRequest> TakeMarked(std::string_view content);
  // Rows that could not be read now wait again, before all others.
  void PutBack(std::vector<proto::RefetchRequest> rows);
  // All rows that wait, taken.
  std::vector<proto::RefetchRequest> TakeAll();

 private:
  std::string session_;
  uint64_t marks_ = 0;
  std::string under_way_;
  std::deque<proto::RefetchRequest> waiting_;
  std::vector<proto::RefetchRequest> marked_;
  std::set<std::string> names_;  // of waiting and marked rows
};

}  // namespace pmoves

#endif  // PMOVES_PUBLISHER_CORE_REFETCH_QUEUE_H_
