// What an operator reads after a typical mistake, word for word: the messages are part of the
// interface.
#include <map>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "publisher/config.h"
#include "subscriber/config.h"
#include "tests/testing/status_matchers.h"

namespace pmoves {
namespace {

using Environment = std::map<std::string, std::string>;

struct Case {
  const char* name;
  std::string yaml;
  std::string message;
  Environment environment = {};
};

void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

template <typename Config>
std::string MessageFor(const Case& c, absl::StatusOr<Config> (*load)(ConfigSource*)) {
  absl::StatusOr<std::unique_ptr<ConfigSource>> source =
      ConfigSource::Parse("f.yaml", c.yaml, c.environment);
  if (!source.ok()) return MessageOf(source.status());
  const absl::StatusOr<Config> config = load(source->get());
  EXPECT_FALSE(config.ok()) << "was accepted";
  EXPECT_EQ(config.status().code(), absl::StatusCode::kInvalidArgument);
  return MessageOf(config.status());
}

// Five lines; a case adds line 6.
constexpr char kPublisher[] =
    "version: 1\n"
    "source: jetson-01\n"
    "mode: dual-write\n"
    "postgres: {dsn: 'dbname=a', tables: [public.jobs]}\n"
    "nats: {url: 'nats://127.0.0.1:4222'}\n";

class PublisherMistake : public ::testing::TestWithParam<Case> {};

TEST_P(PublisherMistake, IsExplained) {
  EXPECT_EQ(MessageFor(GetParam(), &LoadPublisherConfig), GetParam().message);
}

const std::string kP = kPublisher;

INSTANTIATE_TEST_SUITE_P(
    Typical, PublisherMistake,
    ::testing::ValuesIn(std::vector<Case>{
        {"unknown_key_in_a_section",
         "version: 1\nsource: a\nnats: {url: 'nats://h'}\npostgres:\n  dsn: x\n  tables: [jobs]\n"
         "  slto: y\n",
         "f.yaml:7: postgres.slto: unknown key; did you mean 'slot'?"},
        {"key_of_another_section", kP + "slot: x\n",
         "f.yaml:6: slot: unknown key; did you mean 'postgres.slot'?"},
        {"key_with_dot", kP + "stream.replicas: 1\n",
         "f.yaml:6: stream.replicas: unknown key; write 'replicas' below 'stream:'"},
        {"unknown_key_near_nothing", kP + "confirm: {zzzzzz: 1}\n",
         "f.yaml:6: confirm.zzzzzz: unknown key; allowed here: after, stored_hold"},
        {"duplicate_key", kP + "source: jetson-02\n",
         "f.yaml:6: source: duplicate key; first set in line 2"},
        {"duplicate_section", kP + "nats: {url: 'nats://h'}\n",
         "f.yaml:6: nats: duplicate key; first set in line 5"},
        {"duration_without_unit", kP + "stream: {ack_timeout: 10}\n",
         "f.yaml:6: stream.ack_timeout: '10' has no unit; write for example 10s "
         "(units: ms, s, m, h, d)"},
        {"duration_that_is_none", kP + "confirm: {stored_hold: soon}\n",
         "f.yaml:6: confirm.stored_hold: 'soon' is not a duration; write for example 10s "
         "(units: ms, s, m, h, d)"},
        {"duration_out_of_range", kP + "stream: {ack_timeout: 1h}\n",
         "f.yaml:6: stream.ack_timeout: 1h is out of range; allowed 100ms to 5m"},
        {"size_without_unit", kP + "stream: {max_bytes: 8}\n",
         "f.yaml:6: stream.max_bytes: '8' has no unit; write for example 8KiB or 8MiB"},
        {"size_with_unknown_unit", kP + "stream: {max_bytes: 8G}\n",
         "f.yaml:6: stream.max_bytes: unknown unit 'G'; use B, KiB, MiB, GiB, TiB, KB, MB, GB or "
         "TB"},
        {"size_out_of_range", kP + "stream: {max_message_bytes: 1GiB}\n",
         "f.yaml:6: stream.max_message_bytes: 1GiB is out of range; allowed 1KiB to 32MiB"},
        {"window_smaller_than_a_message", kP + "stream: {window_bytes: 128KiB}\n",
         "f.yaml:6: stream.window_bytes: 128KiB is less than stream.max_message_bytes, 256KiB"},
        {"number_out_of_range", kP + "stream: {replicas: 6}\n",
         "f.yaml:6: stream.replicas: 6 is out of range; allowed 1 to 5"},
        {"number_that_is_a_word", kP + "stream: {window_messages: many}\n",
         "f.yaml:6: stream.window_messages: 'many' is not a whole number; allowed 1 to 65536"},
        {"number_that_is_a_list", kP + "stream: {replicas: [1]}\n",
         "f.yaml:6: stream.replicas: must be a single value, found a list"},
        {"bad_enum_value", kP + "confirm: {after: aplied}\n",
         "f.yaml:6: confirm.after: 'aplied' is not allowed; one of applied, stored; "
         "did you mean 'applied'?"},
        {"section_that_is_a_text", kP + "stream: big\n",
         "f.yaml:6: stream: must be a mapping (key: value), found a text"},
        {"key_without_value", kP + "log: {level: }\n",
         "f.yaml:6: log.level: must be a single value, found nothing"},
        {"listen_without_port", kP + "metrics: {listen: localhost}\n",
         "f.yaml:6: metrics.listen: 'localhost' is not host:port; write for example "
         "127.0.0.1:9187"},
        {"listen_with_bad_port", kP + "metrics: {listen: 'localhost:99999'}\n",
         "f.yaml:6: metrics.listen: port of 'localhost:99999': 99999 is out of range; allowed 0 "
         "to 65535"},
        {"longest_pause_below_the_first", kP + "retry: {initial: 10s, max: 1s}\n",
         "f.yaml:6: retry.max: 1s is less than retry.initial, 10s"},
        {"wildcard_for_everything",
         "version: 1\nsource: a\nnats: {url: 'nats://h'}\npostgres: {dsn: x, tables: ['*']}\n",
         "f.yaml:4: postgres.tables: '*' is not a table name: '*' needs a schema before it; write "
         "schema.table"},
        {"table_given_twice_in_its_own_line",
         "version: 1\nsource: a\nnats: {url: 'nats://h'}\npostgres:\n  dsn: x\n  tables:\n"
         "    - jobs\n    - public.jobs\n",
         "f.yaml:8: postgres.tables: 'public.jobs' is listed twice"},
        {"tables_as_text",
         "version: 1\nsource: a\nnats: {url: 'nats://h'}\npostgres: {dsn: x, tables: jobs}\n",
         "f.yaml:4: postgres.tables: must be a list such as [a, b], found a text\n"
         "f.yaml:4: postgres.tables: names no table"},
        {"bad_source_name",
         "version: 1\nsource: Jetson_01\nnats: {url: 'nats://h'}\npostgres: {dsn: x, tables: "
         "[a]}\n",
         "f.yaml:2: source: 'Jetson_01' is not a source name; allowed: 1 to 32 of a-z, 0-9 and -, "
         "not - first"},
        {"source_called_as_the_centre",
         "version: 1\nsource: central\nnats: {url: 'nats://h'}\npostgres: {dsn: x, tables: [a]}\n",
         "f.yaml:2: source: 'central' is reserved for rows that are written in the centre; call "
         "the source otherwise"},
        {"required_keys_missing", "version: 1\nsource: a\n",
         "f.yaml: postgres.dsn: missing; set it in the file or as PMOVES_SYNC_POSTGRES__DSN\n"
         "f.yaml: postgres.tables: missing; set it in the file or as PMOVES_SYNC_POSTGRES__TABLES\n"
         "f.yaml: nats.url: missing; set it in the file or as PMOVES_SYNC_NATS__URL"},
        {"no_version", "mode: standalone\n",
         "f.yaml: version: missing; begin the file with 'version: 1'"},
        {"another_version", "version: 2\nmode: standalone\n",
         "f.yaml:1: version: '2' is not a version that this program reads; write 'version: 1'"},
        {"not_yaml", "version: 1\npostgres: {dsn: x\n",
         "f.yaml:3: not valid YAML: end of map flow not found"},
        {"not_a_mapping", "- version: 1\n", "f.yaml: must be a mapping (key: value), found a list"},
        {"two_documents", "version: 1\n---\nversion: 1\n",
         "f.yaml: more than one YAML document (---) in one file"},
        {"unknown_variable",
         kP,
         "env PMOVES_SYNC_STREAM__REPLICA: unknown variable; did you mean "
         "'PMOVES_SYNC_STREAM__REPLICAS'?",
         {{"PMOVES_SYNC_STREAM__REPLICA", "1"}}},
        {"variable_without_its_section",
         kP,
         "env PMOVES_SYNC_DSN: unknown variable; did you mean "
         "'PMOVES_SYNC_POSTGRES__DSN'?",
         {{"PMOVES_SYNC_DSN", "x"}}},
        {"bad_value_in_a_variable",
         kP,
         "env PMOVES_SYNC_STREAM__REPLICAS: 9 is out of range; allowed 1 to 5",
         {{"PMOVES_SYNC_STREAM__REPLICAS", "9"}}},
        {"yes_in_a_service_variable",
         kP,
         "env SYNC_ENABLED: 'yes' is not a boolean; write true or false",
         {{"SYNC_ENABLED", "yes"}}},
        {"mode_with_underscore",
         kP,
         "env SUPABASE_MODE: 'dual_write' is not allowed; one of standalone, integrated, "
         "dual-write; did you mean 'dual-write'?",
         {{"SUPABASE_MODE", "dual_write"}}},
        {"interval_that_is_no_number",
         kP,
         "env SYNC_INTERVAL: '30s' is not a whole number; allowed 1 to 86400",
         {{"SYNC_INTERVAL", "30s"}}},
        {"unknown_strategy",
         kP,
         "env SYNC_STRATEGY: 'write-thru' is not allowed; one of write-through, write-behind; "
         "did you mean 'write-through'?",
         {{"SYNC_STRATEGY", "write-thru"}}},
        {"unknown_rule",
         kP,
         "env CONFLICT_RESOLUTION: 'value-priority' is not allowed; one of last-write-wins, "
         "first-write-wins, append-only, keep-central, manual",
         {{"CONFLICT_RESOLUTION", "value-priority"}}},
        {"service_name_that_is_no_source_name",
         "version: 1\nnats: {url: 'nats://h'}\npostgres: {dsn: x, tables: [a]}\n",
         "env SERVICE_NAME: 'GPU Orchestrator' is not a source name; allowed: 1 to 32 of a-z, 0-9 "
         "and -, not - first",
         {{"SERVICE_NAME", "GPU Orchestrator"}}},
        {"two_ways_to_log_in", "version: 1\nmode: standalone\nnats:\n  user: a\n  token: b\n",
         "f.yaml:5: nats.token: set only one way to log in; set are user, token"},
        {"client_certificate_without_key",
         "version: 1\nmode: standalone\nnats: {tls: {cert_file: a}}\n",
         "f.yaml:3: nats.tls.cert_file: cert_file and key_file go together"},
        {"nkey_without_public_key", "version: 1\nmode: standalone\nnats: {nkey_seed_file: a}\n",
         "f.yaml:3: nats.nkey_seed_file: needs nats.nkey_public, the public key of the seed"},
        {"url_without_scheme", "version: 1\nmode: standalone\nnats: {url: 'localhost:4222'}\n",
         "f.yaml:3: nats.url: 'localhost:4222' must begin with nats:// or tls://"},
        {"password_and_its_file",
         "version: 1\nmode: standalone\npostgres: {password: a, password_file: b}\n",
         "f.yaml:3: postgres.password: set only one of password and password_file"},
        {"password_file_that_is_not_there",
         "version: 1\nmode: standalone\npostgres: {password_file: /does/not/exist}\n",
         "f.yaml:3: postgres.password_file: '/does/not/exist' cannot be read: No such file or "
         "directory"},
        {"bad_slot_name", "version: 1\nmode: standalone\npostgres: {slot: pmoves-sync}\n",
         "f.yaml:3: postgres.slot: 'pmoves-sync' is not a slot name; allowed: 1 to 63 of a-z, 0-9 "
         "and _"},
    }),
    [](const auto& made) { return std::string(made.param.name); });

// Four lines; a case adds line 5.
constexpr char kSubscriber[] =
    "version: 1\n"
    "postgres: {dsn: 'dbname=a'}\n"
    "nats: {url: 'nats://127.0.0.1:4222'}\n"
    "tables: [public.jobs]\n";

class SubscriberMistake : public ::testing::TestWithParam<Case> {};

TEST_P(SubscriberMistake, IsExplained) {
  EXPECT_EQ(MessageFor(GetParam(), &LoadSubscriberConfig), GetParam().message);
}

const std::string kS = kSubscriber;
const std::string kHead = "version: 1\npostgres: {dsn: a}\nnats: {url: 'nats://h'}\n";

INSTANTIATE_TEST_SUITE_P(
    Typical, SubscriberMistake,
    ::testing::ValuesIn(std::vector<Case>{
        {"unknown_key", kS + "worker: 3\n",
         "f.yaml:5: worker: unknown key; did you mean 'workers'?"},
        {"unknown_key_of_a_table", kHead + "tables:\n  - table: jobs\n    on_eror: row\n",
         "f.yaml:6: tables[0].on_eror: unknown key; did you mean 'on_error'?"},
        {"duplicate_key_of_a_table", kHead + "tables:\n  - table: jobs\n    table: tasks\n",
         "f.yaml:6: tables[0].table: duplicate key; first set in line 5"},
        {"bad_reaction", kHead + "tables: [{table: jobs, on_error: stop}]\n",
         "f.yaml:4: tables[0].on_error: 'stop' is not allowed; one of row, transaction, block"},
        {"bad_truncate_policy", kHead + "tables: [{table: jobs, truncate: own_rows}]\n",
         "f.yaml:4: tables[0].truncate: 'own_rows' is not allowed; one of own-rows, all, ignore, "
         "quarantine; did you mean 'own-rows'?"},
        {"table_without_name", kHead + "tables: [{on_error: row}]\n",
         "f.yaml: tables[0].table: missing"},
        {"whole_schema", kHead + "tables: ['public.*']\n",
         "f.yaml:4: tables[0].table: 'public.*' names a whole schema; the subscriber needs each "
         "table by name"},
        {"table_with_too_many_parts", kHead + "tables: [a.b.c]\n",
         "f.yaml:4: tables[0].table: 'a.b.c' is not a table name: more than two parts; write "
         "schema.table"},
        {"table_listed_twice", kHead + "tables:\n  - public.jobs\n  - {table: jobs}\n",
         "f.yaml:6: tables[1].table: 'public.jobs' is listed twice"},
        {"no_tables", kHead + "tables: []\n", "f.yaml:4: tables: names no table"},
        {"entry_that_is_a_list", kHead + "tables: [[jobs]]\n",
         "f.yaml:4: tables: entries must be texts or mappings, found a list"},
        {"source_not_expected",
         kS + "sources: [jetson-01]\n"
              "batch: {max_rows: 0}\n",
         "f.yaml:6: batch.max_rows: 0 is out of range; allowed 1 to 1000000"},
        {"table_source_not_expected",
         kHead + "sources: [jetson-01]\ntables: [{table: jobs, sources: [jetson-2]}]\n",
         "f.yaml:5: tables[0].sources: 'jetson-2' is not in the list 'sources': jetson-01"},
        {"bad_source_in_the_list", kS + "sources: [jetson_01]\n",
         "f.yaml:5: sources: 'jetson_01' is not a source name; allowed: 1 to 32 of a-z, 0-9 and -, "
         "not - first"},
        {"off_for_a_boolean",
         "version: 1\npostgres: {dsn: a, triggers: off}\nnats: {url: 'nats://h'}\ntables: [a]\n",
         "f.yaml:2: postgres.triggers: 'off' is not a boolean; write true or false"},
        {"yes_for_a_boolean",
         "version: 1\npostgres: {dsn: a, triggers: yes}\nnats: {url: 'nats://h'}\ntables: [a]\n",
         "f.yaml:2: postgres.triggers: 'yes' is not a boolean; write true or false"},
        {"on_for_a_boolean",
         "version: 1\npostgres: {dsn: a, synchronous_commit: on}\nnats: {url: 'nats://h'}\n"
         "tables: [a]\n",
         "f.yaml:2: postgres.synchronous_commit: 'on' is not a boolean; write true or false"},
        {"too_many_workers", kS + "workers: 100\n",
         "f.yaml:5: workers: 100 is out of range; allowed 1 to 64"},
        {"wait_without_unit", kS + "batch: {max_wait: 200}\n",
         "f.yaml:5: batch.max_wait: '200' has no unit; write for example 200s (units: ms, s, m, "
         "h, d)"},
        {"everything_missing", "version: 1\n",
         "f.yaml: postgres.dsn: missing; set it in the file or as PMOVES_SYNC_POSTGRES__DSN\n"
         "f.yaml: nats.url: missing; set it in the file or as PMOVES_SYNC_NATS__URL\n"
         "f.yaml: tables: missing; set it in the file or as PMOVES_SYNC_TABLES"},
        {"bad_table_in_a_service_variable",
         kHead,
         "env SYNC_TABLES: 'a b' is not a table name: a name with blanks or quotes must be quoted "
         "as in SQL; write schema.table",
         {{"SYNC_TABLES", "jobs,a b"}}},
        {"bad_table_in_our_variable",
         kHead,
         "env PMOVES_SYNC_TABLES: tables[1].table: 'a.' is not a table name: a part of the name "
         "is empty; write schema.table",
         {{"PMOVES_SYNC_TABLES", "jobs, a."}}},
        {"batch_size_of_the_service",
         kS,
         "env SYNC_BATCH_SIZE: 0 is out of range; allowed 1 to 1000000",
         {{"SYNC_BATCH_SIZE", "0"}}},
    }),
    [](const auto& made) { return std::string(made.param.name); });

TEST(ConfigMistakes, AreAllToldAtOnceInTheOrderOfTheFile) {
  const Case c = {"all",
                  "version: 1\nmode: dual\nsource: A\nlog:\n  level: loud\n  colour: red\n",
                  "",
                  {{"SYNC_ENABLED", "maybe"}}};
  EXPECT_EQ(MessageFor(c, &LoadPublisherConfig),
            "f.yaml:2: mode: 'dual' is not allowed; one of standalone, integrated, dual-write\n"
            "f.yaml:3: source: 'A' is not a source name; allowed: 1 to 32 of a-z, 0-9 and -, not - "
            "first\n"
            "f.yaml:5: log.level: 'loud' is not allowed; one of debug, info, warn, error\n"
            "f.yaml:6: log.colour: unknown key; allowed here: level, format\n"
            "env SYNC_ENABLED: 'maybe' is not a boolean; write true or false\n"
            "f.yaml: postgres.dsn: missing; set it in the file or as PMOVES_SYNC_POSTGRES__DSN\n"
            "f.yaml: postgres.tables: missing; set it in the file or as "
            "PMOVES_SYNC_POSTGRES__TABLES\n"
            "f.yaml: nats.url: missing; set it in the file or as PMOVES_SYNC_NATS__URL");
}

TEST(ConfigMistakes, NeverShowASecret) {
  const Case c = {"secret",
                  "version: 1\nmode: standalone\n"
                  "nats: {url: 'http://u:hunter2@h', password: hunter2, user: u, token: hunter2}\n",
                  "",
                  {{"PMOVES_SYNC_NATS__PASSWORT", "hunter2"}}};
  EXPECT_THAT(MessageFor(c, &LoadPublisherConfig), ::testing::Not(::testing::HasSubstr("hunter2")));
}

TEST(ConfigMistakes, AFileThatCannotBeReadSaysWhy) {
  EXPECT_THAT(ConfigSource::Open("/does/not/exist.yaml", {}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       "/does/not/exist.yaml: cannot be read: No such file or directory"));
  EXPECT_THAT(ConfigSource::Open("/", {}),
              StatusIs(absl::StatusCode::kInvalidArgument, "/: cannot be read: Is a directory"));
}

TEST(ConfigMistakes, AHostileFileIsAnErrorAndNoCrash) {
  const std::string deep(100000, '[');
  EXPECT_FALSE(ConfigSource::Parse("f.yaml", deep, {}).ok());
  const std::string deep_map = "version: 1\nx: " + std::string(100000, '{');
  EXPECT_FALSE(ConfigSource::Parse("f.yaml", deep_map, {}).ok());
  EXPECT_FALSE(ConfigSource::Parse("f.yaml", "version: 1\n\x01\x02: &a *b\n", {}).ok());
}

}  // namespace
}  // namespace pmoves
