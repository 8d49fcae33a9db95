#include "subscriber/core/exact_number.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"

namespace pmoves {
namespace {

bool IsDigit(char c) { return absl::ascii_isdigit(static_cast<unsigned char>(c)); }
bool AreDigits(std::string_view text) { return std::all_of(text.begin(), text.end(), IsDigit); }

bool IsSpecial(std::string_view text) {
  return text == "NaN" || text == "Infinity" || text == "-Infinity";
}

// No notation of any server has such a number.
bool ServerRefuses(std::string_view text) {
  constexpr std::string_view kInNumbers = "0123456789+-._ \t\n\r\v\fabcdefoxABCDEFOX";
  if (std::any_of(text.begin(), text.end(), IsDigit))
    return text.find_first_not_of(kInNumbers) != std::string_view::npos;
  std::string word(text);
  absl::StripAsciiWhitespace(&word);
  absl::AsciiStrToLower(&word);
  if (word.starts_with('+') || word.starts_with('-')) word.erase(0, 1);
  return word != "nan" && word != "inf" && word != "infinity";
}

// 0.digits * 10^exponent, digits without zeros at either end; views of the text.
struct Decimal {
  bool negative = false;
  std::string_view whole;     // of its digits those before the point ...
  std::string_view fraction;  // ... and behind it
  int64_t exponent = 0;       // that the text gives

  // All digits behind the last zero in front and before the first zero at the end.
  std::string Digits() const {
    std::string digits;
    digits.reserve(whole.size() + fraction.size());
    digits.append(whole).append(fraction);
    const size_t first = digits.find_first_not_of('0');
    if (first == std::string::npos) return "";
    digits.erase(digits.find_last_not_of('0') + 1);
    return digits.substr(first);
  }
  // Of the first digit that is no zero: 1 for 5 and 0 for 0.5.
  int64_t Magnitude() const {
    const size_t in_whole = whole.find_first_not_of('0');
    if (in_whole != std::string_view::npos)
      return exponent + static_cast<int64_t>(whole.size() - in_whole);
    const size_t in_fraction = fraction.find_first_not_of('0');
    if (in_fraction == std::string_view::npos) return 0;
    return exponent - static_cast<int64_t>(in_fraction);
  }
};

// -12.340e-5: no blanks, no sign of a positive number, no zeros in front; else nothing.
std::optional<Decimal> ParseDecimal(std::string_view text) {
  Decimal decimal;
  decimal.negative = text.starts_with('-');
  if (decimal.negative) text.remove_prefix(1);
  const size_t mark = text.find_first_of("eE");
  if (mark != std::string_view::npos) {
    std::string_view exponent = text.substr(mark + 1);
    if (exponent.starts_with('+')) exponent.remove_prefix(1);
    const auto [end, error] =
        std::from_chars(exponent.data(), exponent.data() + exponent.size(), decimal.exponent);
    constexpr int64_t kMostExponent = 1000000;
    if (error != std::errc() || end != exponent.data() + exponent.size() ||
        decimal.exponent > kMostExponent || decimal.exponent < -kMostExponent)
      return std::nullopt;
    text = text.substr(0, mark);
  }
  const size_t point = std::min(text.find('.'), text.size());
  decimal.whole = text.substr(0, point);
  if (point < text.size()) {
    decimal.fraction = text.substr(point + 1);
    if (decimal.fraction.empty()) return std::nullopt;
  }
  if (decimal.whole.empty() || !AreDigits(decimal.whole) || !AreDigits(decimal.fraction))
    return std::nullopt;
  if (decimal.whole.size() > 1 && decimal.whole[0] == '0') return std::nullopt;
  return decimal;
}

// The digits and the magnitude of a finite number that was printed as d.ddde+xx.
struct Printed {
  std::string digits;
  int64_t magnitude = 0;

  bool operator==(const Printed&) const = default;
};

template <typename Float>
Printed Print(Float value, std::optional<int> digits) {
  std::array<char, 64> buffer;
  char* const begin = buffer.data();
  char* const end = begin + buffer.size();
  const auto printed =
      digits.has_value()
          ? std::to_chars(begin, end, value, std::chars_format::scientific, *digits - 1)
          : std::to_chars(begin, end, value, std::chars_format::scientific);
  const auto decimal =
      ParseDecimal({begin, static_cast<size_t>(printed.ptr - begin)}).value_or(Decimal());
  return {decimal.Digits(), decimal.Magnitude()};
}

// Do digits that differ from those of `shortest` in a far place still mean `value`? Not where they
// lie just between two numbers: there PostgreSQL prints more of them.
template <typename Float>
bool LiesBetween(Float value, const Printed& shortest) {
  auto means = [&](const std::string& digits) {
    const std::string text = "0." + digits + "e" + std::to_string(shortest.magnitude);
    Float other = 0;
    std::from_chars(text.data(), text.data() + text.size(), other);
    return other == value;
  };
  std::string below = shortest.digits;
  --below.back();  // not a zero
  constexpr size_t kFar = 30;
  return !means(shortest.digits + std::string(kFar, '0') + "1") ||
         !means(below + std::string(kFar, '9'));
}

template <typename Float>
bool IsExactFloat(std::string_view text) {
  if (IsSpecial(text)) return true;
  const auto decimal = ParseDecimal(text);
  if (!decimal.has_value()) return ServerRefuses(text);
  using Limits = std::numeric_limits<Float>;
  const size_t written = decimal->whole.size() + decimal->fraction.size();
  const int64_t magnitude = decimal->Magnitude();
  // So few digits come back as they went in; only among large integers some lie just between two
  // numbers.
  const bool may_lie_between = magnitude > Limits::digits10;
  if (written <= static_cast<size_t>(Limits::digits10) && !may_lie_between &&
      magnitude > Limits::min_exponent10 + Limits::digits10)
    return true;
  const std::string digits = decimal->Digits();
  if (digits.empty()) return true;
  if (digits.size() > static_cast<size_t>(Limits::max_digits10)) return false;
  const std::string_view positive = text.substr(decimal->negative ? 1 : 0);
  Float value = 0;
  const auto [end, error] =
      std::from_chars(positive.data(), positive.data() + positive.size(), value);
  if (error != std::errc() || end != positive.data() + positive.size()) return false;
  const Printed wanted{digits, magnitude};
  const Printed shortest = Print(value, std::nullopt);
  if (wanted == shortest) return !may_lie_between || !LiesBetween(value, shortest);
  return digits.size() > shortest.digits.size() && LiesBetween(value, shortest) &&
         wanted == Print(value, static_cast<int>(digits.size()));
}

// Some server reads it as an integer: " +7 ", 007, 0x1f, 1_000.
bool IsReadAsInteger(std::string_view text) {
  std::string digits(text);
  absl::StripAsciiWhitespace(&digits);
  absl::AsciiStrToLower(&digits);
  if (digits.starts_with('-') || digits.starts_with('+')) digits.erase(0, 1);
  const char* allowed = "0123456789_";
  for (const auto& [prefix, those] : {std::pair("0x", "0123456789abcdef_"),
                                      std::pair("0o", "01234567_"), std::pair("0b", "01_")}) {
    if (!digits.starts_with(prefix)) continue;
    digits.erase(0, 2);
    allowed = those;
    break;
  }
  return !digits.empty() && digits.find_first_not_of(allowed) == std::string::npos;
}

}  // namespace

bool IsExactInteger(std::string_view text) {
  const std::string_view digits = text.substr(text.starts_with('-') ? 1 : 0);
  if (!digits.empty() && AreDigits(digits) && (digits.size() == 1 || digits[0] != '0')) return true;
  return !IsReadAsInteger(text);
}

bool IsExactNumeric(std::string_view text, int32_t scale) {
  const auto decimal = ParseDecimal(text);
  if (!decimal.has_value()) return IsSpecial(text) || ServerRefuses(text);
  // Most numbers: as many digits as the column has.
  if (decimal->exponent == 0 && static_cast<int64_t>(decimal->fraction.size()) <= scale)
    return true;
  const std::string digits = decimal->Digits();
  if (digits.empty()) return true;
  return static_cast<int64_t>(digits.size()) - decimal->Magnitude() <= scale;
}

bool IsExactFloat4(std::string_view text) { return IsExactFloat<float>(text); }
bool IsExactFloat8(std::string_view text) { return IsExactFloat<double>(text); }

bool IsExactMoney(std::string_view text) {
  constexpr int32_t kCents = 2;
  std::string plain;
  for (const char c : text) {
    if (c != '$' && c != ',') plain += c;
  }
  const auto decimal = ParseDecimal(plain);
  if (!decimal.has_value()) return plain.find_first_of("0123456789") == std::string::npos;
  return IsExactNumeric(plain, kCents);
}

}  // namespace pmoves
