#include "subscriber/core/fair_share.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

namespace pmoves {
namespace {

using Names = std::set<std::string>;

Names Range(int first, int last) {
  Names names;
  for (int i = first; i <= last; ++i) names.insert("edge-" + std::to_string(i));
  return names;
}

// Processes that take turns, as they would with the locks of one database.
class Fleet {
 public:
  Fleet(Names streams, std::vector<Names> lists)
      : streams_(std::move(streams)), lists_(std::move(lists)) {
    shares_.resize(lists_.size());
    owned_.resize(lists_.size());
    alive_.resize(lists_.size(), true);
  }
  void Turn(size_t i) {
    FairShare::View view;
    for (size_t p = 0; p < lists_.size(); ++p) {
      if (alive_[p]) view.processes.push_back(lists_[p]);
    }
    Names held;
    for (const Names& owned : owned_) held.insert(owned.begin(), owned.end());
    for (const std::string& stream : streams_) {
      if (!lists_[i].empty() && lists_[i].count(stream) == 0) continue;
      view.known.insert(stream);
      if (held.count(stream) == 0) view.free.insert(stream);
    }
    view.owned = owned_[i];
    const FairShare::Plan plan = shares_[i].Turn(view);
    for (const std::string& source : plan.release) owned_[i].erase(source);
    for (const std::string& source : plan.claim) owned_[i].insert(source);
    moved_ = moved_ || !plan.release.empty() || !plan.claim.empty();
  }
  // True when nothing moves any more.
  bool Settle(int rounds) {
    int quiet = 0;
    for (int round = 0; round < rounds; ++round) {
      moved_ = false;
      for (size_t i = 0; i < lists_.size(); ++i) {
        if (alive_[i]) Turn(i);
      }
      quiet = moved_ ? 0 : quiet + 1;
      if (quiet > FairShare::kPatience) return true;
    }
    return false;
  }
  void Kill(size_t i) {
    alive_[i] = false;
    owned_[i].clear();
  }
  size_t load(size_t i) const { return owned_[i].size(); }
  Names Unowned() const {
    Names left = streams_;
    for (const Names& owned : owned_) {
      for (const std::string& source : owned) left.erase(source);
    }
    return left;
  }

 private:
  const Names streams_;
  const std::vector<Names> lists_;
  std::vector<FairShare> shares_;
  std::vector<Names> owned_;
  std::vector<bool> alive_;
  bool moved_ = false;
};

TEST(FairShareTest, ProcessesWithoutListsShareEvenly) {
  Fleet fleet(Range(1, 10), {{}, {}, {}});
  EXPECT_TRUE(fleet.Settle(30));
  EXPECT_EQ(fleet.Unowned(), Names());
  for (size_t i = 0; i < 3; ++i) EXPECT_LE(fleet.load(i), 4u);
  fleet.Kill(1);
  EXPECT_TRUE(fleet.Settle(30));
  EXPECT_EQ(fleet.Unowned(), Names());
  EXPECT_EQ(fleet.load(0), 5u);
}

// Half of them stayed unowned: each process divided its own sources by all processes.
TEST(FairShareTest, DifferentListsLeaveNothingUnowned) {
  Fleet fleet(Range(1, 20), {Range(1, 10), Range(11, 20)});
  EXPECT_TRUE(fleet.Settle(30));
  EXPECT_EQ(fleet.Unowned(), Names());
  EXPECT_EQ(fleet.load(0), 10u);
}

TEST(FairShareTest, OverlappingListsAreSharedWhereTheyOverlap) {
  Fleet fleet(Range(1, 15), {Range(1, 10), Range(6, 15)});
  EXPECT_TRUE(fleet.Settle(50));
  EXPECT_EQ(fleet.Unowned(), Names());
  EXPECT_GE(fleet.load(0), 7u);
  EXPECT_GE(fleet.load(1), 7u);
  fleet.Kill(0);
  EXPECT_TRUE(fleet.Settle(50));
  EXPECT_EQ(fleet.Unowned(), Range(1, 5)) << "what nobody else may own";
}

TEST(FairShareTest, WhateverTheListsNothingStaysFreeAndNothingWandersForEver) {
  std::mt19937 random(17);
  for (int run = 0; run < 300; ++run) {
    const int streams = 1 + static_cast<int>(random() % 25);
    const size_t processes = 1 + random() % 5;
    std::vector<Names> lists(processes);
    Names covered;
    for (Names& list : lists) {
      if (random() % 4 == 0) {
        covered = Range(1, streams);
        continue;
      }
      for (const std::string& name : Range(1, streams)) {
        if (random() % 2 == 0) list.insert(name);
      }
      if (list.empty()) list.insert("edge-1");
      covered.insert(list.begin(), list.end());
    }
    Fleet fleet(Range(1, streams), lists);
    EXPECT_TRUE(fleet.Settle(200)) << "run " << run;
    for (const std::string& name : fleet.Unowned()) EXPECT_EQ(covered.count(name), 0u) << run;
  }
}

}  // namespace
}  // namespace pmoves
