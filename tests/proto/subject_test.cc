#include "proto/subject.h"

#include <random>
#include <set>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"

namespace pmoves::proto {
namespace {

struct Case {
  std::string schema;
  std::string table;
  std::string token;
};

TEST(SubjectTest, TablesBecomeTokensAndBack) {
  const std::vector<Case> cases = {
      {"public", "jobs", "jobs"},
      {"Public", "jobs", "Public:jobs"},
      {"app", "jobs", "app:jobs"},
      {"public", "app:jobs", "app%3Ajobs"},
      {"public", "~", "%7E"},
      {"~", "~x", "%7E:%7Ex"},
      {"public", "a.b", "a%2Eb"},
      {"a.b", "c", "a%2Eb:c"},
      {"public", "two words", "two%20words"},
      {"public", "tab\tand\nline", "tab%09and%0Aline"},
      {"public", "*", "%2A"},
      {"public", ">", "%3E"},
      {"public", "100%", "100%25"},
      {"public", "%2E", "%252E"},
      {"public", "\"quoted\"'x'", "\"quoted\"'x'"},
      {"public", "\x01\x7F", "%01%7F"},
      {"Straße", "größe🚀", "Straße:größe🚀"},
      {"public", "public", "public"},
      {"$a", "#b", "$a:#b"},
      {"public", std::string(63, 'x'), std::string(63, 'x')},
  };
  for (const Case& test : cases) {
    const std::string subject =
        MakeSubject(test.schema, test.table, Operation::kUpdate, "jetson-01");
    EXPECT_EQ(subject, "supabase.sync." + test.token + ".UPDATE.jetson-01");
    EXPECT_THAT(ParseSubject(subject),
                IsOkAndHolds(Subject{test.schema, test.table, Operation::kUpdate, "jetson-01"}));
  }
}

TEST(SubjectTest, ControlMessagesNameNoTable) {
  for (const Operation operation : {Operation::kProgress, Operation::kRelation}) {
    const std::string subject = MakeControlSubject(operation, "a-1");
    EXPECT_EQ(subject, "supabase.sync.~." + std::string(OperationName(operation)) + ".a-1");
    EXPECT_THAT(ParseSubject(subject), IsOkAndHolds(Subject{"", "", operation, "a-1"}));
  }
}

TEST(SubjectTest, WhatIsNotOursIsRefused) {
  const std::vector<std::string> bad = {
      "",
      "supabase.sync.",
      "supabase.sync",
      "supabase.synch.jobs.INSERT.a",
      "supabase.sync.jobs",
      "supabase.sync.jobs.INSERT",
      "supabase.sync.jobs.INSERT.",
      "supabase.sync..INSERT.a",
      "supabase.sync.jobs..a",
      "supabase.sync.jobs.insert.a",
      "supabase.sync.jobs.MERGE.a",
      "supabase.sync.jobs.INSERT.A",
      "supabase.sync.jobs.INSERT.-a",
      "supabase.sync.jobs.INSERT.a.b",
      "supabase.sync.jobs.INSERT." + std::string(33, 'a'),
      "supabase.sync.a.b.INSERT.c",
      "supabase.sync.~.INSERT.a",
      "supabase.sync.jobs.PROGRESS.a",
      "supabase.sync.~x.INSERT.a",
      "supabase.sync.public:jobs.INSERT.a",  // the schema public is not written
      "supabase.sync.:jobs.INSERT.a",
      "supabase.sync.app:.INSERT.a",
      "supabase.sync.:.INSERT.a",
      "supabase.sync.a:b:c.INSERT.a",
      "supabase.sync.*.INSERT.a",
      "supabase.sync.>",
      "supabase.sync.two words.INSERT.a",
      "supabase.sync.a%2.INSERT.a",
      "supabase.sync.a%.INSERT.a",
      "supabase.sync.a%2e.INSERT.a",  // lower case
      "supabase.sync.a%41.INSERT.a",  // needs no escape
      "supabase.sync.a%XX.INSERT.a",
      "supabase.sync.a%00.INSERT.a",
      std::string("supabase.sync.a\0b.INSERT.a", 26),
      "supabase.sync.a\xFF.INSERT.a",
      "supabase.sync.%C3%9F.INSERT.a",  // UTF-8 is not escaped
  };
  for (const std::string& subject : bad) {
    EXPECT_THAT(ParseSubject(subject), StatusIs(absl::StatusCode::kInvalidArgument)) << subject;
  }
}

TEST(SubjectTest, TwoTablesNeverShareASubject) {
  static const char* const kPieces[] = {"a", ".", ":", "~", "%", "%3A", "public",
                                        " ", "*", ">", "é", "🚀", "\"",  "\n"};
  const uint64_t seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  const auto name = [&] {
    std::string out;
    for (uint64_t left = random() % 4 + 1; left > 0; --left)
      out += kPieces[random() % std::size(kPieces)];
    return out;
  };
  std::set<std::pair<std::string, std::string>> tables;
  std::set<std::string> subjects;
  for (int i = 0; i < 20000; ++i) {
    const Subject in{name(), name(), Operation::kInsert, "s"};
    const std::string subject = MakeSubject(in.schema, in.table, in.operation, in.source);
    ASSERT_THAT(ParseSubject(subject), IsOkAndHolds(in));
    ASSERT_EQ(subject.find_first_of(" \n*>"), std::string::npos);
    tables.emplace(in.schema, in.table);
    subjects.insert(subject);
  }
  EXPECT_EQ(tables.size(), subjects.size());
}

TEST(SourceNameTest, IsShortLowerCaseAndBeginsWithALetterOrDigit) {
  for (const char* good : {"a", "0", "jetson-01", "a-", "abcdefghijklmnopqrstuvwxyz-01234"})
    EXPECT_TRUE(IsSourceName(good)) << good;
  for (const char* bad :
       {"", "-", "-a", "A", "a.b", "a_b", "a b", "ä", "abcdefghijklmnopqrstuvwxyz-012345"}) {
    EXPECT_FALSE(IsSourceName(bad)) << bad;
  }
}

TEST(NamesTest, OfStreamsAndWildcards) {
  EXPECT_EQ(StreamName("jetson-01"), "SYNC_jetson-01");
  EXPECT_EQ(SourceWildcard("jetson-01"), "supabase.sync.*.*.jetson-01");
}

TEST(AppliedTest, ReadsBack) {
  const Applied applied{"jetson-01", 4294967295, Lsn{0xFFFFFFFFFFFFFFFF}, Hlc{INT64_MAX}};
  EXPECT_EQ(EncodeApplied(applied),
            R"({"source":"jetson-01","epoch":4294967295,"position":"FFFFFFFF/FFFFFFFF",)"
            R"("hlc":"9223372036854775807"})");
  EXPECT_THAT(DecodeApplied(EncodeApplied(applied)), IsOkAndHolds(applied));
  EXPECT_THAT(DecodeApplied(EncodeApplied(Applied{"a", 1, Lsn{}, Hlc{}})),
              IsOkAndHolds(Applied{"a", 1, Lsn{}, Hlc{}}));
  EXPECT_THAT(DecodeApplied(R"( {"new":{"epoch":9},"hlc":"7","position":"0/a","more":[1], )"
                            R"("epoch" : 2 ,"source":"a"} )"),
              IsOkAndHolds(Applied{"a", 2, Lsn{10}, Hlc{7}}));
}

TEST(AppliedTest, MalformedOnesAreRefused) {
  const std::vector<std::string> bad = {
      "",
      "{}",
      "[]",
      "null",
      "x",
      R"({"source":"a","epoch":1,"position":"0/1"})",
      R"({"source":"a","epoch":1,"position":"0/1","hlc":"1")",
      R"({"source":"a","epoch":1,"position":"0/1","hlc":"1"}x)",
      R"({"source":"a","epoch":1,"position":"0/1","hlc":"1","hlc":"1"})",
      R"({"source":"a","source":"a","epoch":1,"position":"0/1"})",
      R"({"source":"A","epoch":1,"position":"0/1","hlc":"1"})",
      R"({"source":"a","epoch":0,"position":"0/1","hlc":"1"})",
      R"({"source":"a","epoch":"1","position":"0/1","hlc":"1"})",
      R"({"source":"a","epoch":1.0,"position":"0/1","hlc":"1"})",
      R"({"source":"a","epoch":1,"position":"1","hlc":"1"})",
      R"({"source":"a","epoch":1,"position":null,"hlc":"1"})",
      R"({"source":"a","epoch":1,"position":"0/1","hlc":1})",
      R"({"source":"a","epoch":1,"position":"0/1","hlc":"-1"})",
      R"({"source":"a","epoch":1,"position":"0/1","hlc":["1"]})",
      R"({"source":"a","epoch":1,"position":"0/1" "hlc":"1"})",
  };
  for (const std::string& bytes : bad) {
    EXPECT_THAT(DecodeApplied(bytes), StatusIs(absl::StatusCode::kInvalidArgument)) << bytes;
  }
}

}  // namespace
}  // namespace pmoves::proto
