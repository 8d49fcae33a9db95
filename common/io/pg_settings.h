// pg_settings: the session settings on which the truth of both programs rests, whatever the role,
// the database, the server or the DSN prefer.
//
// In the flow:  PgConnection::Connect sets them by statement (poolers drop startup options) and
//               reads them back.
// Thread:       any. Pure.
#ifndef PMOVES_COMMON_IO_PG_SETTINGS_H_
#define PMOVES_COMMON_IO_PG_SETTINGS_H_

#include <string>
#include <utility>
#include <vector>

namespace pmoves {

using SessionSettings = std::vector<std::pair<std::string, std::string>>;  // name, value

// Those that decide which text the server makes of a value (bytea_output=escape corrupts bytea).
// The same on both sides, so that what one writes the other reads.
SessionSettings PinnedTextSettings();

// All that every session gets: the text settings, how statements are read, and no limits but the
// caller's own. Left as the database says: where data lies (tablespaces), how plans are made, the
// search_path (triggers of users may rely on it), and the locales that only to_char() knows.
SessionSettings PinnedSettings();

}  // namespace pmoves

#endif  // PMOVES_COMMON_IO_PG_SETTINGS_H_
