// Promises C1, C2 and S3 for every rule and every delete policy, in a real centre: whatever the
// order of arrival, the batches and what befalls the workers, the rows are those of the model.
//
// PMOVES_TEST_SEED runs one run again, PMOVES_TEST_SIZE=20 one that is twenty times as long.
#include <memory>
#include <string>

#include "gtest/gtest.h"
#include "tests/subscriber/conflicts/suite.h"
#include "tests/testing/status_matchers.h"

namespace pmoves::conflicts {
namespace {

class ConvergenceTest : public ::testing::TestWithParam<RuleCase> {
 protected:
  static void SetUpTestSuite() {
    auto started = Centre::Start(AllRuleCases());
    ASSERT_THAT(started, IsOk());
    centre_ = *std::move(started);
  }
  static void TearDownTestSuite() { centre_.reset(); }

  static std::unique_ptr<Centre> centre_;
};

std::unique_ptr<Centre> ConvergenceTest::centre_;

TEST_P(ConvergenceTest, EveryOrderEndsInTheRowsOfTheModel) {
  static const Effort effort = EffortFromEnvironment();
  SCOPED_TRACE("PMOVES_TEST_SEED=" + std::to_string(effort.seed));
  ASSERT_NE(centre_, nullptr);
  const int64_t at_once = centre_->worker().at_once();
  ASSERT_OK_AND_ASSIGN(const std::string divergence, FindDivergence(*centre_, GetParam(), effort));
  EXPECT_TRUE(divergence.empty()) << "\n" << divergence;
  // Either way of a small batch was gone.
  EXPECT_EQ(centre_->worker().at_once() > at_once, !UsesRegisters(GetParam().policy));
}

INSTANTIATE_TEST_SUITE_P(Rules, ConvergenceTest, ::testing::ValuesIn(AllRuleCases()),
                         [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace pmoves::conflicts
