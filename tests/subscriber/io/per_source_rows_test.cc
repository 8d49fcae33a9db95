// identity: per-source on a real Postgres: boxes that count their serial keys from 1 write into one
// table, and none of them ever touches a row of another.
#include <algorithm>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_format.h"
#include "common/io/pg_connection.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/message_codec.h"
#include "subscriber/core/row_decoder.h"
#include "subscriber/io/central_schema.h"
#include "subscriber/io/pg_catalog.h"
#include "subscriber/io/pg_preflight.h"
#include "subscriber/io/pg_target.h"
#include "tests/testing/postgres_server.h"
#include "tests/testing/status_matchers.h"

namespace pmoves {
namespace {

using ::testing::HasSubstr;

const std::string kA = "jetson-01";
const std::string kB = "jetson-02";
constexpr char kKeyMissing[] =
    "ALTER TABLE \"public\".\"jobs\" DROP CONSTRAINT \"jobs_pkey\", ADD PRIMARY KEY (_source, "
    "\"id\")";

std::string RowText(int id, const std::string& status) {
  return absl::StrFormat(R"({"id":%d,"status":"%s","output":"big of %s"})", id, status, status);
}

// One message of a source.
struct Sent {
  std::string source;
  std::string operation;
  std::string rest;  // of the body
  int64_t hlc;
};

class PerSourceRows : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    auto server = PostgresServer::Start();
    ASSERT_THAT(server, IsOk());
    server_ = server->release();
  }
  static void TearDownTestSuite() {
    delete server_;
    server_ = nullptr;
  }
  void SetUp() override {
    config_.postgres.dsn = server_->Dsn();
    TableConfig& jobs = config_.tables.emplace_back();
    jobs.schema = "public";
    jobs.table = "jobs";
    jobs.policy.identity = Identity::kPerSource;
    auto connection = PgConnection::Connect(TargetSessionOptions(config_, "test"));
    ASSERT_THAT(connection, IsOk());
    connection_ = *std::move(connection);
    Execute("DROP SCHEMA IF EXISTS pmoves_sync CASCADE; DROP TABLE IF EXISTS jobs");
    Execute("CREATE TABLE jobs (id serial PRIMARY KEY, status text, output text)");
    ASSERT_THAT(InitCentralSchema(*connection_, config_.tables), IsOk());
    catalog_ = std::make_unique<TargetCatalog>(*connection_, config_.tables);
    target_ = std::make_unique<PgTarget>(*connection_);
  }
  void MakeKey() { Execute(kKeyMissing); }

  PgRows Execute(const std::string& sql) {
    auto rows = connection_->Execute(sql);
    EXPECT_THAT(rows, IsOk()) << sql;
    return rows.ok() ? *std::move(rows) : PgRows(nullptr);
  }
  absl::Status Apply(const std::vector<Sent>& batch) {
    ChangeSet set;
    std::vector<std::unique_ptr<ReceivedMessage>> messages;
    for (const Sent& sent : batch) {
      messages.push_back(std::make_unique<ReceivedMessage>());
      ReceivedMessage& message = *messages.back();
      message.envelope.hlc = Hlc{sent.hlc};
      message.body = absl::StrFormat(
          R"({"source":"%s","schema":"public","table":"jobs","operation":"%s","timestamp":"2026-11-22T09:25:41.029291Z"%s%s})",
          sent.source, sent.operation, sent.rest.empty() ? "" : ",", sent.rest);
      proto::Body body;
      RETURN_IF_ERROR(reader_.Read(&message.body, &body));
      ASSIGN_OR_RETURN(TargetTable* const table, catalog_->Find("public", "jobs"));
      RETURN_IF_ERROR(
          decoder_.Append(body, message, sent.source == kA ? &kA : &kB, table, Lsn{}, &set));
    }
    RETURN_IF_ERROR(target_->Begin());
    absl::Status status = target_->Apply(&set, 0, set.changes.size());
    if (!status.ok()) {
      target_->Rollback();
      return status;
    }
    return target_->Commit();
  }
  // "1:new@jetson-01 2:done@jetson-02": id, status and source, in that order.
  std::string Rows() {
    const PgRows rows = Execute(
        "SELECT COALESCE(string_agg(format('%s:%s@%s', id, status, _source), ' ' ORDER BY id, "
        "_source), '') FROM jobs");
    return rows.String(0, 0);
  }

  static Sent Insert(const std::string& source, int64_t hlc, int id, const std::string& status) {
    return {source, "INSERT", absl::StrFormat(R"("data":[%s])", RowText(id, status)), hlc};
  }
  static Sent Update(const std::string& source, int64_t hlc, int id, const std::string& status) {
    return {source, "UPDATE", absl::StrFormat(R"("data":[%s])", RowText(id, status)), hlc};
  }
  static Sent Partial(const std::string& source, int64_t hlc, int id, const std::string& status) {
    return {
        source, "UPDATE",
        absl::StrFormat(R"("data":[{"id":%d,"status":"%s"}],"unchanged":["output"])", id, status),
        hlc};
  }
  static Sent Move(const std::string& source, int64_t hlc, int from, int to) {
    return {source, "UPDATE",
            absl::StrFormat(
                R"("data":[{"id":%d,"status":"moved"}],"keys":[{"id":%d}],"unchanged":["output"])",
                to, from),
            hlc};
  }
  static Sent Delete(const std::string& source, int64_t hlc, int id) {
    return {source, "DELETE", absl::StrFormat(R"("keys":[{"id":%d}])", id), hlc};
  }
  static Sent Truncate(const std::string& source, int64_t hlc) {
    return {source, "TRUNCATE", "", hlc};
  }
  // Enough rows for the way through a stage.
  static Sent Many(const std::string& source, int64_t hlc, const std::string& operation,
                   const std::string& status) {
    std::string rows;
    for (int id = 1; id <= 100; ++id) rows += (id == 1 ? "" : ",") + RowText(id, status);
    return {source, operation, absl::StrFormat(R"("data":[%s])", rows), hlc};
  }

  static PostgresServer* server_;
  SubscriberConfig config_;
  std::unique_ptr<PgConnection> connection_;
  std::unique_ptr<TargetCatalog> catalog_;
  std::unique_ptr<PgTarget> target_;
  RowDecoder decoder_;
  proto::BodyReader reader_;
};

PostgresServer* PerSourceRows::server_ = nullptr;

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
  ASSERT_THAT(Apply({Insert(kA, 1, 1, "a"), Insert(kB, 2, 1, "b")}), IsOk());
  EXPECT_EQ(Rows(), "1:a@jetson-01 1:b@jetson-02");
}

TEST_F(PerSourceRows, EqualKeysOfTwoSourcesAreTwoRows) {
  MakeKey();
  ASSERT_THAT(Apply({Insert(kA, 1, 1, "a"), Insert(kB, 2, 1, "b"), Insert(kA, 3, 2, "a")}), IsOk());
  ASSERT_THAT(Apply({Update(kB, 10, 1, "b2")}), IsOk());
  ASSERT_THAT(Apply({Update(kA, 5, 1, "a2")}), IsOk());  // older than what the other one wrote
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
  ASSERT_THAT(Apply({Insert(kA, 1, 1, "a"), Insert(kB, 2, 1, "b")}), IsOk());
  ASSERT_THAT(Apply({Delete(kA, 50, 1)}), IsOk());
  EXPECT_EQ(Rows(), "1:b@jetson-02");
  ASSERT_THAT(Apply({Update(kB, 20, 1, "b2"), Insert(kA, 10, 1, "late")}), IsOk());
  EXPECT_EQ(Rows(), "1:b2@jetson-02");
  ASSERT_THAT(Apply({Insert(kA, 60, 1, "again")}), IsOk());
  EXPECT_EQ(Rows(), "1:again@jetson-01 1:b2@jetson-02");
}

TEST_F(PerSourceRows, APartialUpdateFindsTheRowOfItsSourceAlone) {
  MakeKey();
  ASSERT_THAT(Apply({Insert(kA, 1, 1, "a"), Insert(kB, 2, 1, "b")}), IsOk());
  ASSERT_THAT(Apply({Partial(kA, 3, 1, "a2")}), IsOk());
  EXPECT_EQ(Execute("SELECT string_agg(output, ', ' ORDER BY _source) FROM jobs").String(0, 0),
            "big of a, big of b");
  EXPECT_EQ(Rows(), "1:a2@jetson-01 1:b@jetson-02");
  ASSERT_THAT(Apply({Delete(kB, 4, 1)}), IsOk());
  ASSERT_THAT(Apply({Insert(kB, 5, 2, "b")}), IsOk());
  EXPECT_THAT(Apply({Partial(kA, 6, 2, "a")}), StatusIs(absl::StatusCode::kNotFound));
  ASSERT_THAT(Apply({Partial(kA, 2, 1, "older")}), IsOk());
  EXPECT_EQ(Rows(), "1:a2@jetson-01 2:b@jetson-02");
}

TEST_F(PerSourceRows, AMoveTakesWhatDidNotTravelFromTheRowOfItsSource) {
  MakeKey();
  ASSERT_THAT(Apply({Insert(kA, 1, 1, "a"), Insert(kB, 2, 1, "b"), Insert(kB, 3, 2, "b")}), IsOk());
  ASSERT_THAT(Apply({Move(kA, 4, 1, 2)}), IsOk());
  EXPECT_EQ(Rows(), "1:b@jetson-02 2:moved@jetson-01 2:b@jetson-02");
  EXPECT_EQ(Execute("SELECT output FROM jobs WHERE _source = 'jetson-01'").String(0, 0),
            "big of a");
}

TEST_F(PerSourceRows, ATruncateTakesTheRowsOfItsSourceOrAllThatAreOlder) {
  MakeKey();
  const std::vector<Sent> rows = {Insert(kA, 1, 1, "a"), Insert(kB, 2, 1, "b"),
                                  Insert(kB, 90, 2, "new")};
  ASSERT_THAT(Apply(rows), IsOk());
  ASSERT_THAT(Apply({Truncate(kA, 50)}), IsOk());
  EXPECT_EQ(Rows(), "1:b@jetson-02 2:new@jetson-02");
  config_.tables[0].policy.truncate = TruncatePolicy::kAll;
  catalog_ = std::make_unique<TargetCatalog>(*connection_, config_.tables);
  decoder_ = RowDecoder();
  target_->ForgetStatements();
  ASSERT_THAT(Apply({Insert(kA, 60, 3, "a"), Truncate(kA, 70)}), IsOk());
  EXPECT_EQ(Rows(), "2:new@jetson-02");
  ASSERT_THAT(Apply({Insert(kB, 65, 3, "late"), Update(kB, 66, 1, "late")}), IsOk());
  EXPECT_EQ(Rows(), "2:new@jetson-02");
}

// C2 for each source, whatever the other one does meanwhile and wherever batches are cut.
TEST_F(PerSourceRows, EachSourceEndsAsItWouldAlone) {
  MakeKey();
  for (uint32_t seed = 1; seed <= 25; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    Execute("TRUNCATE jobs, pmoves_sync.tombstone");
    std::map<std::string, std::map<int, std::string>> want;
    std::map<std::string, std::vector<Sent>> histories;
    for (const std::string& source : {kA, kB}) {
      std::map<int, std::string>& alive = want[source];
      int64_t hlc = static_cast<int64_t>(random() % 10);
      for (int i = 0; i < 12; ++i) {
        const int id = 1 + static_cast<int>(random() % 3);
        const std::string status = absl::StrFormat("%c%d", source.back(), i);
        hlc += 1 + static_cast<int64_t>(random() % 5);
        Sent sent = Insert(source, hlc, id, status);
        if (alive.count(id) == 0) {
          alive[id] = status;
        } else if (random() % 3 == 0) {
          sent = Delete(source, hlc, id);
          alive.erase(id);
        } else {
          sent = random() % 2 == 0 ? Partial(source, hlc, id, status)
                                   : Update(source, hlc, id, status);
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
