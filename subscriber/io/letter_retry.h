// LetterRetry: dead letters go the way of every change once more: decoder, plan, merge, guarded by
// the version that they were set aside with.
//
// In the flow:  DeadLetterStore (`dead-letters retry`) -> LetterRetry -> PgTarget
//
// Many letters share a transaction, each in a savepoint of its own, or a commit per letter would be
// most of the work. One that fails again stays open, with the new reason.
// Invariant:    a retry never overwrites something newer, and never passes an earlier letter of the
//               row that it relies on: what it gives is what the changes would have given in order.
// Thread:       main of that verb.
#ifndef PMOVES_SUBSCRIBER_IO_LETTER_RETRY_H_
#define PMOVES_SUBSCRIBER_IO_LETTER_RETRY_H_

#include <cstdint>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/io/pg_connection.h"
#include "subscriber/config.h"
#include "subscriber/core/change.h"
#include "subscriber/core/row_decoder.h"
#include "subscriber/io/letter_book.h"
#include "subscriber/io/pg_catalog.h"
#include "subscriber/io/pg_target.h"

namespace pmoves {

enum class RetryOutcome {
  kApplied,
  kSuperseded,  // something newer was there: nothing changed
  kLeftOut,     // the table's policy does not carry such a change out: nothing changed
};
// For people.
std::string_view Describe(RetryOutcome outcome);

struct RetryResult {
  int64_t id = 0;
  absl::Status status;  // not OK: still open
  RetryOutcome outcome = RetryOutcome::kApplied;
};

class LetterRetry {
 public:
  LetterRetry(PgConnection& connection, const SubscriberConfig& config);

  // One that comes too late (collector.h) is applied, too: somebody asks for it by its id.
  absl::StatusOr<RetryResult> One(int64_t id);
  // In this order; `report` gets the results of each transaction that is committed.
  absl::Status All(std::span<const int64_t> ids,
                   const std::function<void(std::span<const RetryResult>)>& report);

 private:
  absl::StatusOr<size_t> Some(std::span<const int64_t> ids, bool alone,
                              std::vector<RetryResult>* results);
  absl::StatusOr<RetryResult> InSavepoint(int64_t id);
  absl::Status NoteFailure(int64_t id, const absl::Status& why);
  absl::StatusOr<RetryOutcome> Try(int64_t id);
  absl::Status RequireOldest(const ChangeSet& set, int64_t id);
  absl::Status SettleOthers(const ChangeSet& set);
  absl::StatusOr<bool> IsTooLate(const TargetTable& table, const ChangeSet& set);

  PgConnection& connection_;
  LetterBook book_;
  TargetCatalog catalog_;
  PgTarget target_;
  RowDecoder decoder_;
  bool asked_for_ = false;
  int altered_ = 0;  // in a row
};

}  // namespace pmoves

#endif  // PMOVES_SUBSCRIBER_IO_LETTER_RETRY_H_
