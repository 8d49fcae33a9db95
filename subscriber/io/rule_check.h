// CheckRules: what `config check-rules` says about every conflict rule of every configured table.
//
// In the flow:  main -> CheckRules -> expression_check, rule_trials
// One line per table or column and rule; where laws do not hold, one per such law with values that
// show it. All values are generated: nothing of a table is printed.
// Thread:       main of that verb, on a connection of its own.
#ifndef PMOVES_SUBSCRIBER_IO_RULE_CHECK_H_
#define PMOVES_SUBSCRIBER_IO_RULE_CHECK_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "common/io/pg_connection.h"
#include "subscriber/config.h"
#include "subscriber/io/pg_preflight.h"

namespace pmoves {

// The seed makes the values; the same one tries the same again. An error: the server could not be
// asked, or has no schema pmoves_sync of this version.
absl::StatusOr<std::vector<CheckLine>> CheckRules(PgConnection& connection,
                                                  const SubscriberConfig& config, uint64_t seed);

}  // namespace pmoves

#endif  // PMOVES_SUBSCRIBER_IO_RULE_CHECK_H_
