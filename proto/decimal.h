// ParseDecimal: a non-negative integer as decimal digits, in its one canonical form.
#ifndef PMOVES_PROTO_DECIMAL_H_
#define PMOVES_PROTO_DECIMAL_H_

#include <charconv>
#include <string_view>
#include <system_error>

namespace pmoves::proto {

// False for a sign, a leading zero, an overflow of Integer, or anything that is not a digit: one
// number has one text.
template <typename Integer>
bool ParseDecimal(std::string_view text, Integer* out) {
  if (text.empty() || text.front() < '0' || text.front() > '9') return false;
  if (text.front() == '0' && text.size() > 1) return false;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *out);
  return error == std::errc() && end == text.data() + text.size();
}

}  // namespace pmoves::proto

#endif  // PMOVES_PROTO_DECIMAL_H_
