#include "publisher/core/transaction_order.h"

#include "absl/status/status.h"
#include "absl/strings/str_format.h"

namespace pmoves {

absl::StatusOr<TransactionOrder::Verdict> TransactionOrder::Begin(Lsn position) {
  if (in_transaction_) {
    return absl::FailedPreconditionError(absl::StrFormat(
        "transaction %s begins inside transaction %s", position.ToString(), current_.ToString()));
  }
  // <= and not <: a commit record ends at one position only, so an equal one is a repetition.
  if (position <= last_seen_) {
    return absl::FailedPreconditionError(
        absl::StrFormat("transaction %s does not follow %s: the server's WAL went back",
                        position.ToString(), last_seen_.ToString()));
  }
  if (position == landmark_) landmark_ = Lsn{};
  if (!landmark_.IsNone() && position > landmark_) {
    return absl::FailedPreconditionError(absl::StrFormat(
        "the stream holds transaction %s, but the WAL of this database goes on with %s without it: "
        "its history parted from the one in the stream (a clone, or a restored backup). The source "
        "needs a new epoch (see docs/operations.md, \"A source that must start over\")",
        landmark_.ToString(), position.ToString()));
  }
  in_transaction_ = true;
  current_ = position;
  return position <= tail_ ? Verdict::kSkip : Verdict::kPublish;
}

absl::Status TransactionOrder::Commit(Lsn position) {
  if (!in_transaction_) {
    return absl::FailedPreconditionError(
        absl::StrFormat("transaction %s ends but none has begun", position.ToString()));
  }
  if (position != current_) {
    return absl::FailedPreconditionError(absl::StrFormat(
        "transaction %s ends inside transaction %s", position.ToString(), current_.ToString()));
  }
  in_transaction_ = false;
  last_seen_ = position;
  return absl::OkStatus();
}

}  // namespace pmoves
