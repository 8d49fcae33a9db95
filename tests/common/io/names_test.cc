// The small helpers around names: nearest name, table names, masked connection strings.
#include <string>
#include <vector>

#include "common/io/mask.h"
#include "common/io/nearest_name.h"
#include "common/io/table_name.h"
#include "gtest/gtest.h"

namespace pmoves {
namespace {

TEST(NearestName, FindsSlipsAndLeavesStrangersAlone) {
  const std::vector<std::string> names = {"slot", "status_interval", "tables"};
  EXPECT_EQ(NearestName("slto", names), "slot");
  EXPECT_EQ(NearestName("table", names), "tables");
  EXPECT_EQ(NearestName("status_intervall", names), "status_interval");
  EXPECT_EQ(NearestName("colour", names), "");
  EXPECT_EQ(NearestName("", names), "");
  EXPECT_EQ(NearestName("slot", {}), "");
  EXPECT_EQ(NearestName(std::string(5000, 'x'), names), "");
}

TEST(NearestName, ASwapOfNeighboursIsOneSlip) {
  EXPECT_EQ(EditDistance("slto", "slot"), 1);
  EXPECT_EQ(EditDistance("abc", "abc"), 0);
  EXPECT_EQ(EditDistance("", "abc"), 3);
}

struct TableCase {
  const char* text;
  const char* schema;
  const char* table;
  bool whole_schema = false;
};

TEST(TableName, IsASchemaAndATable) {
  const TableCase cases[] = {{"public.jobs", "public", "jobs"},
                             {"jobs", "public", "jobs"},
                             {"Sensors.Reading", "Sensors", "Reading"},
                             {"sensors.*", "sensors", "", true},
                             {"\"a.b\".\"c\"\"d\"", "a.b", "c\"d"},
                             {"\"*\"", "public", "*"},
                             {"jöbs", "public", "jöbs"}};
  for (const TableCase& c : cases) {
    TableName name;
    EXPECT_EQ(ParseTableName(c.text, &name), "") << c.text;
    EXPECT_EQ(name.schema, c.schema) << c.text;
    EXPECT_EQ(name.table, c.table) << c.text;
    EXPECT_EQ(name.whole_schema, c.whole_schema) << c.text;
  }
}

TEST(TableName, RefusesWhatIsNone) {
  const std::string long_name(64, 'a');
  for (const std::string& bad :
       {std::string(), std::string("."), std::string("a."), std::string(".a"), std::string("a.b.c"),
        std::string("*"), std::string("*.a"), std::string("a b"), std::string("\"a"),
        std::string("\"a\"b"), std::string("a\"b"), long_name}) {
    TableName name;
    EXPECT_NE(ParseTableName(bad, &name), "") << bad;
  }
}

struct MaskCase {
  const char* text;
  const char* masked;
};

TEST(MaskSecrets, HidesPasswordsAndTokensAndNothingElse) {
  const MaskCase cases[] = {{"host=h user=u dbname=d", "host=h user=u dbname=d"},
                            {"host=h password=x user=u", "host=h password=******** user=u"},
                            {"password = 'a b \\' c' user=u", "password = ******** user=u"},
                            {"sslpassword=x", "sslpassword=********"},
                            {"passfile=/p host=h", "passfile=/p host=h"},
                            {"postgres://u:p@h:5432/d", "postgres://u:********@h:5432/d"},
                            {"postgresql://u@h/d", "postgresql://u@h/d"},
                            {"postgresql://h/d?user=u&password=x&sslmode=require",
                             "postgresql://h/d?user=u&password=********&sslmode=require"},
                            {"postgres://u:p@ss/w?rd@h/d", "postgres://u:********@h/d"},
                            {"nats://h:4222", "nats://h:4222"},
                            {"nats://token@h:4222", "nats://********@h:4222"},
                            {"nats://h1:4222,nats://u:p@h2", "nats://h1:4222,nats://u:********@h2"},
                            {"nats://u:a,b@h", "nats://u:********@h"},
                            {"tls://u:p@h1, tls://t@h2", "tls://u:********@h1, tls://********@h2"},
                            {"", ""}};
  for (const MaskCase& c : cases) EXPECT_EQ(MaskSecrets(c.text), c.masked) << c.text;
}

}  // namespace
}  // namespace pmoves
