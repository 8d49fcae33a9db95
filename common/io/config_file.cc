#include "common/io/config_file.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "absl/strings/str_format.h"
#include "common/base/status.h"
#include "common/io/config_state.h"
#include "common/io/config_values.h"
#include "common/io/nearest_name.h"

namespace pmoves {
namespace {

constexpr char kPrefix[] = "PMOVES_SYNC_";
constexpr char kConfigPathVariable[] = "PMOVES_SYNC_CONFIG";
constexpr int64_t kFormatVersion = 1;

}  // namespace

ConfigSource::ConfigSource(std::unique_ptr<State> state) : state_(std::move(state)) {}
ConfigSource::~ConfigSource() = default;
ConfigReader& ConfigSource::root() { return *state_->root; }
const std::vector<Setting>& ConfigSource::settings() const { return state_->settings; }

absl::StatusOr<std::unique_ptr<ConfigSource>> ConfigSource::State::Make(
    const std::string& source_name, const YAML::Node& node,
    std::map<std::string, std::string> variables) {
  std::unique_ptr<ConfigSource> source(new ConfigSource(std::make_unique<State>()));
  State& state = *source->state_;
  state.name = source_name;
  state.known_environment = {kConfigPathVariable};
  state.environment = std::move(variables);
  auto root = std::make_unique<ConfigReader::State>();
  root->source = &state;
  root->env_prefix = kPrefix;
  if (node.IsMap()) {
    root->Fill(node);
  } else if (!node.IsNull()) {
    return absl::InvalidArgumentError(
        absl::StrFormat("%s: must be a mapping (key: value), found %s", source_name, KindOf(node)));
  }
  state.root.reset(new ConfigReader(std::move(root)));
  int64_t version = kFormatVersion;
  if (!source_name.empty() && !state.root->Has("version")) {
    state.AddAt(0, "version: missing; begin the file with 'version: 1'");
  }
  state.root->state_->Get(
      "version",
      [&](const std::string& text) -> std::string {
        const std::string wrong = ParseInt(text, kFormatVersion, kFormatVersion, &version);
        return wrong.empty() ? ""
                             : absl::StrFormat(
                                   "'%s' is not a version that this program reads; "
                                   "write 'version: 1'",
                                   text);
      },
      [&] { return absl::StrFormat("%d", version); });
  return source;
}

absl::StatusOr<std::unique_ptr<ConfigSource>> ConfigSource::Parse(
    const std::string& name, const std::string& text,
    std::map<std::string, std::string> environment) {
  try {
    const std::vector<YAML::Node> documents = YAML::LoadAll(text);
    if (documents.size() > 1) {
      return absl::InvalidArgumentError(name + ": more than one YAML document (---) in one file");
    }
    const YAML::Node node = documents.empty() ? YAML::Node() : documents[0];
    return State::Make(name, node, std::move(environment));
  } catch (const YAML::Exception& e) {
    return absl::InvalidArgumentError(
        absl::StrFormat("%s:%d: not valid YAML: %s", name, e.mark.line + 1, e.msg));
  }
}

absl::StatusOr<std::unique_ptr<ConfigSource>> ConfigSource::Open(
    const std::string& path, std::map<std::string, std::string> environment) {
  if (path.empty()) return State::Make("", YAML::Node(), std::move(environment));
  const absl::StatusOr<std::string> text = ReadSmallFile(path);
  if (!text.ok()) {
    return absl::InvalidArgumentError(
        absl::StrFormat("%s: cannot be read: %s", path, MessageOf(text.status())));
  }
  return Parse(path, *text, std::move(environment));
}

void ConfigSource::State::AddUnknownEnvironment(std::vector<ProblemLine>* out) const {
  const std::vector<std::string> known(known_environment.begin(), known_environment.end());
  for (const auto& [variable, value] : environment) {
    if (variable.rfind(kPrefix, 0) != 0 || known_environment.count(variable) > 0) continue;
    std::string hint = DidYouMean(variable, known);
    // PMOVES_SYNC_DSN, where PMOVES_SYNC_POSTGRES__DSN was meant.
    const std::string tail = "__" + variable.substr(std::strlen(kPrefix));
    for (const std::string& candidate : known) {
      const bool ends = candidate.size() > tail.size() &&
                        candidate.compare(candidate.size() - tail.size(), tail.size(), tail) == 0;
      if (ends) hint = absl::StrFormat("; did you mean '%s'?", candidate);
    }
    out->push_back({0, absl::StrFormat("env %s: unknown variable%s", variable, hint)});
  }
}

absl::Status ConfigSource::Finish() {
  std::vector<ProblemLine> problems = state_->problems;
  state_->root->state_->AddUnknownKeys(&problems);
  state_->AddUnknownEnvironment(&problems);
  if (problems.empty()) return absl::OkStatus();
  // In the order of the file; what has no line comes last.
  std::stable_sort(problems.begin(), problems.end(), [](const auto& a, const auto& b) {
    return (a.line == 0 ? INT32_MAX : a.line) < (b.line == 0 ? INT32_MAX : b.line);
  });
  std::string all;
  for (const ProblemLine& problem : problems) {
    all.append(all.empty() ? "" : "\n").append(problem.text);
  }
  return absl::InvalidArgumentError(all);
}

std::optional<std::string> ConfigSource::Environment(const std::string& name) {
  const std::string* value = state_->EnvironmentValue(name);
  if (value == nullptr) return std::nullopt;
  if (state_->FindSetting(name) == nullptr) {
    state_->settings.push_back({name, MaskSecrets(*value), "environment"});
  }
  return *value;
}

void ConfigSource::Problem(const std::string& where, const std::string& what) {
  const size_t colon = where.rfind(':');
  const bool in_file = colon != std::string::npos && where.compare(0, colon, state_->name) == 0;
  const int line = in_file ? std::atoi(where.c_str() + colon + 1) : 0;
  state_->problems.push_back({line, absl::StrFormat("%s: %s", where, what)});
}

void ConfigSource::Effective(const std::string& key, const std::string& value,
                             const std::string& origin) {
  if (Setting* setting = state_->FindSetting(key)) {
    setting->value = MaskSecrets(value);
    setting->origin = origin;
  }
}

void ConfigSource::Remark(const std::string& name, const std::string& remark) {
  if (Setting* setting = state_->FindSetting(name)) {
    setting->origin = absl::StrFormat("environment (%s)", remark);
  }
}

}  // namespace pmoves
