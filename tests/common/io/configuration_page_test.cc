// docs/configuration.md and the code say the same: every key, its environment name and its default.
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "publisher/config.h"
#include "subscriber/config.h"
#include "tests/testing/status_matchers.h"

namespace pmoves {
namespace {

struct Row {
  std::string environment;
  std::string default_value;
  bool operator==(const Row&) const = default;
};

void PrintTo(const Row& row, std::ostream* out) {
  *out << row.environment << " = " << row.default_value;
}

using Rows = std::map<std::string, Row>;

std::string Unquoted(std::string cell) {
  const size_t first = cell.find('`');
  const size_t last = cell.rfind('`');
  return first == last ? "" : cell.substr(first + 1, last - first - 1);
}

// The rows of the tables between "## <heading>" and the next heading of that level.
Rows PageRows(const std::string& heading) {
  std::ifstream file(PMOVES_CONFIGURATION_PAGE);
  EXPECT_TRUE(file.good());
  Rows rows;
  bool inside = false;
  for (std::string line; std::getline(file, line);) {
    if (line.rfind("## ", 0) == 0) inside = line == "## " + heading;
    if (!inside || line.rfind("| `", 0) != 0) continue;
    std::istringstream cells(line.substr(1));
    std::string key, environment, default_value;
    std::getline(cells, key, '|');
    std::getline(cells, environment, '|');
    std::getline(cells, default_value, '|');
    EXPECT_TRUE(
        rows.emplace(Unquoted(key), Row{Unquoted(environment), Unquoted(default_value)}).second)
        << key << " is there twice";
  }
  return rows;
}

std::string EnvironmentOf(const std::string& key) {
  if (key.find('[') != std::string::npos) return "";
  std::string name = "PMOVES_SYNC_";
  for (const char c : key) {
    if (c == '.') {
      name += "__";
    } else {
      name.push_back(static_cast<char>(std::toupper(static_cast<unsigned char>(c))));
    }
  }
  return name;
}

// The settings of a load; those that are not "default" are required ones, which have none. A key
// that the operator chooses is called any_name.
template <typename Config>
Rows CodeRows(const std::string& yaml, absl::StatusOr<Config> (*load)(ConfigSource*)) {
  auto source = ConfigSource::Parse("f.yaml", yaml, {});
  EXPECT_THAT(source, IsOk());
  EXPECT_THAT(load(source->get()), IsOk());
  Rows rows;
  for (const Setting& setting : (*source)->settings()) {
    std::string key = setting.key;
    const size_t index = key.find("[0]");
    if (index != std::string::npos) key.replace(index, 3, "[]");
    const size_t chosen = key.find(".any_name");
    if (chosen != std::string::npos) key.replace(chosen, 9, ".<name>");
    const bool has_default = setting.origin == "default" || key == "version";
    rows[key] = Row{EnvironmentOf(key), has_default ? setting.value : ""};
  }
  return rows;
}

TEST(ConfigurationPage, HasEveryOptionOfThePublisherAndNoOther) {
  EXPECT_EQ(PageRows("Publisher"),
            CodeRows("version: 1\nsource: a\npostgres: {dsn: x, tables: [a]}\n"
                     "nats: {url: 'nats://h'}\n",
                     &LoadPublisherConfig));
}

TEST(ConfigurationPage, HasEveryOptionOfTheSubscriberAndNoOther) {
  EXPECT_EQ(PageRows("Subscriber"),
            CodeRows("version: 1\npostgres: {dsn: x}\nnats: {url: 'nats://h'}\n"
                     "tables:\n  - table: a\n    columns: {any_name: {conflict: greatest}}\n"
                     "    rename: {any_name: b}\n    constants: {any_name: c}\n",
                     &LoadSubscriberConfig));
}

TEST(ConfigurationExamples, AreValid) {
  auto publisher = ConfigSource::Open(PMOVES_EXAMPLES "/publisher.yaml", {});
  ASSERT_THAT(publisher, IsOk());
  EXPECT_THAT(LoadPublisherConfig(publisher->get()), IsOk());
  auto subscriber = ConfigSource::Open(PMOVES_EXAMPLES "/subscriber.yaml", {});
  ASSERT_THAT(subscriber, IsOk());
  EXPECT_THAT(LoadSubscriberConfig(subscriber->get()), IsOk());
}

TEST(ConfigurationPage, HasEveryNameOfTheServices) {
  const std::map<std::string, std::string> environment = {
      {"SUPABASE_MODE", "standalone"},
      {"SYNC_ENABLED", "true"},
      {"SYNC_TABLES", "a"},
      {"SYNC_BATCH_SIZE", "1"},
      {"SYNC_INTERVAL_SECONDS", "1"},
      {"SYNC_INTERVAL", "1"},
      {"SYNC_STRATEGY", "write-behind"},
      {"SYNC_FALLBACK", "queue-and-retry"},
      {"OFFLINE_MODE", "true"},
      {"CONFLICT_RESOLUTION", "last-write-wins"},
      {"SERVICE_NAME", "a"}};
  auto source = ConfigSource::Parse("f.yaml", "version: 1\n", environment);
  ASSERT_THAT(source, IsOk());
  ASSERT_THAT(LoadPublisherConfig(source->get()), IsOk());
  std::map<std::string, std::string> recorded;
  for (const Setting& setting : (*source)->settings()) {
    if (setting.key.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ_") == std::string::npos) {
      recorded[setting.key] = setting.value;
    }
  }
  EXPECT_EQ(recorded, environment);
  std::map<std::string, std::string> documented;
  for (const auto& [name, row] : PageRows("Environment of the services")) {
    documented[name] = environment.count(name) > 0 ? environment.at(name) : "unknown";
  }
  EXPECT_EQ(documented, environment);
}

}  // namespace
}  // namespace pmoves
