// The histories that laws are tried on, and the ways in which they arrive.
#include "subscriber/core/law_trials.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "subscriber/core/law_values.h"

namespace pmoves {
namespace {

std::vector<LawColumn> Columns() {
  return {{{"0", "1", "2", "3", "4"}, true, true}, {{"x", "y"}, false, false}};
}

// What the histories of one seed have in common, and where they differ.
struct Seen {
  int ties = 0, nulls = 0, deletes = 0, longer = 0;
  std::set<int64_t> stamps;
  std::set<std::string> values;
};

void Look(const LawHistory& history, Seen* seen) {
  std::map<int, int64_t> last;
  std::set<int64_t> versions;
  std::map<int, bool> has_row;
  seen->longer += history.size() > kLawSources ? 1 : 0;
  for (const LawReport& report : history) {
    EXPECT_GT(report.hlc.value, last[report.source]) << "a source's versions rise";
    last[report.source] = report.hlc.value;
    EXPECT_EQ(report.inserts, !report.deletes && !has_row[report.source]);
    has_row[report.source] = !report.deletes;
    seen->ties += versions.insert(report.hlc.value).second ? 0 : 1;
    seen->stamps.insert(report.hlc.value >> 32);
    seen->deletes += report.deletes ? 1 : 0;
    seen->nulls += report.values[0].has_value() ? 0 : 1;
    if (report.values[0].has_value()) seen->values.insert(*report.values[0]);
    EXPECT_EQ(report.values[1], "x") << "it does not vary";
  }
}

TEST(LawTrials, HistoriesHaveTiesNullsAndTheEndsOfTime) {
  Seen seen;
  for (int n = 0; n < 24; ++n) Look(MakeHistory(Columns(), true, n, 1), &seen);
  EXPECT_GT(seen.ties, 0);
  EXPECT_GT(seen.nulls, 0);
  EXPECT_GT(seen.deletes, 0);
  EXPECT_GT(seen.longer, 0);
  EXPECT_EQ(seen.stamps.size(), 3u);
  EXPECT_EQ(seen.values.size(), 5u);
  for (const LawReport& report : MakeHistory(Columns(), false, 20, 1)) EXPECT_FALSE(report.deletes);
}

TEST(LawTrials, ASeedMakesTheSameHistoryAgain) {
  const auto text = [](uint64_t seed) {
    std::string all;
    for (const LawReport& report : MakeHistory(Columns(), true, 9, seed))
      all += report.values[0].value_or("-") + std::to_string(report.hlc.value);
    return all;
  };
  EXPECT_EQ(text(3), text(3));
  EXPECT_NE(text(3), text(4));
}

// A report may come again; none may come before an earlier one of its source has come once.
void ExpectOrdered(const LawHistory& history, const LawSchedule& schedule) {
  std::set<size_t> come;
  bool again = false;
  for (const auto& batch : schedule.batches) {
    for (const size_t index : batch) {
      for (size_t earlier = 0; earlier < index; ++earlier) {
        const bool same = history[earlier].source == history[index].source;
        EXPECT_TRUE(!same || come.count(earlier) > 0);
      }
      again = !come.insert(index).second || again;
    }
  }
  EXPECT_EQ(come.size(), history.size());
  EXPECT_EQ(again, schedule.law == LawSchedule::Law::kIdempotent);
}

TEST(LawTrials, EveryWayToArriveKeepsTheOrderOfEachSourceAndMissesNothing) {
  for (int n = 0; n < 12; ++n) {
    const LawHistory history = MakeHistory(Columns(), true, n, 7);
    std::map<LawSchedule::Law, std::set<std::vector<std::vector<size_t>>>> ways;
    for (const LawSchedule& schedule : SchedulesOf(history)) {
      ExpectOrdered(history, schedule);
      ways[schedule.law].insert(schedule.batches);
    }
    EXPECT_EQ(SchedulesOf(history).size(), size_t{kLawSchedules});
    EXPECT_EQ(ways.size(), 4u);
    for (const auto& [law, different] : ways) EXPECT_GE(different.size(), 2u) << NameOf(law);
  }
}

TEST(LawValues, SuitTheRuleAndTheType) {
  TargetColumn column;
  column.base_type = "int4";
  Rule sum;
  sum.kind = RuleKind::kSumOfSources;
  const std::vector<std::string> numbers = LawValues(column, {}, 1);
  EXPECT_EQ(std::count(numbers.begin(), numbers.end(), "-2147483648"), 1);
  EXPECT_TRUE(SuitsRule(column, sum, "7"));
  EXPECT_FALSE(SuitsRule(column, sum, "2147483647")) << "a sum of such values has no room";
  EXPECT_EQ(LawValues(column, {"low", "high"}, 1), (std::vector<std::string>{"low", "high"}));
  column.base_type = "jsonb";
  Rule rule;
  rule.kind = RuleKind::kSetUnion;
  EXPECT_TRUE(SuitsRule(column, rule, "[1, 2]"));
  EXPECT_FALSE(SuitsRule(column, rule, "{}"));
  rule.kind = RuleKind::kJsonMerge;
  EXPECT_FALSE(SuitsRule(column, rule, "[1, 2]"));
  EXPECT_TRUE(SuitsRule(column, rule, "{}"));
  const std::vector<std::string> arrays = ArrayValues({"a", "b"});
  EXPECT_EQ(arrays[0], "{}");
  EXPECT_EQ(std::count(arrays.begin(), arrays.end(), R"({"b","a","b"})"), 1);
}

TEST(LawTrials, NullsComeFromTheFirstHistoriesOn) {
  const LawColumn column = {std::vector<std::string>(24, "x"), true, true};
  int nulls = 0;
  for (int n = 0; n < 6; ++n) {
    for (uint64_t seed = 1; seed < 6; ++seed) {
      for (const LawReport& report : MakeHistory({column}, false, n, seed))
        nulls += report.values[0].has_value() ? 0 : 1;
    }
  }
  EXPECT_GT(nulls, 5);
  EXPECT_LT(nulls, 45);
  const LawHistory fixed = MakeHistory({{{"x"}, true, false}, {{}, true, false}}, false, 0, 1);
  EXPECT_EQ(fixed[0].values[0], "x");
  EXPECT_FALSE(fixed[0].values[1].has_value());
}

TEST(LawValues, LiteralsComeWithWhatIsBesideThem) {
  using Texts = std::vector<std::string>;
  TargetColumn column;
  column.base_type = "int4";
  EXPECT_EQ(ValuesAround(column, {"100", "2.5", "x"}),
            (Texts{"100", "2.5", "x", "99", "101", "1.5", "3.5"}));
  EXPECT_EQ(ValuesAround(column, {"9223372036854775807"}).size(), 2u) << "there is none above";
  EXPECT_EQ(ValuesAround(column, Texts(100, "1")).size(), 16u) << "others have room";
  column.base_type = "jsonb";
  EXPECT_EQ(ValuesAround(column, {"rev"}),
            (Texts{"rev", R"({"rev": 1})", R"({"rev": 2})", R"({"rev": 1, "z": 1})"}));
  const Texts pairs = ValuesAround(column, {"state", "done"});
  EXPECT_EQ(std::count(pairs.begin(), pairs.end(), R"({"state": "done"})"), 1);
}

TEST(LawValues, KeysAreDistinct) {
  for (const char* type : {"int4", "numeric", "text", "uuid", "date", "timestamptz"}) {
    TargetColumn column;
    column.base_type = type;
    std::set<std::string> keys;
    for (int n = 0; n < 400; ++n) keys.insert(LawKey(column, n).value_or(""));
    EXPECT_EQ(keys.size(), 400u) << type;
  }
  TargetColumn column;
  column.base_type = "bool";
  EXPECT_FALSE(LawKey(column, 0).has_value());
}

}  // namespace
}  // namespace pmoves
