// Where a value comes from: environment, file, names of the services, default; and what `config
// show` says about it.
#include <fstream>
#include <map>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "publisher/config.h"
#include "subscriber/config.h"
#include "tests/testing/status_matchers.h"

namespace pmoves {
namespace {

using ::testing::ElementsAre;
using Environment = std::map<std::string, std::string>;

constexpr char kPublisher[] =
    "version: 1\n"
    "source: jetson-01\n"
    "postgres: {dsn: 'dbname=a', tables: [jobs, sensors.reading, 'sensors.*', '\"a.b\"']}\n"
    "nats: {url: 'nats://127.0.0.1:4222'}\n";
constexpr char kPublisherServices[] =
    "version: 1\n"
    "postgres: {dsn: 'dbname=a'}\n"
    "nats: {url: 'nats://127.0.0.1:4222'}\n";
constexpr char kSubscriber[] =
    "version: 1\n"
    "postgres: {dsn: 'dbname=a'}\n"
    "nats: {url: 'nats://127.0.0.1:4222'}\n";

template <typename Config>
struct Loaded {
  std::unique_ptr<ConfigSource> source;
  Config config;

  // "value | origin"
  std::string Show(const std::string& key) const {
    for (const Setting& setting : source->settings()) {
      if (setting.key == key) return setting.value + " | " + setting.origin;
    }
    return "absent";
  }
};

template <typename Config>
Loaded<Config> Load(const std::string& yaml, const Environment& environment,
                    absl::StatusOr<Config> (*load)(ConfigSource*)) {
  auto source = ConfigSource::Parse(yaml.empty() ? "" : "f.yaml", yaml, environment);
  EXPECT_THAT(source, IsOk());
  absl::StatusOr<Config> config = load(source->get());
  EXPECT_THAT(config, IsOk());
  return {*std::move(source), config.ok() ? *std::move(config) : Config()};
}

Loaded<PublisherConfig> Publisher(const std::string& yaml, const Environment& environment = {}) {
  return Load(yaml, environment, &LoadPublisherConfig);
}

Loaded<SubscriberConfig> Subscriber(const std::string& yaml, const Environment& environment = {}) {
  return Load(yaml, environment, &LoadSubscriberConfig);
}

std::string WriteFile(const std::string& name, const std::string& text) {
  const std::string path = ::testing::TempDir() + name;
  std::ofstream(path) << text;
  return path;
}

TEST(ConfigPrecedence, ASmallFileLeavesEveryDefault) {
  const auto loaded = Publisher(kPublisher);
  EXPECT_EQ(loaded.config.mode, Mode::kDualWrite);
  EXPECT_EQ(loaded.config.postgres.slot, "pmoves_sync");
  EXPECT_EQ(loaded.config.stream.max_bytes, int64_t{8} << 30);
  EXPECT_EQ(loaded.config.confirm.stored_hold, absl::Seconds(150));
  EXPECT_TRUE(loaded.config.confirm.after_applied);
  EXPECT_EQ(loaded.config.metrics.listen, "127.0.0.1:9187");
  EXPECT_EQ(loaded.Show("postgres.slot"), "pmoves_sync | default");
  EXPECT_EQ(loaded.Show("source"), "jetson-01 | f.yaml:2");
}

TEST(ConfigPrecedence, ABareTableNameMeansSchemaPublic) {
  EXPECT_THAT(Publisher(kPublisher).config.postgres.tables,
              ElementsAre("public.jobs", "sensors.reading", "sensors.*", "public.\"a.b\""));
}

TEST(ConfigPrecedence, TheEnvironmentWinsOverTheFile) {
  const auto loaded = Publisher(std::string(kPublisher) + "stream: {replicas: 1}\n",
                                {{"PMOVES_SYNC_STREAM__REPLICAS", "3"},
                                 {"PMOVES_SYNC_SOURCE", "jetson-02"},
                                 {"PMOVES_SYNC_POSTGRES__TABLES", "tasks, public.jobs"},
                                 {"PMOVES_SYNC_NATS__TLS__CA_FILE", "/ca.pem"}});
  EXPECT_EQ(loaded.config.stream.replicas, 3);
  EXPECT_EQ(loaded.config.source, "jetson-02");
  EXPECT_THAT(loaded.config.postgres.tables, ElementsAre("public.tasks", "public.jobs"));
  EXPECT_EQ(loaded.config.nats.connection.tls_ca_file, "/ca.pem");
  EXPECT_EQ(loaded.Show("stream.replicas"), "3 | env PMOVES_SYNC_STREAM__REPLICAS");
  EXPECT_EQ(loaded.Show("postgres.tables"),
            "public.tasks, public.jobs | env PMOVES_SYNC_POSTGRES__TABLES");
}

TEST(ConfigPrecedence, AnEmptyVariableCountsAsAbsent) {
  const auto loaded = Publisher(kPublisher, {{"PMOVES_SYNC_SOURCE", ""}, {"SYNC_BATCH_SIZE", ""}});
  EXPECT_EQ(loaded.config.source, "jetson-01");
  EXPECT_EQ(loaded.Show("SYNC_BATCH_SIZE"), "absent");
}

TEST(ConfigPrecedence, NoFileIsNeededWhenTheEnvironmentSaysEverything) {
  const auto loaded = Publisher("", {{"PMOVES_SYNC_SOURCE", "jetson-01"},
                                     {"PMOVES_SYNC_POSTGRES__DSN", "dbname=a"},
                                     {"PMOVES_SYNC_POSTGRES__TABLES", "jobs"},
                                     {"PMOVES_SYNC_NATS__URL", "tls://h"},
                                     {"PMOVES_SYNC_CONFIG", "ignored-here.yaml"}});
  EXPECT_EQ(loaded.config.nats.connection.url, "tls://h");
}

TEST(ConfigPrecedence, TheNamesOfTheServicesAreUnderstood) {
  const auto loaded = Publisher(kPublisherServices, {{"SUPABASE_MODE", "dual-write"},
                                                     {"SYNC_ENABLED", "true"},
                                                     {"SYNC_STRATEGY", "write-through"},
                                                     {"SYNC_TABLES", "jobs,results"},
                                                     {"SYNC_BATCH_SIZE", "100"},
                                                     {"SYNC_INTERVAL_SECONDS", "30"},
                                                     {"SYNC_FALLBACK", "queue-and-retry"},
                                                     {"OFFLINE_MODE", "true"},
                                                     {"CONFLICT_RESOLUTION", "last-write-wins"},
                                                     {"SERVICE_NAME", "gpu-orchestrator"}});
  EXPECT_EQ(loaded.config.source, "gpu-orchestrator");
  EXPECT_EQ(loaded.config.mode, Mode::kDualWrite);
  EXPECT_THAT(loaded.config.postgres.tables, ElementsAre("public.jobs", "public.results"));
  EXPECT_EQ(loaded.Show("source"), "gpu-orchestrator | env SERVICE_NAME");
  EXPECT_EQ(loaded.Show("mode"), "dual-write | env SUPABASE_MODE");
  EXPECT_EQ(loaded.Show("postgres.tables"), "public.jobs, public.results | env SYNC_TABLES");
  EXPECT_EQ(loaded.Show("SYNC_INTERVAL_SECONDS"),
            "30 | environment (no effect: replication is continuous)");
  EXPECT_EQ(loaded.Show("SYNC_BATCH_SIZE"),
            "100 | environment (no effect: the publisher streams; see stream.*)");
}

TEST(ConfigPrecedence, TheFileWinsOverTheNamesOfTheServices) {
  const auto loaded = Publisher(std::string(kPublisher) + "mode: dual-write\n",
                                {{"SUPABASE_MODE", "standalone"},
                                 {"SYNC_ENABLED", "false"},
                                 {"SYNC_TABLES", "other"},
                                 {"SERVICE_NAME", "Not A Source Name"}});
  EXPECT_EQ(loaded.config.mode, Mode::kDualWrite);
  EXPECT_EQ(loaded.config.source, "jetson-01");
  EXPECT_EQ(loaded.config.postgres.tables.front(), "public.jobs");
  EXPECT_EQ(loaded.Show("SUPABASE_MODE"),
            "standalone | environment (no effect: mode is set in f.yaml:5)");
}

TEST(ConfigPrecedence, SyncSwitchedOffMeansStandaloneAndNeedsNothingElse) {
  const auto off = Publisher("version: 1\n", {{"SYNC_ENABLED", "false"}});
  EXPECT_EQ(off.config.mode, Mode::kStandalone);
  EXPECT_EQ(off.Show("mode"), "standalone | env SYNC_ENABLED");
  const auto integrated =
      Publisher("version: 1\n", {{"SYNC_ENABLED", "false"}, {"SUPABASE_MODE", "integrated"}});
  EXPECT_EQ(integrated.config.mode, Mode::kIntegrated);
}

TEST(ConfigPrecedence, TheSubscriberTakesTablesBatchSizeAndRuleFromTheServices) {
  const auto loaded = Subscriber(kSubscriber, {{"SYNC_TABLES", "jobs, sensors.reading"},
                                               {"SYNC_BATCH_SIZE", "100"},
                                               {"SYNC_INTERVAL", "30"},
                                               {"CONFLICT_RESOLUTION", "last-write-wins"}});
  ASSERT_EQ(loaded.config.tables.size(), 2u);
  EXPECT_EQ(loaded.config.tables[0].schema, "public");
  EXPECT_EQ(loaded.config.tables[1].schema, "sensors");
  EXPECT_EQ(loaded.config.tables[1].table, "reading");
  EXPECT_EQ(loaded.config.batch.max_rows, 100);
  EXPECT_EQ(loaded.config.batch.max_wait, absl::ZeroDuration());
  EXPECT_EQ(loaded.Show("batch.max_rows"), "100 | env SYNC_BATCH_SIZE");
}

TEST(ConfigPrecedence, ATableOfTheSubscriberIsAMappingOrABareName) {
  const auto loaded =
      Subscriber(std::string(kSubscriber) +
                 "sources: [jetson-01, jetson-02]\n"
                 "tables:\n"
                 "  - tasks\n"
                 "  - {table: a.b, on_error: block, truncate: ignore, sources: [jetson-02]}\n");
  ASSERT_EQ(loaded.config.tables.size(), 2u);
  EXPECT_EQ(loaded.config.tables[0].on_error, OnError::kRow);
  EXPECT_EQ(loaded.config.tables[0].policy.truncate, TruncatePolicy::kOwnRows);
  EXPECT_EQ(loaded.config.tables[0].policy.row.kind, RuleKind::kLastWriteWins);
  EXPECT_EQ(loaded.config.tables[1].on_error, OnError::kBlock);
  EXPECT_EQ(loaded.config.tables[1].policy.truncate, TruncatePolicy::kIgnore);
  EXPECT_THAT(loaded.config.tables[1].sources, ElementsAre("jetson-02"));
  EXPECT_EQ(loaded.Show("tables[1].on_error"), "block | f.yaml:7");
}

TEST(ConfigPrecedence, TheEnvironmentReplacesTheTablesOfTheFile) {
  const auto loaded = Subscriber(std::string(kSubscriber) + "tables: [jobs]\n",
                                 {{"PMOVES_SYNC_TABLES", "tasks,public.results"}});
  ASSERT_EQ(loaded.config.tables.size(), 2u);
  EXPECT_EQ(loaded.config.tables[0].table, "tasks");
  EXPECT_EQ(loaded.Show("tables[1].table"), "public.results | env PMOVES_SYNC_TABLES");
}

TEST(ConfigPrecedence, AnEmptySectionIsTheSameAsNone) {
  EXPECT_EQ(Publisher(std::string(kPublisher) + "stream:\n").config.stream.replicas, 1);
}

TEST(ConfigPrecedence, MetricsCanBeSwitchedOff) {
  EXPECT_EQ(Publisher(std::string(kPublisher) + "metrics: {listen: ''}\n").config.metrics.listen,
            "");
  EXPECT_EQ(Publisher(kPublisher, {{"PMOVES_SYNC_METRICS__LISTEN", "off"}}).config.metrics.listen,
            "");
}

TEST(ConfigSecrets, AreReadFromFilesWithoutTheLineBreakAtTheEnd) {
  const std::string path = WriteFile("pg-password", " hunter2 \n");
  const std::string yaml = "version: 1\nmode: standalone\n";
  const auto by_key = Publisher(yaml + "postgres: {password_file: " + path + "}\n");
  EXPECT_EQ(by_key.config.postgres.password, " hunter2 ");
  EXPECT_EQ(by_key.Show("postgres.password"), "******** | f.yaml:3");
  EXPECT_EQ(by_key.Show("postgres.password_file"), path + " | f.yaml:3");
  const auto by_variable = Publisher(yaml, {{"PMOVES_SYNC_POSTGRES__PASSWORD_FILE", path}});
  EXPECT_EQ(by_variable.config.postgres.password, " hunter2 ");
  EXPECT_EQ(by_variable.Show("postgres.password"),
            "******** | env PMOVES_SYNC_POSTGRES__PASSWORD_FILE");
}

TEST(ConfigSecrets, TheEnvironmentWinsInEitherForm) {
  const std::string path = WriteFile("token", "from-file");
  const std::string yaml = "version: 1\nmode: standalone\n";
  EXPECT_EQ(Publisher(yaml + "nats: {token_file: " + path + "}\n",
                      {{"PMOVES_SYNC_NATS__TOKEN", "from-variable"}})
                .config.nats.connection.token,
            "from-variable");
  EXPECT_EQ(Publisher(yaml + "nats: {token: from-yaml}\n", {{"PMOVES_SYNC_NATS__TOKEN_FILE", path}})
                .config.nats.connection.token,
            "from-file");
}

TEST(ConfigSecrets, AreMaskedInEverySetting) {
  const auto loaded = Publisher(
      "version: 1\nsource: a\n"
      "postgres: {dsn: \"host=h password='hunter2 \\\\' x' user=u\", tables: [a], "
      "password: hunter2}\n"
      "nats: {url: 'nats://u:hunter2@h,nats://hunter2@h2', user: u, password: hunter2}\n",
      {{"SERVICE_NAME", "postgres://u:hunter2@h/db"}});
  for (const Setting& setting : loaded.source->settings()) {
    EXPECT_THAT(setting.value, ::testing::Not(::testing::HasSubstr("hunter2"))) << setting.key;
  }
  EXPECT_EQ(loaded.Show("postgres.dsn"), "host=h password=******** user=u | f.yaml:3");
  EXPECT_EQ(loaded.Show("nats.url"), "nats://u:********@h,nats://********@h2 | f.yaml:4");
}

}  // namespace
}  // namespace pmoves
