// ValueToken: a value's text, as its type's output function gives it, into the JSON token that
// wal2json writes for it.
//
// In the flow:  a row read over SQL -> ValueToken -> MessagePlan, beside the rows of the WAL
// Numbers pass as they are, bool becomes true / false, bytea loses its \x, all else is a string; a
// domain counts as a type of its own and is a string. NaN and the infinities, which wal2json 2.5
// writes as null, become strings (docs/adr, nan-infinity-reread).
// Thread:       any. Pure.
#ifndef PMOVES_PUBLISHER_CORE_VALUE_TOKEN_H_
#define PMOVES_PUBLISHER_CORE_VALUE_TOKEN_H_

#include <cstdint>
#include <string>
#include <string_view>

namespace pmoves {

// Appends to *token. REQUIRES: `text` comes from a session with PinnedTextSettings.
void AppendValueToken(uint32_t type_oid, std::string_view text, std::string* token);

}  // namespace pmoves

#endif  // PMOVES_PUBLISHER_CORE_VALUE_TOKEN_H_
