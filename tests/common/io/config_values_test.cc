#include "common/io/config_values.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace pmoves {
namespace {

TEST(ConfigValues, ASizeIsANumberAndAUnit) {
  const std::vector<std::pair<std::string, int64_t>> cases = {
      {"512B", 512},   {"256KiB", 256 << 10}, {"8 MiB", 8 << 20}, {"8GiB", int64_t{8} << 30},
      {"10KB", 10000}, {"10MB", 10000000},    {"0", 0},           {"1TiB", int64_t{1} << 40}};
  for (const auto& [text, bytes] : cases) {
    int64_t value = -1;
    EXPECT_EQ(ParseBytes(text, 0, INT64_MAX, &value), "") << text;
    EXPECT_EQ(value, bytes) << text;
  }
  for (const char* bad :
       {"", "KiB", "-1KiB", "1.5KiB", "1kib", "256", "99999999999999999999KiB", "9999999999TiB"}) {
    int64_t value = -1;
    EXPECT_NE(ParseBytes(bad, 0, INT64_MAX, &value), "") << bad;
    EXPECT_EQ(value, -1) << bad;
  }
}

TEST(ConfigValues, ADurationNeedsItsUnit) {
  const std::vector<std::pair<std::string, absl::Duration>> cases = {
      {"0", absl::ZeroDuration()},        {"150s", absl::Seconds(150)},
      {"200ms", absl::Milliseconds(200)}, {"1h30m", absl::Minutes(90)},
      {"1.5s", absl::Milliseconds(1500)}, {"30d", absl::Hours(720)},
      {"1d12h", absl::Hours(36)}};
  for (const auto& [text, duration] : cases) {
    absl::Duration value;
    EXPECT_EQ(ParseDuration(text, absl::ZeroDuration(), absl::Hours(720), &value), "") << text;
    EXPECT_EQ(value, duration) << text;
  }
  for (const char* bad : {"", "5", "-1s", "inf", "5 s", "5sec", "25h", "2d", "d", "-1d", "1d-1h",
                          "1.5d", "1h1d", "1d1", "99999999999d"}) {
    absl::Duration value;
    EXPECT_NE(ParseDuration(bad, absl::ZeroDuration(), absl::Hours(24), &value), "") << bad;
  }
}

TEST(ConfigValues, AWholeNumberIsNothingElse) {
  int64_t value = 7;
  EXPECT_EQ(ParseInt("-3", -5, 5, &value), "");
  EXPECT_EQ(value, -3);
  for (const char* bad : {"", "1.0", "0x10", "1e3", " 1", "1 ", "+1", "99999999999999999999"}) {
    EXPECT_NE(ParseInt(bad, -5, 5, &value), "") << bad;
  }
}

TEST(ConfigValues, ShowWhatTheyRead) {
  EXPECT_EQ(BytesText(256 << 10), "256KiB");
  EXPECT_EQ(BytesText(10000000), "10MB");
  EXPECT_EQ(BytesText(513), "513B");
  EXPECT_EQ(BytesText(0), "0B");
  EXPECT_EQ(DurationText(absl::Seconds(150)), "150s");
  EXPECT_EQ(DurationText(absl::Hours(2)), "2h");
  EXPECT_EQ(DurationText(absl::ZeroDuration()), "0s");
  EXPECT_EQ(DurationText(absl::Hours(24)), "24h");
  EXPECT_EQ(DurationText(absl::Hours(720)), "30d");
}

TEST(ConfigValues, CommasSeparateAndBlanksDoNotCount) {
  EXPECT_THAT(SplitCommas(" a, b ,,c,"), ::testing::ElementsAre("a", "b", "c"));
  EXPECT_THAT(SplitCommas(" , "), ::testing::IsEmpty());
}

}  // namespace
}  // namespace pmoves
