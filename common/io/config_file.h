// config_file: strict YAML with environment overrides.
//
// yaml-cpp alone keeps duplicate keys, reads "off" as false and throws "bad conversion" without a
// line; so the tree is walked here: each key is asked for once by a typed getter, and at the end
// every key nobody asked for is an error with its line and the nearest valid name. Precedence:
// environment > file > names of the services > default. PMOVES_SYNC_<SECTION>__<KEY> for
// section.key (PMOVES_SYNC_<KEY> at the top level); <NAME>_FILE reads a secret from a file. An
// empty variable counts as absent.
// Invariant: no problem text and no setting holds a secret.
// Thread: start-up only.
#ifndef PMOVES_COMMON_IO_CONFIG_FILE_H_
#define PMOVES_COMMON_IO_CONFIG_FILE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace pmoves {

// Where settings come from, for `config show`.
struct Setting {
  std::string key;     // "postgres.dsn"
  std::string value;   // as text; secrets are "********"; a password inside a DSN is masked
  std::string origin;  // "default", "file.yaml:12", "env PMOVES_SYNC_POSTGRES__DSN"
};

class ConfigReader;

class ConfigSource {
 public:
  // kInvalidArgument: the file cannot be read or is not YAML (with line). An empty path:
  // environment only.
  static absl::StatusOr<std::unique_ptr<ConfigSource>> Open(
      const std::string& path, std::map<std::string, std::string> environment);
  // The same for text that is not in a file; `name` stands for it in messages.
  static absl::StatusOr<std::unique_ptr<ConfigSource>> Parse(
      const std::string& name, const std::string& text,
      std::map<std::string, std::string> environment);
  ~ConfigSource();

  ConfigReader& root();
  // After all getters ran: kInvalidArgument with ALL problems, one per line
  // ("file.yaml:7: postgres.slto: unknown key; did you mean 'slot'?"), or OK.
  absl::Status Finish();
  const std::vector<Setting>& settings() const;
  // An environment variable of the services ("SYNC_TABLES"), if set and not empty. Its use is
  // recorded for `config show`.
  std::optional<std::string> Environment(const std::string& name);
  // Adds a problem. `where` is "file:line" or "env NAME".
  void Problem(const std::string& where, const std::string& what);
  // Says what really holds for a key that Environment() gave a value: replaces its value and origin
  // in settings().
  void Effective(const std::string& key, const std::string& value, const std::string& origin);
  // Adds a remark to the origin of a variable that Environment() returned: "environment
  // (<remark>)".
  void Remark(const std::string& name, const std::string& remark);

 private:
  struct State;
  explicit ConfigSource(std::unique_ptr<State> state);
  friend class ConfigReader;
  std::unique_ptr<State> state_;
};

// A mapping of the file. Getters leave *out untouched (its default) when the key is absent, and
// record a problem when the value is bad.
class ConfigReader {
 public:
  ~ConfigReader();
  void String(const char* key, std::string* out);
  // Also <ENV>_FILE and key_file: path; at most one of the two forms at each level.
  void Secret(const char* key, std::string* out);
  void Bool(const char* key, bool* out);  // true | false only
  void Int(const char* key, int64_t min, int64_t max, int64_t* out);
  void Int(const char* key, int min, int max, int* out);
  // Needs a unit: 256KiB, 8GiB, 10MB, 512B.
  void Bytes(const char* key, int64_t min, int64_t max, int64_t* out);
  // Needs a unit: 150s, 200ms, 5m, 1h; 0 is allowed bare.
  void Duration(const char* key, absl::Duration min, absl::Duration max, absl::Duration* out);
  // A sequence; from the environment: comma separated.
  void StringList(const char* key, std::vector<std::string>* out);
  // One of `allowed`; *out is its index.
  void Choice(const char* key, const std::vector<std::string>& allowed, int* out);
  // A nested mapping; an empty reader if absent. Valid as long as the source.
  ConfigReader& Section(const char* key);
  // Entries of a sequence of mappings; a bare string entry is read as {bare_key: string}. From the
  // environment: bare entries, comma separated.
  std::vector<ConfigReader*> SectionList(const char* key, const char* bare_key);
  // The keys of this mapping, where the operator chooses them (columns). In no order of the file.
  std::vector<std::string> Keys() const;
  bool Has(const char* key) const;  // in file or environment
  std::string Where(
      const char* key) const;      // "file.yaml:12" or "env ..." for ConfigSource::Problem()
  void Required(const char* key);  // a problem if absent
  // A problem at the place of the key (of entry `index` of its list), naming the key.
  void Problem(const char* key, const std::string& what);
  void Problem(const char* key, size_t index, const std::string& what);
  // Adds a remark to the origin of a setting that was read: "f.yaml:7 (<remark>)".
  void Remark(const char* key, const std::string& remark);

 private:
  friend class ConfigSource;
  struct State;
  explicit ConfigReader(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace pmoves

#endif  // PMOVES_COMMON_IO_CONFIG_FILE_H_
