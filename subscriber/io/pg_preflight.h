// Central preflight: what `check` prints and what `run` looks at before it starts.
//
// Thread: any, on a connection of its own.
#ifndef PMOVES_SUBSCRIBER_IO_PG_PREFLIGHT_H_
#define PMOVES_SUBSCRIBER_IO_PG_PREFLIGHT_H_

#include <string>
#include <vector>

#include "common/io/pg_connection.h"
#include "subscriber/config.h"

namespace pmoves {

struct CheckLine {
  enum class Grade { kPass, kWarn, kFail } grade = Grade::kPass;
  std::string what;
  std::string fix;  // "" when there is nothing to mend
};

// Never fails itself: what cannot be asked is a FAIL line.
std::vector<CheckLine> CheckCentre(PgConnection& connection, const SubscriberConfig& config);

// Of those lines for `init`: what several sources may come to grief with in unique indexes.
std::vector<CheckLine> CheckUniqueIndexes(PgConnection& connection, const SubscriberConfig& config);
// And the expressions that `run` will refuse.
std::vector<CheckLine> CheckExpressions(PgConnection& connection, const SubscriberConfig& config);

}  // namespace pmoves

#endif  // PMOVES_SUBSCRIBER_IO_PG_PREFLIGHT_H_
