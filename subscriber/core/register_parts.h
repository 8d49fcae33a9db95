// register_parts: pieces of the statements that write registers.
//
// In the flow:  register_sql (reports of sources), central_register_sql (writes in the centre),
// rule_change -> here
// Expressions: `image` is jsonb, `version` bigint; g is the register that is there, and live.
// Thread: any. Pure.
#ifndef PMOVES_SUBSCRIBER_CORE_REGISTER_PARTS_H_
#define PMOVES_SUBSCRIBER_CORE_REGISTER_PARTS_H_

#include <string>

#include "subscriber/core/rule_sql.h"

namespace pmoves {

inline constexpr char kRegisterColumns[] =
    "relation, key, source, version, first_version, image_version, deleted, committed_at, image, "
    "versions, peaks";

// The `versions` of a register whose image begins (a first report, or one after a delete).
std::string FirstVersions(const TablePlan& plan, const std::string& image,
                          const std::string& version);
// The `versions` after g got `image` at `version`.
std::string NextVersions(const TablePlan& plan, const std::string& image,
                         const std::string& version);
// The peaks that `image` alone makes.
std::string FirstPeaks(const TablePlan& plan, const std::string& image, const std::string& version);
// The stronger of the peaks of g and `candidate`, for each.
std::string NextPeaks(const TablePlan& plan, const std::string& candidate);

}  // namespace pmoves

#endif  // PMOVES_SUBSCRIBER_CORE_REGISTER_PARTS_H_
