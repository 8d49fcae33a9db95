#include "subscriber/core/open_letters.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/testing/target_tables.h"

namespace pmoves {
namespace {

TEST(OpenLettersTest, KnowsTheRowsThatWereAdded) {
  const TargetTable jobs = JobsTable();
  OpenLetters letters;
  EXPECT_TRUE(letters.empty());
  letters.Add("public", "jobs", R"({"id":"1"})");
  EXPECT_FALSE(letters.empty());
  EXPECT_TRUE(letters.MayHold(jobs, R"({"id":"1"})"));
  EXPECT_FALSE(letters.MayHold(jobs, R"({"id":"2"})"));
  TargetTable other = JobsTable();
  other.table = "tasks";
  EXPECT_FALSE(letters.MayHold(other, R"({"id":"1"})"));
  other = JobsTable();
  other.schema = "app";
  EXPECT_FALSE(letters.MayHold(other, R"({"id":"1"})"));
  other.source_schema = "public";
  other.source_table = "jobs";
  EXPECT_TRUE(letters.MayHold(other, R"({"id":"1"})")) << "by the name that the source knows";
  letters.Remove("public", "jobs", R"({"id":"1"})");
  EXPECT_TRUE(letters.empty());
}

TEST(OpenLettersTest, PastItsBoundItTakesEveryRowForOneOfThem) {
  const TargetTable jobs = JobsTable();
  OpenLetters letters;
  for (size_t i = 0; i <= OpenLetters::kMostKeys; ++i)
    letters.Add("public", "jobs", std::to_string(i));
  EXPECT_TRUE(letters.MayHold(jobs, "never added"));
  letters.Remove("public", "jobs", "1");
  EXPECT_TRUE(letters.MayHold(jobs, "1"));
  EXPECT_FALSE(letters.empty());
}

}  // namespace
}  // namespace pmoves
