// ServiceNames: the environment variables that PMOVES services already have, understood as they
// are.
//
// They rank below the file: a service's environment is often shared with other programs. Each one
// that is set is checked, and recorded with what it means here; a bad value is an error that names
// the variable.
// Thread: start-up only.
#ifndef PMOVES_COMMON_IO_SERVICE_NAMES_H_
#define PMOVES_COMMON_IO_SERVICE_NAMES_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/io/config_file.h"

namespace pmoves {

struct ServiceNames {
  std::optional<std::string> mode;  // SUPABASE_MODE: standalone | integrated | dual-write
  std::optional<bool> enabled;      // SYNC_ENABLED
  std::optional<std::vector<std::string>> tables;  // SYNC_TABLES, as written
  std::optional<int64_t> batch_size;               // SYNC_BATCH_SIZE
  std::optional<std::string> conflict;             // CONFLICT_RESOLUTION: a rule
  std::optional<std::string> service;              // SERVICE_NAME, as written
};

// Reads all ten, also SYNC_INTERVAL_SECONDS, SYNC_INTERVAL, SYNC_STRATEGY, SYNC_FALLBACK and
// OFFLINE_MODE, which are checked and recorded but steer nothing: replication is continuous, and
// works offline in every mode.
ServiceNames ReadServiceNames(ConfigSource* source);

// What CONFLICT_RESOLUTION may name: the rules for whole rows that need no further option
// (subscriber/core/conflict_rule.h; a test compares).
const std::vector<std::string>& ConflictResolutions();

}  // namespace pmoves

#endif  // PMOVES_COMMON_IO_SERVICE_NAMES_H_
