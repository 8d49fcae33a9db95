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

// Abseil knows no days: 30d and 1d12h are ours, the rest is its.
bool ParseDaysAndTime(std::string_view text, absl::Duration* out) {
  absl::Duration days;
  const size_t end = text.find('d');
  if (end != std::string_view::npos) {
    int32_t count = 0;
    const auto [stop, error] = std::from_chars(text.data(), text.data() + end, count);
    if (error != std::errc() || stop != text.data() + end || count < 0) return false;
    days = absl::Hours(24) * count;
    text.remove_prefix(end + 1);
    if (text.empty()) text = "0";
    if (text.front() == '-' || text.front() == '+') return false;
  }
  absl::Duration rest;
  if (!absl::ParseDuration(absl::string_view(text.data(), text.size()), &rest)) return false;
  *out = days + rest;
  return true;
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
    return absl::StrFormat("'%s' has no unit; write for example %ss (units: ms, s, m, h, d)", text,
                           text);
  }
  absl::Duration value;
  if (!ParseDaysAndTime(text, &value)) {
    return absl::StrFormat("'%s' is not a duration; write for example 10s (units: ms, s, m, h, d)",
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
  constexpr absl::Duration kDay = absl::Hours(24);
  if (duration > kDay && duration % kDay == absl::ZeroDuration()) {
    return absl::StrFormat("%dd", duration / kDay);
  }
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
