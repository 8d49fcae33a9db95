#include "common/io/mask.h"

#include <cctype>

namespace pmoves {
namespace {

bool IsSpace(char c) { return std::isspace(static_cast<unsigned char>(c)) != 0; }

// Where the URL that goes on at `start` ends: at a blank, or at a comma with another URL behind it.
// A password may hold ',', '/', '?' or '#' that nobody escaped: hide too much rather than too
// little.
size_t UrlEnd(std::string_view text, size_t start) {
  for (size_t i = start; i < text.size(); ++i) {
    if (IsSpace(text[i])) return i;
    if (text[i] != ',') continue;
    size_t word = i + 1;
    while (word < text.size() && std::isalpha(static_cast<unsigned char>(text[word])) != 0) ++word;
    if (text.substr(word, 3) == "://") return i;
  }
  return text.size();
}

// Masks the user information of each "scheme://...@": all after the first ':', or everything when
// the scheme is one of NATS and there is no ':', since that is a token.
std::string MaskUrls(std::string_view text) {
  std::string out;
  while (true) {
    const size_t scheme_end = text.find("://");
    if (scheme_end == std::string_view::npos) break;
    const size_t start = scheme_end + 3;
    const size_t end = UrlEnd(text, start);
    const size_t at = text.substr(0, end).rfind('@');
    out.append(text.substr(0, start));
    if (at == std::string_view::npos || at < start) {
      text.remove_prefix(start);
      continue;
    }
    const std::string_view user = text.substr(start, at - start);
    const size_t colon = user.find(':');
    const bool postgres = text.substr(0, scheme_end).find("postgres") != std::string_view::npos;
    if (colon != std::string_view::npos) {
      out.append(user.substr(0, colon + 1)).append(kMasked);
    } else if (postgres) {
      out.append(user);
    } else {
      out.append(kMasked);
    }
    text.remove_prefix(at);
  }
  return out.append(text);
}

// The end of a libpq value that starts at `start`: quoted with '...' and backslashes, or up to a
// space or '&'.
size_t ValueEnd(std::string_view text, size_t start) {
  const bool quoted = start < text.size() && text[start] == '\'';
  size_t i = quoted ? start + 1 : start;
  for (; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 1 < text.size()) {
      ++i;
    } else if (quoted && text[i] == '\'') {
      return i + 1;
    } else if (!quoted && (IsSpace(text[i]) || text[i] == '&')) {
      return i;
    }
  }
  return text.size();
}

// Masks the value of every word that ends in "password" and is followed by '=' (password,
// sslpassword).
std::string MaskPasswords(std::string_view text) {
  constexpr std::string_view kWord = "password";
  std::string out;
  while (true) {
    const size_t found = text.find(kWord);
    if (found == std::string_view::npos) break;
    size_t next = found + kWord.size();
    while (next < text.size() && IsSpace(text[next])) ++next;
    if (next >= text.size() || text[next] != '=') {
      out.append(text.substr(0, found + kWord.size()));
      text.remove_prefix(found + kWord.size());
      continue;
    }
    ++next;
    while (next < text.size() && IsSpace(text[next])) ++next;
    out.append(text.substr(0, next)).append(kMasked);
    text.remove_prefix(ValueEnd(text, next));
  }
  return out.append(text);
}

}  // namespace

std::string MaskSecrets(std::string_view text) { return MaskPasswords(MaskUrls(text)); }

}  // namespace pmoves
