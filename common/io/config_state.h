// config_state: what config_file.h hides: the walked tree, and what was asked of it. Included by
// config_*.cc only.
//
// Thread: start-up only.
#ifndef PMOVES_COMMON_IO_CONFIG_STATE_H_
#define PMOVES_COMMON_IO_CONFIG_STATE_H_

#include <yaml-cpp/yaml.h>

#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "common/io/config_file.h"
#include "common/io/mask.h"

namespace pmoves {

struct ProblemLine {
  int line;  // 0: not a place in the file
  std::string text;
};

// What was found for a key: a node of the file, or a text of the environment.
struct Found {
  bool present = false;
  bool from_environment = false;
  YAML::Node node;
  std::string text;
  std::string origin = "default";
  int line = 0;
};

// The content of a small file, or in words why it cannot be read.
absl::StatusOr<std::string> ReadSmallFile(const std::string& path);

// "a mapping", "a list", "a text", "nothing".
std::string KindOf(const YAML::Node& node);

// PMOVES_SYNC_POSTGRES__ + dsn -> PMOVES_SYNC_POSTGRES__DSN.
std::string EnvironmentName(const std::string& prefix, std::string_view key);

struct ConfigSource::State {
  std::string name;  // of the file, "" without one
  std::map<std::string, std::string> environment;
  std::set<std::string> known_environment;
  std::vector<ProblemLine> problems;
  std::vector<Setting> settings;
  std::vector<std::string> known_paths;
  std::unique_ptr<ConfigReader> root;

  static absl::StatusOr<std::unique_ptr<ConfigSource>> Make(
      const std::string& source_name, const YAML::Node& node,
      std::map<std::string, std::string> variables);
  std::string At(int line) const;
  void AddAt(int line, const std::string& what);
  Setting* FindSetting(const std::string& key);
  const std::string* EnvironmentValue(const std::string& variable) const;
  void AddUnknownEnvironment(std::vector<ProblemLine>* out) const;
};

struct ConfigReader::State {
  struct Entry {
    YAML::Node node;
    int line;
  };

  ConfigSource::State* source;
  std::string path;          // "postgres.", "" for the root
  std::string env_prefix;    // "PMOVES_SYNC_POSTGRES__", "" for an entry of a list
  std::string entry_origin;  // of an entry that the environment gave, else ""
  std::map<std::string, Entry> entries;
  std::vector<std::string> asked;
  std::map<std::string, std::unique_ptr<ConfigReader>> sections;
  std::vector<std::unique_ptr<ConfigReader>> list_entries;
  bool broken = false;  // the file has something else here: one problem is enough

  void Fill(const YAML::Node& node);
  void Know(const std::string& key);
  Found Look(const std::string& key);
  void Bad(const std::string& key, const Found& found, const std::string& what);
  // The text of a single value; nullptr when absent, or when it is none (then the problem is
  // recorded).
  const std::string* Text(const std::string& key, Found* found);
  void Record(const std::string& key, const std::string& value, const std::string& origin);
  std::string EnvironmentOf(std::string_view key) const;
  const std::string* EnvironmentValueOf(std::string_view key) const;
  std::unique_ptr<State> Child(const std::string& child_path, const std::string& child_prefix);
  void AddUnknownKeys(std::vector<ProblemLine>* out) const;
  // A near name in this mapping, else the same name elsewhere, else what is allowed here.
  std::string Suggestion(const std::string& key) const;

  // The frame of the getters of one value: parse(text) sets the result and returns "", or says what
  // is wrong.
  template <typename ParseText, typename Show>
  void Get(const std::string& key, ParseText parse, Show show) {
    Found found = Look(key);
    if (const std::string* text = Text(key, &found)) {
      const std::string wrong = parse(*text);
      if (!wrong.empty()) Bad(key, found, wrong);
    }
    Record(key, show(), found.origin);
  }
};

}  // namespace pmoves

#endif  // PMOVES_COMMON_IO_CONFIG_STATE_H_
