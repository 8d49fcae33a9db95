// Raw JSON tokens of scalars: what wal2json writes for a value, and what travels untouched.
//
// In the flow:  wal2json token -> body -> AppendTokenText -> text in a statement for the centre
// Invariant:    AppendTokenText succeeds for exactly the tokens that IsScalarToken accepts.
// Thread:       any. Pure.
#ifndef PMOVES_PROTO_JSON_TOKEN_H_
#define PMOVES_PROTO_JSON_TOKEN_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace pmoves::proto {

// A raw JSON token as plain text: a string is unescaped, numbers / true / false stay as they are.
// `null` -> nothing. kInvalidArgument for anything else (an object, a broken escape, an unpaired
// surrogate, \u0000, which no text in Postgres can hold); *out is then unspecified.
// Appends to *out and returns whether the value is not null. UTF-8 is not checked here: BodyReader
// does.
absl::StatusOr<bool> AppendTokenText(std::string_view token, std::string* out);

// Instead of the null of a float or numeric column that may have been NaN when the edge could not
// look: no such column can hold it, so the change is set aside and its row is asked for.
inline constexpr std::string_view kUnreadToken = "\"(unread)\"";

// The same in a key column, with a number behind it: two such keys are never equal. Nobody can be
// asked for that row.
inline constexpr std::string_view kUnreadKeyBegin = "\"(unread key ";

// Whether the token is one well-formed scalar.
bool IsScalarToken(std::string_view token);
// Whether the token is one well-formed string.
bool IsStringToken(std::string_view token);

// Plain UTF-8 as a JSON string token with quotes, escaped exactly as Postgres and wal2json do it.
std::string JsonString(std::string_view text);
void AppendJsonString(std::string_view text, std::string* out);

}  // namespace pmoves::proto

#endif  // PMOVES_PROTO_JSON_TOKEN_H_
