#include "subscriber/core/exact_time.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <string>

#include "absl/strings/ascii.h"

namespace pmoves {
namespace {

bool IsDigit(char c) { return absl::ascii_isdigit(static_cast<unsigned char>(c)); }

// Takes what it is asked for from the front of a text.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : rest_(text) {}

  bool AtEnd() const { return rest_.empty(); }
  bool Take(std::string_view word) {
    if (!rest_.starts_with(word)) return false;
    rest_.remove_prefix(word.size());
    return true;
  }
  // The digits at the front, at least one; nothing where there are none.
  std::optional<std::string_view> Digits() {
    size_t length = 0;
    while (length < rest_.size() && IsDigit(rest_[length])) ++length;
    if (length == 0) return std::nullopt;
    const std::string_view digits = rest_.substr(0, length);
    rest_.remove_prefix(length);
    return digits;
  }
  bool TwoDigits() {
    if (rest_.size() < 2 || !IsDigit(rest_[0]) || !IsDigit(rest_[1])) return false;
    rest_.remove_prefix(2);
    return true;
  }
  bool Date() {
    const auto year = Digits();
    return year.has_value() && year->size() >= 4 && Take("-") && TwoDigits() && Take("-") &&
           TwoDigits();
  }
  // HH:MM, HH:MM:SS or HH:MM:SS.ffffff; the digits of the fraction that are no zeros at its end.
  std::optional<int32_t> Time() {
    if (!TwoDigits() || !Take(":") || !TwoDigits()) return std::nullopt;
    if (!Take(":")) return 0;
    if (!TwoDigits()) return std::nullopt;
    return Fraction();
  }
  std::optional<int32_t> Fraction() {
    if (!Take(".")) return 0;
    const auto digits = Digits();
    if (!digits.has_value()) return std::nullopt;
    const size_t last = digits->find_last_not_of('0');
    return last == std::string_view::npos ? 0 : static_cast<int32_t>(last + 1);
  }
  bool Offset() {
    if (Take("Z")) return true;
    if (!Take("+") && !Take("-")) return false;
    if (!TwoDigits()) return false;
    while (Take(":")) {
      if (!TwoDigits()) return false;
    }
    return true;
  }
  bool EndOfDate() {
    Take(" BC");
    return AtEnd();
  }

 private:
  std::string_view rest_;
};

bool IsInfinity(std::string_view text) { return text == "infinity" || text == "-infinity"; }

// Without digits only some words are dates and times; the server refuses the others.
bool ServerRefuses(std::string_view text) {
  if (std::any_of(text.begin(), text.end(), IsDigit)) return false;
  std::string word(text);
  absl::StripAsciiWhitespace(&word);
  absl::AsciiStrToLower(&word);
  for (const char* known : {"now", "today", "tomorrow", "yesterday", "epoch", "allballs", "noon",
                            "midnight", "infinity", "-infinity", "+infinity"}) {
    if (word.find(known) != std::string::npos) return false;
  }
  return true;
}

bool DateIs(std::string_view text) {
  Scanner scanner(text);
  if (!scanner.Date()) return false;
  if (scanner.EndOfDate()) return true;
  return scanner.Take(" 00:00:00") && scanner.EndOfDate();
}

bool TimeIs(std::string_view text, bool with_offset, int32_t digits) {
  Scanner scanner(text);
  const auto fraction = scanner.Time();
  if (!fraction.has_value() || *fraction > digits) return false;
  return (!with_offset || scanner.Offset()) && scanner.AtEnd();
}

bool TimestampIs(std::string_view text, bool with_offset, int32_t digits) {
  Scanner scanner(text);
  if (!scanner.Date()) return false;
  if (!with_offset && scanner.EndOfDate()) return true;  // a date is a timestamp, too
  if (!scanner.Take(" ") && !scanner.Take("T")) return false;
  const auto fraction = scanner.Time();
  if (!fraction.has_value() || *fraction > digits) return false;
  return (!with_offset || scanner.Offset()) && scanner.EndOfDate();
}

struct Interval {
  int64_t months = 0;
  int64_t days = 0;
  int64_t seconds = 0;
  int32_t fraction = 0;
  bool has_fraction() const { return fraction > 0; }
};

// "1 year -2 mons 3 days -04:05:06.7"
std::optional<Interval> ParseInterval(std::string_view text) {
  Interval interval;
  Scanner scanner(text);
  bool first = true;
  while (!scanner.AtEnd()) {
    if (!first && !scanner.Take(" ")) return std::nullopt;
    first = false;
    if (!scanner.Take("-")) scanner.Take("+");
    const auto digits = scanner.Digits();
    int64_t number = 0;
    if (!digits.has_value() ||
        std::from_chars(digits->data(), digits->data() + digits->size(), number).ec != std::errc())
      return std::nullopt;
    if (scanner.Take(":")) {
      constexpr int64_t kMostHours = int64_t{1} << 40;
      if (number > kMostHours || !scanner.TwoDigits() || !scanner.Take(":") || !scanner.TwoDigits())
        return std::nullopt;
      const size_t colon = text.rfind(':');
      const int64_t minutes = (text[colon - 2] - '0') * 10 + (text[colon - 1] - '0');
      const int64_t seconds = (text[colon + 1] - '0') * 10 + (text[colon + 2] - '0');
      interval.seconds = number * 3600 + minutes * 60 + seconds;
      const auto fraction = scanner.Fraction();
      if (!fraction.has_value() || !scanner.AtEnd()) return std::nullopt;
      interval.fraction = *fraction;
      return interval;
    }
    constexpr int64_t kMostMonths = int64_t{1} << 40;
    if (number > kMostMonths) return std::nullopt;
    if (scanner.Take(" years") || scanner.Take(" year")) {
      interval.months += 12 * number;
    } else if (scanner.Take(" mons") || scanner.Take(" mon")) {
      interval.months += number;
    } else if (scanner.Take(" days") || scanner.Take(" day")) {
      interval.days += number;
    } else {
      return std::nullopt;
    }
  }
  return first ? std::nullopt : std::optional(interval);
}

// What PostgreSQL leaves of an interval with these fields (AdjustIntervalForTypmod).
bool FitsFields(const Interval& interval, int32_t fields) {
  constexpr int32_t kYear = 1 << 2;
  constexpr int32_t kMonth = 1 << 1;
  constexpr int32_t kDay = 1 << 3;
  constexpr int32_t kHour = 1 << 10;
  constexpr int32_t kMinute = 1 << 11;
  constexpr int32_t kSecond = 1 << 12;
  constexpr int32_t kAll = 0x7fff;
  if (fields >= kAll || (fields & kSecond) != 0) return true;
  const bool no_time = interval.seconds == 0 && !interval.has_fraction();
  if (fields == kYear) return interval.months % 12 == 0 && interval.days == 0 && no_time;
  if ((fields & (kDay | kHour | kMinute)) == 0 && (fields & kMonth) != 0)
    return interval.days == 0 && no_time;
  if ((fields & kMinute) != 0) return interval.seconds % 60 == 0 && !interval.has_fraction();
  if ((fields & kHour) != 0) return interval.seconds % 3600 == 0 && !interval.has_fraction();
  return no_time;  // DAY
}

}  // namespace

bool IsExactDate(std::string_view text) {
  return DateIs(text) || IsInfinity(text) || ServerRefuses(text);
}

bool IsExactTime(std::string_view text, bool with_offset, int32_t digits) {
  return TimeIs(text, with_offset, digits) || ServerRefuses(text);
}

bool IsExactTimestamp(std::string_view text, bool with_offset, int32_t digits) {
  return TimestampIs(text, with_offset, digits) || IsInfinity(text) || ServerRefuses(text);
}

bool IsExactInterval(std::string_view text, int32_t fields, int32_t digits) {
  if (IsInfinity(text)) return true;
  const auto interval = ParseInterval(text);
  if (!interval.has_value()) return ServerRefuses(text) && !text.starts_with('P');
  return interval->fraction <= digits && FitsFields(*interval, fields);
}

}  // namespace pmoves
