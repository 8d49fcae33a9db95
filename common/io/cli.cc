#include "common/io/cli.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>

#include "absl/strings/str_format.h"
#include "common/base/check.h"
#include "common/base/status.h"
#include "common/io/json_text.h"
#include "common/io/log.h"
#include "common/io/nearest_name.h"

#ifndef PMOVES_SYNC_VERSION
#define PMOVES_SYNC_VERSION "unknown"
#endif

namespace pmoves {
namespace {

int ValidateConfig(const CliProgram& program, const CliArgs& args) {
  absl::StatusOr<std::unique_ptr<ConfigSource>> source = args.OpenConfig();
  if (!source.ok()) return ConfigFailed(source.status());
  const absl::Status status = program.check_config(source->get());
  if (!status.ok()) return ConfigFailed(status);
  std::printf("%s: valid\n",
              args.config_path().empty() ? "environment" : args.config_path().c_str());
  return kExitOk;
}

void PrintSettings(const std::vector<Setting>& settings, bool json) {
  if (json) {
    std::string out = "[";
    for (const Setting& setting : settings) {
      out.append(out.size() == 1 ? "\n" : ",\n");
      out.append(absl::StrFormat("  {\"key\":%s,\"value\":%s,\"origin\":%s}", JsonText(setting.key),
                                 JsonText(setting.value), JsonText(setting.origin)));
    }
    std::printf("%s\n]\n", out.c_str());
    return;
  }
  size_t key_width = 0;
  size_t value_width = 0;
  for (const Setting& setting : settings) {
    key_width = std::max(key_width, setting.key.size());
    value_width = std::max(value_width, std::min<size_t>(setting.value.size(), 40));
  }
  for (const Setting& setting : settings) {
    std::printf("%-*s  %-*s  %s\n", static_cast<int>(key_width), setting.key.c_str(),
                static_cast<int>(value_width), setting.value.c_str(), setting.origin.c_str());
  }
}

// Shows what there is even when it is not valid: that is when one needs it most.
int ShowConfig(const CliProgram& program, const CliArgs& args) {
  absl::StatusOr<std::unique_ptr<ConfigSource>> source = args.OpenConfig();
  if (!source.ok()) return ConfigFailed(source.status());
  const absl::Status status = program.check_config(source->get());
  PrintSettings((*source)->settings(), args.Flag("--json"));
  return status.ok() ? kExitOk : ConfigFailed(status);
}

std::vector<CliVerb> AllVerbs(const CliProgram& program) {
  std::vector<CliVerb> verbs = program.verbs;
  verbs.push_back({"config validate",
                   "check the configuration without connecting to anything",
                   {},
                   [&program](const CliArgs& args) { return ValidateConfig(program, args); },
                   {}});
  verbs.push_back({"config show",
                   "print every setting with its value and where it comes from; secrets are masked",
                   {{"--json", "", "as JSON"}},
                   [&program](const CliArgs& args) { return ShowConfig(program, args); },
                   {}});
  return verbs;
}

bool IsPositional(const CliOption& option) { return option.name.rfind("--", 0) != 0; }

}  // namespace

// CliParser: one use of CLI11: declares the verbs, parses, runs the chosen one.
class CliParser {
 public:
  explicit CliParser(const CliProgram& program)
      : program_(program), verbs_(AllVerbs(program)), given_(verbs_.size()) {
    app_.name(program.name);
    app_.description(Describe());
    app_.set_help_flag("-h,--help", "show this help and exit");
    app_.set_version_flag("--version", program.name + " " + PMOVES_SYNC_VERSION,
                          "show the version and exit");
    app_.add_option("-c,--config", config_path_, "configuration file; else $PMOVES_SYNC_CONFIG")
        ->type_name("PATH");
    app_.require_subcommand(1);
    app_.get_formatter()->column_width(34);
    for (size_t i = 0; i < verbs_.size(); ++i) Declare(i);
  }

  int Run(int argc, const char* const* argv) {
    try {
      app_.parse(argc, argv);
    } catch (const CLI::Success& e) {
      return app_.exit(e);  // --help, --version: to stdout
    } catch (const CLI::ParseError& e) {
      return Usage(e);
    }
    for (size_t i = 0; i < verbs_.size(); ++i) {
      if (commands_[i]->parsed()) return RunVerb(i);
    }
    return kExitUsage;
  }

 private:
  struct Given {
    std::map<std::string, std::vector<std::string>> values;
    std::map<std::string, bool> flags;
  };

  std::string Describe() const {
    std::string text = program_.summary + "\n\nExamples:";
    for (const std::string& example : program_.examples) text.append("\n  ").append(example);
    return text + "\n";
  }

  CLI::App* Group(const std::string& name) {
    for (CLI::App* existing : app_.get_subcommands([](CLI::App*) { return true; })) {
      if (existing->get_name() == name) return existing;
    }
    CLI::App* group = app_.add_subcommand(name);
    group->require_subcommand(1);
    group->fallthrough();
    return group;
  }

  void Declare(size_t index) {
    const CliVerb& verb = verbs_[index];
    const size_t space = verb.name.find(' ');
    CLI::App* parent = space == std::string::npos ? &app_ : Group(verb.name.substr(0, space));
    CLI::App* command = parent->add_subcommand(
        space == std::string::npos ? verb.name : verb.name.substr(space + 1), verb.help);
    command->fallthrough();  // so that --config may stand behind the verb
    command->footer("Also: -c,--config PATH, as for every verb");
    if (parent != &app_) {
      // The group's own line in the help says what is in it.
      const std::string so_far = parent->get_description();
      parent->description(so_far + (so_far.empty() ? "" : ", ") + command->get_name());
    }
    commands_.push_back(command);
    for (const CliOption& option : verb.options) DeclareOption(command, option, &given_[index]);
  }

  static void DeclareOption(CLI::App* command, const CliOption& option, Given* given) {
    if (option.value.empty() && !IsPositional(option)) {
      command->add_flag(option.name, given->flags[option.name], option.help);
      return;
    }
    CLI::Option* declared =
        command->add_option(option.name, given->values[option.name], option.help);
    declared->type_name(IsPositional(option) ? "" : option.value);
    declared->expected(1);
    if (option.required) declared->required();
    if (option.repeat) declared->take_all();
  }

  bool IsGiven(const Given& given, const std::string& name) const {
    const auto flag = given.flags.find(name);
    if (flag != given.flags.end()) return flag->second;
    const auto values = given.values.find(name);
    return values != given.values.end() && !values->second.empty();
  }

  int RunVerb(size_t index) {
    const CliVerb& verb = verbs_[index];
    const Given& given = given_[index];
    if (!verb.one_of.empty()) {
      int count = 0;
      std::string names;
      for (const std::string& name : verb.one_of) {
        count += IsGiven(given, name) ? 1 : 0;
        names.append(names.empty() ? "" : " or ").append(name);
      }
      if (count != 1) {
        return Complain(absl::StrFormat("%s needs exactly one of %s", verb.name, names), verb.name);
      }
    }
    CliArgs args;
    args.program_ = program_.name;
    const char* from_environment = std::getenv("PMOVES_SYNC_CONFIG");
    args.config_path_ =
        config_path_.empty() && from_environment != nullptr ? from_environment : config_path_;
    args.values_ = given.values;
    for (const auto& [name, value] : given.flags) {
      if (value)
        args.values_[name] = {"true"};
      else
        args.values_[name] = {};
    }
    return verb.run(args);
  }

  int Complain(const std::string& what, const std::string& verb) const {
    std::fprintf(stderr, "%s: %s\nTry '%s%s --help'.\n", program_.name.c_str(), what.c_str(),
                 program_.name.c_str(), verb.empty() ? "" : (" " + verb).c_str());
    return kExitUsage;
  }

  // One line and a hint, with the nearest verb or option for what CLI11 only calls "not expected".
  int Usage(const CLI::ParseError& error) {
    const CLI::App* app = &app_;
    std::string verb;
    while (!app->get_subcommands().empty()) {
      app = app->get_subcommands().front();
      verb.append(verb.empty() ? "" : " ").append(app->get_name());
    }
    const std::vector<std::string> unknown = app_.remaining(true);
    std::vector<std::string> names;
    for (const CLI::App* command : app->get_subcommands([](const CLI::App*) { return true; })) {
      names.push_back(command->get_name());
    }
    if (unknown.empty()) {
      if (!names.empty()) {
        return Complain(verb.empty() ? "a verb is missing" : verb + ": a verb is missing", verb);
      }
      return Complain(error.what(), verb);
    }
    if (unknown[0].rfind('-', 0) == 0) {
      std::vector<std::string> options = {"--config", "--help", "--version"};
      for (const CLI::Option* option : app->get_options()) options.push_back(option->get_name());
      return Complain(
          absl::StrFormat("unknown option '%s'%s", unknown[0], DidYouMean(unknown[0], options)),
          verb);
    }
    const std::string kind = names.empty() ? "unexpected argument" : "unknown verb";
    return Complain(absl::StrFormat("%s '%s'%s", kind, unknown[0], DidYouMean(unknown[0], names)),
                    verb);
  }

  const CliProgram& program_;
  CLI::App app_;
  std::string config_path_;
  std::vector<CliVerb> verbs_;
  std::vector<CLI::App*> commands_;
  std::vector<Given> given_;  // sized once: CLI11 keeps pointers into it
};

int RunCli(const CliProgram& program, int argc, const char* const* argv) {
  return CliParser(program).Run(argc, argv);
}

bool CliArgs::Flag(const std::string& name) const {
  const auto found = values_.find(name);
  PMOVES_CHECK(found != values_.end());
  return !found->second.empty();
}

std::optional<std::string> CliArgs::Value(const std::string& name) const {
  const auto found = values_.find(name);
  PMOVES_CHECK(found != values_.end());
  if (found->second.empty()) return std::nullopt;
  return found->second.back();
}

std::vector<std::string> CliArgs::Values(const std::string& name) const {
  const auto found = values_.find(name);
  PMOVES_CHECK(found != values_.end());
  return found->second;
}

absl::StatusOr<std::unique_ptr<ConfigSource>> CliArgs::OpenConfig() const {
  return ConfigSource::Open(config_path_, ProcessEnvironment());
}

int ConfigFailed(const absl::Status& status) {
  std::fprintf(stderr, "%s\n", MessageOf(status).c_str());
  return kExitConfig;
}

int VerbFailed(const CliArgs& args, const std::string& what, const absl::Status& status) {
  std::fprintf(stderr, "%s: %s: %s\n", args.program().c_str(), what.c_str(),
               MessageOf(status).c_str());
  const bool away = absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status);
  return away ? kExitUnavailable : kExitFailed;
}

std::map<std::string, std::string> ProcessEnvironment() {
  std::map<std::string, std::string> variables;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string text = *entry;
    const size_t equals = text.find('=');
    if (equals != std::string::npos)
      variables.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return variables;
}

void InitLogFor(const CliArgs& args, const LogSection& log) {
  InitLog(args.program(), log.level, log.format);
}

}  // namespace pmoves
