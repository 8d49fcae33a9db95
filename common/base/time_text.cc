#include "common/base/time_text.h"

#include <charconv>

#include "absl/strings/str_format.h"

namespace pmoves {
namespace {

// Days since 1970-01-01 of a proleptic Gregorian date (Howard Hinnant's algorithm).
int64_t DaysFromCivil(int64_t year, int64_t month, int64_t day) {
  year -= month <= 2;
  const int64_t era = (year >= 0 ? year : year - 399) / 400;
  const int64_t year_of_era = year - era * 400;
  const int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  const int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
  return era * 146097 + day_of_era - 719468;
}

struct Civil {
  int64_t year;
  int month;
  int day;
};

Civil CivilFromDays(int64_t days) {
  days += 719468;
  const int64_t era = (days >= 0 ? days : days - 146096) / 146097;
  const int64_t day_of_era = days - era * 146097;
  const int64_t year_of_era =
      (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
  const int64_t day_of_year =
      day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const int64_t shifted_month = (5 * day_of_year + 2) / 153;
  const int day = static_cast<int>(day_of_year - (153 * shifted_month + 2) / 5 + 1);
  const int month = static_cast<int>(shifted_month < 10 ? shifted_month + 3 : shifted_month - 9);
  return {year_of_era + era * 400 + (month <= 2), month, day};
}

// Takes digits off the front of text; returns how many there were, at most `most`.
int TakeDigits(std::string_view* text, int most, int64_t* out) {
  int count = 0;
  int64_t value = 0;
  while (count < most && !text->empty() && text->front() >= '0' && text->front() <= '9') {
    value = value * 10 + (text->front() - '0');
    text->remove_prefix(1);
    ++count;
  }
  *out = value;
  return count;
}

bool TakeChar(std::string_view* text, char wanted) {
  if (text->empty() || text->front() != wanted) return false;
  text->remove_prefix(1);
  return true;
}

bool TakeFraction(std::string_view* text, int64_t* microseconds) {
  *microseconds = 0;
  if (!TakeChar(text, '.')) return true;
  const int digits = TakeDigits(text, 6, microseconds);
  if (digits == 0) return false;
  for (int i = digits; i < 6; ++i) *microseconds *= 10;
  int64_t ignored = 0;
  TakeDigits(text, 9, &ignored);
  return true;
}

bool TakeZone(std::string_view* text, int64_t* offset_seconds) {
  *offset_seconds = 0;
  if (TakeChar(text, 'Z')) return true;
  const bool negative = !text->empty() && text->front() == '-';
  if (!TakeChar(text, '+') && !TakeChar(text, '-')) return false;
  int64_t hours = 0;
  int64_t minutes = 0;
  if (TakeDigits(text, 2, &hours) != 2) return false;
  const bool colon = TakeChar(text, ':');
  if ((colon || !text->empty()) && TakeDigits(text, 2, &minutes) != 2) return false;
  if (hours > 15 || minutes > 59) return false;  // Postgres's own limit: less than 16 hours
  *offset_seconds = (hours * 60 + minutes) * 60 * (negative ? -1 : 1);
  return true;
}

struct Fields {
  int64_t year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0, microseconds = 0;
  int64_t zone = 0;  // seconds east of Greenwich
};

bool TakeFields(std::string_view* text, Fields* fields) {
  if (TakeDigits(text, 6, &fields->year) < 4 || !TakeChar(text, '-')) return false;
  if (TakeDigits(text, 2, &fields->month) != 2 || !TakeChar(text, '-')) return false;
  if (TakeDigits(text, 2, &fields->day) != 2) return false;
  if (!TakeChar(text, 'T') && !TakeChar(text, ' ')) return false;
  if (TakeDigits(text, 2, &fields->hour) != 2 || !TakeChar(text, ':')) return false;
  if (TakeDigits(text, 2, &fields->minute) != 2 || !TakeChar(text, ':')) return false;
  if (TakeDigits(text, 2, &fields->second) != 2) return false;
  return TakeFraction(text, &fields->microseconds) && TakeZone(text, &fields->zone);
}

int64_t DaysInMonth(int64_t year, int64_t month) {
  if (month == 2) return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28;
  return month == 4 || month == 6 || month == 9 || month == 11 ? 30 : 31;
}

// Instants are those of the years 0001 to 294246 UTC: what the text can say, int64 microseconds
// can hold, and Postgres takes (it has no year 0000).
constexpr int64_t kYearMax = 294246;
constexpr int64_t kFirstUs = -62135596800000000;
constexpr int64_t kLastUs = 9223371244799999999;

bool IsInRange(const Fields& fields) {
  return fields.year <= kYearMax && fields.month >= 1 && fields.month <= 12 && fields.day >= 1 &&
         fields.day <= DaysInMonth(fields.year, fields.month) && fields.hour <= 24 &&
         fields.minute <= 59 && fields.second <= 60;
}

void AppendDigits(int64_t value, size_t width, std::string* out) {
  out->append(width, '0');
  for (char* digit = &out->back(); value != 0; value /= 10)
    *digit-- = static_cast<char>('0' + value % 10);
}

}  // namespace

std::string FormatRfc3339(int64_t unix_us) {
  constexpr int64_t kDayUs = int64_t{86400} * 1000000;
  int64_t days = unix_us / kDayUs;
  int64_t rest = unix_us % kDayUs;
  if (rest < 0) {
    rest += kDayUs;
    --days;
  }
  const Civil date = CivilFromDays(days);
  const int64_t seconds = rest / 1000000;
  // By hand, because every transaction of a message has one: StrFormat takes ten times as long.
  std::string text;
  text.reserve(32);
  if (date.year >= 0 && date.year <= 9999) {
    AppendDigits(date.year, 4, &text);
  } else {
    text = absl::StrFormat("%04d", date.year);
  }
  AppendDigits(date.month, 2, &text.append(1, '-'));
  AppendDigits(date.day, 2, &text.append(1, '-'));
  AppendDigits(seconds / 3600, 2, &text.append(1, 'T'));
  AppendDigits(seconds / 60 % 60, 2, &text.append(1, ':'));
  AppendDigits(seconds % 60, 2, &text.append(1, ':'));
  AppendDigits(rest % 1000000, 6, &text.append(1, '.'));
  return text.append(1, 'Z');
}

absl::StatusOr<int64_t> ParseTimestamp(std::string_view text) {
  Fields fields;
  if (TakeFields(&text, &fields) && text.empty() && IsInRange(fields)) {
    const int64_t days = DaysFromCivil(fields.year, fields.month, fields.day);
    const int64_t minutes = (days * 24 + fields.hour) * 60 + fields.minute;
    const int64_t us = (minutes * 60 + fields.second - fields.zone) * 1000000 + fields.microseconds;
    if (us >= kFirstUs && us <= kLastUs) return us;  // an offset may lead beyond the range
  }
  return absl::InvalidArgumentError("not a timestamp with time zone");
}

}  // namespace pmoves
