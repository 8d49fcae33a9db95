// NearestName: the valid name that somebody probably meant. Thread: any. Pure.
#ifndef PMOVES_COMMON_IO_NEAREST_NAME_H_
#define PMOVES_COMMON_IO_NEAREST_NAME_H_

#include <string>
#include <string_view>
#include <vector>

namespace pmoves {

// Changes of one letter (insert, delete, replace, swap of neighbours) between the two.
int EditDistance(std::string_view a, std::string_view b);

// The candidate with the smallest distance, "" when even that one is no plausible slip.
std::string NearestName(std::string_view wrong, const std::vector<std::string>& candidates);

// "; did you mean 'slot'?" or "".
std::string DidYouMean(std::string_view wrong, const std::vector<std::string>& candidates);

}  // namespace pmoves

#endif  // PMOVES_COMMON_IO_NEAREST_NAME_H_
