#include "common/io/config_state.h"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "absl/strings/str_format.h"
#include "common/io/config_values.h"
#include "common/io/nearest_name.h"

namespace pmoves {
namespace {

constexpr size_t kMaxFileBytes = 1 << 20;

}  // namespace

absl::StatusOr<std::string> ReadSmallFile(const std::string& path) {
  const std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen(path.c_str(), "rbe"), &std::fclose);
  if (file == nullptr) return absl::InvalidArgumentError(std::strerror(errno));
  std::string text(kMaxFileBytes + 1, '\0');
  errno = 0;
  text.resize(std::fread(text.data(), 1, text.size(), file.get()));
  if (std::ferror(file.get()) != 0) return absl::InvalidArgumentError(std::strerror(errno));
  if (text.size() > kMaxFileBytes) return absl::InvalidArgumentError("larger than 1 MiB");
  return text;
}

std::string KindOf(const YAML::Node& node) {
  if (node.IsMap()) return "a mapping";
  if (node.IsSequence()) return "a list";
  return node.IsNull() ? "nothing" : "a text";
}

std::string EnvironmentName(const std::string& prefix, std::string_view key) {
  std::string name = prefix;
  for (const char c : key) {
    name.push_back(static_cast<char>(std::toupper(static_cast<unsigned char>(c))));
  }
  return name;
}

std::string ConfigSource::State::At(int line) const {
  const std::string file = name.empty() ? "configuration" : name;
  return line == 0 ? file : absl::StrFormat("%s:%d", file, line);
}

void ConfigSource::State::AddAt(int line, const std::string& what) {
  problems.push_back({line, absl::StrFormat("%s: %s", At(line), what)});
}

Setting* ConfigSource::State::FindSetting(const std::string& key) {
  for (Setting& setting : settings) {
    if (setting.key == key) return &setting;
  }
  return nullptr;
}

const std::string* ConfigSource::State::EnvironmentValue(const std::string& variable) const {
  const auto found = environment.find(variable);
  return found == environment.end() || found->second.empty() ? nullptr : &found->second;
}

void ConfigReader::State::Fill(const YAML::Node& node) {
  for (const auto& pair : node) {
    const int line = pair.first.Mark().line + 1;
    if (!pair.first.IsScalar()) {
      const std::string place = path.empty() ? "" : path.substr(0, path.size() - 1) + ": ";
      source->AddAt(
          line, absl::StrFormat("%sa key must be a plain name, not %s", place, KindOf(pair.first)));
      continue;
    }
    const std::string key = pair.first.Scalar();
    const auto [place, added] = entries.emplace(key, Entry{pair.second, line});
    if (!added) {
      source->AddAt(line, absl::StrFormat("%s: duplicate key; first set in line %d", path + key,
                                          place->second.line));
    }
  }
}

std::string ConfigReader::State::EnvironmentOf(std::string_view key) const {
  return env_prefix.empty() ? "" : EnvironmentName(env_prefix, key);
}

const std::string* ConfigReader::State::EnvironmentValueOf(std::string_view key) const {
  return env_prefix.empty() ? nullptr : source->EnvironmentValue(EnvironmentOf(key));
}

void ConfigReader::State::Know(const std::string& key) {
  if (std::find(asked.begin(), asked.end(), key) != asked.end()) return;
  asked.push_back(key);
  source->known_paths.push_back(path + key);
  if (!env_prefix.empty()) source->known_environment.insert(EnvironmentOf(key));
}

Found ConfigReader::State::Look(const std::string& key) {
  Know(key);
  Found found;
  if (const std::string* value = EnvironmentValueOf(key)) {
    found.present = found.from_environment = true;
    found.text = *value;
    found.origin = "env " + EnvironmentOf(key);
    return found;
  }
  const auto entry = entries.find(key);
  if (entry == entries.end()) return found;
  found.present = true;
  found.node = entry->second.node;
  found.line = entry->second.line;
  found.origin = entry_origin.empty() ? source->At(found.line) : entry_origin;
  return found;
}

void ConfigReader::State::Bad(const std::string& key, const Found& found, const std::string& what) {
  if (found.from_environment) {
    source->problems.push_back({0, absl::StrFormat("%s: %s", found.origin, what)});
  } else if (!entry_origin.empty()) {
    source->problems.push_back({0, absl::StrFormat("%s: %s: %s", entry_origin, path + key, what)});
  } else {
    source->AddAt(found.line, absl::StrFormat("%s: %s", path + key, what));
  }
}

const std::string* ConfigReader::State::Text(const std::string& key, Found* found) {
  if (!found->present) return nullptr;
  if (found->from_environment) return &found->text;
  if (!found->node.IsScalar()) {
    Bad(key, *found, absl::StrFormat("must be a single value, found %s", KindOf(found->node)));
    return nullptr;
  }
  found->text = found->node.Scalar();
  return &found->text;
}

void ConfigReader::State::Record(const std::string& key, const std::string& value,
                                 const std::string& origin) {
  source->settings.push_back({path + key, MaskSecrets(value), origin});
}

std::unique_ptr<ConfigReader::State> ConfigReader::State::Child(const std::string& child_path,
                                                                const std::string& child_prefix) {
  auto child = std::make_unique<State>();
  child->source = source;
  child->path = child_path;
  child->env_prefix = child_prefix;
  child->entry_origin = entry_origin;
  return child;
}

void ConfigReader::State::AddUnknownKeys(std::vector<ProblemLine>* out) const {
  for (const auto& [key, entry] : entries) {
    if (std::find(asked.begin(), asked.end(), key) != asked.end()) continue;
    out->push_back({entry.line, absl::StrFormat("%s: %s: unknown key%s", source->At(entry.line),
                                                path + key, Suggestion(key))});
  }
  for (const auto& [key, section] : sections) section->state_->AddUnknownKeys(out);
  for (const auto& entry : list_entries) entry->state_->AddUnknownKeys(out);
}

std::string ConfigReader::State::Suggestion(const std::string& key) const {
  const std::string near = DidYouMean(key, asked);
  if (!near.empty()) return near;
  for (const std::string& known : source->known_paths) {
    const size_t dot = known.rfind('.');
    if (dot != std::string::npos && known.substr(dot + 1) == key) {
      return absl::StrFormat("; did you mean '%s'?", known);
    }
    if (dot != std::string::npos && known == path + key) {
      return absl::StrFormat("; write '%s' below '%s:'", known.substr(dot + 1),
                             known.substr(0, dot));
    }
  }
  return "; allowed here: " + JoinCommas(asked);
}

}  // namespace pmoves
