// What people and services write in the centre itself, beside the changes of the sources, on a real
// Postgres.
#include "subscriber/io/central_writes.h"

#include <memory>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "subscriber/core/merge_sql.h"
#include "subscriber/core/policy_text.h"
#include "subscriber/io/central_triggers.h"
#include "tests/testing/centre.h"

namespace pmoves {
namespace {

class CentralWritesTest : public CentreTest {
 protected:
  void SetUp() override {
    CentreTest::SetUp();
    person_ = Connect("");
    now_ = Execute("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint").Int(0, 0);
  }

  std::unique_ptr<PgConnection> Connect(const std::string& rest) {
    PgOptions options;
    options.dsn = server_->Dsn() + rest;
    auto connection = PgConnection::Connect(options);
    EXPECT_THAT(connection, IsOk());
    return connection.ok() ? *std::move(connection) : nullptr;
  }
  // As an operator does after each change of the configuration or of the table.
  void Use(const TablePolicy& policy) {
    Configure(policy);
    Execute(absl::StrFormat(
        "INSERT INTO pmoves_sync.table_rule (relation, version, policy, uses_registers, clock) "
        "VALUES ('public.jobs', 1, %s, %s, 'commit') ON CONFLICT (relation) DO UPDATE SET policy = "
        "EXCLUDED.policy, uses_registers = EXCLUDED.uses_registers",
        SqlLiteral(PolicyText(policy)), UsesRegisters(policy) ? "true" : "false"));
    ASSERT_THAT(InitCentralSchema(*connection_, config_.tables), IsOk());
  }
  TablePolicy RowRule(RuleKind kind, std::vector<std::string> priority = {}) {
    TablePolicy policy;
    policy.row.kind = kind;
    policy.row.priority = std::move(priority);
    return policy;
  }
  // A person with a session like any other.
  void Write(const std::string& sql) { ASSERT_THAT(person_->Execute(sql), IsOk()) << sql; }
  // Minutes from now, as a version.
  int64_t At(int minutes) const { return (now_ + minutes * 60000) << 16; }
  CentralWrites::Settled Settle() {
    auto settled = CentralWrites(*connection_, config_).Settle(absl::Seconds(60));
    EXPECT_THAT(settled, IsOk());
    if (!settled.ok()) return {};
    EXPECT_THAT(settled->problem, IsOk());
    return *settled;
  }
  std::string Text(const std::string& sql) { return Execute(sql).String(0, 0); }
  // "1:new 2:done". Where there are registers _source says who reported last, not whose this is.
  std::string Statuses() {
    return Text("SELECT COALESCE(string_agg(id || ':' || status, ' ' ORDER BY id), '') FROM jobs");
  }

  std::unique_ptr<PgConnection> person_;
  int64_t now_ = 0;
};

TEST_F(CentralWritesTest, NothingIsSettledByAnotherRuleThanTheOneInForce) {
  Use(TablePolicy());
  Write("INSERT INTO jobs VALUES (1, 'p')");
  Execute("UPDATE pmoves_sync.table_rule SET policy = 'conflict: keep-central'");
  auto settled = CentralWrites(*connection_, config_).Settle(absl::Seconds(60));
  ASSERT_THAT(settled, IsOk());
  EXPECT_THAT(settled->problem, StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_EQ(Count("pmoves_sync.recompute_queue"), 1);
  Use(TablePolicy());
  EXPECT_EQ(Settle().keys, 1);
}

// ---- by row version

TEST_F(CentralWritesTest, AnInsertIsStampedAndMeetsTheSourcesByItsVersion) {
  Write("INSERT INTO jobs VALUES (1, 'p'), (2, 'p')");
  EXPECT_EQ(Rows(), "1:p@central 2:p@central");
  ASSERT_THAT(Apply({SendInsert(kA, At(-1), 1, "older"), SendInsert(kA, At(1), 2, "newer")}),
              IsOk());
  EXPECT_EQ(Rows(), "1:p@central 2:newer@jetson-01");
  EXPECT_EQ(Text("SELECT abs(extract(epoch FROM clock_timestamp()) * 1000 - (_sync_version >> 16)) "
                 "< 60000 AND _source_updated_at > now() - interval '1 minute' FROM jobs WHERE id "
                 "= 1"),
            "t");
}

TEST_F(CentralWritesTest, RowsFromBeforeInitLoseAgainstAnyChange) {
  Execute("DROP TABLE jobs; CREATE TABLE jobs (id integer PRIMARY KEY, status text, output text)");
  Write("INSERT INTO jobs VALUES (1, 'old')");
  Use(TablePolicy());
  ASSERT_THAT(Apply({SendInsert(kA, 1, 1, "a")}), IsOk());
  EXPECT_EQ(Rows(), "1:a@jetson-01");
  EXPECT_EQ(Text("SELECT string_agg(local_source || '<' || remote_source || ' ' || type, ', ') "
                 "FROM pmoves_sync.conflict_log"),
            "central<jetson-01 pk_collision");
}

TEST_F(CentralWritesTest, RowsThatAreLoadedAsApplyingLoseAgainstAnyChange) {
  Write("SET pmoves_sync.applying = on; INSERT INTO jobs VALUES (1, 'copied'), (2, 'copied')");
  ASSERT_THAT(Apply({SendInsert(kA, 1, 1, "a")}), IsOk());
  Write("DELETE FROM jobs WHERE id = 2");
  EXPECT_EQ(Rows(), "1:a@jetson-01");
  EXPECT_EQ(Count("pmoves_sync.tombstone"), 0);
}

TEST_F(CentralWritesTest, AnUpdateIsNewerThanTheRowThatItsWriterSaw) {
  ASSERT_THAT(Apply({SendInsert(kA, At(5), 1, "a clock ahead"), SendInsert(kA, At(-5), 2, "a")}),
              IsOk());
  Write("UPDATE jobs SET status = 'p'");
  EXPECT_EQ(Rows(), "1:p@central 2:p@central");
  ASSERT_THAT(Apply({SendInsert(kB, At(5), 1, "as new"), SendInsert(kB, At(-1), 2, "late")}),
              IsOk());
  EXPECT_EQ(Rows(), "1:p@central 2:p@central");
  ASSERT_THAT(Apply({SendInsert(kB, At(6), 1, "b"), SendInsert(kB, At(6) + 1, 2, "b")}), IsOk());
  EXPECT_EQ(Rows(), "1:b@jetson-02 2:b@jetson-02");
}

TEST_F(CentralWritesTest, ADeletedRowIsNotBroughtBackByALateOlderChange) {
  ASSERT_THAT(Apply({SendInsert(kA, At(-9), 1, "a"), SendInsert(kA, At(5), 2, "a"),
                     SendInsert(kA, At(5) + 1, 3, "a")}),
              IsOk());
  Write("DELETE FROM jobs");
  ASSERT_THAT(Apply({SendInsert(kB, At(-1), 1, "late"), SendInsert(kB, At(5), 2, "late")}), IsOk());
  EXPECT_EQ(Rows(), "");
  ASSERT_THAT(Apply({SendInsert(kB, At(6), 1, "b")}), IsOk());
  EXPECT_EQ(Rows(), "1:b@jetson-02");
}

TEST_F(CentralWritesTest, AChangedKeyIsGoneUnderTheOldOne) {
  ASSERT_THAT(Apply({SendInsert(kA, At(-9), 1, "a")}), IsOk());
  Write("UPDATE jobs SET id = 2");
  ASSERT_THAT(Apply({SendInsert(kB, At(-1), 1, "late")}), IsOk());
  EXPECT_EQ(Rows(), "2:a@central");
}

TEST_F(CentralWritesTest, ATruncateBuriesEveryRow) {
  for (const TruncatePolicy truncate : {TruncatePolicy::kOwnRows, TruncatePolicy::kAll}) {
    TablePolicy policy;
    policy.truncate = truncate;
    Use(policy);
    Empty();
    ASSERT_THAT(Apply({SendInsert(kA, At(-9), 1, "a"), SendInsert(kB, At(5), 2, "b")}), IsOk());
    Write("TRUNCATE jobs");
    ASSERT_THAT(Apply({SendInsert(kB, At(5), 1, "later"), SendInsert(kA, At(-1), 2, "late")}),
                IsOk());
    // all: everything older than the newest row that was there goes
    EXPECT_EQ(Rows(), truncate == TruncatePolicy::kAll ? "" : "1:later@jetson-02");
    ASSERT_THAT(Apply({SendInsert(kB, At(6), 3, "b")}), IsOk());
    EXPECT_EQ(Count("jobs WHERE id = 3"), 1);
  }
}

TEST_F(CentralWritesTest, AnInsertOverANewerTombstoneLives) {
  ASSERT_THAT(Apply({SendInsert(kA, At(4), 1, "a"), SendDelete(kA, At(5), 1)}), IsOk());
  Write("INSERT INTO jobs VALUES (1, 'p')");
  Write("INSERT INTO jobs VALUES (2, 'p')");
  Write("DELETE FROM jobs WHERE id = 2; INSERT INTO jobs VALUES (2, 'again')");
  Settle();
  EXPECT_EQ(Rows(), "1:p@central 2:again@central");
  EXPECT_EQ(Text("SELECT (_sync_version > " + std::to_string(At(5)) +
                 ")::text FROM jobs WHERE id "
                 "= 1"),
            "true");
  ASSERT_THAT(Apply({SendDelete(kB, At(5), 1)}), IsOk());
  EXPECT_EQ(Rows(), "1:p@central 2:again@central");
}

// A worker that looked for tombstones before the person's delete was committed.
TEST_F(CentralWritesTest, ARowThatRacedWithADeleteIsGoneOnceItIsSettled) {
  Write("INSERT INTO jobs VALUES (1, 'p'), (2, 'p'); DELETE FROM jobs WHERE id = 1");
  Execute("INSERT INTO jobs (id, status, _source, _sync_version) VALUES (1, 'a', 'jetson-01', 5)");
  EXPECT_GT(Settle().keys, 0);
  EXPECT_EQ(Rows(), "2:p@central");
  Write("TRUNCATE jobs");
  Execute("INSERT INTO jobs (id, status, _source, _sync_version) VALUES (2, 'a', 'jetson-01', 5)");
  Settle();
  EXPECT_EQ(Rows(), "");
  EXPECT_EQ(Count("pmoves_sync.recompute_queue"), 0);
  EXPECT_EQ(Settle().keys, 0);
}

TEST_F(CentralWritesTest, WhatIsAppliedIsNotStampedWhateverTheRoleOfTheSession) {
  for (const char* role : {"origin", "replica"}) {
    Execute(std::string("SET session_replication_role = ") + role);
    Empty();
    ASSERT_THAT(Apply({SendInsert(kA, 10, 1, "a"), SendInserts(kA, 20, 100, 60, "a")}), IsOk());
    ASSERT_THAT(Apply({SendInsert(kB, 90, 1, "b"), SendDelete(kB, 91, 100)}), IsOk());
    EXPECT_EQ(Count("jobs WHERE _source = 'central' OR _sync_version > 100"), 0);
    EXPECT_EQ(Count("pmoves_sync.tombstone WHERE source = 'central'"), 0);
    EXPECT_EQ(Count("pmoves_sync.recompute_queue"), 0);
  }
  Execute("SET session_replication_role = origin");
}

TEST_F(CentralWritesTest, ARowOfASourceStaysItsOwnWhereTheKeyHasTheSource) {
  Execute("ALTER TABLE jobs DROP CONSTRAINT jobs_pkey, ADD PRIMARY KEY (_source, id)");
  TablePolicy policy;
  policy.identity = Identity::kPerSource;
  Use(policy);
  ASSERT_THAT(Apply({SendInsert(kA, At(-9), 1, "a"), SendInsert(kB, At(-9), 1, "b")}), IsOk());
  Write("UPDATE jobs SET status = 'p' WHERE _source = 'jetson-01'");
  Write("DELETE FROM jobs WHERE _source = 'jetson-02'; INSERT INTO jobs VALUES (1, 'p')");
  Settle();
  EXPECT_EQ(Rows(), "1:p@central 1:p@jetson-01");
  ASSERT_THAT(Apply({SendInsert(kA, At(-1), 1, "late"), SendInsert(kB, At(-1), 1, "late")}),
              IsOk());
  EXPECT_EQ(Rows(), "1:p@central 1:p@jetson-01");
}

TEST_F(CentralWritesTest, ASoftDeleteOfASourcesOwnRowMarksIt) {
  Execute(
      "ALTER TABLE jobs DROP CONSTRAINT jobs_pkey, ADD COLUMN gone_at timestamptz, ADD PRIMARY KEY "
      "(_source, id)");
  TablePolicy policy;
  policy.identity = Identity::kPerSource;
  policy.on_delete = DeletePolicy::kSoft;
  policy.soft_delete_column = "gone_at";
  Use(policy);
  ASSERT_THAT(Apply({SendInsert(kA, At(-9), 1, "a")}), IsOk());
  Write("DELETE FROM jobs");
  Settle();
  EXPECT_EQ(Rows(), "1:a@jetson-01");
  EXPECT_EQ(Count("jobs WHERE gone_at > now() - interval '1 minute'"), 1);
  ASSERT_THAT(Apply({SendInsert(kA, At(9), 1, "again")}), IsOk());
  EXPECT_EQ(Rows(), "1:again@jetson-01");
}

TEST_F(CentralWritesTest, ARowOfAnAppendOnlyTableStaysAsOldAsItIsWhenItIsMended) {
  TablePolicy policy = RowRule(RuleKind::kAppendOnly);
  policy.on_delete = DeletePolicy::kIgnore;
  Use(policy);
  ASSERT_THAT(Apply({SendInsert(kA, At(-9), 1, "a secret")}), IsOk());
  Write("UPDATE jobs SET status = 'redacted'");
  ASSERT_THAT(Apply({SendInsert(kB, At(-5), 1, "b")}), IsOk());
  EXPECT_EQ(Rows(), "1:redacted@central");
}

// The key as a worker writes it, whatever the person's session has set.
TEST_F(CentralWritesTest, KeysDoNotDependOnTheSessionOfTheWriter) {
  Execute(
      "ALTER TABLE jobs DROP CONSTRAINT jobs_pkey, ADD COLUMN at timestamptz NOT NULL DEFAULT "
      "'2026-11-22 10:00+00', ADD PRIMARY KEY (id, at)");
  Use(TablePolicy());
  const std::string row = R"("data":[{"id":1,"at":"2026-11-22 10:00:00+00","status":"a"}])";
  ASSERT_THAT(Apply({{kA, "INSERT", row, At(-9)}}), IsOk());
  Write("SET datestyle = 'German'; SET timezone = 'Asia/Tokyo'; DELETE FROM jobs");
  ASSERT_THAT(Apply({{kB, "INSERT", row, At(-1)}}), IsOk());
  EXPECT_EQ(Rows(), "");
  EXPECT_EQ(Text("SELECT key FROM pmoves_sync.tombstone"), R"(["1", "2026-11-22 10:00:00+00"])");
}

TEST_F(CentralWritesTest, AWriterNeedsNoPrivilegeBeyondTheTable) {
  Execute(
      "DROP ROLE IF EXISTS clerk; CREATE ROLE clerk LOGIN; GRANT SELECT, INSERT, UPDATE, DELETE, "
      "TRUNCATE ON jobs TO clerk");
  for (const RuleKind rule : {RuleKind::kLastWriteWins, RuleKind::kKeepCentral}) {
    Use(RowRule(rule));
    Execute("SET ROLE NONE");
    person_ = Connect("");
    Write("SET ROLE clerk");
    Write("INSERT INTO jobs VALUES (1, 'p'), (2, 'p'); UPDATE jobs SET status = 'q'");
    Write("UPDATE jobs SET id = 3 WHERE id = 1; DELETE FROM jobs WHERE id = 2; TRUNCATE jobs");
    Settle();
    EXPECT_EQ(Rows(), "");
  }
  Execute("DROP OWNED BY clerk; DROP ROLE clerk");
}

TEST_F(CentralWritesTest, CheckKnowsWhetherTheTriggersAreCurrent) {
  auto state = [this] {
    auto table = TargetCatalog(*connection_, config_.tables).Read(config_.tables[0]);
    EXPECT_THAT(table, IsOk());
    auto found = LookAtCentralTriggers(*connection_, **table);
    EXPECT_THAT(found, IsOk());
    return *found;
  };
  EXPECT_EQ(state(), CentralTriggerState::kCurrent);
  config_.tables[0].policy.on_delete = DeletePolicy::kOwnOnly;
  EXPECT_EQ(state(), CentralTriggerState::kOutdated);
  Use(config_.tables[0].policy);
  EXPECT_EQ(state(), CentralTriggerState::kCurrent);
  Execute("ALTER TABLE jobs ADD COLUMN note text");
  EXPECT_EQ(state(), CentralTriggerState::kOutdated);
  Use(config_.tables[0].policy);
  Execute("ALTER TABLE jobs DISABLE TRIGGER pmoves_sync_write");
  EXPECT_EQ(state(), CentralTriggerState::kMissing);
  Use(config_.tables[0].policy);
  EXPECT_EQ(state(), CentralTriggerState::kCurrent);
}

// ---- by registers

TEST_F(CentralWritesTest, TheWriterSeesHisRowAtOnceAndSoonWhatTheRuleSays) {
  Use(RowRule(RuleKind::kSourcePriority, {kA, std::string(kCentralSource)}));
  ASSERT_THAT(Apply({SendInsert(kA, At(-9), 1, "a"), SendInsert(kB, At(-9), 2, "b")}), IsOk());
  Write("UPDATE jobs SET status = 'p'");
  EXPECT_EQ(Statuses(), "1:p 2:p");
  EXPECT_EQ(Settle().keys, 2);
  EXPECT_EQ(Statuses(), "1:a 2:p");
  ASSERT_THAT(Apply({SendInsert(kB, At(9), 2, "newer")}), IsOk());
  EXPECT_EQ(Statuses(), "1:a 2:p");
  ASSERT_THAT(Apply({SendDelete(kA, At(-1), 1)}), IsOk());
  EXPECT_EQ(Statuses(), "1:p 2:p");
}

TEST_F(CentralWritesTest, WhatTheCentreWroteIsKeptUnderKeepCentral) {
  Use(RowRule(RuleKind::kKeepCentral));
  Write("INSERT INTO jobs VALUES (1, 'p')");
  ASSERT_THAT(Apply({SendInsert(kA, At(9), 1, "a"), SendInsert(kA, At(9) + 1, 2, "a")}), IsOk());
  EXPECT_EQ(Statuses(), "1:p 2:a");
  Write("UPDATE jobs SET status = 'mine' WHERE id = 2");
  Settle();
  ASSERT_THAT(Apply({SendInsert(kA, At(20), 2, "later")}), IsOk());
  EXPECT_EQ(Statuses(), "1:p 2:mine");
}

TEST_F(CentralWritesTest, ADeleteFollowsThePolicyOfTheTable) {
  for (const DeletePolicy policy : {DeletePolicy::kLastWriteWins, DeletePolicy::kOwnOnly}) {
    TablePolicy rule = RowRule(RuleKind::kKeepCentral);
    rule.on_delete = policy;
    Use(rule);
    Empty();
    Execute("TRUNCATE pmoves_sync.register");
    ASSERT_THAT(Apply({SendInsert(kA, At(5), 1, "a")}), IsOk());
    Write("UPDATE jobs SET status = 'p'; DELETE FROM jobs");
    EXPECT_EQ(Statuses(), "");
    Settle();
    EXPECT_EQ(Statuses(), policy == DeletePolicy::kOwnOnly ? "1:a" : "");
    ASSERT_THAT(Apply({SendInsert(kB, At(4), 1, "late")}), IsOk());
    EXPECT_EQ(Statuses(), policy == DeletePolicy::kOwnOnly ? "1:a" : "");
  }
}

TEST_F(CentralWritesTest, ASoftDeleteOfTheCentreMarksTheRow) {
  Execute("ALTER TABLE jobs ADD COLUMN gone_at timestamptz");
  for (const Granularity granularity : {Granularity::kRow, Granularity::kColumn}) {
    TablePolicy policy;
    policy.granularity = granularity;
    policy.on_delete = DeletePolicy::kSoft;
    policy.soft_delete_column = "gone_at";
    Use(policy);
    Empty();
    Execute("TRUNCATE pmoves_sync.register");
    ASSERT_THAT(Apply({SendInsert(kA, At(-9), 1, "a")}), IsOk());
    Write("DELETE FROM jobs");
    Settle();
    EXPECT_EQ(Text("SELECT status || (gone_at > now() - interval '1 minute')::text FROM jobs"),
              "atrue");
  }
}

TEST_F(CentralWritesTest, AnInsertThatNamesASourceCountsAsThatSources) {
  Use(RowRule(RuleKind::kKeepCentral));
  Write(
      "INSERT INTO jobs (id, status, _source, _sync_version) VALUES (1, 'copied', 'jetson-01', 0)");
  Settle();
  EXPECT_EQ(Statuses(), "1:copied");
  ASSERT_THAT(Apply({SendInsert(kA, 1, 1, "a")}), IsOk());
  EXPECT_EQ(Statuses(), "1:a");
}

TEST_F(CentralWritesTest, ARowWithoutRegistersKeepsWhatItsSourceSaid) {
  ASSERT_THAT(Apply({SendInsert(kA, At(-9), 1, "a")}), IsOk());  // by row version
  Use(RowRule(RuleKind::kSourcePriority, {kA}));
  Write("UPDATE jobs SET status = 'p'");
  Settle();
  EXPECT_EQ(Statuses(), "1:a");
}

TEST_F(CentralWritesTest, ARowThatCannotBeSettledHoldsUpNobodyElse) {
  Use(RowRule(RuleKind::kSourcePriority, {kA}));
  ASSERT_THAT(Apply({SendInsert(kA, At(-9), 1, "bad"), SendInsert(kA, At(-8), 2, "good")}), IsOk());
  Write("UPDATE jobs SET status = 'p'");
  Execute("ALTER TABLE jobs ADD CHECK (status <> 'bad') NOT VALID");
  const CentralWrites::Settled settled = Settle();
  EXPECT_EQ(settled.keys, 1);
  EXPECT_EQ(settled.failed, 1);
  EXPECT_EQ(Statuses(), "1:p 2:good");
  EXPECT_EQ(Text("SELECT sqlstate FROM pmoves_sync.recompute_queue"), "23514");
  EXPECT_EQ(Settle().failed, 0);  // not again at once
  Execute("ALTER TABLE jobs DROP CONSTRAINT jobs_status_check");
  Execute("UPDATE pmoves_sync.recompute_queue SET retry_at = now()");
  Settle();
  EXPECT_EQ(Statuses(), "1:bad 2:good");
}

TEST_F(CentralWritesTest, AWriteThatTheRuleOverrulesIsLogged) {
  Use(RowRule(RuleKind::kSourcePriority, {kA}));
  ASSERT_THAT(Apply({SendInsert(kA, At(-9), 1, "a")}), IsOk());
  Write("UPDATE jobs SET status = 'p'");
  const CentralWrites::Settled settled = Settle();
  EXPECT_EQ(settled.conflicts.size(), 1u);
  EXPECT_EQ(Text("SELECT remote_source || ' ' || (remote_row->>'status') || ' ' || "
                 "(applied_row->>'status') || ' ' || lossy FROM pmoves_sync.conflict_log"),
            "central p a true");
}

// ---- columns with rules of their own

class CentralColumnsTest : public CentralWritesTest {
 protected:
  void SetUp() override {
    CentralWritesTest::SetUp();
    Execute("ALTER TABLE jobs ADD COLUMN parts integer, ADD COLUMN doc jsonb");
  }
  void Rule(const std::string& column, Rule rule) {
    TablePolicy policy;
    policy.columns = {{{column}, std::move(rule)}};
    Use(policy);
  }
  Sent Row(const std::string& source, int64_t hlc, const std::string& rest) {
    return {source, "INSERT", absl::StrFormat(R"("data":[{"id":1,%s}])", rest), hlc};
  }
};

TEST_F(CentralColumnsTest, WhoEditsAnotherColumnOfARunningJobDoesNotKeepItRunning) {
  Rule("status", {.kind = RuleKind::kValuePriority, .values = {"running"}});
  ASSERT_THAT(Apply({SendInsert(kA, At(-9), 1, "running")}), IsOk());
  Write("UPDATE jobs SET output = 'a note'");
  Settle();
  EXPECT_EQ(Statuses(), "1:running");
  ASSERT_THAT(Apply({SendInsert(kA, At(-8), 1, "done")}), IsOk());
  EXPECT_EQ(Statuses(), "1:done");
  EXPECT_EQ(Text("SELECT output FROM jobs"), "a note");
}

TEST_F(CentralColumnsTest, AnotherEditDoesNotRenewWhatThePersonSaidBefore) {
  Rule("status", {.kind = RuleKind::kValuePriority, .values = {"running"}});
  ASSERT_THAT(Apply({SendInsert(kA, At(-9), 1, "new")}), IsOk());
  Write("UPDATE jobs SET status = 'held'");
  Settle();
  ASSERT_THAT(Apply({SendInsert(kA, At(1), 1, "done")}), IsOk());
  EXPECT_EQ(Statuses(), "1:done");
  Write("UPDATE jobs SET output = 'a note'");
  Settle();
  EXPECT_EQ(Statuses(), "1:done");
  Write("UPDATE jobs SET status = 'held'");  // again, and now it is meant
  Settle();
  EXPECT_EQ(Statuses(), "1:held");
}

TEST_F(CentralColumnsTest, OfASumTheDifferenceIsTheCentresOwn) {
  Rule("parts", {.kind = RuleKind::kSumOfSources});
  ASSERT_THAT(Apply({Row(kA, At(-9), R"("parts":10)"), Row(kB, At(-9), R"("parts":100)")}), IsOk());
  Write("UPDATE jobs SET status = 'p'");
  Settle();
  EXPECT_EQ(Text("SELECT parts FROM jobs"), "110");
  Write("UPDATE jobs SET parts = 115");
  Settle();
  EXPECT_EQ(Text("SELECT parts FROM jobs"), "115");
  ASSERT_THAT(Apply({Row(kA, At(1), R"("parts":20)")}), IsOk());
  EXPECT_EQ(Text("SELECT parts FROM jobs"), "125");
  Write("UPDATE jobs SET parts = parts - 5");
  Settle();
  EXPECT_EQ(Text("SELECT parts FROM jobs"), "120");
  ASSERT_THAT(Apply({Row(kA, At(2), R"("parts":0)"), Row(kB, At(2), R"("parts":0)")}), IsOk());
  EXPECT_EQ(Text("SELECT parts FROM jobs"), "0");
}

TEST_F(CentralColumnsTest, OnlyTheMembersThatAPersonChangedAreHis) {
  Rule("doc", {.kind = RuleKind::kJsonMerge});
  ASSERT_THAT(Apply({Row(kA, At(-9), R"("doc":"{\"a\": 1, \"b\": 1, \"c\": 1}")")}), IsOk());
  Write(R"(UPDATE jobs SET doc = '{"a": 2, "b": 1}')");
  Settle();
  EXPECT_EQ(Text("SELECT doc FROM jobs"), R"({"a": 2, "b": 1})");
  ASSERT_THAT(Apply({Row(kB, At(-1), R"("doc":"{\"a\": 3, \"b\": 3, \"c\": 3}")")}), IsOk());
  EXPECT_EQ(Text("SELECT doc FROM jobs"), R"({"a": 2, "b": 3})");
}

TEST_F(CentralColumnsTest, PerColumnAPersonTakesOnlyTheColumnsThatHeChanged) {
  TablePolicy policy;
  policy.granularity = Granularity::kColumn;
  Use(policy);
  ASSERT_THAT(Apply({SendInsert(kA, At(-9), 1, "a")}), IsOk());
  Write("UPDATE jobs SET output = 'a note'");
  Settle();
  ASSERT_THAT(Apply({Row(kB, At(-1), R"("status":"b","output":"of b")")}), IsOk());
  EXPECT_EQ(Text("SELECT status || ' ' || output FROM jobs"), "b a note");
}

}  // namespace
}  // namespace pmoves
