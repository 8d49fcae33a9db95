// identity: per-source on a real Postgres: boxes that count their serial keys from 1 write into one
// table, and none of them ever touches a row of another.
#include <map>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "subscriber/io/pg_preflight.h"
#include "tests/testing/centre.h"

namespace pmoves {
namespace {

using ::testing::HasSubstr;

constexpr char kKeyMissing[] =
    "ALTER TABLE \"public\".\"jobs\" DROP CONSTRAINT \"jobs_pkey\", ADD PRIMARY KEY (_source, "
    "\"id\")";

class PerSourceRows : public CentreTest {
 protected:
  TablePolicy FirstPolicy() const override {
    TablePolicy policy;
    policy.identity = Identity::kPerSource;
    return policy;
  }
  void MakeKey() { Execute(kKeyMissing); }
  static Sent Many(const std::string& source, int64_t hlc, const std::string& operation,
                   const std::string& status) {
    return SendRows(operation, source, hlc, 1, 100, status);
  }
};

TEST_F(PerSourceRows, TheKeyThatIsNeededIsSaid) {
  EXPECT_THAT(catalog_->Find("public", "jobs"),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr(kKeyMissing)));
  bool failed = false;
  for (const CheckLine& line : CheckCentre(*connection_, config_)) {
    failed = failed || (line.grade == CheckLine::Grade::kFail &&
                        line.what.find(kKeyMissing) != std::string::npos);
  }
  EXPECT_TRUE(failed);
  MakeKey();
  auto found = catalog_->Find("public", "jobs");
  ASSERT_THAT(found, IsOk());
  EXPECT_TRUE((*found)->key_has_source);
  EXPECT_EQ((*found)->key.size(), 1u);
}

TEST_F(PerSourceRows, AKeyWithTheSourceNeedsTheIdentity) {
  MakeKey();
  config_.tables[0].policy.identity = Identity::kUndeclared;
  EXPECT_THAT(catalog_->Find("public", "jobs"),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("identity: per-source, or ALTER TABLE \"public\".\"jobs\" DROP "
                                 "CONSTRAINT \"jobs_pkey\", ADD PRIMARY KEY (\"id\")")));
}

TEST_F(PerSourceRows, TheOrderOfTheKeyDoesNotMatter) {
  Execute("ALTER TABLE jobs DROP CONSTRAINT jobs_pkey, ADD PRIMARY KEY (id, _source)");
  ASSERT_THAT(Apply({SendInsert(kA, 1, 1, "a"), SendInsert(kB, 2, 1, "b")}), IsOk());
  EXPECT_EQ(Rows(), "1:a@jetson-01 1:b@jetson-02");
}

TEST_F(PerSourceRows, EqualKeysOfTwoSourcesAreTwoRows) {
  MakeKey();
  ASSERT_THAT(
      Apply({SendInsert(kA, 1, 1, "a"), SendInsert(kB, 2, 1, "b"), SendInsert(kA, 3, 2, "a")}),
      IsOk());
  ASSERT_THAT(Apply({SendUpdate(kB, 10, 1, "b2")}), IsOk());
  ASSERT_THAT(Apply({SendUpdate(kA, 5, 1, "a2")}), IsOk());  // older than what the other one wrote
  EXPECT_EQ(Rows(), "1:a2@jetson-01 1:b2@jetson-02 2:a@jetson-01");
}

TEST_F(PerSourceRows, ManyRowsGoTheSameWay) {
  MakeKey();
  ASSERT_THAT(Apply({Many(kA, 1000, "INSERT", "a")}), IsOk());
  ASSERT_THAT(Apply({Many(kB, 100, "INSERT", "b")}), IsOk());
  ASSERT_THAT(Apply({Many(kA, 3000, "UPDATE", "a2"), Many(kB, 2000, "UPDATE", "b2")}), IsOk());
  EXPECT_EQ(Execute("SELECT string_agg(n, ', ' ORDER BY n) FROM (SELECT format('%s %s@%s', "
                    "count(*), status, _source) n FROM jobs GROUP BY status, _source) counted")
                .String(0, 0),
            "100 a2@jetson-01, 100 b2@jetson-02");
}

TEST_F(PerSourceRows, ADeleteBuriesTheRowOfItsSourceAlone) {
  MakeKey();
  ASSERT_THAT(Apply({SendInsert(kA, 1, 1, "a"), SendInsert(kB, 2, 1, "b")}), IsOk());
  ASSERT_THAT(Apply({SendDelete(kA, 50, 1)}), IsOk());
  EXPECT_EQ(Rows(), "1:b@jetson-02");
  ASSERT_THAT(Apply({SendUpdate(kB, 20, 1, "b2"), SendInsert(kA, 10, 1, "late")}), IsOk());
  EXPECT_EQ(Rows(), "1:b2@jetson-02");
  ASSERT_THAT(Apply({SendInsert(kA, 60, 1, "again")}), IsOk());
  EXPECT_EQ(Rows(), "1:again@jetson-01 1:b2@jetson-02");
}

TEST_F(PerSourceRows, APartialUpdateFindsTheRowOfItsSourceAlone) {
  MakeKey();
  ASSERT_THAT(Apply({SendInsert(kA, 1, 1, "a"), SendInsert(kB, 2, 1, "b")}), IsOk());
  ASSERT_THAT(Apply({SendPartial(kA, 3, 1, "a2")}), IsOk());
  EXPECT_EQ(Execute("SELECT string_agg(output, ', ' ORDER BY _source) FROM jobs").String(0, 0),
            "big of a, big of b");
  EXPECT_EQ(Rows(), "1:a2@jetson-01 1:b@jetson-02");
  ASSERT_THAT(Apply({SendDelete(kB, 4, 1)}), IsOk());
  ASSERT_THAT(Apply({SendInsert(kB, 5, 2, "b")}), IsOk());
  EXPECT_THAT(Apply({SendPartial(kA, 6, 2, "a")}), StatusIs(absl::StatusCode::kNotFound));
  ASSERT_THAT(Apply({SendPartial(kA, 2, 1, "older")}), IsOk());
  EXPECT_EQ(Rows(), "1:a2@jetson-01 2:b@jetson-02");
}

TEST_F(PerSourceRows, AMoveTakesWhatDidNotTravelFromTheRowOfItsSource) {
  MakeKey();
  ASSERT_THAT(
      Apply({SendInsert(kA, 1, 1, "a"), SendInsert(kB, 2, 1, "b"), SendInsert(kB, 3, 2, "b")}),
      IsOk());
  ASSERT_THAT(Apply({SendMove(kA, 4, 1, 2)}), IsOk());
  EXPECT_EQ(Rows(), "1:b@jetson-02 2:moved@jetson-01 2:b@jetson-02");
  EXPECT_EQ(Execute("SELECT output FROM jobs WHERE _source = 'jetson-01'").String(0, 0),
            "big of a");
}

TEST_F(PerSourceRows, ATruncateTakesTheRowsOfItsSourceOrAllThatAreOlder) {
  MakeKey();
  const std::vector<Sent> rows = {SendInsert(kA, 1, 1, "a"), SendInsert(kB, 2, 1, "b"),
                                  SendInsert(kB, 90, 2, "new")};
  ASSERT_THAT(Apply(rows), IsOk());
  ASSERT_THAT(Apply({SendTruncate(kA, 50)}), IsOk());
  EXPECT_EQ(Rows(), "1:b@jetson-02 2:new@jetson-02");
  TablePolicy policy = FirstPolicy();
  policy.truncate = TruncatePolicy::kAll;
  Configure(policy);
  ASSERT_THAT(Apply({SendInsert(kA, 60, 3, "a"), SendTruncate(kA, 70)}), IsOk());
  EXPECT_EQ(Rows(), "2:new@jetson-02");
  ASSERT_THAT(Apply({SendInsert(kB, 65, 3, "late"), SendUpdate(kB, 66, 1, "late")}), IsOk());
  EXPECT_EQ(Rows(), "2:new@jetson-02");
}

// C2 for each source, whatever the other one does meanwhile and wherever batches are cut.
TEST_F(PerSourceRows, EachSourceEndsAsItWouldAlone) {
  MakeKey();
  for (uint32_t seed = 1; seed <= 25; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    Empty();
    std::map<std::string, std::map<int, std::string>> want;
    std::map<std::string, std::vector<Sent>> histories;
    for (const std::string& source : {kA, kB}) {
      std::map<int, std::string>& alive = want[source];
      int64_t hlc = static_cast<int64_t>(random() % 10);
      for (int i = 0; i < 12; ++i) {
        const int id = 1 + static_cast<int>(random() % 3);
        const std::string status = absl::StrFormat("%c%d", source.back(), i);
        hlc += 1 + static_cast<int64_t>(random() % 5);
        Sent sent = SendInsert(source, hlc, id, status);
        if (alive.count(id) == 0) {
          alive[id] = status;
        } else if (random() % 3 == 0) {
          sent = SendDelete(source, hlc, id);
          alive.erase(id);
        } else {
          sent = random() % 2 == 0 ? SendPartial(source, hlc, id, status)
                                   : SendUpdate(source, hlc, id, status);
          alive[id] = status;
        }
        histories[source].push_back(sent);
      }
    }
    std::map<std::string, size_t> next;
    std::vector<Sent> batch;
    while (next[kA] < histories[kA].size() || next[kB] < histories[kB].size()) {
      std::string source = random() % 2 == 0 ? kA : kB;
      if (next[source] == histories[source].size()) source = source == kA ? kB : kA;
      batch.push_back(histories[source][next[source]++]);
      if (random() % 3 == 0) {
        ASSERT_THAT(Apply(batch), IsOk());
        batch.clear();
      }
    }
    ASSERT_THAT(Apply(batch), IsOk());
    std::string expected;
    for (int id = 1; id <= 3; ++id) {
      for (const auto& [source, rows] : want) {
        if (rows.count(id) == 0) continue;
        expected +=
            absl::StrFormat("%s%d:%s@%s", expected.empty() ? "" : " ", id, rows.at(id), source);
      }
    }
    EXPECT_EQ(Rows(), expected);
  }
}

}  // namespace
}  // namespace pmoves
