#include "tests/bench/micro/rows.h"

#include "absl/strings/str_format.h"

namespace pmoves {

Cells JobRow(int number) {
  return {
      {"id", absl::StrFormat("\"5f0e6e4c-8a1b-4c6d-9e2f-%012d\"", number)},
      {"name", absl::StrFormat("\"render frame %d\"", number)},
      {"status", "\"running\""},
      {"priority", "5"},
      {"gpu", "\"orin-nano-8gb\""},
      {"progress", "0.4375"},
      {"payload",
       "\"{\\\"model\\\": \\\"llama-3-8b\\\", \\\"prompt\\\": \\\"a short one\\\", \\\"steps\\\": "
       "30}\""},
      {"created_at", "\"2026-11-22 09:25:41.029291+00\""},
      {"updated_at", "\"2026-11-22 09:26:02.118203+00\""},
  };
}

Relation JobsTable() {
  return Table("jobs", {Key("id", 2950), Toasted("name"), Toasted("status"), Column("priority"),
                        Toasted("gpu"), Column("progress", 701), Toasted("payload", 3802),
                        Column("created_at", 1184), Column("updated_at", 1184)});
}

}  // namespace pmoves
