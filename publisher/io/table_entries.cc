#include "publisher/io/table_entries.h"

#include <utility>

#include "absl/strings/str_format.h"
#include "common/io/table_name.h"

namespace pmoves {

absl::StatusOr<CapturedTables> ReadTableEntries(const std::vector<std::string>& entries) {
  std::vector<TablePattern> patterns;
  for (const std::string& entry : entries) {
    TableName name;
    if (std::string wrong = ParseTableName(entry, &name); !wrong.empty()) {
      return absl::InvalidArgumentError(
          absl::StrFormat("postgres.tables: \"%s\": %s", entry, wrong));
    }
    patterns.push_back(TablePattern{name.schema, name.table, name.whole_schema});
  }
  return CapturedTables::Make(std::move(patterns));
}

}  // namespace pmoves
