#include "common/io/config_values.h"

#include <algorithm>
#include <charconv>

#include "absl/strings/str_format.h"
#include "common/io/nearest_name.h"

namespace pmoves {
namespace {

struct Unit {
  const char* name;
  int64_t bytes;
};

constexpr Unit kUnits[] = {
    {"B", 1},
    {"KiB", int64_t{1} << 10},
    {"MiB", int64_t{1} << 20},
    {"GiB", int64_t{1} << 30},
    {"TiB", int64_t{1} << 40},
    {"KB", 1000},
    {"MB", 1000 * 1000},
    {"GB", int64_t{1000} * 1000 * 1000},
    {"TB", int64_t{1000} * 1000 * 1000 * 1000},
};

bool IsDigits(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

std::string_view Trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

}  // namespace

std::string ParseBool(std::string_view text, bool* out) {
  if (text != "true" && text != "false") {
    return absl::StrFormat("'%s' is not a boolean; write true or false", text);
  }
  *out = text == "true";
  return "";
}

std::string ParseInt(std::string_view text, int64_t min, int64_t max, int64_t* out) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc::invalid_argument || end != text.data() + text.size()) {
    return absl::StrFormat("'%s' is not a whole number; allowed %d to %d", text, min, max);
  }
  if (error != std::errc() || value < min || value > max) {
    return absl::StrFormat("%s is out of range; allowed %d to %d", text, min, max);
  }
  *out = value;
  return "";
}

std::string ParseBytes(std::string_view text, int64_t min, int64_t max, int64_t* out) {
  const size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  const std::string_view unit_name = Trim(text.substr(digits));
  if (digits == 0) {
    return absl::StrFormat("'%s' is not a size; write a whole number and a unit, such as 256KiB",
                           text);
  }
  if (unit_name.empty() && text != "0") {
    return absl::StrFormat("'%s' has no unit; write for example %sKiB or %sMiB", text, text, text);
  }
  const Unit* unit = unit_name.empty() ? &kUnits[0] : nullptr;
  for (const Unit& candidate : kUnits) {
    if (unit_name == candidate.name) unit = &candidate;
  }
  if (unit == nullptr) {
    return absl::StrFormat("unknown unit '%s'; use B, KiB, MiB, GiB, TiB, KB, MB, GB or TB",
                           unit_name);
  }
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + digits, number);
  int64_t value = 0;
  if (error != std::errc() || __builtin_mul_overflow(number, unit->bytes, &value) || value < min ||
      value > max) {
    return absl::StrFormat("%s is out of range; allowed %s to %s", text, BytesText(min),
                           BytesText(max));
  }
  *out = value;
  return "";
}

std::string ParseDuration(std::string_view text, absl::Duration min, absl::Duration max,
                          absl::Duration* out) {
  if (IsDigits(text) && text != "0") {
    return absl::StrFormat("'%s' has no unit; write for example %ss (units: ms, s, m, h)", text,
                           text);
  }
  absl::Duration value;
  if (!absl::ParseDuration(absl::string_view(text.data(), text.size()), &value)) {
    return absl::StrFormat("'%s' is not a duration; write for example 10s (units: ms, s, m, h)",
                           text);
  }
  if (value < min || value > max) {
    return absl::StrFormat("%s is out of range; allowed %s to %s", text, DurationText(min),
                           DurationText(max));
  }
  *out = value;
  return "";
}

std::string ParseChoice(std::string_view text, const std::vector<std::string>& allowed, int* out) {
  for (size_t i = 0; i < allowed.size(); ++i) {
    if (text == allowed[i]) {
      *out = static_cast<int>(i);
      return "";
    }
  }
  return absl::StrFormat("'%s' is not allowed; one of %s%s", text, JoinCommas(allowed),
                         DidYouMean(text, allowed));
}

std::string BytesText(int64_t bytes) {
  const Unit* best = &kUnits[0];
  for (const Unit& unit : kUnits) {
    if (bytes != 0 && bytes % unit.bytes == 0 && unit.bytes > best->bytes) best = &unit;
  }
  return absl::StrFormat("%d%s", bytes / best->bytes, best->name);
}

std::string DurationText(absl::Duration duration) {
  struct Step {
    const char* name;
    absl::Duration size;
  };
  const Step steps[] = {{"h", absl::Hours(1)},
                        {"m", absl::Minutes(1)},
                        {"s", absl::Seconds(1)},
                        {"ms", absl::Milliseconds(1)}};
  if (duration == absl::ZeroDuration()) return "0s";
  for (const Step& step : steps) {
    if (duration % step.size == absl::ZeroDuration()) {
      return absl::StrFormat("%d%s", duration / step.size, step.name);
    }
  }
  return absl::FormatDuration(duration);
}

std::vector<std::string> SplitCommas(std::string_view text) {
  std::vector<std::string> parts;
  while (true) {
    const size_t comma = text.find(',');
    const std::string_view part = Trim(text.substr(0, comma));
    if (!part.empty()) parts.emplace_back(part);
    if (comma == std::string_view::npos) return parts;
    text.remove_prefix(comma + 1);
  }
}

std::string JoinCommas(const std::vector<std::string>& parts) {
  std::string out;
  for (const std::string& part : parts) out.append(out.empty() ? "" : ", ").append(part);
  return out;
}

}  // namespace pmoves
