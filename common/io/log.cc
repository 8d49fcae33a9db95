#include "common/io/log.h"

#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <vector>

#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "common/base/mutex.h"
#include "common/io/json_text.h"
#include "common/io/repeat_limiter.h"

namespace pmoves {
namespace {

struct Logger {
  std::string program;
  bool json = false;
  std::unique_ptr<spdlog::logger> out;
  Logger* replaced = nullptr;  // kept: another thread may still be writing through it
  Mutex mutex;
  RepeatLimiter limiter ABSL_GUARDED_BY(mutex);
};

std::unique_ptr<Logger> MakeLogger(std::string_view program, spdlog::level::level_enum level,
                                   bool json) {
  auto logger = std::make_unique<Logger>();
  logger->program = std::string(program);
  logger->json = json;
  logger->out =
      std::make_unique<spdlog::logger>("pmoves", std::make_shared<spdlog::sinks::stderr_sink_mt>());
  // The whole line is made here; spdlog filters, locks and writes it.
  logger->out->set_formatter(
      std::make_unique<spdlog::pattern_formatter>("%v", spdlog::pattern_time_type::utc, "\n"));
  logger->out->set_level(level);
  return logger;
}

// Never freed: threads may log while the process exits.
std::atomic<Logger*>& Current() {
  static std::atomic<Logger*> current{
      MakeLogger("pmoves-sync", spdlog::level::info, false).release()};
  return current;
}

spdlog::level::level_enum LevelOf(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarn:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
  }
  return spdlog::level::info;
}

spdlog::level::level_enum LevelOf(std::string_view name) {
  if (name == "debug") return spdlog::level::debug;
  if (name == "warn") return spdlog::level::warn;
  if (name == "error") return spdlog::level::err;
  return spdlog::level::info;
}

struct LevelNames {
  const char* json;
  const char* text;
};

LevelNames NamesOf(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return {"debug", "DEBUG"};
    case LogLevel::kInfo:
      return {"info", "INFO "};
    case LogLevel::kWarn:
      return {"warn", "WARN "};
    case LogLevel::kError:
      return {"error", "ERROR"};
  }
  return {"info", "INFO "};
}

bool NeedsQuotes(std::string_view value) {
  if (value.empty()) return true;
  for (const char c : value) {
    if (c == ' ' || c == '"' || c == '=' || static_cast<unsigned char>(c) < 0x20) return true;
  }
  return false;
}

std::string Timestamp() {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", absl::Now(), absl::UTCTimeZone());
}

std::string JsonLine(const Logger& logger, LogLevel level, const char* event,
                     std::string_view message, const LogField* fields, size_t count) {
  std::string line = absl::StrFormat("{\"ts\":\"%s\",\"level\":\"%s\",\"program\":", Timestamp(),
                                     NamesOf(level).json);
  line.append(JsonText(logger.program));
  line.append(",\"event\":");
  line.append(JsonText(event));
  line.append(",\"msg\":");
  line.append(JsonText(message));
  for (size_t i = 0; i < count; ++i) {
    line.push_back(',');
    line.append(JsonText(fields[i].name));
    line.push_back(':');
    if (fields[i].is_number) {
      line.append(fields[i].value);
    } else {
      line.append(JsonText(fields[i].value));
    }
  }
  line.push_back('}');
  return line;
}

std::string TextLine(LogLevel level, const char* event, std::string_view message,
                     const LogField* fields, size_t count) {
  std::string line = absl::StrFormat("%s %s %s  ", Timestamp(), NamesOf(level).text, event);
  AppendEscaped(message, false, &line);
  for (size_t i = 0; i < count; ++i) {
    absl::StrAppendFormat(&line, "%s%s=", i == 0 ? "  " : " ", fields[i].name);
    if (NeedsQuotes(fields[i].value)) {
      line.append(JsonText(fields[i].value));
    } else {
      AppendEscaped(fields[i].value, false, &line);
    }
  }
  return line;
}

void Write(Logger& logger, LogLevel level, const char* event, std::string_view message,
           const LogField* fields, size_t count) {
  const std::string line = logger.json ? JsonLine(logger, level, event, message, fields, count)
                                       : TextLine(level, event, message, fields, count);
  logger.out->log(LevelOf(level), spdlog::string_view_t(line.data(), line.size()));
}

}  // namespace

void InitLog(std::string_view program, std::string_view level, std::string_view format) {
  const bool terminal = isatty(STDERR_FILENO) == 1;
  const bool json = format == "json" || (format != "text" && !terminal);
  std::unique_ptr<Logger> logger = MakeLogger(program, LevelOf(level), json);
  logger->replaced = Current().load();
  Current().store(logger.release());
}

void Log(LogLevel level, const char* event, std::string_view message,
         std::initializer_list<LogField> fields) {
  Logger& logger = *Current().load();
  if (!logger.out->should_log(LevelOf(level))) return;
  Write(logger, level, event, message, fields.begin(), fields.size());
}

void LogLimited(LogLevel level, const char* event, std::string_view message,
                std::initializer_list<LogField> fields) {
  Logger& logger = *Current().load();
  if (!logger.out->should_log(LevelOf(level))) return;
  std::string key = event;
  if (fields.size() > 0) key.append("\n").append(fields.begin()->value);
  int64_t left_out = 0;
  {
    MutexLock lock(logger.mutex);
    const auto admitted = logger.limiter.Admit(key, std::chrono::steady_clock::now());
    if (!admitted.has_value()) return;
    left_out = *admitted;
  }
  if (left_out == 0) {
    Write(logger, level, event, message, fields.begin(), fields.size());
    return;
  }
  std::vector<LogField> with_count(fields);
  with_count.emplace_back("repeated", left_out);
  Write(logger, level, event, message, with_count.data(), with_count.size());
}

}  // namespace pmoves
