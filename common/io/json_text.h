// JsonText: a text as a JSON string. Thread: any. Pure.
#ifndef PMOVES_COMMON_IO_JSON_TEXT_H_
#define PMOVES_COMMON_IO_JSON_TEXT_H_

#include <string>
#include <string_view>

namespace pmoves {

// Escapes control characters, which also keeps the text on one line, and quotes and backslashes
// when asked to. Bytes that are not UTF-8 become '?', so that every reader can go on.
void AppendEscaped(std::string_view text, bool escape_quotes, std::string* out);

// With the quotes around it.
std::string JsonText(std::string_view text);

}  // namespace pmoves

#endif  // PMOVES_COMMON_IO_JSON_TEXT_H_
