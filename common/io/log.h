// Log: structured lines on stderr, text for people or JSON for machines, through spdlog (whose
// headers stay in log.cc: they are slow to compile).
//
// A line is level, a stable event name, a sentence, and key=value fields. NEVER a row value,
// password or token: fields are names, numbers, positions, SQLSTATEs.
// The same event may repeat each second while something is down: LogLimited writes the first at
// once, then one line a minute with the count. Events are the same when the event name and the
// first field are.
// Thread: any.
#ifndef PMOVES_COMMON_IO_LOG_H_
#define PMOVES_COMMON_IO_LOG_H_

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

namespace pmoves {

enum class LogLevel { kDebug, kInfo, kWarn, kError };

struct LogField {
  LogField(const char* key, std::string_view text) : name(key), value(text) {}
  LogField(const char* key, const char* text) : name(key), value(text) {}
  LogField(const char* key, const std::string& text) : name(key), value(text) {}
  LogField(const char* key, int64_t number)
      : name(key), value(std::to_string(number)), is_number(true) {}
  LogField(const char* key, uint64_t number)
      : name(key), value(std::to_string(number)), is_number(true) {}
  LogField(const char* key, int number) : LogField(key, static_cast<int64_t>(number)) {}
  LogField(const char* key, uint32_t number) : LogField(key, static_cast<int64_t>(number)) {}
  const char* name;
  std::string value;
  bool is_number = false;
};

// format: "auto" (text on a terminal, else json), "text", "json". Call once at start. `program` is
// in every JSON line. Before that, lines are text from level info up.
void InitLog(std::string_view program, std::string_view level, std::string_view format);
void Log(LogLevel level, const char* event, std::string_view message,
         std::initializer_list<LogField> fields = {});
void LogLimited(LogLevel level, const char* event, std::string_view message,
                std::initializer_list<LogField> fields = {});

inline void LogInfo(const char* event, std::string_view message,
                    std::initializer_list<LogField> fields = {}) {
  Log(LogLevel::kInfo, event, message, fields);
}
inline void LogWarn(const char* event, std::string_view message,
                    std::initializer_list<LogField> fields = {}) {
  Log(LogLevel::kWarn, event, message, fields);
}
inline void LogError(const char* event, std::string_view message,
                     std::initializer_list<LogField> fields = {}) {
  Log(LogLevel::kError, event, message, fields);
}

}  // namespace pmoves

#endif  // PMOVES_COMMON_IO_LOG_H_
