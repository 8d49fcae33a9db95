#include "common/io/log.h"

#include <simdjson.h>

#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "common/io/repeat_limiter.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace pmoves {
namespace {

using ::testing::EndsWith;
using ::testing::MatchesRegex;

template <typename Body>
std::string Captured(Body body) {
  ::testing::internal::CaptureStderr();
  body();
  return ::testing::internal::GetCapturedStderr();
}

TEST(Log, TextIsTimeLevelEventMessageAndFields) {
  InitLog("pmoves-sync-publisher", "info", "text");
  const std::string line = Captured([] {
    LogInfo("publish.started", "publishing to SYNC_a",
            {{"source", "jetson-01"}, {"messages", 12}, {"reason", "two words"}, {"empty", ""}});
  });
  EXPECT_THAT(line, MatchesRegex("....-..-..T..:..:..\\....Z INFO  publish.started  publishing to "
                                 "SYNC_a  source=jetson-01 messages=12 reason=\"two words\" "
                                 "empty=\"\"\n"));
}

TEST(Log, JsonHasTheFixedMembersThenTheFields) {
  InitLog("pmoves-sync-publisher", "info", "json");
  const std::string line = Captured([] {
    LogWarn("publish.stream_full", "the stream is full", {{"source", "a"}, {"seq", uint64_t{7}}});
  });
  EXPECT_THAT(
      line, MatchesRegex("\\{\"ts\":\"....-..-..T..:..:..\\....Z\",\"level\":\"warn\","
                         "\"program\":\"pmoves-sync-publisher\",\"event\":\"publish.stream_full\","
                         "\"msg\":\"the stream is full\",\"source\":\"a\",\"seq\":7\\}\n"));
}

TEST(Log, WhateverAServerSaysALineStaysOneValidLine) {
  const std::string nasty =
      std::string("a\"b\\c\nd\te\x01\xff\xc3\xa9 \xed\xa0\x80 \xf4\x90\x80\x80") +
      std::string(1, '\0') + "\xe2\x82";
  for (const char* format : {"json", "text"}) {
    InitLog("p", "info", format);
    const std::string line = Captured([&] { LogError("e", nasty, {{"detail", nasty}}); });
    EXPECT_EQ(line.find('\n'), line.size() - 1) << format;
    EXPECT_TRUE(simdjson::validate_utf8(line.data(), line.size())) << format;
    if (std::string(format) == "json") {
      simdjson::dom::parser parser;
      EXPECT_EQ(parser.parse(line).error(), simdjson::SUCCESS) << line;
    }
  }
}

TEST(Log, WithoutATerminalAutoMeansJson) {
  InitLog("p", "info", "auto");
  EXPECT_THAT(Captured([] { LogInfo("e", "m"); }), EndsWith("\"msg\":\"m\"}\n"));
}

TEST(Log, LinesBelowTheLevelAreLeftOut) {
  InitLog("p", "warn", "text");
  EXPECT_EQ(Captured([] {
              LogInfo("e", "m");
              Log(LogLevel::kDebug, "e", "m");
            }),
            "");
  EXPECT_THAT(Captured([] { LogError("e", "m"); }), EndsWith(" ERROR e  m\n"));
  InitLog("p", "debug", "text");
  EXPECT_THAT(Captured([] { Log(LogLevel::kDebug, "e", "m"); }), EndsWith(" DEBUG e  m\n"));
}

TEST(Log, ARepeatedEventIsWrittenOnceForEachFirstField) {
  InitLog("p", "info", "text");
  const std::string lines = Captured([] {
    for (int i = 0; i < 5; ++i) {
      LogLimited(LogLevel::kWarn, "nats.down", "again", {{"source", "a"}, {"attempt", i}});
      LogLimited(LogLevel::kWarn, "nats.down", "again", {{"source", "b"}, {"attempt", i}});
    }
  });
  EXPECT_THAT(lines, MatchesRegex(".* source=a attempt=0\n.* source=b attempt=0\n"));
}

TEST(Log, ThreadsDoNotMixTheirLines) {
  InitLog("p", "info", "text");
  const std::string lines = Captured([] {
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([] {
        for (int i = 0; i < 50; ++i) {
          LogInfo("e", "whole");
          LogLimited(LogLevel::kInfo, "limited", "once", {{"i", i % 10}});
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
  });
  size_t count = 0;
  for (size_t at = lines.find(" e  whole\n"); at != std::string::npos;
       at = lines.find(" e  whole\n", at + 1)) {
    ++count;
  }
  EXPECT_EQ(count, 200u);
}

TEST(RepeatLimiter, WritesTheFirstThenOneAMinuteWithTheNumberLeftOut) {
  RepeatLimiter limiter;
  const RepeatLimiter::TimePoint start{};
  EXPECT_EQ(limiter.Admit("a", start), 0);
  for (int second = 1; second < 60; ++second) {
    EXPECT_EQ(limiter.Admit("a", start + std::chrono::seconds(second)), std::nullopt);
  }
  EXPECT_EQ(limiter.Admit("b", start + std::chrono::seconds(59)), 0);
  EXPECT_EQ(limiter.Admit("a", start + std::chrono::seconds(60)), 59);
  EXPECT_EQ(limiter.Admit("a", start + std::chrono::seconds(61)), std::nullopt);
  EXPECT_EQ(limiter.Admit("a", start + std::chrono::seconds(300)), 1);
}

TEST(RepeatLimiter, ForgetsTheLongestSilentKeyWhenFull) {
  RepeatLimiter limiter;
  RepeatLimiter::TimePoint now{};
  for (size_t i = 0; i < RepeatLimiter::kMaxKeys + 10; ++i) {
    now += std::chrono::milliseconds(1);
    EXPECT_EQ(limiter.Admit(std::to_string(i), now), 0);
  }
  EXPECT_EQ(limiter.size(), RepeatLimiter::kMaxKeys);
  EXPECT_EQ(limiter.Admit("1009", now), std::nullopt);
  EXPECT_EQ(limiter.Admit("0", now), 0);
}

}  // namespace
}  // namespace pmoves
