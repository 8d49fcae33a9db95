// Net effects: what one batch does to a key must be what applying its changes one by one, in any
// order, would do.
#include "subscriber/core/batch.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <optional>
#include <random>
#include <string>

#include "tests/testing/target_tables.h"

namespace pmoves {
namespace {

// Effects as text: "W 1=new/out@5" (whole), "P" (partial), "D" (delete); steps apart by " | ".
std::string Describe(const ChangeSet& set, const std::vector<MergeStep>& steps) {
  std::string text;
  for (const MergeStep& step : steps) {
    if (!text.empty()) text += " | ";
    std::vector<std::string> effects;
    for (const EffectGroup& group : step) {
      for (const Effect& effect : group.effects) {
        std::string one(1, "WPDMT"[static_cast<int>(effect.kind)]);
        if (effect.shape != nullptr) {
          for (size_t i = 0; i < effect.shape->columns.size(); ++i) {
            const Value& value = set.values[effect.first_value + i];
            one += (i == 0 ? " " : "/") +
                   (value.is_null ? std::string("null") : std::string(set.Text(value)));
          }
        }
        effects.push_back(one + "@" + std::to_string(effect.change->hlc.value) +
                          *effect.change->source);
      }
    }
    std::sort(effects.begin(), effects.end());
    for (size_t i = 0; i < effects.size(); ++i) text += (i == 0 ? "" : ", ") + effects[i];
  }
  return text;
}

class BatchTest : public testing::Test {
 protected:
  std::string Plan() {
    auto steps = PlanMerge(&set_, 0, set_.changes.size());
    return Describe(set_, steps);
  }
  TargetTable table_ = JobsTable();
  ChangeSet set_;
  ChangeBuilder build_{&set_, &table_};
};

TEST_F(BatchTest, TheNewestWholeRowOfAKeyWins) {
  build_.Whole("a", 1, "1", "new");
  build_.Whole("a", 2, "1", "done");
  build_.Whole("a", 3, "2", "new");
  EXPECT_EQ(Plan(), "W 1/done/out@2a, W 2/new/out@3a");
}

TEST_F(BatchTest, ArrivalOrderDoesNotMatter) {
  table_.policy.log = ConflictLog::kOff;
  build_.Whole("b", 9, "1", "late");
  build_.Whole("a", 2, "1", "early");
  EXPECT_EQ(Plan(), "W 1/late/out@9b");
}

TEST_F(BatchTest, EqualStampsAreDecidedByTheSourceWhicheverComesFirst) {
  table_.policy.log = ConflictLog::kOff;
  build_.Whole("b", 5, "1", "of b");
  build_.Whole("a", 5, "1", "of a");
  build_.Whole("a", 5, "2", "of a");
  build_.Whole("b", 5, "2", "of b");
  EXPECT_EQ(Plan(), "W 1/of b/out@5b, W 2/of b/out@5b");
}

TEST_F(BatchTest, ADeleteHidesWhatIsOlderAndYieldsToWhatIsNewer) {
  build_.Whole("a", 1, "1", "x");
  build_.Delete("a", 2, "1");
  build_.Delete("a", 3, "2");
  build_.Whole("a", 4, "2", "again");
  EXPECT_EQ(Plan(), "D 1@2a, W 2/again/out@4a");
}

TEST_F(BatchTest, APartialUpdateIsLaidOverTheWholeRowBelow) {
  build_.Whole("a", 1, "1", "new", "big");
  build_.Partial("a", 2, "1", "done");
  EXPECT_EQ(Plan(), "W 1/done/big@2a");
}

TEST_F(BatchTest, AnOlderWholeRowSlipsUnderAPartialUpdate) {
  build_.Partial("a", 5, "1", "done");
  build_.Whole("a", 1, "1", "new", "big");
  EXPECT_EQ(Plan(), "W 1/done/big@5a");
}

TEST_F(BatchTest, APartialUpdateIsNeverLaidOverARowOfAnotherSource) {
  build_.Whole("b", 1, "1", "of b", "big of b");
  build_.Partial("a", 5, "1", "of a");
  build_.Partial("a", 5, "2", "of a");
  build_.Whole("b", 1, "2", "of b", "big of b");
  build_.Partial("a", 5, "3", "of a");
  build_.Partial("b", 6, "3", "of b");
  EXPECT_EQ(Plan(),
            "P 2/of a@5a, P 3/of a@5a, W 1/of b/big of b@1b | "
            "P 1/of a@5a, P 3/of b@6b, W 2/of b/big of b@1b");
}

// What one source's change does to another's is decided in the database, where it can be logged.
TEST_F(BatchTest, ChangesOfTwoSourcesGoInRoundsWhereConflictsAreLogged) {
  build_.Whole("a", 1, "1", "of a");
  build_.Whole("b", 2, "1", "of b");
  build_.Whole("b", 3, "1", "later of b");
  build_.Whole("a", 4, "2", "of a");
  EXPECT_EQ(Plan(), "W 1/of a/out@1a, W 2/of a/out@4a | W 1/later of b/out@3b");
}

TEST_F(BatchTest, ASoftDeleteNeedsTheRowBelowIt) {
  table_ = OwnJobsTable();
  table_.policy.on_delete = DeletePolicy::kSoft;
  build_.Whole("a", 1, "1", "new");
  build_.Delete("a", 2, "1");
  build_.Whole("a", 3, "1", "again");
  EXPECT_EQ(Plan(), "W 1/new/out@1a | W 1/again/out@3a");
  build_.Delete("a", 4, "1");
  EXPECT_EQ(Plan(), "W 1/new/out@1a | W 1/again/out@3a | D 1@4a");
}

TEST_F(BatchTest, PartialUpdatesJoin) {
  build_.Partial("a", 1, "1", "x");
  build_.Partial("a", 2, "1", "y");
  EXPECT_EQ(Plan(), "P 1/y@2a");
}

TEST_F(BatchTest, APartialUpdateOverADeleteWaitsForTheNextStep) {
  build_.Delete("a", 1, "1");
  build_.Partial("b", 2, "1", "x");
  EXPECT_EQ(Plan(), "D 1@1a | P 1/x@2b");
}

TEST_F(BatchTest, ATruncateStandsAlone) {
  build_.Whole("a", 1, "1", "x");
  build_.Add(ChangeKind::kTruncate, "a", 2, {}, {});
  build_.Whole("a", 3, "1", "y");
  EXPECT_EQ(Plan(), "W 1/x/out@1a | T@2a | W 1/y/out@3a");
}

TEST_F(BatchTest, GroupsAreSortedByKeySoThatWorkersLockInOneOrder) {
  for (const char* id : {"5", "3", "9", "1"}) build_.Whole("a", 1, id, "x");
  auto steps = PlanMerge(&set_, 0, set_.changes.size());
  ASSERT_EQ(steps.size(), 1u);
  std::string order;
  for (const Effect& effect : steps[0][0].effects)
    order += set_.Text(set_.values[effect.first_value]);
  EXPECT_EQ(order, "1359");
}

TEST_F(BatchTest, EqualKeysOfTwoSourcesAreTwoRowsWhereIdentityIsPerSource) {
  table_ = OwnJobsTable();
  build_.Whole("a", 1, "1", "of a");
  build_.Whole("b", 2, "1", "of b");
  build_.Delete("b", 3, "1");
  EXPECT_EQ(Plan(), "D 1@3b, W 1/of a/out@1a");
}

// The centre as a plain model: last-write-wins per row with tombstones, one change at a time.
struct Model {
  struct Row {
    int64_t hlc = 0;
    std::string source;
    bool dead = true;
    std::string status;
    bool operator==(const Row&) const = default;
  };
  std::map<std::string, Row> rows;
  void Apply(const std::string& key, bool dead, int64_t hlc, const std::string& source,
             const std::string& status) {
    Row& row = rows[key];
    if (std::pair(hlc, source) <= std::pair(row.hlc, row.source)) return;
    row = {hlc, source, dead, dead ? "" : status};
  }
};

// Any order, any cuts into batches, any repetition: one final state (promise C1).
TEST_F(BatchTest, AnyOrderAnyCutsAnyRepetitionGiveOneFinalState) {
  for (uint32_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    set_.Clear();
    Model want;
    const int count = 1 + static_cast<int>(random() % 14);
    for (int i = 0; i < count; ++i) {
      const std::string key = std::to_string(random() % 3);
      const std::string source(1, static_cast<char>('a' + random() % 3));
      const int64_t hlc = 1 + static_cast<int64_t>(random() % 6) * 10 + i * 100 * (random() % 2);
      const bool dead = random() % 3 == 0;
      const std::string status = source + std::to_string(hlc);
      if (dead)
        build_.Delete(source, hlc, key);
      else
        build_.Whole(source, hlc, key, status);
      want.Apply(key, dead, hlc, source, status);
    }
    // Equal versions must mean equal content, as in life: a source gives a version once.
    std::map<std::pair<std::string, int64_t>, std::string> seen;
    bool clash = false;
    for (const Change& change : set_.changes) {
      const std::string content =
          std::string(set_.Key(change)) + (change.kind == ChangeKind::kDelete ? "D" : "W");
      auto [it, fresh] = seen.try_emplace({*change.source, change.hlc.value}, content);
      clash = clash || (!fresh && it->second != content);
    }
    if (clash) continue;
    std::shuffle(set_.changes.begin(), set_.changes.end(), random);
    Model got;
    size_t begin = 0;
    while (begin < set_.changes.size()) {
      const size_t end = begin + 1 + random() % (set_.changes.size() - begin);
      for (int repetition = 0; repetition < 2; ++repetition) {
        for (const MergeStep& step : PlanMerge(&set_, begin, end)) {
          for (const EffectGroup& group : step) {
            for (const Effect& effect : group.effects) {
              const bool dead = effect.kind == ChangeKind::kDelete;
              got.Apply(std::string(set_.Text(set_.values[effect.first_value])), dead,
                        effect.change->hlc.value, *effect.change->source,
                        dead ? "" : std::string(set_.Text(set_.values[effect.first_value + 1])));
            }
          }
        }
      }
      begin = end;
    }
    EXPECT_EQ(got.rows, want.rows);
  }
}

}  // namespace
}  // namespace pmoves
