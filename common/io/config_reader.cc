#include <yaml-cpp/yaml.h>

#include "absl/strings/str_format.h"
#include "common/base/status.h"
#include "common/io/config_file.h"
#include "common/io/config_state.h"
#include "common/io/config_values.h"
#include "common/io/mask.h"

namespace pmoves {

ConfigReader::ConfigReader(std::unique_ptr<State> state) : state_(std::move(state)) {}
ConfigReader::~ConfigReader() = default;

void ConfigReader::String(const char* key, std::string* out) {
  state_->Get(
      key, [&](const std::string& text) { return *out = text, std::string(); },
      [&] { return *out; });
}

void ConfigReader::Bool(const char* key, bool* out) {
  state_->Get(
      key, [&](const std::string& text) { return ParseBool(text, out); },
      [&] { return std::string(*out ? "true" : "false"); });
}

void ConfigReader::Int(const char* key, int64_t min, int64_t max, int64_t* out) {
  state_->Get(
      key, [&](const std::string& text) { return ParseInt(text, min, max, out); },
      [&] { return absl::StrFormat("%d", *out); });
}

void ConfigReader::Int(const char* key, int min, int max, int* out) {
  int64_t value = *out;
  Int(key, int64_t{min}, int64_t{max}, &value);
  *out = static_cast<int>(value);
}

void ConfigReader::Bytes(const char* key, int64_t min, int64_t max, int64_t* out) {
  state_->Get(
      key, [&](const std::string& text) { return ParseBytes(text, min, max, out); },
      [&] { return BytesText(*out); });
}

void ConfigReader::Duration(const char* key, absl::Duration min, absl::Duration max,
                            absl::Duration* out) {
  state_->Get(
      key, [&](const std::string& text) { return ParseDuration(text, min, max, out); },
      [&] { return DurationText(*out); });
}

void ConfigReader::Choice(const char* key, const std::vector<std::string>& allowed, int* out) {
  state_->Get(
      key, [&](const std::string& text) { return ParseChoice(text, allowed, out); },
      [&] { return allowed[static_cast<size_t>(*out)]; });
}

void ConfigReader::Secret(const char* key, std::string* out) {
  const std::string file_key = std::string(key) + "_file";
  Found direct = state_->Look(key);
  Found by_file = state_->Look(file_key);
  const std::string* text = state_->Text(key, &direct);
  const std::string* path = state_->Text(file_key, &by_file);
  if (direct.present && by_file.present && direct.from_environment == by_file.from_environment) {
    state_->Bad(key, direct, absl::StrFormat("set only one of %s and %s", key, file_key));
    path = nullptr;
  } else if (direct.from_environment) {
    path = nullptr;  // the environment wins over a file named in the file
  } else if (by_file.from_environment) {
    text = nullptr;
  }
  if (text != nullptr) *out = *text;
  if (path != nullptr) {
    absl::StatusOr<std::string> content = ReadSmallFile(*path);
    if (!content.ok()) {
      state_->Bad(file_key, by_file,
                  absl::StrFormat("'%s' cannot be read: %s", *path, MessageOf(content.status())));
    } else {
      // Editors and `echo` end the file with a line break that is no part of the secret.
      while (!content->empty() && (content->back() == '\n' || content->back() == '\r')) {
        content->pop_back();
      }
      if (content->empty()) {
        state_->Bad(file_key, by_file, absl::StrFormat("'%s' is empty", *path));
      }
      *out = *content;
    }
  }
  state_->Record(key, out->empty() ? "" : kMasked,
                 path != nullptr ? by_file.origin : direct.origin);
  state_->Record(file_key, path != nullptr ? *path : "", by_file.origin);
}

void ConfigReader::StringList(const char* key, std::vector<std::string>* out) {
  Found found = state_->Look(key);
  if (found.from_environment) {
    *out = SplitCommas(found.text);
  } else if (found.present && !found.node.IsSequence()) {
    state_->Bad(key, found,
                absl::StrFormat("must be a list such as [a, b], found %s", KindOf(found.node)));
  } else if (found.present) {
    out->clear();
    for (const YAML::Node& item : found.node) {
      if (item.IsScalar()) {
        out->push_back(item.Scalar());
      } else {
        found.line = item.Mark().line + 1;
        state_->Bad(key, found, absl::StrFormat("entries must be texts, found %s", KindOf(item)));
      }
    }
  }
  state_->Record(key, JoinCommas(*out), found.origin);
}

ConfigReader& ConfigReader::Section(const char* key) {
  const auto existing = state_->sections.find(key);
  if (existing != state_->sections.end()) return *existing->second;
  const std::string prefix =
      state_->env_prefix.empty() ? "" : EnvironmentName(state_->env_prefix, key) + "__";
  std::unique_ptr<State> child = state_->Child(state_->path + key + ".", prefix);
  state_->asked.push_back(key);
  const auto entry = state_->entries.find(key);
  if (entry != state_->entries.end() && entry->second.node.IsMap()) {
    child->Fill(entry->second.node);
  } else if (entry != state_->entries.end() && !entry->second.node.IsNull()) {
    child->broken = true;
    state_->source->AddAt(entry->second.line,
                          absl::StrFormat("%s: must be a mapping (key: value), found %s",
                                          state_->path + key, KindOf(entry->second.node)));
  }
  auto& section = state_->sections[key];
  section.reset(new ConfigReader(std::move(child)));
  return *section;
}

std::vector<ConfigReader*> ConfigReader::SectionList(const char* key, const char* bare_key) {
  Found found = state_->Look(key);
  YAML::Node items = found.node;
  if (found.from_environment) {
    items = YAML::Node(YAML::NodeType::Sequence);
    for (const std::string& part : SplitCommas(found.text)) items.push_back(part);
  } else if (found.present && !found.node.IsSequence()) {
    state_->Bad(key, found, absl::StrFormat("must be a list, found %s", KindOf(found.node)));
    return {};
  } else if (!found.present) {
    return {};
  }
  std::vector<ConfigReader*> readers;
  for (const YAML::Node& item : items) {
    std::unique_ptr<State> child =
        state_->Child(absl::StrFormat("%s%s[%d].", state_->path, key, readers.size()), "");
    if (found.from_environment) child->entry_origin = found.origin;
    const int line = item.Mark().line + 1;
    if (item.IsScalar()) {
      child->entries.emplace(bare_key, State::Entry{item, line});
    } else if (item.IsMap()) {
      child->Fill(item);
    } else {
      child->broken = true;
      found.line = line;
      state_->Bad(key, found,
                  absl::StrFormat("entries must be texts or mappings, found %s", KindOf(item)));
    }
    state_->list_entries.emplace_back(new ConfigReader(std::move(child)));
    readers.push_back(state_->list_entries.back().get());
  }
  return readers;
}

std::vector<std::string> ConfigReader::Keys() const {
  std::vector<std::string> keys;
  for (const auto& [key, entry] : state_->entries) keys.push_back(key);
  return keys;
}

bool ConfigReader::Has(const char* key) const {
  return state_->EnvironmentValueOf(key) != nullptr || state_->entries.count(key) > 0;
}

std::string ConfigReader::Where(const char* key) const {
  if (state_->EnvironmentValueOf(key) != nullptr) return "env " + state_->EnvironmentOf(key);
  if (!state_->entry_origin.empty()) return state_->entry_origin;
  const auto entry = state_->entries.find(key);
  return state_->source->At(entry == state_->entries.end() ? 0 : entry->second.line);
}

void ConfigReader::Required(const char* key) {
  if (state_->broken || Has(key)) return;
  const std::string variable = state_->EnvironmentOf(key);
  state_->source->AddAt(
      0, absl::StrFormat("%s: missing%s", state_->path + key,
                         variable.empty() ? "" : "; set it in the file or as " + variable));
}

void ConfigReader::Problem(const char* key, const std::string& what) {
  state_->Bad(key, state_->Look(key), what);
}

void ConfigReader::Problem(const char* key, size_t index, const std::string& what) {
  Found found = state_->Look(key);
  if (!found.from_environment && found.node.IsSequence() && index < found.node.size()) {
    found.line = found.node[index].Mark().line + 1;
  }
  state_->Bad(key, found, what);
}

void ConfigReader::Remark(const char* key, const std::string& remark) {
  if (Setting* setting = state_->source->FindSetting(state_->path + key)) {
    setting->origin += absl::StrFormat(" (%s)", remark);
  }
}

}  // namespace pmoves
