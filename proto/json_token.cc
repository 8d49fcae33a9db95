#include "proto/json_token.h"

#include <bit>
#include <cstdint>
#include <cstring>

#include "absl/status/status.h"

namespace pmoves::proto {
namespace {

constexpr bool IsSpecial(char c) {
  return c == '"' || c == '\\' || static_cast<unsigned char>(c) < 0x20;
}

// High bits of the bytes of `word` that are below n (n <= 0x80). A borrow can mark further bytes,
// but only above a true hit: the lowest mark is exact.
constexpr uint64_t BytesBelow(uint64_t word, uint64_t n) {
  return (word - 0x0101010101010101u * n) & ~word & 0x8080808080808080u;
}

constexpr uint64_t SpecialBytes(uint64_t word) {
  return BytesBelow(word, 0x20) | BytesBelow(word ^ 0x0101010101010101u * '"', 1) |
         BytesBelow(word ^ 0x0101010101010101u * '\\', 1);
}

// First quote, backslash or control character, or `end`. Eight bytes at a time: every text value
// passes here.
const char* FindSpecial(const char* begin, const char* end) {
  static_assert(std::endian::native == std::endian::little);
  const char* p = begin;
  while (p != end) {
    if (end - p < 8) {
      if (end - begin < 8) break;
      p = end - 8;  // looks at some bytes twice, which is cheaper than one at a time
    }
    uint64_t word;
    std::memcpy(&word, p, sizeof(word));
    const uint64_t marks = SpecialBytes(word);
    if (marks != 0) return p + std::countr_zero(marks) / 8;
    p += 8;
  }
  while (p != end && !IsSpecial(*p)) ++p;
  return p;
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// Takes XXXX of a \uXXXX off the front.
bool TakeHex4(std::string_view* text, uint32_t* out) {
  if (text->size() < 4) return false;
  uint32_t value = 0;
  for (int i = 0; i < 4; ++i) {
    const int digit = HexDigit((*text)[static_cast<size_t>(i)]);
    if (digit < 0) return false;
    value = value * 16 + static_cast<uint32_t>(digit);
  }
  text->remove_prefix(4);
  *out = value;
  return true;
}

void AppendUtf8(uint32_t code, std::string* out) {
  if (code < 0x80) {
    out->push_back(static_cast<char>(code));
    return;
  }
  if (code < 0x800) {
    out->push_back(static_cast<char>(0xC0 | code >> 6));
  } else {
    if (code < 0x10000) {
      out->push_back(static_cast<char>(0xE0 | code >> 12));
    } else {
      out->push_back(static_cast<char>(0xF0 | code >> 18));
      out->push_back(static_cast<char>(0x80 | (code >> 12 & 0x3F)));
    }
    out->push_back(static_cast<char>(0x80 | (code >> 6 & 0x3F)));
  }
  out->push_back(static_cast<char>(0x80 | (code & 0x3F)));
}

// Takes what follows "\u" off the front: one code point, which may be a pair of surrogates.
bool TakeCodePoint(std::string_view* text, uint32_t* code) {
  if (!TakeHex4(text, code) || *code == 0) return false;
  if (*code < 0xD800 || *code > 0xDFFF) return true;
  uint32_t low = 0;
  if (*code > 0xDBFF || text->substr(0, 2) != "\\u") return false;
  text->remove_prefix(2);
  if (!TakeHex4(text, &low) || low < 0xDC00 || low > 0xDFFF) return false;
  *code = 0x10000 + ((*code - 0xD800) << 10) + (low - 0xDC00);
  return true;
}

// Takes one escape off the front, beginning at its backslash; appends what it stands for unless out
// is null.
bool TakeEscape(std::string_view* text, std::string* out) {
  if (text->size() < 2) return false;
  const char kind = (*text)[1];
  text->remove_prefix(2);
  uint32_t code = 0;
  switch (kind) {
    case '"':
    case '\\':
    case '/':
      code = static_cast<unsigned char>(kind);
      break;
    case 'b':
      code = '\b';
      break;
    case 'f':
      code = '\f';
      break;
    case 'n':
      code = '\n';
      break;
    case 'r':
      code = '\r';
      break;
    case 't':
      code = '\t';
      break;
    case 'u':
      if (!TakeCodePoint(text, &code)) return false;
      break;
    default:
      return false;
  }
  if (out != nullptr) AppendUtf8(code, out);
  return true;
}

// Checks a string token and, unless out is null, appends the text that it stands for.
bool Unescape(std::string_view token, std::string* out) {
  if (token.size() < 2 || token.front() != '"' || token.back() != '"') return false;
  std::string_view rest = token.substr(1, token.size() - 2);
  while (true) {
    const char* const special = FindSpecial(rest.data(), rest.data() + rest.size());
    const size_t plain = static_cast<size_t>(special - rest.data());
    if (out != nullptr) out->append(rest.data(), plain);
    rest.remove_prefix(plain);
    if (rest.empty()) return true;
    if (rest.front() != '\\' || !TakeEscape(&rest, out)) return false;
  }
}

bool TakeDigits(std::string_view* text) {
  size_t count = 0;
  while (count < text->size() && (*text)[count] >= '0' && (*text)[count] <= '9') ++count;
  text->remove_prefix(count);
  return count != 0;
}

bool TakeAnyOf(std::string_view* text, std::string_view wanted) {
  if (text->empty() || wanted.find(text->front()) == std::string_view::npos) return false;
  text->remove_prefix(1);
  return true;
}

// -?(0|[1-9][0-9]*)([.][0-9]+)?([eE][+-]?[0-9]+)?
bool IsNumber(std::string_view text) {
  TakeAnyOf(&text, "-");
  if (!TakeAnyOf(&text, "0") && !TakeDigits(&text)) return false;
  if (TakeAnyOf(&text, ".") && !TakeDigits(&text)) return false;
  if (TakeAnyOf(&text, "eE")) {
    TakeAnyOf(&text, "+-");
    if (!TakeDigits(&text)) return false;
  }
  return text.empty();
}

bool IsPlainToken(std::string_view token) {
  if (token.empty()) return false;
  if (token.front() == 't') return token == "true";
  if (token.front() == 'f') return token == "false";
  return IsNumber(token);
}

}  // namespace

absl::StatusOr<bool> AppendTokenText(std::string_view token, std::string* out) {
  if (token == "null") return false;
  if (!token.empty() && token.front() == '"') {
    if (Unescape(token, out)) return true;
  } else if (IsPlainToken(token)) {
    out->append(token);
    return true;
  }
  return absl::InvalidArgumentError(
      "a value is not a well-formed JSON string, number, true, false or null");
}

bool IsStringToken(std::string_view token) { return Unescape(token, nullptr); }

bool IsScalarToken(std::string_view token) {
  if (token.empty()) return false;
  if (token.front() == '"') return IsStringToken(token);
  return token == "null" || IsPlainToken(token);
}

void AppendJsonString(std::string_view text, std::string* out) {
  constexpr char kHex[] = "0123456789abcdef";
  out->push_back('"');
  while (true) {
    const char* const special = FindSpecial(text.data(), text.data() + text.size());
    const size_t plain = static_cast<size_t>(special - text.data());
    out->append(text.data(), plain);
    text.remove_prefix(plain);
    if (text.empty()) break;
    const char c = text.front();
    text.remove_prefix(1);
    constexpr std::string_view kNamed =
        "\"\"\\\\\bb\ff\nn\rr\tt";  // pairs: byte, letter of its escape
    size_t pair = 0;
    while (pair < kNamed.size() && kNamed[pair] != c) pair += 2;
    out->push_back('\\');
    if (pair < kNamed.size()) {
      out->push_back(kNamed[pair + 1]);
    } else {
      out->append("u00");
      out->push_back(kHex[c >> 4 & 0xF]);
      out->push_back(kHex[c & 0xF]);
    }
  }
  out->push_back('"');
}

std::string JsonString(std::string_view text) {
  std::string out;
  out.reserve(text.size() + 2);
  AppendJsonString(text, &out);
  return out;
}

}  // namespace pmoves::proto
