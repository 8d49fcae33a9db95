#include "publisher/core/preflight_rules.h"

#include <functional>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace pmoves {
namespace {

using ::testing::HasSubstr;

ServerFacts GoodServer() {
  ServerFacts facts;
  facts.version = 150018;
  facts.encoding = "UTF8";
  facts.wal_level = "logical";
  facts.may_replicate = true;
  facts.role = "edge";
  facts.plugin_list = "pgoutput, test_decoding, wal2json";
  facts.max_slots = 5;
  facts.used_slots = 2;
  facts.max_walsenders = 10;
  facts.slot_limit_mb = 4096;
  return facts;
}

TableFacts GoodTable() {
  TableFacts facts;
  facts.schema = "public";
  facts.table = "jobs";
  facts.has_key = facts.has_primary_key = true;
  return facts;
}

CapturedTables Jobs() { return *CapturedTables::Make({{"public", "jobs", false}}); }
CapturedTables WholePublic() { return *CapturedTables::Make({{"public", "", true}}); }

TEST(PreflightRulesTest, AGoodServerPasses) {
  EXPECT_EQ(FirstFailure(JudgeServer(GoodServer())), "");
  ServerFacts old = GoodServer();
  old.plugin_list.reset();  // before 15.19
  EXPECT_EQ(FirstFailure(JudgeServer(old)), "");
}

struct ServerCase {
  const char* name;
  std::function<void(ServerFacts&)> change;
  const char* failure;
};
class ServerTest : public ::testing::TestWithParam<ServerCase> {};

TEST_P(ServerTest, IsRefusedWithTheFix) {
  ServerFacts facts = GoodServer();
  GetParam().change(facts);
  EXPECT_THAT(FirstFailure(JudgeServer(facts)), HasSubstr(GetParam().failure));
}

const ServerCase kServerCases[] = {
    {"TooOld", [](ServerFacts& f) { f.version = 110022; }, "PostgreSQL 12"},
    {"Latin1", [](ServerFacts& f) { f.encoding = "LATIN1"; }, "server_encoding is LATIN1"},
    {"WalLevel", [](ServerFacts& f) { f.wal_level = "replica"; }, "wal_level = logical"},
    {"Standby", [](ServerFacts& f) { f.in_recovery = true; }, "primary"},
    {"Unlimited", [](ServerFacts& f) { f.slot_limit_mb = -1; }, "max_slot_wal_keep_size"},
    {"Role", [](ServerFacts& f) { f.may_replicate = false; }, "ALTER ROLE \"edge\" REPLICATION"},
    {"Plugin", [](ServerFacts& f) { f.plugin_list = "pgoutput, test_decoding"; },
     "output_plugin_libraries = pgoutput, test_decoding, wal2json"},
    {"Slots", [](ServerFacts& f) { f.used_slots = 5; }, "max_replication_slots"},
    {"Walsenders", [](ServerFacts& f) { f.used_walsenders = 10; }, "max_wal_senders"},
};
INSTANTIATE_TEST_SUITE_P(Bad, ServerTest, ::testing::ValuesIn(kServerCases),
                         [](const auto& test) { return std::string(test.param.name); });

TEST(PreflightRulesTest, AnExistingSlotNeedsNoFreeOne) {
  ServerFacts facts = GoodServer();
  facts.used_slots = 5;
  facts.slot_exists = true;
  EXPECT_EQ(FirstFailure(JudgeServer(facts)), "");
}

TEST(PreflightRulesTest, UnlimitedWalCanBeAccepted) {
  ServerFacts facts = GoodServer();
  facts.slot_limit_mb = -1;
  facts.allow_unlimited_wal = true;
  EXPECT_EQ(FirstFailure(JudgeServer(facts)), "");
}

struct TableCase {
  const char* name;
  std::function<void(TableFacts&)> change;
  const char* failure;  // empty: it passes
};
class TableTest : public ::testing::TestWithParam<TableCase> {};

TEST_P(TableTest, IsJudgedAlikeByNameAndByWildcard) {
  TableFacts facts = GoodTable();
  GetParam().change(facts);
  for (const CapturedTables& tables : {Jobs(), WholePublic()}) {
    std::vector<CheckResult> results = JudgeTables(tables, {facts});
    for (CheckResult& result : results) {
      const bool failed = result.verdict == Verdict::kFail;
      // Below a wildcard it concerns nobody else.
      EXPECT_EQ(std::exchange(result.waits, false), failed && tables.patterns()[0].whole_schema);
    }
    const std::string failure = FirstFailure(results);
    if (*GetParam().failure == '\0') {
      EXPECT_EQ(failure, "");
    } else {
      EXPECT_THAT(failure, HasSubstr(GetParam().failure));
      EXPECT_THAT(failure, HasSubstr("public.jobs"));
    }
  }
}

const TableCase kTableCases[] = {
    {"Good", [](TableFacts&) {}, ""},
    {"NoKey", [](TableFacts& f) { f.has_key = f.has_primary_key = false; }, "no primary key"},
    {"DeferrableKey", [](TableFacts& f) { f.has_key = false; }, "DEFERRABLE"},
    {"IdentityNothing",
     [](TableFacts& f) {
       f.identity = 'n';
       f.has_key = false;
     },
     "REPLICA IDENTITY NOTHING"},
    {"IdentityIndexDropped",
     [](TableFacts& f) {
       f.identity = 'i';
       f.has_key = false;
     },
     "USING INDEX"},
    {"FullWithoutKey",
     [](TableFacts& f) {
       f.identity = 'f';
       f.has_key = f.has_primary_key = false;
     },
     "REPLICA IDENTITY FULL"},
    {"FullWithKey", [](TableFacts& f) { f.identity = 'f'; }, ""},
    {"Partitioned", [](TableFacts& f) { f.kind = 'p'; }, "partitioned"},
    {"NumbersThatCannotBeReadAgainOnlyWarn",
     [](TableFacts& f) {
       f.nonfinite_columns = {"a"};
       f.may_select = false;
     },
     ""},
};
INSTANTIATE_TEST_SUITE_P(Kinds, TableTest, ::testing::ValuesIn(kTableCases),
                         [](const auto& test) { return std::string(test.param.name); });

TEST(PreflightRulesTest, NamedRelationsThatAreNoTablesAreRefused) {
  for (char kind : {'v', 'm', 'f', 'S'}) {
    TableFacts facts = GoodTable();
    facts.kind = kind;
    EXPECT_THAT(FirstFailure(JudgeTables(Jobs(), {facts})), HasSubstr("ordinary tables"));
    EXPECT_EQ(FirstFailure(JudgeTables(WholePublic(), {facts})), "");
  }
  TableFacts unlogged = GoodTable();
  unlogged.persistence = 'u';
  EXPECT_THAT(FirstFailure(JudgeTables(Jobs(), {unlogged})), HasSubstr("unlogged"));
  EXPECT_EQ(FirstFailure(JudgeTables(WholePublic(), {unlogged})), "");
}

TEST(PreflightRulesTest, AMissingTableIsRefusedByName) {
  const auto missing = JudgeTables(Jobs(), {});
  EXPECT_EQ(missing.front().verdict, Verdict::kFail);
  EXPECT_THAT(missing.front().message, HasSubstr("does not exist"));
  EXPECT_EQ(FirstFailure(missing), "");  // it waits alone
}

TEST(PreflightRulesTest, MessagesMustFitThePayload) {
  NatsFacts facts;
  facts.max_message_bytes = 256 << 10;
  facts.max_payload = 256 << 10;
  EXPECT_THAT(FirstFailure(JudgeNats(facts)), HasSubstr("max_payload"));
  facts.max_payload = 1 << 20;
  EXPECT_EQ(FirstFailure(JudgeNats(facts)), "");
}

}  // namespace
}  // namespace pmoves
