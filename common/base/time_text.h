// Reading and writing instants as text. Pure: nothing here asks a clock.
#ifndef PMOVES_COMMON_BASE_TIME_TEXT_H_
#define PMOVES_COMMON_BASE_TIME_TEXT_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace pmoves {

// Microseconds since 1970 -> "2026-11-22T09:25:41.029291Z" (RFC 3339, always UTC, always six
// digits).
std::string FormatRfc3339(int64_t unix_us);

// Reads RFC 3339 and Postgres's ISO output ("2026-11-22 09:25:41.029291+00", "...+05:30", "...Z")
// to microseconds since 1970. kInvalidArgument for anything else.
absl::StatusOr<int64_t> ParseTimestamp(std::string_view text);

}  // namespace pmoves

#endif  // PMOVES_COMMON_BASE_TIME_TEXT_H_
