// config_values: text of one option -> value, and back for messages.
//
// Each Parse* returns "" and sets *out, or returns what is wrong with the text, ready for a
// message.
// Thread: any. Pure.
#ifndef PMOVES_COMMON_IO_CONFIG_VALUES_H_
#define PMOVES_COMMON_IO_CONFIG_VALUES_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"

namespace pmoves {

std::string ParseBool(std::string_view text, bool* out);
std::string ParseInt(std::string_view text, int64_t min, int64_t max, int64_t* out);
std::string ParseBytes(std::string_view text, int64_t min, int64_t max, int64_t* out);
std::string ParseDuration(std::string_view text, absl::Duration min, absl::Duration max,
                          absl::Duration* out);
// *out is the index in `allowed`.
std::string ParseChoice(std::string_view text, const std::vector<std::string>& allowed, int* out);

std::string BytesText(int64_t bytes);               // "256KiB"
std::string DurationText(absl::Duration duration);  // "150s", "1h", "30d"

// Parts between commas, without surrounding blanks and empty parts.
std::vector<std::string> SplitCommas(std::string_view text);
std::string JoinCommas(const std::vector<std::string>& parts);

}  // namespace pmoves

#endif  // PMOVES_COMMON_IO_CONFIG_VALUES_H_
