#include "common/io/process_metrics.h"

#include <dirent.h>
#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <unistd.h>

#include <cstdint>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>

namespace pmoves {
namespace {

struct Stat {
  double cpu_seconds;
  double start_seconds;  // since boot
  double resident_bytes;
};

// The fields of /proc/self/stat behind the name, which may hold blanks and brackets itself.
std::optional<Stat> ReadStat() {
  std::ifstream file("/proc/self/stat");
  std::string line;
  std::getline(file, line);
  const size_t bracket = line.rfind(')');
  if (bracket == std::string::npos) return std::nullopt;
  std::istringstream fields(line.substr(bracket + 1));
  constexpr int kFirst = 3;  // proc(5) counts from 1: pid, comm, state
  std::string field;
  uint64_t user = 0, system = 0, start = 0, pages = 0;
  for (int number = kFirst; number <= 24 && fields >> field; ++number) {
    if (number == 14) user = std::stoull(field);
    if (number == 15) system = std::stoull(field);
    if (number == 22) start = std::stoull(field);
    if (number == 24) pages = std::stoull(field);
  }
  if (!fields) return std::nullopt;
  const auto ticks = static_cast<double>(sysconf(_SC_CLK_TCK));
  return Stat{static_cast<double>(user + system) / ticks, static_cast<double>(start) / ticks,
              static_cast<double>(pages) * static_cast<double>(sysconf(_SC_PAGESIZE))};
}

// Seconds since 1970 at which the machine booted.
std::optional<double> BootTime() {
  std::ifstream file("/proc/stat");
  std::string line;
  while (std::getline(file, line)) {
    if (line.rfind("btime ", 0) == 0) return std::stod(line.substr(6));
  }
  return std::nullopt;
}

std::optional<double> CountOpenFds() {
  DIR* directory = opendir("/proc/self/fd");
  if (directory == nullptr) return std::nullopt;
  int count = 0;
  while (const dirent* entry = readdir(directory)) {
    if (entry->d_name[0] != '.') ++count;
  }
  closedir(directory);
  return count - 1;  // the directory itself
}

prometheus::Gauge& AddGauge(prometheus::Registry& registry, const char* name, const char* help) {
  return prometheus::BuildGauge().Name(name).Help(help).Register(registry).Add({});
}

}  // namespace

ProcessMetrics::ProcessMetrics(prometheus::Registry& registry)
    : cpu_seconds_(prometheus::BuildCounter()
                       .Name("process_cpu_seconds_total")
                       .Help("User and system CPU time spent, in seconds.")
                       .Register(registry)
                       .Add({})),
      resident_bytes_(AddGauge(registry, "process_resident_memory_bytes",
                               "Resident memory of the process, in bytes.")),
      open_fds_(AddGauge(registry, "process_open_fds", "Number of open file descriptors.")),
      start_time_(AddGauge(registry, "process_start_time_seconds",
                           "Start of the process, in seconds since 1970.")) {
  Update();
}

void ProcessMetrics::Update() {
  MutexLock lock(mutex_);
  if (const std::optional<Stat> stat = ReadStat()) {
    // A counter only grows, by what it is told: the difference to what it has.
    const double grown = stat->cpu_seconds - cpu_seconds_.Value();
    if (grown > 0) cpu_seconds_.Increment(grown);
    resident_bytes_.Set(stat->resident_bytes);
    // Boot time moves with the wall clock, so it is read again each time.
    if (const std::optional<double> boot = BootTime()) start_time_.Set(*boot + stat->start_seconds);
  }
  if (const std::optional<double> fds = CountOpenFds()) open_fds_.Set(*fds);
}

}  // namespace pmoves
