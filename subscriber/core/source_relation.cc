#include "subscriber/core/source_relation.h"

#include <algorithm>
#include <set>
#include <string>

#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"

namespace pmoves {

absl::Status KeyMismatch(const proto::RelationDefinition& relation, const TargetTable& table) {
  std::set<std::string> theirs;
  for (const proto::RelationColumn& column : relation.columns) {
    if (!column.key) continue;
    const auto renamed = table.mapping.rename.find(column.name);
    theirs.insert(renamed == table.mapping.rename.end() ? column.name : renamed->second);
  }
  if (theirs.empty()) return absl::OkStatus();  // nothing identifies a row: the table only grows
  std::set<std::string> ours;
  for (const int index : table.key) {
    const std::string& name = table.columns[static_cast<size_t>(index)].name;
    if (table.mapping.constants.count(name) == 0) ours.insert(name);
  }
  const bool by_index = relation.identity == proto::ReplicaIdentity::kIndex;
  const bool fits = by_index ? std::includes(theirs.begin(), theirs.end(), ours.begin(), ours.end())
                             : theirs == ours;
  if (fits) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrFormat(
      "the source tells rows of %s apart by (%s), the centre by (%s): rows of the source would "
      "overwrite one another, or not be found. Give the table of the centre the same primary key "
      "(ALTER TABLE %s DROP CONSTRAINT ..., ADD PRIMARY KEY (%s)), or the source's the old one; "
      "then it goes on by itself",
      table.Name(), absl::StrJoin(theirs, ", "), absl::StrJoin(ours, ", "), table.Name(),
      absl::StrJoin(theirs, ", ")));
}

}  // namespace pmoves
