#include "subscriber/core/copy_format.h"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <limits>
#include <type_traits>

#include "absl/strings/ascii.h"
#include "common/base/time_text.h"

namespace pmoves {
namespace {

// Types of pg_catalog have the same oid in every server (pg_type.dat).
constexpr uint32_t kBigintOid = 20;
constexpr uint32_t kTextOid = 25;
constexpr uint32_t kTimestamptzOid = 1184;
constexpr struct {
  uint32_t type_oid;
  BinaryForm form;
} kForms[] = {
    {16, BinaryForm::kBool},         {17, BinaryForm::kBytea},
    {kBigintOid, BinaryForm::kInt8}, {21, BinaryForm::kInt2},
    {23, BinaryForm::kInt4},         {kTextOid, BinaryForm::kText},
    {114, BinaryForm::kText},        {700, BinaryForm::kFloat4},
    {701, BinaryForm::kFloat8},      {1042, BinaryForm::kText},
    {1043, BinaryForm::kText},       {1082, BinaryForm::kDate},
    {1114, BinaryForm::kTimestamp},  {kTimestamptzOid, BinaryForm::kTimestamptz},
    {1700, BinaryForm::kNumeric},    {2950, BinaryForm::kUuid},
    {3802, BinaryForm::kJsonb},
};

constexpr std::string_view kBinaryHeader("PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0", 19);
constexpr uint16_t kBinaryEnd = 0xffff;
constexpr uint32_t kNullField = 0xffffffff;
constexpr int64_t kPostgresEpochUs = 946684800000000;  // 2000-01-01 UTC, since 1970
constexpr int64_t kDayUs = int64_t{86400} * 1000000;
constexpr size_t kMostNumericBytes = 1000;

template <typename Unsigned>
void AppendBigEndian(Unsigned value, std::string* out) {
  char bytes[sizeof value];
  for (size_t i = 0; i < sizeof value; ++i)
    bytes[i] = static_cast<char>(value >> (8 * (sizeof value - 1 - i)));
  out->append(bytes, sizeof value);
}

template <typename Unsigned>
void AppendField(Unsigned value, std::string* out) {
  AppendBigEndian(static_cast<uint32_t>(sizeof value), out);
  AppendBigEndian(value, out);
}

bool AppendBytes(std::string_view bytes, std::string* out) {
  if (bytes.size() > static_cast<size_t>(std::numeric_limits<int32_t>::max())) return false;
  AppendBigEndian(static_cast<uint32_t>(bytes.size()), out);
  out->append(bytes);
  return true;
}

bool AppendJsonb(std::string_view text, std::string* out) {
  if (text.size() >= static_cast<size_t>(std::numeric_limits<int32_t>::max())) return false;
  AppendBigEndian(static_cast<uint32_t>(text.size() + 1), out);
  out->push_back(1);  // the version of the format
  out->append(text);
  return true;
}

constexpr uint8_t kNoHexDigit = 0x80;
constexpr std::array<uint8_t, 256> HexDigits() {
  std::array<uint8_t, 256> digits{};
  digits.fill(kNoHexDigit);
  for (uint8_t i = 0; i < 10; ++i) digits[static_cast<size_t>('0' + i)] = i;
  for (uint8_t i = 10; i < 16; ++i) {
    digits[static_cast<size_t>('a' + i - 10)] = i;
    digits[static_cast<size_t>('A' + i - 10)] = i;
  }
  return digits;
}
constexpr std::array<uint8_t, 256> kHexDigits = HexDigits();

// Two digits to a byte; false if one is none. REQUIRES: an even number of them.
bool AppendHex(std::string_view digits, std::string* out) {
  const size_t begin = out->size();
  out->resize(begin + digits.size() / 2);
  char* to = out->data() + begin;
  unsigned all = 0;
  for (size_t i = 0; i < digits.size(); i += 2) {
    const unsigned high = kHexDigits[static_cast<unsigned char>(digits[i])];
    const unsigned low = kHexDigits[static_cast<unsigned char>(digits[i + 1])];
    all |= high | low;
    *to++ = static_cast<char>(high * 16 + low);
  }
  return (all & kNoHexDigit) == 0;
}

bool AppendBytea(std::string_view text, std::string* out) {
  if (text.substr(0, 2) != "\\x" || text.size() % 2 != 0) return false;
  AppendBigEndian(static_cast<uint32_t>(text.size() / 2 - 1), out);
  return AppendHex(text.substr(2), out);
}

bool AppendUuid(std::string_view text, std::string* out) {
  if (text.size() != 36) return false;
  AppendBigEndian(uint32_t{16}, out);
  size_t begin = 0;
  for (const size_t digits : {8, 4, 4, 4, 12}) {
    if (begin > 0 && text[begin++] != '-') return false;
    if (!AppendHex(text.substr(begin, digits), out)) return false;
    begin += digits;
  }
  return true;
}

bool AppendBool(std::string_view text, std::string* out) {
  const bool yes = text == "t" || text == "true";
  if (!yes && text != "f" && text != "false") return false;
  AppendField(static_cast<uint8_t>(yes), out);
  return true;
}

template <typename Unsigned>
bool AppendInt(std::string_view text, std::string* out) {
  std::make_signed_t<Unsigned> value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return false;
  AppendField(static_cast<Unsigned>(value), out);
  return true;
}

// Both round to the nearest, as the server does.
template <typename Float, typename Unsigned>
bool AppendFloat(std::string_view text, std::string* out) {
  const std::string_view digits = text.substr(text.starts_with('-') ? 1 : 0);
  if (digits.empty() || !absl::ascii_isdigit(static_cast<unsigned char>(digits[0]))) return false;
  Float value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return false;
  AppendField(std::bit_cast<Unsigned>(value), out);
  return true;
}

bool IsDigits(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return absl::ascii_isdigit(static_cast<unsigned char>(c)); });
}

// Digits to the base 10,000, the decimal point between two of them.
bool AppendNumeric(std::string_view text, std::string* out) {
  constexpr size_t kGroup = 4;
  const bool negative = text.starts_with('-');
  if (negative) text.remove_prefix(1);
  const size_t point = std::min(text.find('.'), text.size());
  const std::string_view whole = text.substr(0, point);
  const std::string_view fraction = text.substr(std::min(point + 1, text.size()));
  if (text.size() > kMostNumericBytes || whole.empty() || (point < text.size() && fraction.empty()))
    return false;
  if (!IsDigits(whole) || !IsDigits(fraction)) return false;
  const size_t before = (whole.size() + kGroup - 1) / kGroup;
  const size_t after = (fraction.size() + kGroup - 1) / kGroup;
  std::string digits(before * kGroup - whole.size(), '0');
  digits.append(whole).append(fraction).append(after * kGroup - fraction.size(), '0');

  AppendBigEndian(static_cast<uint32_t>(4 * sizeof(uint16_t) + digits.size() / 2), out);
  AppendBigEndian(static_cast<uint16_t>(before + after), out);
  AppendBigEndian(static_cast<uint16_t>(before - 1), out);  // the weight of the first
  AppendBigEndian(static_cast<uint16_t>(negative ? 0x4000 : 0), out);
  AppendBigEndian(static_cast<uint16_t>(fraction.size()), out);
  for (size_t i = 0; i < digits.size(); i += kGroup) {
    uint16_t group = 0;
    for (const char digit : std::string_view(digits).substr(i, kGroup))
      group = static_cast<uint16_t>(group * 10 + (digit - '0'));
    AppendBigEndian(group, out);
  }
  return true;
}

// A digit where the pattern has 0, else the same character.
bool IsLike(std::string_view text, std::string_view pattern) {
  return std::equal(text.begin(), text.end(), pattern.begin(), pattern.end(), [](char c, char p) {
    return p == '0' ? absl::ascii_isdigit(static_cast<unsigned char>(c)) : c == p;
  });
}

constexpr std::string_view kDate = "0000-00-00";
constexpr std::string_view kSeconds = "0000-00-00 00:00:00";

// The bytes of "2026-11-22 09:25:41.029291" at the front; 0 if there is none. PostgreSQL prints
// neither a year 0 nor an hour 24 nor a second 60.
size_t TimestampLength(std::string_view text) {
  if (!IsLike(text.substr(0, kSeconds.size()), kSeconds)) return 0;
  if (text.substr(0, 4) == "0000" || text.substr(11, 2) == "24" || text.substr(17, 2) == "60")
    return 0;
  const std::string_view rest = text.substr(kSeconds.size());
  if (!rest.starts_with('.')) return kSeconds.size();
  const size_t end = std::min(rest.find_first_not_of("0123456789", 1), rest.size());
  return end < 2 || end > 7 ? 0 : kSeconds.size() + end;
}

bool IsOffset(std::string_view text) {
  if (!text.starts_with('+') && !text.starts_with('-')) return false;
  return IsLike(text.substr(1), "00") || IsLike(text.substr(1), "00:00");
}

bool AppendTimestamp(std::string_view text, bool with_offset, std::string* out) {
  const size_t length = TimestampLength(text);
  if (length == 0) return false;
  const std::string_view offset = text.substr(length);
  if (with_offset ? !IsOffset(offset) : !offset.empty()) return false;
  const auto us =
      with_offset ? ParseTimestamp(text) : ParseTimestamp(std::string(text).append("Z"));
  if (!us.ok()) return false;
  AppendField(static_cast<uint64_t>(*us - kPostgresEpochUs), out);
  return true;
}

bool AppendDate(std::string_view text, std::string* out) {
  if (!IsLike(text, kDate) || text.substr(0, 4) == "0000") return false;
  const auto us = ParseTimestamp(std::string(text).append(" 00:00:00Z"));
  if (!us.ok()) return false;
  AppendField(static_cast<uint32_t>((*us - kPostgresEpochUs) / kDayUs), out);
  return true;
}

bool AppendForm(BinaryForm form, std::string_view text, std::string* out) {
  switch (form) {
    case BinaryForm::kNone:
      return false;
    case BinaryForm::kText:
      return AppendBytes(text, out);
    case BinaryForm::kJsonb:
      return AppendJsonb(text, out);
    case BinaryForm::kBytea:
      return AppendBytea(text, out);
    case BinaryForm::kBool:
      return AppendBool(text, out);
    case BinaryForm::kInt2:
      return AppendInt<uint16_t>(text, out);
    case BinaryForm::kInt4:
      return AppendInt<uint32_t>(text, out);
    case BinaryForm::kInt8:
      return AppendInt<uint64_t>(text, out);
    case BinaryForm::kFloat4:
      return AppendFloat<float, uint32_t>(text, out);
    case BinaryForm::kFloat8:
      return AppendFloat<double, uint64_t>(text, out);
    case BinaryForm::kNumeric:
      return AppendNumeric(text, out);
    case BinaryForm::kUuid:
      return AppendUuid(text, out);
    case BinaryForm::kDate:
      return AppendDate(text, out);
    case BinaryForm::kTimestamp:
      return AppendTimestamp(text, false, out);
    case BinaryForm::kTimestamptz:
      return AppendTimestamp(text, true, out);
  }
  return false;
}

bool NeedsEscape(char c) { return c == '\\' || c == '\n' || c == '\r' || c == '\t'; }

template <size_t kBytes>
bool IsPlainBlock(const char* bytes) {
  int found = 0;
  for (size_t i = 0; i < kBytes; ++i) found |= NeedsEscape(bytes[i]) ? 1 : 0;
  return found == 0;
}

// Most values need no escape. A fixed number of bytes at a time, without a branch between them: the
// compiler makes vector code of it. The last block overlaps the one before.
bool IsPlain(std::string_view text) {
  constexpr size_t kBlock = 16;
  if (text.size() < kBlock) {
    for (const char c : text) {
      if (NeedsEscape(c)) return false;
    }
    return true;
  }
  for (size_t begin = 0; begin + kBlock < text.size(); begin += kBlock) {
    if (!IsPlainBlock<kBlock>(text.data() + begin)) return false;
  }
  return IsPlainBlock<kBlock>(text.data() + text.size() - kBlock);
}

void AppendEscaped(std::string_view text, std::string* out) {
  if (IsPlain(text)) {
    out->append(text);
    return;
  }
  size_t clean = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    char escaped = 0;
    switch (text[i]) {
      case '\\':
        escaped = '\\';
        break;
      case '\n':
        escaped = 'n';
        break;
      case '\r':
        escaped = 'r';
        break;
      case '\t':
        escaped = 't';
        break;
      default:
        continue;
    }
    out->append(text.substr(clean, i - clean));
    out->push_back('\\');
    out->push_back(escaped);
    clean = i + 1;
  }
  out->append(text.substr(clean));
}

}  // namespace

BinaryForm BinaryFormOf(const TargetColumn& column) {
  if (column.is_enum) return BinaryForm::kText;
  for (const auto& known : kForms) {
    if (known.type_oid == column.type_oid) return known.form;
  }
  return BinaryForm::kNone;
}

bool AppendBinaryField(BinaryForm form, std::string_view text, std::string* out) {
  const size_t before = out->size();
  if (AppendForm(form, text, out)) return true;
  out->resize(before);
  return false;
}

CopyRows::CopyRows(const ChangeSet& set, const EffectGroup& group) : set_(set), group_(group) {
  for (const int written : group.shape->written)
    forms_.push_back(BinaryFormOf(group.table->WrittenColumn(*group.shape, written)));
}

bool CopyRows::WriteBinary(size_t most_bytes, std::string* out) const {
  out->clear();
  if (std::find(forms_.begin(), forms_.end(), BinaryForm::kNone) != forms_.end()) return false;
  if (IsLonger(most_bytes)) return false;
  out->append(kBinaryHeader);
  for (const Effect& effect : group_.effects) {
    if (!AppendBinary(effect, out)) {
      out->clear();
      return false;
    }
  }
  AppendBigEndian(kBinaryEnd, out);
  return true;
}

std::vector<uint32_t> CopyRows::Types() const {
  std::vector<uint32_t> types;
  for (const int written : group_.shape->written)
    types.push_back(group_.table->WrittenColumn(*group_.shape, written).type_oid);
  types.insert(types.end(), {kTextOid, kTimestamptzOid, kBigintOid});
  return types;
}

bool CopyRows::IsLonger(size_t most_bytes) const {
  size_t bytes = 0;
  for (const Effect& effect : group_.effects) {
    for (const int written : group_.shape->written) bytes += ValueAt(effect, written).length;
  }
  return bytes > most_bytes;
}

bool CopyRows::AppendBinary(const Effect& effect, std::string* out) const {
  AppendBigEndian(static_cast<uint16_t>(forms_.size() + 3), out);
  for (size_t i = 0; i < forms_.size(); ++i) {
    const Value& value = ValueAt(effect, group_.shape->written[i]);
    if (value.is_null) {
      AppendBigEndian(kNullField, out);
    } else if (!AppendForm(forms_[i], set_.Text(value), out)) {
      return false;
    }
  }
  AppendBytes(*effect.change->source, out);
  AppendField(static_cast<uint64_t>(effect.change->commit_us - kPostgresEpochUs), out);
  AppendField(static_cast<uint64_t>(effect.change->hlc.value), out);
  return true;
}

void CopyRows::AppendText(const Effect& effect, std::string* out) {
  for (const int written : group_.shape->written) {
    const Value& value = ValueAt(effect, written);
    if (value.is_null) {
      out->append("\\N");
    } else {
      AppendEscaped(set_.Text(value), out);
    }
    out->push_back('\t');
  }
  if (effect.change->commit_us != committed_us_) {
    committed_us_ = effect.change->commit_us;
    committed_ = FormatRfc3339(committed_us_);
  }
  out->append(*effect.change->source).push_back('\t');
  out->append(committed_).push_back('\t');
  out->append(std::to_string(effect.change->hlc.value)).push_back('\n');
}

}  // namespace pmoves
