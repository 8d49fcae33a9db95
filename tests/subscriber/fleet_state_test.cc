#include "subscriber/fleet_state.h"

#include <gtest/gtest.h>

namespace pmoves {
namespace {

const absl::Time kNow = absl::FromUnixSeconds(1800000000);

TEST(FleetStateTest, LagOfAnIdleEdgeThatIsHeardIsZero) {
  SourceState state;
  state.last_seen = kNow - absl::Seconds(9);
  EXPECT_EQ(FleetState::Lag(state, kNow), absl::ZeroDuration());
}

TEST(FleetStateTest, LagOfAnEdgeThatWentOfflineKeepsGrowing) {
  SourceState state;
  state.last_seen = kNow;
  EXPECT_EQ(FleetState::Lag(state, kNow + absl::Minutes(5)), absl::Minutes(5));
  EXPECT_EQ(FleetState::Lag(state, kNow + absl::Hours(5)), absl::Hours(5));
}

TEST(FleetStateTest, LagIsTheAgeOfTheOldestMessageThatWaits) {
  SourceState state;
  state.last_seen = kNow;
  state.waiting_since_us = absl::ToUnixMicros(kNow - absl::Seconds(3));
  EXPECT_EQ(FleetState::Lag(state, kNow), absl::Seconds(3));
}

TEST(FleetStateTest, WhatAnybodyMaySendMakesNoEntries) {
  FleetState fleet;
  fleet.UpdateKnown("stranger", [](SourceState&) {});
  EXPECT_TRUE(fleet.Snapshot().empty());
}

TEST(FleetStateTest, ActivityIsTakenOnce) {
  FleetState fleet;
  fleet.Update("a", [](SourceState& state) { state.tables["jobs"].changes = 7; });
  ASSERT_EQ(fleet.TakeDirty().size(), 1u);
  EXPECT_TRUE(fleet.TakeDirty().empty());
  EXPECT_TRUE(fleet.Snapshot()[0].tables.empty());
}

}  // namespace
}  // namespace pmoves
