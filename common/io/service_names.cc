#include "common/io/service_names.h"

#include "absl/strings/str_format.h"
#include "common/io/config_values.h"
#include "common/io/table_name.h"

namespace pmoves {
namespace {

constexpr int64_t kMaxBatchSize = 1000000;
constexpr int64_t kMaxIntervalSeconds = 24 * 3600;

void Bad(ConfigSource* source, const char* name, const std::string& what) {
  source->Problem(std::string("env ") + name, what);
}

std::optional<int64_t> Number(ConfigSource* source, const char* name, int64_t max) {
  const std::optional<std::string> text = source->Environment(name);
  if (!text.has_value()) return std::nullopt;
  int64_t value = 0;
  const std::string wrong = ParseInt(*text, 1, max, &value);
  if (wrong.empty()) return value;
  Bad(source, name, wrong);
  return std::nullopt;
}

std::optional<bool> Boolean(ConfigSource* source, const char* name) {
  const std::optional<std::string> text = source->Environment(name);
  if (!text.has_value()) return std::nullopt;
  bool value = false;
  const std::string wrong = ParseBool(*text, &value);
  if (wrong.empty()) return value;
  Bad(source, name, wrong);
  return std::nullopt;
}

std::optional<std::string> OneOf(ConfigSource* source, const char* name,
                                 const std::vector<std::string>& allowed) {
  const std::optional<std::string> text = source->Environment(name);
  if (!text.has_value()) return std::nullopt;
  int index = 0;
  const std::string wrong = ParseChoice(*text, allowed, &index);
  if (wrong.empty()) return text;
  Bad(source, name, wrong);
  return std::nullopt;
}

std::optional<std::vector<std::string>> Tables(ConfigSource* source) {
  const std::optional<std::string> text = source->Environment("SYNC_TABLES");
  if (!text.has_value()) return std::nullopt;
  const std::vector<std::string> tables = SplitCommas(*text);
  if (tables.empty()) Bad(source, "SYNC_TABLES", "names no table; write for example jobs,results");
  return tables;
}

}  // namespace

const std::vector<std::string>& ConflictResolutions() {
  static const std::vector<std::string>* const rules = new std::vector<std::string>{
      "last-write-wins", "first-write-wins", "append-only", "keep-central", "manual"};
  return *rules;
}

ServiceNames ReadServiceNames(ConfigSource* source) {
  ServiceNames names;
  names.mode = OneOf(source, "SUPABASE_MODE", {"standalone", "integrated", "dual-write"});
  names.enabled = Boolean(source, "SYNC_ENABLED");
  names.tables = Tables(source);
  names.batch_size = Number(source, "SYNC_BATCH_SIZE", kMaxBatchSize);
  names.conflict = OneOf(source, "CONFLICT_RESOLUTION", ConflictResolutions());
  names.service = source->Environment("SERVICE_NAME");

  // The founding worker polled; here changes flow as they are committed, so an interval has nothing
  // to set.
  for (const char* name : {"SYNC_INTERVAL_SECONDS", "SYNC_INTERVAL"}) {
    Number(source, name, kMaxIntervalSeconds);
    source->Remark(name, "no effect: replication is continuous");
  }
  OneOf(source, "SYNC_STRATEGY", {"write-through", "write-behind"});
  source->Remark("SYNC_STRATEGY", "no effect: changes are read from the log behind every commit");
  OneOf(source, "SYNC_FALLBACK", {"queue-and-retry"});
  source->Remark("SYNC_FALLBACK", "always so: changes wait in the WAL and the stream");
  Boolean(source, "OFFLINE_MODE");
  source->Remark("OFFLINE_MODE", "no effect: working offline needs no switch");
  return names;
}

}  // namespace pmoves
