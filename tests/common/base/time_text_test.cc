#include "common/base/time_text.h"

#include <cstdint>
#include <random>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"

namespace pmoves {
namespace {

struct Case {
  const char* text;
  int64_t us;
};

// The numbers are those of: select extract(epoch from timestamptz '...') * 1000000
constexpr Case kInstants[] = {
    {"1970-01-01T00:00:00.000000Z", 0},
    {"1970-01-01T00:00:00.000001Z", 1},
    {"1969-12-31T23:59:59.999999Z", -1},
    {"1969-01-01T00:00:00.000000Z", -31536000000000},
    {"0001-01-01T00:00:00.000000Z", -62135596800000000},
    {"1600-02-29T12:00:00.000000Z", -11670955200000000},
    {"2000-02-29T23:59:59.999999Z", 951868799999999},
    {"2000-03-01T00:00:00.000000Z", 951868800000000},
    {"2026-11-22T09:25:41.029291Z", 1795339541029291},
    {"2100-02-28T00:00:00.000000Z", 4107456000000000},
    {"9999-12-31T23:59:59.999999Z", 253402300799999999},
    {"10000-01-01T00:00:00.000000Z", 253402300800000000},
    {"294246-12-31T23:59:59.999999Z", 9223371244799999999},
};

TEST(TimeTextTest, WritesAndReadsTheSameInstant) {
  for (const Case& test : kInstants) {
    EXPECT_EQ(FormatRfc3339(test.us), test.text);
    EXPECT_THAT(ParseTimestamp(test.text), IsOkAndHolds(test.us)) << test.text;
  }
}

TEST(TimeTextTest, ReadsWhatPostgresWrites) {
  for (const Case& test : {Case{"2026-11-22 09:25:41.029291+00", 1795339541029291},
                           Case{"2026-11-22 14:55:41.029291+05:30", 1795339541029291},
                           Case{"2026-11-22 14:55:41.029291+0530", 1795339541029291},
                           Case{"2026-11-22 01:25:41.029291-08", 1795339541029291},
                           Case{"2026-11-22 05:55:41.029291-03:30", 1795339541029291},
                           Case{"2026-11-22 09:25:41+00", 1795339541000000},
                           Case{"2026-11-22 09:25:41.5+00", 1795339541500000},
                           Case{"2026-11-22 09:25:41.02+00", 1795339541020000},
                           Case{"2026-11-22T09:25:41.029291999Z", 1795339541029291},
                           Case{"1970-01-01 00:00:00+15:59", -57540000000},
                           Case{"2016-12-31 23:59:60+00", 1483228800000000},
                           Case{"2026-11-21 24:00:00+00", 1795305600000000}}) {
    EXPECT_THAT(ParseTimestamp(test.text), IsOkAndHolds(test.us)) << test.text;
  }
}

TEST(TimeTextTest, RefusesEverythingElse) {
  for (const char* bad : {"",
                          "infinity",
                          "-infinity",
                          "2026-11-22",
                          "2026-11-22 09:25:41",
                          "2026-11-22 09:25+00",
                          "2026-11-22 09:25:41 UTC",
                          "2026-11-22 09:25:41.+00",
                          "2026-11-22 09:25:41.1x+00",
                          "2026-11-22 09:25:41+0",
                          "2026-11-22 09:25:41+05:",
                          "2026-11-22 09:25:41+05:3",
                          "2026-11-22 09:25:41+05:60",
                          "2026-11-22 09:25:41+16",
                          "2026-11-22 09:25:41+00x",
                          "2026-00-22 09:25:41Z",
                          "2026-13-22 09:25:41Z",
                          "2026-11-00 09:25:41Z",
                          "2026-11-31 09:25:41Z",
                          "2025-02-29 00:00:00Z",
                          "1900-02-29 00:00:00Z",
                          "2026-11-22 25:00:00Z",
                          "2026-11-22 09:60:00Z",
                          "2026-11-22 09:25:61Z",
                          "026-11-22 09:25:41Z",
                          "-2026-11-22 09:25:41Z",
                          "2026-1-22 09:25:41Z",
                          "0044-03-15 00:00:00+00 BC",
                          "294247-01-01 00:00:00Z",
                          "999999-12-31 23:59:59Z",
                          "0000-12-31 23:59:59Z",
                          "0001-01-01 00:00:00+01",
                          "294246-12-31 23:59:59-01",
                          " 2026-11-22 09:25:41Z",
                          "2026-11-22 09:25:41Z "}) {
    EXPECT_THAT(ParseTimestamp(bad), StatusIs(absl::StatusCode::kInvalidArgument)) << bad;
  }
}

TEST(TimeTextTest, EveryInstantOfTheYears1To9999ComesBack) {
  const uint64_t seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  for (int i = 0; i < 100000; ++i) {
    const int64_t us = -62135596800000000 + static_cast<int64_t>(random() % 315537897600000000);
    const std::string text = FormatRfc3339(us);
    ASSERT_EQ(text.size(), 27u);
    ASSERT_THAT(ParseTimestamp(text), IsOkAndHolds(us)) << text;
  }
}

TEST(TimeTextTest, AnyInt64CanBeWritten) {
  for (const int64_t us : {INT64_MIN, INT64_MIN + 1, INT64_MAX})
    EXPECT_FALSE(FormatRfc3339(us).empty());
}

}  // namespace
}  // namespace pmoves
