// What a failed batch or large transaction means for the worker: the few statuses that it tells
// apart beside ReactionTo.
//
// Thread: any. Pure.
#ifndef PMOVES_SUBSCRIBER_BATCH_OUTCOME_H_
#define PMOVES_SUBSCRIBER_BATCH_OUTCOME_H_

#include <string>

#include "absl/status/status.h"
#include "common/base/reaction.h"
#include "common/base/status.h"

namespace pmoves {

// Signals between SetAside and whoever handles the failure that the batch must be made anew: the
// policy of the table was carried out.
inline constexpr const char kRebuildPayload[] = "pmoves/rebuild";

inline absl::Status Rebuild() {
  absl::Status status = absl::AbortedError("the batch is made anew");
  status.SetPayload(kRebuildPayload, absl::Cord("1"));
  return status;
}

inline bool IsRebuild(const absl::Status& status) {
  return status.GetPayload(kRebuildPayload).has_value();
}

// The position row is not where this worker left it: another one applies the source.
inline bool IsFenced(const absl::Status& status) {
  return MessageOf(status).rfind("fenced", 0) == 0;
}

// A deferred constraint refuses something: which change that is shows when it is checked earlier.
inline bool RefusedAtCommit(const absl::Status& status) {
  return !status.ok() && ReactionTo(status).reaction == Reaction::kSplit;
}

}  // namespace pmoves

#endif  // PMOVES_SUBSCRIBER_BATCH_OUTCOME_H_
