#include "publisher/core/start_decision.h"

#include <functional>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace pmoves {
namespace {

using Action = StartDecision::Action;
using ::testing::HasSubstr;

constexpr const char kOrigin[] = "7300000000000000001/1/pmoves_sync";

// A publisher that ran before: its stream ends at 100, its slot is confirmed up to 90.
StartFacts Ran() {
  StartFacts facts;
  facts.source = "jetson-01";
  facts.slot_name = "pmoves_sync";
  facts.origin = kOrigin;
  facts.wal_end = Lsn{500};
  facts.tail.last_sequence = 7;
  facts.tail.has_own_message = true;
  facts.tail.epoch = 1;
  facts.tail.origin = kOrigin;
  facts.tail.writer = "w2";
  facts.tail.position = Lsn{100};
  facts.tail.newest = Lsn{100};
  facts.tail.hlc = Hlc{1000};
  facts.row = WriterRow{1, "w2", "w1", {}, Lsn{50}};
  facts.slot.exists = true;
  facts.slot.confirmed = Lsn{90};
  return facts;
}

// Nothing of this source exists anywhere but a fresh slot.
StartFacts Fresh() {
  StartFacts facts = Ran();
  facts.tail = StreamTail();
  facts.row.reset();
  facts.slot.confirmed = Lsn{50};
  return facts;
}

proto::Applied AppliedAt(uint32_t epoch, uint64_t position, int64_t hlc) {
  return proto::Applied{"jetson-01", epoch, Lsn{position}, Hlc{hlc}};
}

struct Case {
  const char* name;
  StartFacts base;
  std::function<void(StartFacts&)> change;
  Action action = Action::kStart;
  const char* refusal = "";
  Lsn previous = {};
  Hlc hlc = {};
  uint64_t expected_sequence = 0;
};

void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

class DecideTest : public ::testing::TestWithParam<Case> {};

TEST_P(DecideTest, Decides) {
  const Case& c = GetParam();
  StartFacts facts = c.base;
  c.change(facts);
  const StartDecision decision = Decide(facts);
  EXPECT_EQ(decision.action, c.action) << decision.reason;
  EXPECT_STREQ(decision.refusal, c.refusal);
  if (c.action == Action::kRefuse) {
    EXPECT_THAT(decision.reason, HasSubstr("."));
    return;
  }
  EXPECT_EQ(decision.previous, c.previous);
  EXPECT_EQ(decision.hlc, c.hlc);
  EXPECT_EQ(decision.expected_sequence, c.expected_sequence);
}

const Case kGoesOn[] = {
    {"GoesOnBehindTheTail", Ran(), [](StartFacts&) {}, Action::kStart, "", Lsn{100}, Hlc{1000}, 7},
    {"FirstStartWithoutSlotCreatesIt", Fresh(), [](StartFacts& f) { f.slot = SlotFacts(); },
     Action::kCreateSlot},
    {"FirstStartWithSlotOpensTheEpoch", Fresh(), [](StartFacts&) {}},
    {"FirstStartExpectsWhatAnEmptiedStreamSays", Fresh(),
     [](StartFacts& f) { f.tail.last_sequence = 12; }, Action::kStart, "", Lsn{}, Hlc{}, 12},
    {"KnowsThePreviousWriter", Ran(), [](StartFacts& f) { f.tail.writer = "w1"; }, Action::kStart,
     "", Lsn{100}, Hlc{1000}, 7},
    {"KnowsAWriterOfWhichNothingHadBeenSeen", Ran(),
     [](StartFacts& f) {
       f.tail.writer = "w9";
       f.row->former_writers = {"w9"};
     },
     Action::kStart, "", Lsn{100}, Hlc{1000}, 7},
    {"UnfinishedTailGoesOnBehindTheLastCompleteOne", Ran(),
     [](StartFacts& f) {
       f.tail.unfinished = true;
       f.tail.newest = Lsn{120};
       f.tail.last_sequence = 9;
     },
     Action::kStart, "", Lsn{100}, Hlc{1000}, 9},
    {"GarbageBehindTheTailIsExpectedButNotContinued", Ran(),
     [](StartFacts& f) {
       f.tail.foreign_messages = 3;
       f.tail.last_sequence = 10;
     },
     Action::kStart, "", Lsn{100}, Hlc{1000}, 10},
    {"WroteTheRowButNeverPublished", Ran(),
     [](StartFacts& f) {
       f.tail = StreamTail();
       f.slot.confirmed = Lsn{50};
     }},
    {"SlotWentBackToTheEpochStartAfterARestart", Ran(),
     [](StartFacts& f) {
       f.tail = StreamTail();
       f.slot.confirmed = Lsn{40};
     }},
    {"LostTailThatTheCentreHasApplied", Ran(),
     [](StartFacts& f) {
       f.tail.position = f.tail.newest = Lsn{70};
       f.tail.hlc = Hlc{700};
       f.applied = AppliedAt(1, 95, 950);
     },
     Action::kStart, "", Lsn{90}, Hlc{950}, 7},
    {"LostStreamThatTheCentreHasApplied", Ran(),
     [](StartFacts& f) {
       f.tail = StreamTail();
       f.applied = AppliedAt(1, 90, 900);
     },
     Action::kStart, "", Lsn{90}, Hlc{900}, 0},
    {"ANewEpochContinuesTheVersionsOfTheOldOne", Ran(),
     [](StartFacts& f) {
       f.tail = StreamTail();
       f.row = WriterRow{2, "w2", "", {}, Lsn{90}};
       f.applied = AppliedAt(1, 400, 4000);
     },
     Action::kStart, "", Lsn{}, Hlc{4000}, 0},
    {"LostTailThatTheSlotStillHas", Ran(),
     [](StartFacts& f) {
       f.tail.position = f.tail.newest = Lsn{90};
       f.applied = AppliedAt(1, 400, 4000);
     },
     Action::kStart, "", Lsn{90}, Hlc{1000}, 7},
};
INSTANTIATE_TEST_SUITE_P(GoesOn, DecideTest, ::testing::ValuesIn(kGoesOn),
                         [](const auto& test) { return std::string(test.param.name); });

const Case kRefuses[] = {
    {"UnknownDatabase", Ran(), [](StartFacts& f) { f.row.reset(); }, Action::kRefuse,
     "unknown_database"},
    {"NewDatabaseOfASourceThatTheCentreKnows", Fresh(),
     [](StartFacts& f) { f.applied = AppliedAt(1, 90, 900); }, Action::kRefuse, "unknown_database"},
    {"CloneOrRestoredBackup", Ran(), [](StartFacts& f) { f.tail.writer = "stranger"; },
     Action::kRefuse, "foreign_writer"},
    {"AnEmptyWriterIsNotTheMissingPreviousOne", Ran(),
     [](StartFacts& f) {
       f.tail.writer = "";
       f.row->previous_writer = "";
     },
     Action::kRefuse, "foreign_writer"},
    {"OtherEpoch", Ran(), [](StartFacts& f) { f.tail.epoch = 2; }, Action::kRefuse,
     "epoch_mismatch"},
    {"OtherTimeline", Ran(), [](StartFacts& f) { f.origin = "7300000000000000001/2/pmoves_sync"; },
     Action::kRefuse, "identity_mismatch"},
    {"DatabaseSetBack", Ran(), [](StartFacts& f) { f.wal_end = Lsn{99}; }, Action::kRefuse,
     "wal_went_back"},
    {"DatabaseSetBackIntoTheUnfinishedTransaction", Ran(),
     [](StartFacts& f) {
       f.tail.unfinished = true;
       f.tail.newest = Lsn{600};
     },
     Action::kRefuse, "wal_went_back"},
    {"SlotBeyondTheWal", Ran(), [](StartFacts& f) { f.slot.confirmed = Lsn{501}; }, Action::kRefuse,
     "wal_went_back"},
    {"SlotMissing", Ran(), [](StartFacts& f) { f.slot = SlotFacts(); }, Action::kRefuse,
     "slot_missing"},
    {"SlotMissingThoughNothingWasPublished", Ran(),
     [](StartFacts& f) {
       f.tail = StreamTail();
       f.slot = SlotFacts();
     },
     Action::kRefuse, "slot_missing"},
    {"SlotLost", Ran(), [](StartFacts& f) { f.slot.lost = true; }, Action::kRefuse, "slot_lost"},
    {"SlotOfAnotherPlugin", Fresh(), [](StartFacts& f) { f.slot.reason = "other plugin."; },
     Action::kRefuse, "slot_unusable"},
    {"LostTailThatTheCentreNeverReported", Ran(),
     [](StartFacts& f) { f.tail.position = f.tail.newest = Lsn{70}; }, Action::kRefuse,
     "tail_lost"},
    {"LostTailThatTheCentreHasOnlyPartly", Ran(),
     [](StartFacts& f) {
       f.tail.position = f.tail.newest = Lsn{70};
       f.applied = AppliedAt(1, 89, 890);
     },
     Action::kRefuse, "tail_lost"},
    {"LostTailAndAReportOfAnotherEpoch", Ran(),
     [](StartFacts& f) {
       f.tail.position = f.tail.newest = Lsn{70};
       f.applied = AppliedAt(2, 400, 4000);
     },
     Action::kRefuse, "tail_lost"},
};
INSTANTIATE_TEST_SUITE_P(Refuses, DecideTest, ::testing::ValuesIn(kRefuses),
                         [](const auto& test) { return std::string(test.param.name); });

TEST(StartDecisionTest, TheTailsWriterBecomesThePreviousOne) {
  EXPECT_EQ(Decide(Ran()).previous_writer, "w2");
  StartFacts facts = Ran();
  facts.tail = StreamTail();
  facts.slot.confirmed = Lsn{50};
  EXPECT_EQ(Decide(facts).previous_writer, "w1");
}

TEST(StartDecisionTest, ALostTailIsMarkedAsCoveredByTheCentre) {
  StartFacts facts = Ran();
  facts.tail.position = facts.tail.newest = Lsn{70};
  facts.applied = AppliedAt(1, 95, 950);
  EXPECT_TRUE(Decide(facts).covered_by_centre);
  EXPECT_FALSE(Decide(Ran()).covered_by_centre);
}

}  // namespace
}  // namespace pmoves
