#include "common/io/json_text.h"

#include "absl/strings/str_format.h"

namespace pmoves {
namespace {

// Length of the well-formed UTF-8 sequence at the front of `text`; 0 when there is none.
size_t Utf8Length(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  const size_t length = lead < 0x80 ? 1 : lead < 0xC2 ? 0 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  if (length == 0 || lead > 0xF4 || text.size() < length) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  const bool overlong = (lead == 0xE0 && byte(1) < 0xA0) || (lead == 0xF0 && byte(1) < 0x90);
  const bool outside = (lead == 0xED && byte(1) >= 0xA0) || (lead == 0xF4 && byte(1) >= 0x90);
  return overlong || outside ? 0 : length;
}

}  // namespace

void AppendEscaped(std::string_view text, bool escape_quotes, std::string* out) {
  while (!text.empty()) {
    const size_t length = Utf8Length(text);
    const unsigned char first = static_cast<unsigned char>(text[0]);
    if (length == 0) {
      out->push_back('?');
    } else if (first == '\n') {
      out->append("\\n");
    } else if (first < 0x20 || first == 0x7F) {
      absl::StrAppendFormat(out, "\\u%04x", static_cast<unsigned>(first));
    } else if (escape_quotes && (first == '"' || first == '\\')) {
      out->push_back('\\');
      out->push_back(text[0]);
    } else {
      out->append(text.substr(0, length));
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
}

std::string JsonText(std::string_view text) {
  std::string out = "\"";
  AppendEscaped(text, true, &out);
  return out.append("\"");
}

}  // namespace pmoves
