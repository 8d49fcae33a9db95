#include "subscriber/core/source_clock.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/testing/target_tables.h"

namespace pmoves {
namespace {

using Text = ChangeBuilder::Text;

constexpr int64_t kSecondUs = 1000000;
constexpr int64_t k2026 = int64_t{1795339541} * kSecondUs;  // 2026-11-22 09:25:41 UTC
constexpr int64_t k2099 = int64_t{4070908800} * kSecondUs;  // 2099-01-01 00:00:00 UTC

constexpr int64_t Stamp(int64_t us, int64_t count = 0) { return (us / 1000 << 16) + count; }

// public.runs (id integer primary key, status text, seen timestamptz), versioned by `seen`.
TargetTable RunsTable(VersionSource version) {
  TargetTable table = JobsTable();
  table.table = "runs";
  table.columns[2] = {.name = "seen", .type = "timestamptz", .type_oid = 1184};
  table.policy.version = version;
  table.policy.version_column = "seen";
  return table;
}

// A stream: each message is one transaction of some changes of one table.
struct Sent {
  int64_t commit_us;
  int64_t stored_us;
  int changes = 1;
};

// The messages as the publisher makes them, and the versions they get.
class Stream {
 public:
  explicit Stream(TargetTable table) : table_(std::move(table)) {}

  ReceivedMessage* Message(int64_t commit_us, int64_t stored_us, int changes) {
    auto message = std::make_unique<ReceivedMessage>();
    message->envelope.hlc = published_.Next(commit_us);
    message->stored_us = stored_us;
    published_ = Hlc{message->envelope.hlc.value + changes - 1};
    messages_.push_back(std::move(message));
    return messages_.back().get();
  }

  // One message of whole rows; `seen` is the version column of each.
  void Send(SourceClock* clock, Sent sent, const Text& seen = std::nullopt) {
    ReceivedMessage* message = Message(sent.commit_us, sent.stored_us, sent.changes);
    const size_t first = set_.changes.size();
    for (int i = 0; i < sent.changes; ++i) {
      Change& change = ChangeBuilder(&set_, &table_)
                           .Add(ChangeKind::kWhole, "edge", message->envelope.hlc.value + i,
                                {0, 1, 2}, {std::to_string(i), "s", seen});
      change.row = static_cast<uint32_t>(i);
      change.commit_us = sent.commit_us;
      change.message = message;
    }
    clock->Stamp(&set_, first);
  }

  std::vector<int64_t> Versions() const {
    std::vector<int64_t> versions;
    for (const Change& change : set_.changes) versions.push_back(change.hlc.value);
    return versions;
  }
  std::vector<int64_t> Published() const {
    std::vector<int64_t> versions;
    for (const Change& change : set_.changes) {
      versions.push_back(change.message->envelope.hlc.value + change.row);
    }
    return versions;
  }
  ChangeSet& set() { return set_; }
  TargetTable& table() { return table_; }

 private:
  TargetTable table_;
  ChangeSet set_;
  std::vector<std::unique_ptr<ReceivedMessage>> messages_;
  Hlc published_;
};

struct Script {
  const char* name;
  std::vector<Sent> sent;
  std::vector<int64_t> want;  // empty: the message's own
  int64_t clamped = 0;
  int64_t backsteps = 0;
};

std::vector<Script> Scripts() {
  const int64_t s = kSecondUs;
  return {
      {"an ordinary day",
       {{k2026, k2026 + 5000}, {k2026 + s, k2026 + s, 3}, {k2026 + 2 * s, k2026 + 9 * s}},
       {}},
      {"offline for a week", {{k2026 - 604800 * s, k2026}, {k2026 - 604799 * s, k2026}}, {}},
      {"booted in 1970",
       {{0, k2026, 2}, {5 * s, k2026 + 5 * s}, {k2026 + 9 * s, k2026 + 9 * s}},
       {}},
      {"before 1970", {{-9 * s, k2026}, {-8 * s, k2026}}, {}},
      {"back and forth",
       {{k2026, k2026},
        {k2026 - 3600 * s, k2026 + s},
        {k2026 + 2 * s, k2026 + 2 * s},
        {k2026 - s, k2026 + 3 * s}},
       {},
       0,
       2},
      {"a step of half a second is none", {{k2026, k2026}, {k2026 - s / 2, k2026 + s}}, {}},
      {"frozen", {{k2026, k2026, 2}, {k2026, k2026 + s}, {k2026, k2026 + 2 * s, 2}}, {}},
      {"a minute ahead is believed", {{k2026 + 60 * s, k2026}}, {}},
      {"in 2099",
       {{k2099, k2026, 2}, {k2099 + s, k2026 + s}},
       {Stamp(k2026), Stamp(k2026, 1), Stamp(k2026 + s)},
       3},
      {"in 2099, stored in one millisecond",
       {{k2099, k2026, 2}, {k2099 + s, k2026}},
       {Stamp(k2026), Stamp(k2026, 1), Stamp(k2026, 2)},
       3},
      {"2099 and back: the publisher's own clock stays ahead",
       {{k2099, k2026}, {k2026 + s, k2026 + s}},
       {Stamp(k2026), Stamp(k2026 + s)},
       2,
       1},
      {"believed, then 2099: the clamped one is still the newer",
       {{k2026 + 59 * s, k2026}, {k2099, k2026 + s}},
       {Stamp(k2026 + 59 * s), Stamp(k2026 + 59 * s, 1)},
       1},
      {"the clock of JetStream steps back",
       {{k2099, k2026}, {k2099 + s, k2026 - 3600 * s}},
       {Stamp(k2026), Stamp(k2026, 1)},
       2},
  };
}

TEST(SourceClockTest, VersionsUnderEveryClockScript) {
  for (const Script& script : Scripts()) {
    SCOPED_TRACE(script.name);
    Stream stream(JobsTable());
    SourceClock clock;
    for (const Sent& sent : script.sent) stream.Send(&clock, sent);
    EXPECT_EQ(stream.Versions(), script.want.empty() ? stream.Published() : script.want);
    EXPECT_EQ(clock.commit().value, stream.Versions().back());
    const SourceClock::Tally tally = clock.TakeTally();
    EXPECT_EQ(tally.clamped, script.clamped);
    EXPECT_EQ(tally.backsteps, script.backsteps);
    EXPECT_EQ(tally.skew_us, script.sent.back().commit_us - script.sent.back().stored_us);
  }
}

// The single writer's promise, whatever its clock does: later is newer.
TEST(SourceClockTest, VersionsRiseStrictlyUnderEveryVersionSource) {
  for (const VersionSource version :
       {VersionSource::kCommit, VersionSource::kColumn, VersionSource::kArrival}) {
    for (const Script& script : Scripts()) {
      SCOPED_TRACE(script.name);
      Stream stream(RunsTable(version));
      SourceClock clock;
      for (const Sent& sent : script.sent) stream.Send(&clock, sent, "2026-11-22 09:25:41+00");
      const std::vector<int64_t> versions = stream.Versions();
      for (size_t i = 1; i < versions.size(); ++i) EXPECT_LT(versions[i - 1], versions[i]);
    }
  }
}

// A restart makes a new clock from what is committed; a batch that is undone puts a copy back.
TEST(SourceClockTest, NeitherRestartsNorUndoneBatchesChangeAnything) {
  for (const VersionSource version :
       {VersionSource::kCommit, VersionSource::kColumn, VersionSource::kArrival}) {
    for (const Script& script : Scripts()) {
      SCOPED_TRACE(script.name);
      const Text seen = "2030-01-01 00:00:00+00";
      Stream live(RunsTable(version));
      Stream restarted(RunsTable(version));
      SourceClock clock;
      SourceClock again;
      std::vector<RelationClock> others;
      for (const Sent& sent : script.sent) {
        live.Send(&clock, sent, seen);
        SourceClock undone = again;
        Stream lost(RunsTable(version));
        lost.Send(&undone, {k2099, k2026 + 9 * kSecondUs, 7}, seen);
        restarted.Send(&again, sent, seen);
        for (const RelationClock& other : again.Changed()) others = {other};
        again = SourceClock(again.commit(), others);
      }
      EXPECT_EQ(restarted.Versions(), live.Versions());
    }
  }
}

TEST(SourceClockTest, AVersionColumnIsFoldedPerTable) {
  Stream runs(RunsTable(VersionSource::kColumn));
  SourceClock clock;
  runs.Send(&clock, {k2026, k2026}, "2026-11-22 09:00:00.5+00");
  runs.Send(&clock, {k2026, k2026}, "2026-11-22 08:00:00+00");  // the column went back
  runs.Send(&clock, {k2026, k2026}, std::nullopt);              // null: the commit hlc
  runs.Send(&clock, {k2026, k2026}, "2099-01-01 00:00:00+00");
  const int64_t nine = Stamp(k2026 - (25 * 60 + 41) * kSecondUs + kSecondUs / 2);
  EXPECT_EQ(runs.Versions(),
            (std::vector<int64_t>{nine, nine + 1, Stamp(k2026, 2), Stamp(k2026, 3)}));
  EXPECT_EQ(clock.TakeTally().clamped, 1);
  EXPECT_TRUE(runs.set().changes[3].clamped);
  EXPECT_EQ(runs.set().changes[3].claimed.value, Stamp(k2099));
  EXPECT_EQ(clock.commit(), Hlc{});
  EXPECT_EQ(clock.Changed(), (std::vector<RelationClock>{{"public.runs", Hlc{Stamp(k2026, 3)}}}));
  clock.Committed();
  EXPECT_TRUE(clock.Changed().empty());
}

TEST(SourceClockTest, ArrivalIsWhenJetStreamStoredTheMessage) {
  Stream runs(RunsTable(VersionSource::kArrival));
  SourceClock clock;
  runs.Send(&clock, {0, k2026, 2});
  runs.Send(&clock, {k2099, k2026 + kSecondUs});
  EXPECT_EQ(runs.Versions(),
            (std::vector<int64_t>{Stamp(k2026), Stamp(k2026, 1), Stamp(k2026 + kSecondUs)}));
  EXPECT_EQ(clock.Changed(), (std::vector<RelationClock>{{"", Hlc{Stamp(k2026 + kSecondUs)}}}));
}

TEST(SourceClockTest, DeletesAndTruncatesClaimTheCommitHlc) {
  Stream runs(RunsTable(VersionSource::kColumn));
  SourceClock clock;
  runs.Send(&clock, {k2026, k2026}, "2026-11-22 09:00:00+00");
  ReceivedMessage* message = runs.Message(k2026, k2026, 1);
  Change& gone =
      ChangeBuilder(&runs.set(), &runs.table()).Delete("edge", message->envelope.hlc.value, "0");
  gone.message = message;
  clock.Stamp(&runs.set(), 1);
  EXPECT_EQ(runs.set().changes[1].hlc, message->envelope.hlc);
}

TEST(SourceClockTest, TheTwoChangesOfAKeyChangeHaveOneVersion) {
  for (const VersionSource version :
       {VersionSource::kCommit, VersionSource::kColumn, VersionSource::kArrival}) {
    Stream runs(RunsTable(version));
    SourceClock clock;
    ReceivedMessage* message = runs.Message(k2099, k2026, 2);
    ChangeBuilder builder(&runs.set(), &runs.table());
    for (uint32_t row = 0; row < 2; ++row) {
      const int64_t hlc = message->envelope.hlc.value + row;
      builder.Delete("edge", hlc, "1").row = row;
      builder.Add(ChangeKind::kWhole, "edge", hlc, {0, 1, 2}, {"2", "s", "2026-11-22 09:00:00+00"})
          .row = row;
    }
    for (Change& change : runs.set().changes) change.message = message;
    clock.Stamp(&runs.set(), 0);
    const std::vector<int64_t> versions = runs.Versions();
    EXPECT_EQ(versions[0], versions[1]);
    EXPECT_LT(versions[1], versions[2]);
    EXPECT_EQ(versions[2], versions[3]);
    EXPECT_EQ(runs.set().changes[0].claimed, runs.set().changes[1].claimed);
  }
}

TEST(SourceClockTest, AMessageSetAsideKeepsItsPlace) {
  struct Case {
    const char* name;
    int64_t commit_us;
    int64_t want_first;
    int64_t want_state;
  };
  for (const Case& each : std::vector<Case>{
           {"believed", k2026, Stamp(k2026), Stamp(k2026 + kSecondUs, 2)},
           {"clamped", k2099, Stamp(k2026 + 2 * kSecondUs), Stamp(k2026 + 2 * kSecondUs, 4)}}) {
    SCOPED_TRACE(each.name);
    SourceClock clock(Hlc{Stamp(k2026) - 1});
    ReceivedMessage message;
    message.stored_us = k2026 + 2 * kSecondUs;
    message.envelope.hlc = Hlc{Stamp(each.commit_us)};
    proto::Body body;
    body.transactions = {
        {Lsn{10}, 1, each.commit_us, Hlc{Stamp(each.commit_us)}, 2},
        {Lsn{20}, 2, each.commit_us + kSecondUs, Hlc{Stamp(each.commit_us + kSecondUs)}, 3}};
    EXPECT_EQ(clock.Reserve(body, message, Lsn{}, absl::Minutes(1)).value, each.want_first);
    EXPECT_EQ(clock.commit().value, each.want_state);
  }
}

TEST(SourceClockTest, AGroupSetAsideIsCutAtWhatIsApplied) {
  SourceClock clock(Hlc{Stamp(k2026, 1)});
  ReceivedMessage message;
  message.stored_us = k2026;
  message.envelope.hlc = Hlc{Stamp(k2026)};
  proto::Body body;
  body.transactions = {{Lsn{10}, 1, k2026, Hlc{Stamp(k2026)}, 2},
                       {Lsn{20}, 2, k2026, Hlc{Stamp(k2026, 2)}, 3}};
  EXPECT_EQ(clock.Reserve(body, message, Lsn{10}, absl::Minutes(1)), message.envelope.hlc);
  EXPECT_EQ(clock.commit().value, Stamp(k2026, 4));
}

TEST(SourceClockTest, ProgressMovesTheStateAndCountsNothing) {
  SourceClock clock(Hlc{Stamp(k2026)});
  ReceivedMessage message;
  message.stored_us = k2026 + 9 * kSecondUs;
  message.envelope.hlc = Hlc{Stamp(k2026 + 5 * kSecondUs)};
  clock.Pass(message, k2026 + 8 * kSecondUs, absl::Minutes(1));
  EXPECT_EQ(clock.commit(), message.envelope.hlc);
  message.envelope.hlc = Hlc{Stamp(k2026)};  // an older one changes nothing
  clock.Pass(message, k2026 + 8 * kSecondUs, absl::Minutes(1));
  EXPECT_EQ(clock.commit().value, Stamp(k2026 + 5 * kSecondUs));
  message.envelope.hlc = Hlc{Stamp(k2099)};
  clock.Pass(message, k2026 + 8 * kSecondUs, absl::Minutes(1));
  EXPECT_EQ(clock.commit().value, Stamp(k2026 + 9 * kSecondUs));
  const SourceClock::Tally tally = clock.TakeTally();
  EXPECT_EQ(tally.clamped, 0);
  EXPECT_EQ(tally.skew_us, -kSecondUs);
}

TEST(SourceClockTest, ProgressOfAnIdleSourceMovesTheStateToWhereItIsCaughtUp) {
  SourceClock clock(Hlc{Stamp(k2026)});
  ReceivedMessage message;
  message.stored_us = k2026 + 3600 * kSecondUs;
  message.envelope.hlc = Hlc{Stamp(k2026)};
  message.envelope.caught_up_ms = (k2026 + 3590 * kSecondUs) / 1000;
  clock.Pass(message, message.stored_us, absl::Minutes(1));
  EXPECT_EQ(clock.commit().value, Stamp(k2026 + 3590 * kSecondUs));
  // Later changes keep their versions, unless the clock steps back.
  Stream stream(JobsTable());
  stream.Send(&clock, {k2026 + 3600 * kSecondUs, k2026 + 3601 * kSecondUs});
  EXPECT_EQ(stream.Versions(), stream.Published());
  // What claims to be from the future is not believed at all: the box may have nothing to say.
  message.envelope.caught_up_ms = k2099 / 1000;
  clock.Pass(message, message.stored_us, absl::Minutes(1));
  EXPECT_EQ(clock.commit().value, stream.Versions().back());
}

TEST(SourceClockTest, ForgedStampsDoNotOverflow) {
  Stream stream(JobsTable());
  SourceClock clock;
  ReceivedMessage* message = stream.Message(k2026, k2026, 1);
  message->envelope.hlc = Hlc{std::numeric_limits<int64_t>::max()};
  ChangeBuilder builder(&stream.set(), &stream.table());
  for (uint32_t row = 0; row < 2; ++row) {
    Change& change = builder.Whole("edge", message->envelope.hlc.value, "1", "s");
    change.message = message;
    change.row = row;
  }
  stream.table().policy.max_future = absl::InfiniteDuration();
  clock.Stamp(&stream.set(), 0);
  EXPECT_EQ(stream.Versions(), (std::vector<int64_t>{Stamp(k2026), Stamp(k2026, 1)}));
}

TEST(VersionMillisecondsTest, ReadsWhatPostgresPrints) {
  struct Case {
    std::string text;
    std::optional<int64_t> want;
  };
  const int64_t at = 1795339541029;
  for (const Case& each : std::vector<Case>{{"2026-11-22 09:25:41.029291+00", at},
                                            {"2026-11-22 09:25:41.029291", at},
                                            {"2026-11-22 11:25:41.029+02", at},
                                            {"2026-11-22 03:55:41.029-05:30", at},
                                            {"1970-01-01 00:00:00", 0},
                                            {"1795339541029", at},
                                            {"-5", -5},
                                            {"infinity", std::numeric_limits<int64_t>::max()},
                                            {"-infinity", 0},
                                            {"0044-03-15 12:00:00+00 BC", 0},
                                            {"", std::nullopt},
                                            {"soon", std::nullopt},
                                            {"2026-11-22", std::nullopt},
                                            {"99999999999999999999", std::nullopt},
                                            {"1.5", std::nullopt}}) {
    EXPECT_EQ(VersionMilliseconds(each.text), each.want) << each.text;
  }
}

}  // namespace
}  // namespace pmoves
