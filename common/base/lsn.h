// Lsn: a byte position in the write-ahead log of one Postgres cluster, printed as in Postgres
// ("16/B374D848").
//
// A "position" in this project is always the END of a commit record (wal2json's nextlsn): resuming
// at it repeats nothing and skips nothing. Positions of different epochs must never be compared.
#ifndef PMOVES_COMMON_BASE_LSN_H_
#define PMOVES_COMMON_BASE_LSN_H_

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace pmoves {

struct Lsn {
  uint64_t value = 0;  // 0 means "none"

  auto operator<=>(const Lsn&) const = default;
  bool IsNone() const { return value == 0; }
  // "0/0" form, upper-case hexadecimal, as pg_lsn prints.
  std::string ToString() const;
  // Accepts what pg_lsn accepts: one to eight hex digits, '/', one to eight hex digits.
  // kInvalidArgument otherwise.
  static absl::StatusOr<Lsn> Parse(std::string_view text);
};

}  // namespace pmoves

#endif  // PMOVES_COMMON_BASE_LSN_H_
