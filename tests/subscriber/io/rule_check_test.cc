// `config check-rules` against a real PostgreSQL: which rules pass, what an expression is refused
// for, what is made of one that passes, and that a rule that does not converge is found out.
#include "subscriber/io/rule_check.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "subscriber/io/central_schema.h"
#include "subscriber/io/pg_catalog.h"
#include "tests/testing/target_test.h"

namespace pmoves {
namespace {

using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;

constexpr uint64_t kSeed = 20261122;

class RuleCheckTest : public TargetTest {
 protected:
  void SetUp() override {
    ASSERT_NO_FATAL_FAILURE(ConnectFor("things"));
    config_.tables.clear();
    Execute(
        "DROP SCHEMA IF EXISTS pmoves_sync CASCADE; DROP SCHEMA public CASCADE; CREATE SCHEMA "
        "public");
  }
  void CreateTable(const std::string& name, const std::string& columns) {
    Execute(absl::StrFormat("CREATE TABLE %s (%s)", name, columns));
    config_.tables.emplace_back().schema = "public";
    config_.tables.back().table = name;
  }
  void Init() { ASSERT_THAT(InitCentralSchema(*connection_, config_.tables), IsOk()); }
  TablePolicy& policy(size_t table = 0) { return config_.tables[table].policy; }
  void AddRule(std::vector<std::string> columns, Rule rule, size_t table = 0) {
    policy(table).columns.push_back({std::move(columns), std::move(rule)});
  }
  void AddExpression(const std::string& column, const std::string& expression) {
    AddRule({column}, {.kind = RuleKind::kExpression, .expression = expression});
  }

  // "PASS public.things.seen: greatest keeps ..."
  std::vector<std::string> Check() {
    auto lines = CheckRules(*connection_, config_, kSeed);
    EXPECT_THAT(lines, IsOk());
    std::vector<std::string> texts;
    if (!lines.ok()) return texts;
    for (const CheckLine& line : *lines) {
      const char* const grade = line.grade == CheckLine::Grade::kPass   ? "PASS"
                                : line.grade == CheckLine::Grade::kWarn ? "WARN"
                                                                        : "FAIL";
      texts.push_back(absl::StrFormat("%s %s", grade, line.what));
      EXPECT_EQ(line.fix.empty(), line.grade == CheckLine::Grade::kPass) << line.what;
    }
    return texts;
  }
  // What the catalog says of the first table.
  std::vector<std::string> Misfits() {
    TargetCatalog catalog(*connection_, config_.tables);
    auto table = catalog.Read(config_.tables[0]);
    if (!table.ok()) return {MessageOf(table.status())};
    auto misfits = catalog.Misfits(**table);
    EXPECT_THAT(misfits, IsOk());
    return misfits.ok() ? *misfits : std::vector<std::string>();
  }
  int64_t Count(const std::string& from) {
    return Execute("SELECT count(*) FROM " + from).Int(0, 0);
  }
  int64_t Aggregates() {
    return Count("pg_proc WHERE pronamespace = 'pmoves_sync'::regnamespace AND prokind = 'a'");
  }
};

TEST_F(RuleCheckTest, EveryRuleOfAColumnPassesAndHasOneLine) {
  CreateTable("things",
              "id int PRIMARY KEY, status text NOT NULL, worker varchar(8), run int, seen "
              "timestamptz, low numeric(8,2), parts int, tags text[], labels jsonb, meta jsonb, "
              "owner text, note text, phase text, blob bytea, twice int GENERATED ALWAYS AS (10 / "
              "NULLIF(parts, 0)) STORED");
  AddRule({"status", "worker"}, {.kind = RuleKind::kValuePriority, .values = {"running"}});
  AddRule({"seen"}, {.kind = RuleKind::kGreatest});
  AddRule({"low"}, {.kind = RuleKind::kLeast});
  AddRule({"parts"}, {.kind = RuleKind::kSumOfSources});
  AddRule({"tags"}, {.kind = RuleKind::kSetUnion});
  AddRule({"labels"}, {.kind = RuleKind::kSetUnion});
  AddRule({"meta"}, {.kind = RuleKind::kJsonMerge});
  AddRule({"owner"}, {.kind = RuleKind::kSourcePriority, .priority = {"central", "jetson-02"}});
  AddRule({"phase"}, {.kind = RuleKind::kValuePriority,
                      .values = {"done"},
                      .scope = ValueScope::kEpoch,
                      .epoch_column = "run"});
  AddRule({"blob"}, {.kind = RuleKind::kFirstWriteWins});
  Init();
  const std::vector<std::string> lines = Check();
  EXPECT_THAT(lines, Each(StartsWith("PASS public.things")));
  EXPECT_THAT(
      lines, Each(HasSubstr("keeps commutativity, associativity, idempotence, batch equals fold")));
  EXPECT_THAT(lines, SizeIs(11)) << absl::StrJoin(lines, "\n");
  EXPECT_THAT(lines[0], StartsWith("PASS public.things: last-write-wins keeps"));
  EXPECT_THAT(lines[1], StartsWith("PASS public.things.status: value-priority keeps"));
}

TEST_F(RuleCheckTest, EveryRuleOfARowPassesWithEveryPolicyForDeletes) {
  const DeletePolicy deletes[] = {DeletePolicy::kLastWriteWins, DeletePolicy::kDeleteWins,
                                  DeletePolicy::kUpdateWins,    DeletePolicy::kOwnOnly,
                                  DeletePolicy::kSoft,          DeletePolicy::kIgnore};
  const RuleKind kinds[] = {RuleKind::kLastWriteWins,  RuleKind::kFirstWriteWins,
                            RuleKind::kSourcePriority, RuleKind::kAppendOnly,
                            RuleKind::kKeepCentral,    RuleKind::kManual};
  for (size_t i = 0; i < std::size(kinds); ++i) {
    CreateTable(absl::StrFormat("t%d", i),
                "id uuid PRIMARY KEY, status text, body jsonb, deleted_at timestamptz");
    TablePolicy& rule = policy(i);
    rule.row.kind = kinds[i];
    rule.on_delete = kinds[i] == RuleKind::kAppendOnly ? DeletePolicy::kIgnore : deletes[i];
    if (rule.on_delete == DeletePolicy::kSoft) rule.soft_delete_column = "deleted_at";
    if (kinds[i] == RuleKind::kSourcePriority) rule.row.priority = {"central"};
  }
  CreateTable("by_column", "id date PRIMARY KEY, status text, body json");
  policy(6).granularity = Granularity::kColumn;
  CreateTable("own", "_source text COLLATE \"C\", id text, status text, PRIMARY KEY (_source, id)");
  policy(7).identity = Identity::kPerSource;
  CreateTable("flag", "yes bool PRIMARY KEY, status text");
  Init();
  EXPECT_THAT(Check(), AllOf(SizeIs(9), Each(StartsWith("PASS"))));
}

TEST_F(RuleCheckTest, NothingOfATrialIsLeft) {
  CreateTable("things", "id serial PRIMARY KEY, no bigserial, parts int");
  AddRule({"parts"}, {.kind = RuleKind::kGreatest});
  CreateTable("plain", "id serial PRIMARY KEY, status text");
  Init();
  EXPECT_THAT(Check(), AllOf(SizeIs(3), Each(StartsWith("PASS"))));
  for (const char* table :
       {"public.things", "public.plain", "pmoves_sync.register", "pmoves_sync.tombstone",
        "pmoves_sync.table_source", "pmoves_sync.conflict_log", "pmoves_sync.rule_check"})
    EXPECT_EQ(Count(table), 0) << table;
  EXPECT_EQ(Execute("SELECT nextval('things_no_seq')").Int(0, 0), 1);
}

TEST_F(RuleCheckTest, AnExpressionThatKeepsTheLawsIsMadeAndRecorded) {
  CreateTable("things",
              "id int PRIMARY KEY, n int, price numeric(8,2), word varchar(10), tags text[], seen "
              "timestamptz, bits int8, ok bool, meta jsonb");
  for (const char* column : {"n", "price", "word", "tags", "seen", "meta"})
    AddExpression(column, "GREATEST(a, b)");
  AddExpression("bits", "a | b");
  AddExpression("ok", "a AND b");
  Init();
  EXPECT_THAT(Misfits(), AllOf(SizeIs(8), Each(HasSubstr("run `pmoves-sync-subscriber config "
                                                         "check-rules`"))));
  const std::vector<std::string> lines = Check();
  EXPECT_THAT(lines, Each(StartsWith("PASS public.things"))) << absl::StrJoin(lines, "\n");
  EXPECT_THAT(lines, SizeIs(9));
  EXPECT_THAT(
      lines[0],
      AllOf(StartsWith("PASS public.things.n: expression \"GREATEST(a, b)\" keeps"),
            HasSubstr(
                "keeps immutability, totality, commutativity, associativity, idempotence, batch "
                "equals fold")));
  EXPECT_THAT(Misfits(), IsEmpty());
  EXPECT_EQ(Count("pmoves_sync.rule_check WHERE diverges IS NULL AND seed = 20261122"), 8);
  EXPECT_EQ(Aggregates(), 8);
  // again, and with the aggregate in use
  EXPECT_THAT(Check(), Each(StartsWith("PASS")));
  Rule other = policy().columns[0].rule;
  other.expression = "LEAST(a, b)";
  policy().columns[0].rule = other;
  EXPECT_THAT(Misfits(),
              ElementsAre(HasSubstr("columns.n.conflict: the expression has not passed")));
}

// The schema is its owner's, and the role that applies may only write its tables.
TEST_F(RuleCheckTest, AnExpressionIsMadeByTheOwnerAndTriedByAnyRole) {
  CreateTable("things", "id int PRIMARY KEY, v int");
  AddExpression("v", "GREATEST(a, b)");
  Init();
  Execute(
      "DROP ROLE IF EXISTS applier; CREATE ROLE applier; GRANT USAGE ON SCHEMA pmoves_sync, public "
      "TO applier; GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA pmoves_sync, "
      "public "
      "TO applier; SET ROLE applier");
  EXPECT_THAT(Check(),
              ElementsAre(AllOf(HasSubstr("FAIL public.things.v: expression \"GREATEST(a, b)\" "
                                          "was not tried: permission denied for schema "
                                          "pmoves_sync"),
                                HasSubstr("as the role that ran init")),
                          StartsWith("PASS public.things: last-write-wins")));
  Execute("RESET ROLE; DISCARD TEMP");
  EXPECT_THAT(Check(), Each(StartsWith("PASS")));
  Execute("DISCARD TEMP; SET ROLE applier");
  EXPECT_THAT(Check(), Each(StartsWith("PASS")));
  EXPECT_THAT(Misfits(), IsEmpty());
}

struct Broken {
  const char* type;
  const char* expression;
  const char* says;
};

TEST_F(RuleCheckTest, AnExpressionThatBreaksALawIsRefusedWithValuesThatShowIt) {
  const Broken cases[] = {
      {"int", "a - b",
       "breaks commutativity: merge(a, b) = merge(b, a), but a = '0', b = '1' give"},
      {"text", "a", "breaks commutativity"},
      {"numeric", "(a + b) / 2",
       "breaks associativity: merge(merge(a, b), c) = merge(a, merge(b, c"},
      {"int8", "a + b", "breaks idempotence: merge(a, a) = a, but a = '1' gives '2'"},
      {"int", "a / b + b / a", "breaks totality"},
      {"text", "a || now()", "breaks immutability: generation expression is not immutable"},
      {"float8", "a + random()", "breaks immutability"},
      {"int", "(SELECT max(id) FROM things)", "breaks immutability: cannot use subquery"},
      {"int", "GREATEST(a, c)", "breaks well-formedness: column \"c\" does not exist"},
      {"int", "a; DROP TABLE things", "breaks well-formedness: the text has a ';'"},
      {"int", "a::text || b::text", "breaks well-formedness"},
  };
  for (const Broken& broken : cases) {
    SCOPED_TRACE(broken.expression);
    SetUp();
    CreateTable("things", absl::StrFormat("id int PRIMARY KEY, v %s", broken.type));
    AddExpression("v", broken.expression);
    Init();
    std::vector<std::string> lines = Check();
    EXPECT_THAT(lines.back(), StartsWith("PASS public.things: last-write-wins keeps"));
    lines.pop_back();
    EXPECT_THAT(lines, Not(IsEmpty()));
    EXPECT_THAT(lines, Each(StartsWith(absl::StrFormat(
                           "FAIL public.things.v: expression \"%s\" breaks ", broken.expression))));
    EXPECT_THAT(absl::StrJoin(lines, "\n"), HasSubstr(broken.says));
    EXPECT_THAT(Misfits(), ElementsAre(HasSubstr("the expression has not passed")));
    EXPECT_EQ(Count("pmoves_sync.rule_check"), 0);
    EXPECT_EQ(Aggregates(), 0);
  }
}

TEST_F(RuleCheckTest, AnExpressionThatBreaksALawNeedsAllowDivergenceAndIsThenSaidToDiverge) {
  CreateTable("things", "id int PRIMARY KEY, v int");
  AddExpression("v", "a - b");
  policy().allow_divergence = true;
  Init();
  const std::vector<std::string> lines = Check();
  EXPECT_THAT(lines.front(),
              StartsWith("WARN public.things.v: expression \"a - b\" diverges, it breaks"));
  EXPECT_THAT(lines.back(), StartsWith("PASS public.things: last-write-wins"));
  EXPECT_THAT(Misfits(), IsEmpty());
  TargetCatalog catalog(*connection_, config_.tables);
  auto table = catalog.Find("public", "things");
  ASSERT_THAT(table, IsOk());
  EXPECT_THAT(catalog.LookAtExpressions(**table)->divergences,
              ElementsAre(AllOf(HasSubstr("columns.v.conflict"),
                                HasSubstr("breaks totality, commutativity"))));
  policy().allow_divergence = false;
  EXPECT_THAT(Misfits(), ElementsAre(HasSubstr("only allow_divergence: true admits that")));
  // what it has to be able to do is no matter of convergence
  policy().allow_divergence = true;
  policy().columns[0].rule.expression = "a - random()::int";
  EXPECT_THAT(Check(), ElementsAre(StartsWith("FAIL"), StartsWith("PASS")));
  EXPECT_THAT(Misfits(), SizeIs(1));
}

// Of a plain value each of them keeps the laws; and the last one is made after the others failed.
TEST_F(RuleCheckTest, AnExpressionThatChoosesByALiteralIsTriedOnIt) {
  CreateTable("things",
              "id int PRIMARY KEY, word text, doc jsonb, n int, tags text[], rest text, good int");
  AddExpression("word", "CASE WHEN a = 'done' THEN b ELSE GREATEST(a, b) END");
  AddExpression("doc",
                "CASE WHEN (a->>'rev')::int > (b->>'rev')::int THEN a ELSE GREATEST(a, b) END");
  AddExpression("n", "CASE WHEN a BETWEEN 100 AND 999 THEN b ELSE GREATEST(a, b) END");
  AddExpression("tags", "CASE WHEN 'done' = ANY (a) THEN b ELSE GREATEST(a, b) END");
  AddExpression("rest", "CASE WHEN a = b THEN a END");
  AddExpression("good", "GREATEST(a, b)");
  Init();
  const std::string lines = absl::StrJoin(Check(), "\n");
  for (const char* column : {"word", "doc", "n", "tags"})
    EXPECT_THAT(lines, ContainsRegex(absl::StrFormat(
                           "FAIL public\\.things\\.%s: [^\n]* breaks commutativity", column)));
  EXPECT_THAT(lines,
              ContainsRegex("FAIL public\\.things\\.rest: [^\n]* breaks totality: .*no value"));
  EXPECT_THAT(lines, HasSubstr("PASS public.things.good"));
  EXPECT_THAT(lines, HasSubstr("PASS public.things: last-write-wins"));
  EXPECT_EQ(Aggregates(), 1);
}

TEST_F(RuleCheckTest, TypesOfFewValuesAreTriedOnAllOfThemOrNotAtAll) {
  Execute(
      "CREATE TYPE mood AS ENUM ('low', 'high'); CREATE TYPE pair AS (x int, y int); CREATE DOMAIN "
      "band AS int CHECK (VALUE BETWEEN 500 AND 510); CREATE DOMAIN odd AS text CHECK (VALUE ~ "
      "'^zz[0-9]z$')");
  CreateTable("things",
              "id int PRIMARY KEY, moods mood[], mood mood, ok bool, bands band[], band band, odds "
              "odd[], odd odd, pairs pair[]");
  for (const char* column : {"moods", "bands", "band", "odd", "odds", "pairs"})
    AddExpression(column, "a");
  AddExpression("mood", "GREATEST(a, b)");
  AddExpression("ok", "a OR b");
  Init();
  const std::string lines = absl::StrJoin(Check(), "\n");
  for (const char* column : {"moods", "bands", "band", "pairs"})
    EXPECT_THAT(lines, ContainsRegex(absl::StrFormat(
                           "FAIL public\\.things\\.%s: [^\n]* breaks commutativity", column)));
  EXPECT_THAT(lines,
              HasSubstr("things.odd: expression \"a\" breaks totality: only 0 values of type "
                        "public.odd could be made, too few to try it on"));
  EXPECT_THAT(lines, HasSubstr("things.odds: expression \"a\" breaks totality: only 2 values"));
  EXPECT_THAT(lines, HasSubstr("PASS public.things.mood"));
  EXPECT_THAT(lines, HasSubstr("PASS public.things.ok"));
  // another label, another type
  policy().columns = {policy().columns[6]};
  EXPECT_THAT(Misfits(), IsEmpty());
  Execute("ALTER TYPE mood ADD VALUE 'middle'");
  EXPECT_THAT(Misfits(),
              ElementsAre(HasSubstr("type public.mood has other labels since the expression "
                                    "passed; run")));
  EXPECT_THAT(Check(), Each(StartsWith("PASS")));
  EXPECT_THAT(Misfits(), IsEmpty());
}

TEST_F(RuleCheckTest, AnAdmittedExpressionIsNoFaultOfTheOtherRules) {
  CreateTable("things", "id int PRIMARY KEY, v int, seen timestamptz");
  AddExpression("v", "a / b");
  AddRule({"seen"}, {.kind = RuleKind::kGreatest});
  policy().allow_divergence = true;
  Init();
  std::vector<std::string> lines = Check();
  ASSERT_THAT(lines, SizeIs(testing::Ge(3u)));
  EXPECT_THAT(lines.back(), StartsWith("PASS public.things.seen: greatest"));
  lines.pop_back();
  EXPECT_THAT(lines.back(), StartsWith("PASS public.things: last-write-wins"));
  lines.pop_back();
  EXPECT_THAT(lines, Each(StartsWith("WARN public.things.v")));
}

TEST_F(RuleCheckTest, KeysAndSumsThatLeaveTheirTypeAreNoFaultOfTheRule) {
  Execute(
      "CREATE DOMAIN slug AS text CHECK (VALUE ~ '^[a-z-]+$'); CREATE DOMAIN positive AS int CHECK "
      "(VALUE > 0); CREATE DOMAIN code AS text CHECK (VALUE ~ '^[a-z]$')");
  CreateTable("slugs", "id slug PRIMARY KEY, n smallint");
  AddRule({"n"}, {.kind = RuleKind::kSumOfSources});
  CreateTable("positives", "id positive PRIMARY KEY, price numeric(3,2)");
  AddRule({"price"}, {.kind = RuleKind::kSumOfSources}, 1);
  CreateTable("tiny", "id numeric(2,0), code code, status text, PRIMARY KEY (code, id)");
  Init();
  const std::vector<std::string> lines = Check();
  EXPECT_THAT(lines, AllOf(SizeIs(5), Each(StartsWith("PASS")))) << absl::StrJoin(lines, "\n");
}

// What is no fault of the expression leaves one that is in use alone.
TEST_F(RuleCheckTest, AServerInTroubleIsNoBrokenLaw) {
  CreateTable("things", "id int PRIMARY KEY, v int");
  AddExpression("v", "GREATEST(a, b)");
  Init();
  EXPECT_THAT(Check(), Each(StartsWith("PASS")));
  auto other = PgConnection::Connect(TargetSessionOptions(config_, "other"));
  ASSERT_THAT(other, IsOk());
  ASSERT_THAT((*other)->Execute(absl::StrFormat("SELECT pg_advisory_lock(%d, 0)", kTableLockClass)),
              IsOk());
  Execute("SET lock_timeout = '50ms'");
  EXPECT_THAT(Check(), ElementsAre(HasSubstr("FAIL public.things.v: expression \"GREATEST(a, b)\" "
                                             "was not tried: canceling statement due to lock"),
                                   StartsWith("PASS public.things: last-write-wins")));
  EXPECT_THAT(Misfits(), IsEmpty());
  (*other).reset();
  Execute(
      "SET lock_timeout = 0; CREATE FUNCTION trouble() RETURNS event_trigger LANGUAGE plpgsql AS "
      "$$BEGIN IF current_query() LIKE '%pmoves_probe%' THEN RAISE 'no room' USING ERRCODE = "
      "'53200'; END IF; END$$; CREATE EVENT TRIGGER trouble ON ddl_command_start EXECUTE FUNCTION "
      "trouble()");
  EXPECT_THAT(Check(), ElementsAre(HasSubstr("was not tried: no room"), StartsWith("PASS")));
  Execute("DROP EVENT TRIGGER trouble");
  EXPECT_THAT(Misfits(), IsEmpty());
}

TEST_F(RuleCheckTest, WhatPassedIsWhatRunsWhateverTheSearchPath) {
  Execute("DROP SCHEMA IF EXISTS kinds CASCADE; CREATE SCHEMA kinds; CREATE DOMAIN kinds.n AS int");
  CreateTable("things", "id int PRIMARY KEY, v kinds.n");
  AddExpression("v", "GREATEST(a, b)");
  Init();
  Execute("SET search_path = \"$user\", kinds, public");
  EXPECT_THAT(Check(), Each(StartsWith("PASS")));
  EXPECT_EQ(Execute("SELECT proconfig[1] FROM pg_proc WHERE pronamespace = "
                    "'pmoves_sync'::regnamespace AND proname LIKE 'merge%' AND prokind = 'f'")
                .String(0, 0),
            "search_path=kinds, public");
  Execute("SET search_path = public");
  EXPECT_THAT(Misfits(), IsEmpty());
  Execute("RESET search_path; DROP SCHEMA kinds CASCADE");
}

// Who gives registers the order of their arrival for a version breaks every rule that looks at it.
TEST_F(RuleCheckTest, ARuleOfThisProgramThatDoesNotConvergeIsFoundOut) {
  CreateTable("things", "id int PRIMARY KEY, status text, seen timestamptz");
  AddRule({"seen"}, {.kind = RuleKind::kGreatest});
  policy().row.kind = RuleKind::kManual;
  Init();
  EXPECT_THAT(Check(), Each(StartsWith("PASS")));
  policy().columns.clear();
  Execute("SET session_replication_role = replica");
  Execute(
      "CREATE SEQUENCE arrival; CREATE FUNCTION arrive() RETURNS trigger LANGUAGE plpgsql AS $$ "
      "BEGIN NEW.image_version := nextval('arrival'); RETURN NEW; END $$; CREATE TRIGGER arrive "
      "BEFORE INSERT OR UPDATE ON pmoves_sync.register FOR EACH ROW EXECUTE FUNCTION arrive(); "
      "ALTER TABLE pmoves_sync.register ENABLE ALWAYS TRIGGER arrive");
  std::string lines = absl::StrJoin(Check(), "\n");
  for (const char* law : {"commutativity", "associativity", "idempotence", "batch equals fold"})
    EXPECT_THAT(lines, HasSubstr(absl::StrFormat(
                           "FAIL public.things: manual breaks %s: for jetson-", law)));
  EXPECT_THAT(lines, HasSubstr("one delivery shows"));
  EXPECT_THAT(lines, Not(HasSubstr("breaks totality")));
  // a report that comes again becomes the newest
  Execute(
      "CREATE OR REPLACE FUNCTION arrive() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF TG_OP = "
      "'INSERT' AND EXISTS (SELECT 1 FROM pmoves_sync.register g WHERE (g.relation, g.key, "
      "g.source, g.version) = (NEW.relation, NEW.key, NEW.source, NEW.version)) THEN NEW.version "
      ":= NEW.version + 1000 * nextval('arrival'); END IF; RETURN NEW; END $$");
  lines = absl::StrJoin(Check(), "\n");
  EXPECT_THAT(lines, HasSubstr("FAIL public.things: manual breaks idempotence: for jetson-"));
  EXPECT_THAT(lines, Not(HasSubstr("breaks commutativity")));
  // a value that cannot be kept
  config_.tables.clear();
  CreateTable("flag", "yes bool PRIMARY KEY, status text");
  policy().row.kind = RuleKind::kManual;
  Init();
  Execute(
      "CREATE OR REPLACE FUNCTION arrive() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF "
      "NEW.image->>'status' = 'b' THEN RAISE 'no room for it'; END IF; RETURN NEW; END $$");
  lines = absl::StrJoin(Check(), "\n");
  EXPECT_THAT(lines, ContainsRegex("FAIL public.flag: manual breaks totality: not every report "
                                   "can be merged: .*no room for it"));
  EXPECT_THAT(lines, Not(HasSubstr("breaks commutativity")));
}

TEST_F(RuleCheckTest, ATableThatCannotBeTriedSaysSo) {
  CreateTable("things", "id int PRIMARY KEY, status text");
  auto lines = CheckRules(*connection_, config_, kSeed);
  EXPECT_THAT(lines, StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("init")));
  Init();
  AddRule({"status"}, {.kind = RuleKind::kSumOfSources});
  EXPECT_THAT(Check(), ElementsAre(HasSubstr("FAIL public.things: columns.status.conflict: "
                                             "'sum-of-sources' needs a number")));
  Execute("DROP TABLE things");
  EXPECT_THAT(Check(), ElementsAre(HasSubstr("does not exist in the centre")));
}

}  // namespace
}  // namespace pmoves
