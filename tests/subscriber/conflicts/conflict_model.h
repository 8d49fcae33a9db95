// conflict_model: what the rows of a case must be, written down once more and plainly.
//
// The model gets the set of changes that have arrived, each source's in its order, and no order
// between sources: whatever it answers is a function of the set alone (promise C1). It knows the
// definitions in docs/adr/2026-11-22-registers-per-source.md and shares no code with
// subscriber/core, where the same is done in SQL.
//
//   - By row version: the change with the largest (hlc, source) is the row, or its absence.
//   - By registers: each source's changes of a key fold into its latest report; the row is chosen
//     column by column from the reports.
// Thread: any. Pure.
#ifndef PMOVES_TESTS_SUBSCRIBER_CONFLICTS_CONFLICT_MODEL_H_
#define PMOVES_TESTS_SUBSCRIBER_CONFLICTS_CONFLICT_MODEL_H_

#include <cstdint>
#include <optional>
#include <string>

#include "subscriber/core/conflict_rule.h"
#include "tests/subscriber/conflicts/history.h"

namespace pmoves::conflicts {

struct ModelRow {
  Image image;  // deleted_at as microseconds since 1970
  std::string source;
  int64_t version = 0;

  bool operator==(const ModelRow&) const = default;
};

// The row that people see under `key`; nullopt when there is none.
std::optional<ModelRow> Expected(const TablePolicy& policy, const History& arrived, int key);

}  // namespace pmoves::conflicts

#endif  // PMOVES_TESTS_SUBSCRIBER_CONFLICTS_CONFLICT_MODEL_H_
