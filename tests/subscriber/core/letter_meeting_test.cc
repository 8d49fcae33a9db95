#include "subscriber/core/letter_meeting.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/testing/target_tables.h"

namespace pmoves {
namespace {

struct Case {
  std::string name;
  TablePolicy policy;
  LetterMeeting whole = LetterMeeting::kSettles;
  LetterMeeting partial = LetterMeeting::kJoins;
  LetterMeeting deleted = LetterMeeting::kSettles;
  LetterMeeting truncated = LetterMeeting::kSettles;
};

std::vector<Case> Cases() {
  using M = LetterMeeting;
  std::vector<Case> cases = {{"the default", {}}};
  Case next{"append-only", {}, M::kPasses, M::kPasses, M::kPasses, M::kPasses};
  next.policy.row.kind = RuleKind::kAppendOnly;
  cases.push_back(next);
  next = {"delete ignored", {}, M::kSettles, M::kJoins, M::kPasses, M::kSettles};
  next.policy.on_delete = DeletePolicy::kIgnore;
  cases.push_back(next);
  next = {"truncate ignored", {}, M::kSettles, M::kJoins, M::kSettles, M::kPasses};
  next.policy.truncate = TruncatePolicy::kIgnore;
  cases.push_back(next);
  next = {"soft delete", {}, M::kSettles, M::kJoins, M::kFolds, M::kSettles};
  next.policy.on_delete = DeletePolicy::kSoft;
  cases.push_back(next);
  next.name = "update-wins";
  next.policy.on_delete = DeletePolicy::kUpdateWins;
  cases.push_back(next);
  next = {"first-write-wins", {}, M::kFolds, M::kJoins, M::kSettles, M::kSettles};
  next.policy.row.kind = RuleKind::kFirstWriteWins;
  cases.push_back(next);
  next.name = "by column";
  next.policy = {};
  next.policy.granularity = Granularity::kColumn;
  cases.push_back(next);
  next = {"absorbing", {}, M::kFolds, M::kJoins, M::kFolds, M::kSettles};
  next.policy.columns = {{{"status"}, {.kind = RuleKind::kValuePriority, .values = {"running"}}}};
  next.policy.columns[0].rule.scope = ValueScope::kAbsorbing;
  cases.push_back(next);
  for (const RuleKind kind :
       {RuleKind::kSourcePriority, RuleKind::kKeepCentral, RuleKind::kManual}) {
    next = {"a rule over the latest reports", {}};
    next.policy.row.kind = kind;
    cases.push_back(next);
  }
  return cases;
}

TEST(LetterMeetingTest, IsWhatThePolicyMakesOfTheChange) {
  for (const Case& each : Cases()) {
    SCOPED_TRACE(each.name);
    TargetTable jobs = JobsTable();
    jobs.policy = each.policy;
    ChangeSet set;
    ChangeBuilder build(&set, &jobs);
    EXPECT_EQ(MeetingOf(build.Whole("a", 1, "7", "x")), each.whole);
    EXPECT_EQ(MeetingOf(build.Partial("a", 2, "7", "x")), each.partial);
    EXPECT_EQ(MeetingOf(build.Delete("a", 3, "7")), each.deleted);
    EXPECT_EQ(MeetingOf(build.Add(ChangeKind::kTruncate, "a", 4, {}, {})), each.truncated);
  }
}

TEST(LetterMeetingTest, AnInsertIntoAppendOnlyIsCarriedOutAndStillSettlesNothing) {
  TargetTable jobs = JobsTable();
  jobs.policy.row.kind = RuleKind::kAppendOnly;
  ChangeSet set;
  Change& change = ChangeBuilder(&set, &jobs).Whole("a", 1, "7", "x");
  change.inserted = true;
  EXPECT_FALSE(IsLeftOut(change));
  EXPECT_EQ(MeetingOf(change), LetterMeeting::kPasses);
}

}  // namespace
}  // namespace pmoves
