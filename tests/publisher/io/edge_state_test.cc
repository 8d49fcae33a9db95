#include "publisher/io/edge_state.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace pmoves {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

StartDecision Behind(const std::string& tail_writer) {
  StartDecision decision;
  decision.action = StartDecision::Action::kStart;
  decision.previous_writer = tail_writer;
  return decision;
}

SlotFacts SlotAt(uint64_t position) {
  SlotFacts slot;
  slot.confirmed = Lsn{position};
  return slot;
}

TEST(TakeOverTest, TheFirstWriterRemembersWhereTheEpochBegan) {
  const WriterRow row = TakeOver(std::nullopt, Behind(""), SlotAt(50), "w1");
  EXPECT_EQ(row.writer, "w1");
  EXPECT_EQ(row.previous_writer, "");
  EXPECT_EQ(row.epoch_start, Lsn{50});
  EXPECT_THAT(row.former_writers, IsEmpty());
}

TEST(TakeOverTest, TheEpochStartStaysWhereItWas) {
  const WriterRow before{1, "w1", "", {}, Lsn{50}};
  EXPECT_EQ(TakeOver(before, Behind("w1"), SlotAt(90), "w2").epoch_start, Lsn{50});
}

TEST(TakeOverTest, FormerWritersAreRememberedBecauseALostTailMayEndInOneOfTheirs) {
  WriterRow row{1, "w2", "w1", {"w0"}, Lsn{50}};
  row = TakeOver(row, Behind("w2"), SlotAt(90), "w3");
  EXPECT_EQ(row.previous_writer, "w2");
  row = TakeOver(row, Behind("w3"), SlotAt(90), "w4");
  EXPECT_THAT(row.former_writers, ElementsAre("w0", "w2", "w3"));
}

TEST(TakeOverTest, TheSameRunIsRememberedOnce) {
  WriterRow row{1, "w2", "w1", {}, Lsn{50}};
  row = TakeOver(row, Behind("w1"), SlotAt(90), "w2");
  EXPECT_THAT(row.former_writers, IsEmpty());
}

TEST(TakeOverTest, TheMemoryOfFormerWritersIsBounded) {
  WriterRow row{1, "w", "w1", {}, Lsn{50}};
  for (int i = 0; i < 1000; ++i) {
    row = TakeOver(row, Behind("w1"), SlotAt(90), "w" + std::to_string(i + 10));
  }
  EXPECT_LE(row.former_writers.size(), 256u);
  EXPECT_EQ(row.former_writers.back(), "w1008");
}

}  // namespace
}  // namespace pmoves
