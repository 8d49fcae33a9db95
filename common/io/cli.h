// cli: the command line that both programs share: verbs with options, help, exit codes, `config
// validate|show`.
//
// A program declares its verbs as a table and hands it to RunCli (see main.cc of each). --help and
// --version never read the configuration; a usage error is one line, a hint and exit 2; a bad
// configuration prints every problem and exits 78. Data goes to stdout, everything else to stderr.
// Thread: main, before any other.
#ifndef PMOVES_COMMON_IO_CLI_H_
#define PMOVES_COMMON_IO_CLI_H_

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/io/common_config.h"
#include "common/io/config_file.h"

namespace pmoves {

inline constexpr int kExitOk = 0;
inline constexpr int kExitFailed = 1;
inline constexpr int kExitUsage = 2;
inline constexpr int kExitUnavailable = 69;  // a dependency is unavailable
inline constexpr int kExitConfig = 78;       // bad configuration; systemd does not restart it

// What was given on the command line.
class CliArgs {
 public:
  const std::string& program() const { return program_; }
  const std::string& config_path() const { return config_path_; }
  // REQUIRES: the verb declares the option.
  bool Flag(const std::string& name) const;  // "--json"
  std::optional<std::string> Value(
      const std::string& name) const;  // "--table", "ID"; the last one given
  std::vector<std::string> Values(const std::string& name) const;  // of an option with repeat
  // Opens the configuration with the environment of this process.
  absl::StatusOr<std::unique_ptr<ConfigSource>> OpenConfig() const;

 private:
  friend class CliParser;
  std::string program_;
  std::string config_path_;
  std::map<std::string, std::vector<std::string>> values_;  // of every declared option
};

struct CliOption {
  std::string
      name;  // "--json", "--table", or "ID": a word without dashes is an argument by position
  std::string value;  // what stands for the value in the help ("TABLE"); empty for a flag
  std::string help;
  bool required = false;
  bool repeat = false;  // may be given several times
};

struct CliVerb {
  std::string name;  // "run", or with its group: "dead-letters retry"
  std::string help;
  std::vector<CliOption> options;
  std::function<int(const CliArgs&)> run;
  std::vector<std::string> one_of;  // exactly one of these options must be given: {"ID", "--all"}
};

struct CliProgram {
  std::string name;     // "pmoves-sync-publisher"
  std::string summary;  // one sentence
  std::vector<std::string> examples;
  // Reads and checks everything, for `config validate` and `config show`.
  std::function<absl::Status(ConfigSource*)> check_config;
  std::vector<CliVerb> verbs;
};

// Parses, runs the verb and returns the exit code.
int RunCli(const CliProgram& program, int argc, const char* const* argv);

// Prints the problems, one per line, and returns kExitConfig.
int ConfigFailed(const absl::Status& status);
// Prints "<program>: <what>: <message>" and returns kExitUnavailable for kUnavailable and
// kDeadlineExceeded, else kExitFailed.
int VerbFailed(const CliArgs& args, const std::string& what, const absl::Status& status);

// PMOVES_SYNC_*, SYNC_* and all the rest of the environment of this process.
std::map<std::string, std::string> ProcessEnvironment();

void InitLogFor(const CliArgs& args, const LogSection& log);

// A verb that needs its configuration: loads it, starts the log, and calls body(config, args).
template <typename Config, typename Body>
std::function<int(const CliArgs&)> WithConfig(absl::StatusOr<Config> (*load)(ConfigSource*),
                                              Body body) {
  return [load, body](const CliArgs& args) -> int {
    absl::StatusOr<std::unique_ptr<ConfigSource>> source = args.OpenConfig();
    if (!source.ok()) return ConfigFailed(source.status());
    const absl::StatusOr<Config> config = load(source->get());
    if (!config.ok()) return ConfigFailed(config.status());
    InitLogFor(args, config->log);
    return body(*config, args);
  };
}

}  // namespace pmoves

#endif  // PMOVES_COMMON_IO_CLI_H_
