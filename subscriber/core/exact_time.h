// Are dates and times, as texts, what a column of the centre shows of them? Part of exact_value.
// Texts are as PostgreSQL prints them under ISO dates and its own style of intervals; ISO 8601's T
// and Z are understood, too.
// Thread: any. Pure.
#ifndef PMOVES_SUBSCRIBER_CORE_EXACT_TIME_H_
#define PMOVES_SUBSCRIBER_CORE_EXACT_TIME_H_

#include <cstdint>
#include <string_view>

namespace pmoves {

// `digits`: of the fraction of a second.
bool IsExactDate(std::string_view text);
bool IsExactTime(std::string_view text, bool with_offset, int32_t digits);
bool IsExactTimestamp(std::string_view text, bool with_offset, int32_t digits);
// `fields`: the bits of INTERVAL ... TO ... as a type modifier has them.
bool IsExactInterval(std::string_view text, int32_t fields, int32_t digits);

}  // namespace pmoves

#endif  // PMOVES_SUBSCRIBER_CORE_EXACT_TIME_H_
