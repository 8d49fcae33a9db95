// Are numbers, as texts, what a column of the centre shows of them? Part of exact_value.
// Thread: any. Pure.
#ifndef PMOVES_SUBSCRIBER_CORE_EXACT_NUMBER_H_
#define PMOVES_SUBSCRIBER_CORE_EXACT_NUMBER_H_

#include <cstdint>
#include <string_view>

namespace pmoves {

bool IsExactInteger(std::string_view text);
// At most `scale` digits behind the point that are not 0; below 0: so many before it that are.
bool IsExactNumeric(std::string_view text, int32_t scale);
bool IsExactFloat4(std::string_view text);
bool IsExactFloat8(std::string_view text);
bool IsExactMoney(std::string_view text);

}  // namespace pmoves

#endif  // PMOVES_SUBSCRIBER_CORE_EXACT_NUMBER_H_
