// MaskSecrets: a connection string as it may be shown. Thread: any. Pure.
#ifndef PMOVES_COMMON_IO_MASK_H_
#define PMOVES_COMMON_IO_MASK_H_

#include <string>
#include <string_view>

namespace pmoves {

inline constexpr const char kMasked[] = "********";

// Hides the password of every URL in `text` (scheme://user:password@host, and ?password=...), the
// bare token of a NATS URL (nats://token@host), and password=... of a libpq conninfo string. Other
// text is returned as it is.
std::string MaskSecrets(std::string_view text);

}  // namespace pmoves

#endif  // PMOVES_COMMON_IO_MASK_H_
