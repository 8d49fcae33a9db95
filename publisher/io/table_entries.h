// ReadTableEntries: postgres.tables as the operator wrote it -> CapturedTables.
// Thread: any. Pure.
#ifndef PMOVES_PUBLISHER_IO_TABLE_ENTRIES_H_
#define PMOVES_PUBLISHER_IO_TABLE_ENTRIES_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "publisher/core/captured_tables.h"

namespace pmoves {

// kInvalidArgument names the entry and what is wrong with it.
absl::StatusOr<CapturedTables> ReadTableEntries(const std::vector<std::string>& entries);

}  // namespace pmoves

#endif  // PMOVES_PUBLISHER_IO_TABLE_ENTRIES_H_
