// ValueLimit: what a column of the centre does to a text that it cannot hold as it is, and
// HoldsExactly: is this text one of those.
//
// In the flow:  pg_catalog fills TargetColumn::limit; RowDecoder asks for every value
// PostgreSQL rounds, cuts, pads or reinterprets without an error: numeric(10,2) rounds, varchar(5)
// cuts blanks (and with a cast everything), a date drops the time, a timestamp the offset, a float
// the digits that it has no room for. Nobody may learn of that from the rows. The source's own type
// is not known, so values are judged, not types: two texts are the same value when the wider of two
// types holds them equal (1.10 and 1.1), and a text that only a text column can have given (007 for
// an integer, 'now' for a timestamp) is no such value.
//
// Invariant:    true for every text that PostgreSQL prints of a value which the column can hold.
// What the server refuses by itself with an error need not be found here.
// Thread:       any. Pure; does not depend on the locale.
#ifndef PMOVES_SUBSCRIBER_CORE_EXACT_VALUE_H_
#define PMOVES_SUBSCRIBER_CORE_EXACT_VALUE_H_

#include <cstdint>
#include <string_view>
#include <vector>

namespace pmoves {

struct ValueLimit {
  enum class Kind : uint8_t {
    kNone,  // the server takes the text as it is, or refuses it
    kChars,
    kPaddedChars,
    kName,
    kOneByte,
    kBits,
    kVarBits,
    kInteger,
    kUnsigned,
    kBool,
    kNumeric,
    kFloat4,
    kFloat8,
    kMoney,
    kDate,
    kTime,
    kTimetz,
    kTimestamp,
    kTimestamptz,
    kInterval,
    kMacaddr8,
    kJsonb,
    kArray,      // parts: the element
    kComposite,  // parts: the fields
    kRange,      // parts: the bound
    kMultirange  // parts: the range
  };
  Kind kind = Kind::kNone;
  // kChars, kPaddedChars: code points. kBits, kVarBits: bits. kNumeric: digits behind the point.
  // kTime.. kInterval: digits of the fraction of a second.
  int32_t most = kUnlimited;
  int32_t fields = kUnlimited;  // kInterval: the bits of INTERVAL ... TO ...
  char delimiter = ',';         // kArray
  std::vector<ValueLimit> parts = {};

  static constexpr int32_t kUnlimited = INT32_MAX;
  bool operator==(const ValueLimit&) const = default;
};

// Of a base type of pg_catalog (pg_type.typname) with this modifier; -1: none.
ValueLimit LimitOf(std::string_view type, int32_t modifier);

// Is it worth looking at the parts of an array, a range or a composite value for it?
bool CanLoseParts(const ValueLimit& part);

bool HoldsExactly(const ValueLimit& limit, std::string_view text);

// Cuts the text to what the column holds of it, as an explicit cast does (tables[].narrowing:
// allow); texts that the server narrows by itself stay as they are.
std::string_view CutTo(const ValueLimit& limit, std::string_view text);

}  // namespace pmoves

#endif  // PMOVES_SUBSCRIBER_CORE_EXACT_VALUE_H_
