// Deferrable constraints that the server does not check in this session. See unseen_constraints.h.
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_format.h"
#include "common/base/status.h"
#include "proto/json_token.h"
#include "subscriber/core/sql_array.h"
#include "subscriber/io/pg_target.h"

namespace pmoves {
namespace {

// A JSON array of what a row of this change is found by: its source where the key has it, its key.
std::string KeyOf(const ChangeSet& set, const Change& change) {
  std::string text = "[";
  if (change.table->key_has_source) proto::AppendJsonString(*change.source, &text);
  for (const int position : change.shape->key) {
    if (text.size() > 1) text += ',';
    proto::AppendJsonString(set.Text(set.At(change, position)), &text);
  }
  return text + "]";
}

}  // namespace

absl::Status PgTarget::CheckUnseen(const ChangeSet& set, size_t begin, size_t end) {
  std::map<const TargetTable*, std::set<std::string>> keys;
  for (size_t i = begin; i < end; ++i) {
    const Change& change = set.changes[i];
    if (change.table->unseen.empty() || change.shape == nullptr) continue;
    if (change.kind != ChangeKind::kDelete) keys[change.table].insert(KeyOf(set, change));
  }
  for (const auto& [table, texts] : keys) {
    const std::string array =
        ArrayBody(std::vector<std::string>(texts.begin(), texts.end()), ArrayElement);
    for (const UnseenConstraint& constraint : table->unseen) {
      ASSIGN_OR_RETURN(const PgRows found, connection_.Execute(constraint.sql, {PgParam(array)}));
      if (found.size() == 0) continue;
      return WithConstraint(
          WithSqlState(absl::InvalidArgumentError(absl::StrFormat(
                           "a row conflicts with another one: constraint %s of %s, which is "
                           "deferrable, so the server does not look at it for applied rows",
                           constraint.name, table->Name())),
                       constraint.sql_state),
          constraint.name);
    }
  }
  return absl::OkStatus();
}

}  // namespace pmoves
