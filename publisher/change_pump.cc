#include "publisher/change_pump.h"

#include <utility>

#include "absl/strings/str_format.h"
#include "common/base/status.h"
#include "common/io/log.h"

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

absl::Status ChangePump::Take(std::string_view payload, Lsn at) {
  ASSIGN_OR_RETURN(const WalChange* change, decoder_.Decode(payload));
  if (change->action == WalAction::kBegin) {
    place_ = {place_.passed, change->position, change->xid};
    refetcher_.Seen(change->xid);
    RETURN_IF_ERROR(history_.Begin(change->xid));
  }
  if (change->action == WalAction::kCommit) place_ = {change->position, Lsn{}, change->xid};
  if (IsOurs(*change)) {
    if (history_.TakeMark(change->content)) return Release();
  }
  if (!held_.empty()) return Hold(payload, *change, at);
  if (publishing_ && HasNewRow(change->action)) {
    const Relation* relation = nullptr;
    RETURN_IF_ERROR(FindRelation(*change, at, place_.xid, &relation));
    if (relation == nullptr) return absl::OkStatus();
    if (HasSuspiciousNull(*change, *relation)) return Hold(payload, *change, at);
    plan_.Add(*change, *relation);
    return absl::OkStatus();
  }
  return Process(*change, at);
}

bool ChangePump::IsOurs(const WalChange& change) const {
  return change.action == WalAction::kMessage && change.transactional &&
         change.prefix == message_prefix_;
}

absl::Status ChangePump::Hold(std::string_view payload, const WalChange& change, Lsn at) {
  if (HasNewRow(change.action)) {
    const Relation* relation = nullptr;
    RETURN_IF_ERROR(FindRelation(change, at, place_.xid, &relation));
    if (relation != nullptr && HasSuspiciousNull(change, *relation)) {
      nonfinite_.Want(change, *relation, place_.xid);
    }
  }
  held_.push_back({std::string(payload), at});
  held_bytes_ += payload.size();
  if (held_bytes_ < kMaxHeldBytes && nonfinite_.wanted() < kMaxHeldRows) return absl::OkStatus();
  return Release();
}

absl::Status ChangePump::Release() {
  if (held_.empty()) return absl::OkStatus();
  nonfinite_reads_ += nonfinite_.wanted();
  RETURN_IF_ERROR(nonfinite_.Fetch());
  while (!held_.empty()) {
    ASSIGN_OR_RETURN(const WalChange* change, decoder_.Decode(held_.front().payload));
    RETURN_IF_ERROR(Process(*change, held_.front().at));
    held_bytes_ -= held_.front().payload.size();
    held_.pop_front();
  }
  nonfinite_.Clear();
  return absl::OkStatus();
}

absl::Status ChangePump::Process(const WalChange& change, Lsn at) {
  if (IsRow(change.action)) return ProcessRow(change, at);
  if (change.action == WalAction::kBegin) {
    ASSIGN_OR_RETURN(TransactionOrder::Verdict verdict, order_.Begin(change.position));
    publishing_ = verdict == TransactionOrder::Verdict::kPublish;
    planned_xid_ = change.xid;
    if (publishing_) plan_.Begin(change.position, change.xid, change.commit_us);
  } else if (change.action == WalAction::kCommit) {
    RETURN_IF_ERROR(order_.Commit(change.position));
    if (publishing_) {
      plan_.Commit();
      ++transactions_;
    }
    publishing_ = false;
  } else if (publishing_ && IsOurs(change)) {
    return refetcher_.TakeMark(change.content, &plan_);
  }
  return absl::OkStatus();
}

absl::Status ChangePump::ProcessRow(const WalChange& change, Lsn at) {
  if (!order_.in_transaction()) {
    return absl::FailedPreconditionError("a row change came outside of a transaction");
  }
  if (!publishing_) return absl::OkStatus();
  const Relation* relation = nullptr;
  RETURN_IF_ERROR(FindRelation(change, at, planned_xid_, &relation));
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

absl::Status ChangePump::FindRelation(const WalChange& change, Lsn at, uint32_t xid,
                                      const Relation** relation) {
  if (catalog_.IsLeftOut(change.schema, change.table)) return absl::OkStatus();
  return history_.active() ? FindInHistory(change, at, xid, relation)
                           : FindInCatalog(change, xid, relation);
}

absl::Status ChangePump::FindInHistory(const WalChange& change, Lsn at, uint32_t xid,
                                       const Relation** relation) {
  ASSIGN_OR_RETURN(*relation, history_.At(change.schema, change.table, at, xid));
  if (*relation == nullptr && !LookedUp(change, xid)) {
    // CREATE TABLE AS writes its rows before its mark.
    looked_up_in_ = 0;  // the catalog was not asked
    RETURN_IF_ERROR(refetcher_.AwaitVisible());
    RETURN_IF_ERROR(history_.ReadNew());
    ASSIGN_OR_RETURN(*relation, history_.At(change.schema, change.table, at, xid));
  }
  // Made past the trigger, or not an ordinary table.
  if (*relation == nullptr) return FindInCatalog(change, xid, relation);
  RETURN_IF_ERROR(catalog_.Admits(change.schema, change.table, (*relation)->oid));
  if (catalog_.Awaits(change.schema, change.table)) {
    RETURN_IF_ERROR(catalog_.LookUp(change.schema, change.table).status());
  }
  if (!HasNewRow(change.action) || KnowsColumns(change, **relation)) {
    return absl::OkStatus();
  }
  // Altered past the trigger, or in the WAL before the history began.
  LogLimited(LogLevel::kWarn, "history.mismatch",
             "a change does not fit the definition that the history has for its place: it is read "
             "by the catalog of now",
             {{"table", change.schema + "." + change.table}, {"position", at.ToString()}});
  return FindInCatalog(change, xid, relation);
}

// Whether the table of the change was asked for in this transaction already. It counts as asked for
// then.
bool ChangePump::LookedUp(const WalChange& change, uint32_t xid) {
  if (looked_up_in_ == xid && forgotten_.schema == change.schema &&
      forgotten_.table == change.table) {
    return true;
  }
  looked_up_in_ = xid;
  forgotten_ = {};
  forgotten_.schema = change.schema;
  forgotten_.table = change.table;
  return false;
}

// The catalog is that of now. What it does not know is asked for again in each transaction, in a
// snapshot that sees all that the WAL has shown.
absl::Status ChangePump::FindInCatalog(const WalChange& change, uint32_t xid,
                                       const Relation** relation) {
  *relation = catalog_.Find(change.schema, change.table);
  if (*relation != nullptr && HasNewRow(change.action) && !KnowsColumns(change, **relation)) {
    // The table was altered. Reading is throttled: an event from before the change keeps its old
    // columns and plans as it is.
    catalog_.Refresh();
    *relation = catalog_.Find(change.schema, change.table);
  }
  RETURN_IF_ERROR(catalog_.status());
  if (*relation != nullptr || !catalog_.Wanted(change.schema, change.table)) {
    return absl::OkStatus();
  }
  if (!LookedUp(change, xid)) {
    RETURN_IF_ERROR(refetcher_.AwaitVisible());
    ASSIGN_OR_RETURN(*relation, catalog_.LookUp(change.schema, change.table));
    if (*relation != nullptr) return absl::OkStatus();
    ASSIGN_OR_RETURN(const bool other_kind, catalog_.IsOtherKind(change.schema, change.table));
    forgotten_.has_usable_identity = !other_kind;
    if (!other_kind) {
      LogLimited(LogLevel::kWarn, "table.gone",
                 "the table of a change was renamed or dropped since: the change is sent as the "
                 "WAL has it",
                 {{"table", change.schema + "." + change.table}});
    }
  }
  *relation = forgotten_.has_usable_identity ? &forgotten_ : nullptr;
  return absl::OkStatus();
}

}  // namespace pmoves
