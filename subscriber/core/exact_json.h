// NamesAreUnique: json keeps an object's text, with names that come twice; jsonb keeps the last of
// them. Part of exact_value. Thread: any. Pure.
#ifndef PMOVES_SUBSCRIBER_CORE_EXACT_JSON_H_
#define PMOVES_SUBSCRIBER_CORE_EXACT_JSON_H_

#include <string_view>

namespace pmoves {

// True as well for what is no JSON: the server refuses that.
bool NamesAreUnique(std::string_view json);

}  // namespace pmoves

#endif  // PMOVES_SUBSCRIBER_CORE_EXACT_JSON_H_
