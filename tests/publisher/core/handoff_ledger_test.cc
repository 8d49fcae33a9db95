#include "publisher/core/handoff_ledger.h"

#include <algorithm>
#include <random>
#include <vector>

#include "gtest/gtest.h"

namespace pmoves {
namespace {

using ConfirmAfter = HandoffLedger::ConfirmAfter;

absl::Time At(int64_t seconds) { return absl::FromUnixSeconds(1000000 + seconds); }

HandoffLedger::Options Hold(int64_t seconds, ConfirmAfter after = ConfirmAfter::kApplied) {
  HandoffLedger::Options options;
  options.confirm_after = after;
  options.stored_hold = absl::Seconds(seconds);
  return options;
}

TEST(HandoffLedgerTest, NothingStoredMeansNothingNewIsSafe) {
  HandoffLedger ledger(Hold(150), Lsn{10}, Lsn{10}, At(0));
  EXPECT_EQ(ledger.SafePosition(At(9999)), Lsn{10});
  EXPECT_EQ(ledger.NextDeadline(), absl::InfiniteFuture());
  EXPECT_EQ(ledger.waiting(), 0u);
}

TEST(HandoffLedgerTest, StoredAloneIsNotSafeBeforeTheHold) {
  HandoffLedger ledger(Hold(150), Lsn{10}, Lsn{10}, At(0));
  ledger.Stored(Lsn{20}, At(5));
  EXPECT_EQ(ledger.SafePosition(At(154)), Lsn{10});
  EXPECT_EQ(ledger.NextDeadline(), At(155));
  EXPECT_EQ(ledger.SafePosition(At(155)), Lsn{20});
  EXPECT_EQ(ledger.NextDeadline(), absl::InfiniteFuture());
}

TEST(HandoffLedgerTest, AppliedIsSafeAtOnce) {
  HandoffLedger ledger(Hold(150), Lsn{10}, Lsn{10}, At(0));
  ledger.Stored(Lsn{20}, At(1));
  ledger.Stored(Lsn{30}, At(2));
  ledger.Applied(Lsn{20});
  EXPECT_EQ(ledger.SafePosition(At(2)), Lsn{20});
  EXPECT_EQ(ledger.waiting(), 1u);
  EXPECT_EQ(ledger.NextDeadline(), At(152));
}

TEST(HandoffLedgerTest, AppliedBeyondWhatIsStoredIsNotSafeYet) {
  HandoffLedger ledger(Hold(150), Lsn{10}, Lsn{10}, At(0));
  ledger.Applied(Lsn{500});
  EXPECT_EQ(ledger.SafePosition(At(1)), Lsn{10});
  ledger.Stored(Lsn{20}, At(2));
  EXPECT_EQ(ledger.SafePosition(At(2)), Lsn{20});
  EXPECT_EQ(ledger.stored(), Lsn{20});
  EXPECT_EQ(ledger.applied(), Lsn{500});
}

TEST(HandoffLedgerTest, AppliedBetweenTwoTransactionsCoversTheFirst) {
  HandoffLedger ledger(Hold(150), Lsn{10}, Lsn{10}, At(0));
  ledger.Stored(Lsn{20}, At(1));
  ledger.Stored(Lsn{30}, At(1));
  ledger.Applied(Lsn{25});
  EXPECT_EQ(ledger.SafePosition(At(1)), Lsn{20});
}

TEST(HandoffLedgerTest, AppliedThatGoesBackIsHarmless) {
  HandoffLedger ledger(Hold(150), Lsn{10}, Lsn{10}, At(0));
  ledger.Stored(Lsn{20}, At(1));
  ledger.Applied(Lsn{20});
  ledger.Applied(Lsn{3});
  EXPECT_EQ(ledger.applied(), Lsn{20});
  EXPECT_EQ(ledger.SafePosition(At(1)), Lsn{20});
}

TEST(HandoffLedgerTest, TailOfTheRunBeforeWaitsFromTheStart) {
  HandoffLedger ledger(Hold(150), Lsn{10}, Lsn{40}, At(7));
  EXPECT_EQ(ledger.stored(), Lsn{40});
  EXPECT_EQ(ledger.NextDeadline(), At(157));
  EXPECT_EQ(ledger.SafePosition(At(156)), Lsn{10});
  EXPECT_EQ(ledger.SafePosition(At(157)), Lsn{40});
}

TEST(HandoffLedgerTest, TailBehindTheSlotLeavesTheSlotWhereItIs) {
  HandoffLedger ledger(Hold(150), Lsn{50}, Lsn{40}, At(0));
  EXPECT_EQ(ledger.SafePosition(At(1000)), Lsn{50});
  ledger.Stored(Lsn{60}, At(1));
  ledger.Applied(Lsn{60});
  EXPECT_EQ(ledger.SafePosition(At(1)), Lsn{60});
}

TEST(HandoffLedgerTest, HoldOfZeroConfirmsWhatIsStored) {
  HandoffLedger ledger(Hold(0), Lsn{10}, Lsn{10}, At(0));
  ledger.Stored(Lsn{20}, At(1));
  EXPECT_EQ(ledger.SafePosition(At(1)), Lsn{20});
}

TEST(HandoffLedgerTest, AfterStoredOnlyTheHoldCounts) {
  HandoffLedger ledger(Hold(150, ConfirmAfter::kStored), Lsn{10}, Lsn{10}, At(0));
  ledger.Stored(Lsn{20}, At(1));
  ledger.Applied(Lsn{20});
  EXPECT_EQ(ledger.SafePosition(At(150)), Lsn{10});
  EXPECT_EQ(ledger.SafePosition(At(151)), Lsn{20});
}

TEST(HandoffLedgerTest, EndlessHoldHasNoDeadline) {
  HandoffLedger::Options options = Hold(0);
  options.stored_hold = absl::InfiniteDuration();
  HandoffLedger ledger(options, Lsn{10}, Lsn{10}, At(0));
  ledger.Stored(Lsn{20}, At(1));
  EXPECT_EQ(ledger.NextDeadline(), absl::InfiniteFuture());
  EXPECT_EQ(ledger.SafePosition(At(1000000)), Lsn{10});
}

TEST(HandoffLedgerTest, ClockThatStepsBackNeverMovesTheSafePositionBack) {
  HandoffLedger ledger(Hold(150), Lsn{10}, Lsn{10}, At(0));
  ledger.Stored(Lsn{20}, At(1));
  EXPECT_EQ(ledger.SafePosition(At(151)), Lsn{20});
  EXPECT_EQ(ledger.SafePosition(At(-5000)), Lsn{20});
}

TEST(HandoffLedgerTest, EntriesAreBoundedAndMergedOnesAreAsLateAsTheirLaterHalf) {
  HandoffLedger::Options options = Hold(100);
  options.max_entries = 4;
  HandoffLedger ledger(options, Lsn{0}, Lsn{0}, At(0));
  for (int64_t i = 1; i <= 5; ++i) ledger.Stored(Lsn{static_cast<uint64_t>(i * 10)}, At(i));
  EXPECT_EQ(ledger.waiting(), 3u);  // {10, 20}, {30, 40}, {50}
  EXPECT_EQ(ledger.SafePosition(At(101)), Lsn{0});
  EXPECT_EQ(ledger.SafePosition(At(102)), Lsn{20});
  ledger.Applied(Lsn{30});
  EXPECT_EQ(ledger.SafePosition(At(102)), Lsn{20});
  ledger.Applied(Lsn{40});
  EXPECT_EQ(ledger.SafePosition(At(102)), Lsn{40});
}

TEST(HandoffLedgerDeathTest, StoredPositionsMustRise) {
  HandoffLedger ledger(Hold(100), Lsn{0}, Lsn{20}, At(0));
  EXPECT_DEATH(ledger.Stored(Lsn{20}, At(0)), "position > stored_");
}

// Keeps everything and looks at all of it each time.
class NaiveLedger {
 public:
  NaiveLedger(HandoffLedger::Options options, Lsn confirmed)
      : options_(options), safe_(confirmed) {}
  void Stored(Lsn position, absl::Time now) { stored_.push_back({position, now}); }
  void Applied(Lsn position) { applied_ = std::max(applied_, position); }
  Lsn SafePosition(absl::Time now) {
    bool all_before = true;
    for (const auto& [position, stored_at] : stored_) {
      const bool safe = position <= safe_ || now >= stored_at + options_.stored_hold ||
                        (options_.confirm_after == ConfirmAfter::kApplied && position <= applied_);
      all_before = all_before && safe;
      if (all_before) safe_ = std::max(safe_, position);
    }
    return safe_;
  }
  Lsn stored() const { return stored_.empty() ? Lsn{} : stored_.back().first; }

 private:
  HandoffLedger::Options options_;
  Lsn safe_;
  Lsn applied_;
  std::vector<std::pair<Lsn, absl::Time>> stored_;
};

// Goal: with room for all entries the ledger is the naive one; with little room it is only slower,
// never ahead.
TEST(HandoffLedgerTest, RandomRunsAgreeWithTheNaiveLedger) {
  for (uint32_t seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    std::mt19937 random(seed);
    const auto below = [&random](int n) {
      return static_cast<int64_t>(random() % static_cast<uint32_t>(n));
    };
    const HandoffLedger::Options options =
        Hold(below(40), below(4) == 0 ? ConfirmAfter::kStored : ConfirmAfter::kApplied);
    HandoffLedger::Options small = options;
    small.max_entries = static_cast<size_t>(2 + below(6));
    const Lsn confirmed{static_cast<uint64_t>(100 + below(50))};
    HandoffLedger ledger(options, confirmed, confirmed, At(0));
    HandoffLedger merging(small, confirmed, confirmed, At(0));
    NaiveLedger naive(options, confirmed);
    Lsn position = confirmed;
    Lsn before = confirmed;
    int64_t now = 0;
    for (int step = 0; step < 300; ++step) {
      now += below(3);
      if (below(2) == 0) {
        position.value += static_cast<uint64_t>(1 + below(20));
        ledger.Stored(position, At(now));
        merging.Stored(position, At(now));
        naive.Stored(position, At(now));
      }
      if (below(3) == 0) {
        const Lsn applied{position.value + 10 - static_cast<uint64_t>(below(80))};
        ledger.Applied(applied);
        merging.Applied(applied);
        naive.Applied(applied);
      }
      const Lsn want = naive.SafePosition(At(now));
      ASSERT_EQ(ledger.SafePosition(At(now)), want) << "step " << step;
      const Lsn merged = merging.SafePosition(At(now));
      ASSERT_LE(merged, want);
      ASSERT_GE(merged, before);
      ASSERT_LE(merging.waiting(), small.max_entries);
      before = merged;
    }
    EXPECT_EQ(merging.SafePosition(At(now + 1000)), position);
  }
}

}  // namespace
}  // namespace pmoves
