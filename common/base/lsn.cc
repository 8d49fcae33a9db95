#include "common/base/lsn.h"

#include <charconv>

#include "absl/strings/str_format.h"

namespace pmoves {
namespace {

bool ParseHex32(std::string_view text, uint64_t* out) {
  if (text.empty() || text.size() > 8) return false;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *out, 16);
  return error == std::errc() && end == text.data() + text.size();
}

}  // namespace

std::string Lsn::ToString() const {
  return absl::StrFormat("%X/%X", value >> 32, value & 0xFFFFFFFFu);
}

absl::StatusOr<Lsn> Lsn::Parse(std::string_view text) {
  const size_t slash = text.find('/');
  uint64_t high = 0;
  uint64_t low = 0;
  if (slash == std::string_view::npos || !ParseHex32(text.substr(0, slash), &high) ||
      !ParseHex32(text.substr(slash + 1), &low)) {
    return absl::InvalidArgumentError(
        "not a WAL position (want two hexadecimal numbers like 16/B374D848)");
  }
  return Lsn{(high << 32) | low};
}

}  // namespace pmoves
