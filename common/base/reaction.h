// ReactionTo: the ONE place that says what follows from a failed write to the centre.
//
// In the flow:  pg_target -> absl::Status with SQLSTATE -> ReactionTo -> subscriber/worker
// Thread:       any. Pure.
// To change how an error is treated, change its row in reaction.cc; docs/operations.md lists the
// same sentences.
#ifndef PMOVES_COMMON_BASE_REACTION_H_
#define PMOVES_COMMON_BASE_REACTION_H_

#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace pmoves {

enum class Reaction {
  kRetry,      // run the same batch again, after a pause
  kReconnect,  // the connection is gone: open a new one, read the position, go on from there
  kSplit,  // something in this batch cannot be written: halve it until the change is alone, then
           // set that aside
  kBlock,  // the source must wait for a person: show the reason, keep trying slowly
  kStop,   // the program cannot work at all: exit
};

struct ReactionRow {
  Reaction reaction;
  const char* advice;  // one sentence for the operator
};

// Looks at the SQLSTATE first, then at the status code. REQUIRES: !status.ok().
ReactionRow ReactionTo(const absl::Status& status);
std::string_view ReactionName(Reaction reaction);

// What may be logged of a status: the server's messages of data errors quote row values, so those
// become the rule's sentence.
std::string LoggableMessage(const absl::Status& status);

}  // namespace pmoves

#endif  // PMOVES_COMMON_BASE_REACTION_H_
