#include "publisher/change_pump.h"

#include <utility>

#include "absl/strings/str_format.h"
#include "common/base/status.h"
#include "publisher/core/wal_source.h"

namespace pmoves {
namespace {

bool IsRow(WalAction action) {
  return action == WalAction::kInsert || action == WalAction::kUpdate ||
         action == WalAction::kDelete || action == WalAction::kTruncate;
}

bool HasNewRow(WalAction action) {
  return action == WalAction::kInsert || action == WalAction::kUpdate;
}

// All columns of the change are known, in order; ones that an UPDATE leaves out are skipped over.
bool KnowsColumns(const WalChange& change, const Relation& relation) {
  size_t known = 0;
  for (const proto::RawColumn& column : change.columns) {
    while (known < relation.columns.size() && relation.columns[known].token != column.name) ++known;
    if (known == relation.columns.size()) return false;
    ++known;
  }
  return true;
}

}  // namespace

absl::Status ChangePump::Take(std::string_view payload) {
  ASSIGN_OR_RETURN(const WalChange* change, decoder_.Decode(payload));
  if (change->action == WalAction::kBegin) place_ = {place_.passed, change->position, change->xid};
  if (change->action == WalAction::kCommit) place_ = {change->position, Lsn{}, change->xid};
  if (!held_.empty()) return Hold(payload, *change);
  if (publishing_ && HasNewRow(change->action)) {
    const Relation* relation = nullptr;
    RETURN_IF_ERROR(FindRelation(*change, &relation));
    if (relation == nullptr) return absl::OkStatus();
    if (HasSuspiciousNull(*change, *relation)) return Hold(payload, *change);
    plan_.Add(*change, *relation);
    return absl::OkStatus();
  }
  return Process(*change);
}

absl::Status ChangePump::Hold(std::string_view payload, const WalChange& change) {
  if (HasNewRow(change.action)) {
    const Relation* relation = nullptr;
    RETURN_IF_ERROR(FindRelation(change, &relation));
    if (relation != nullptr && HasSuspiciousNull(change, *relation)) {
      nonfinite_.Want(change, *relation, place_.xid);
    }
  }
  held_.emplace_back(payload);
  held_bytes_ += payload.size();
  if (held_bytes_ < kMaxHeldBytes && nonfinite_.wanted() < kMaxHeldRows) return absl::OkStatus();
  return Release();
}

absl::Status ChangePump::Release() {
  if (held_.empty()) return absl::OkStatus();
  nonfinite_reads_ += nonfinite_.wanted();
  RETURN_IF_ERROR(nonfinite_.Fetch());
  while (!held_.empty()) {
    ASSIGN_OR_RETURN(const WalChange* change, decoder_.Decode(held_.front()));
    RETURN_IF_ERROR(Process(*change));
    held_bytes_ -= held_.front().size();
    held_.pop_front();
  }
  nonfinite_.Clear();
  return absl::OkStatus();
}

absl::Status ChangePump::Process(const WalChange& change) {
  if (IsRow(change.action)) return ProcessRow(change);
  if (change.action == WalAction::kBegin) {
    ASSIGN_OR_RETURN(TransactionOrder::Verdict verdict, order_.Begin(change.position));
    publishing_ = verdict == TransactionOrder::Verdict::kPublish;
    refetcher_.Seen(change.xid);
    if (publishing_) plan_.Begin(change.position, change.xid, change.commit_us);
  } else if (change.action == WalAction::kCommit) {
    RETURN_IF_ERROR(order_.Commit(change.position));
    if (publishing_) {
      plan_.Commit();
      ++transactions_;
    }
    publishing_ = false;
  } else if (publishing_ && change.transactional && change.prefix == kMessagePrefix) {
    return refetcher_.TakeMark(change.content, &plan_);
  }
  return absl::OkStatus();
}

absl::Status ChangePump::ProcessRow(const WalChange& change) {
  if (!order_.in_transaction()) {
    return absl::FailedPreconditionError("a row change came outside of a transaction");
  }
  if (!publishing_) return absl::OkStatus();
  const Relation* relation = nullptr;
  RETURN_IF_ERROR(FindRelation(change, &relation));
  if (relation == nullptr) return absl::OkStatus();
  if (HasSuspiciousNull(change, *relation)) {
    WalChange patched = change;
    nonfinite_.Patch(*relation, &patched);
    plan_.Add(patched, *relation);
  } else {
    plan_.Add(change, *relation);
  }
  return absl::OkStatus();
}

absl::Status ChangePump::FindRelation(const WalChange& change, const Relation** relation) {
  *relation = catalog_.Find(change.schema, change.table);
  if (*relation != nullptr && HasNewRow(change.action) && !KnowsColumns(change, **relation)) {
    // The table was altered. Reading is throttled: an event from before the change keeps its old
    // columns and plans as it is.
    catalog_.Refresh();
    *relation = catalog_.Find(change.schema, change.table);
  }
  return catalog_.status();
}

}  // namespace pmoves
