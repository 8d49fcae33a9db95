#include "subscriber/core/letter_meeting.h"

#include <algorithm>

#include "subscriber/core/register_sql.h"

namespace pmoves {
namespace {

// Something that was reported once counts for ever, whatever is reported or deleted later.
bool RemembersEveryReport(const TablePolicy& policy) {
  return std::any_of(policy.columns.begin(), policy.columns.end(), [](const ColumnRule& column) {
    return column.rule.kind == RuleKind::kValuePriority && column.rule.scope != ValueScope::kSource;
  });
}

LetterMeeting MeetingOfDelete(const TablePolicy& policy) {
  // The last image stays, to be shown or to count again: the delete does not bring it.
  const bool keeps_image =
      policy.on_delete == DeletePolicy::kSoft || policy.on_delete == DeletePolicy::kUpdateWins;
  return keeps_image || RemembersEveryReport(policy) ? LetterMeeting::kFolds
                                                     : LetterMeeting::kSettles;
}

}  // namespace

bool IsLeftOut(const Change& change) {
  const TablePolicy& policy = change.table->policy;
  if (policy.row.kind == RuleKind::kAppendOnly) return !change.inserted;
  if (change.kind == ChangeKind::kDelete) return policy.on_delete == DeletePolicy::kIgnore;
  return change.kind == ChangeKind::kTruncate && policy.truncate == TruncatePolicy::kIgnore;
}

LetterMeeting MeetingOf(const Change& change) {
  const TablePolicy& policy = change.table->policy;
  // append-only: of two inserts the older one stays, so a later one brings nothing.
  if (IsLeftOut(change) || policy.row.kind == RuleKind::kAppendOnly) return LetterMeeting::kPasses;
  switch (change.kind) {
    case ChangeKind::kTruncate:
      return LetterMeeting::kSettles;
    case ChangeKind::kPartial:
      return LetterMeeting::kJoins;
    case ChangeKind::kMove:
      if (!change.whole) return LetterMeeting::kJoins;
      break;
    case ChangeKind::kDelete:
      return MeetingOfDelete(policy);
    case ChangeKind::kWhole:
      break;
  }
  return UsesRegisters(policy) && NeedsEveryChange(policy) ? LetterMeeting::kFolds
                                                           : LetterMeeting::kSettles;
}

}  // namespace pmoves
