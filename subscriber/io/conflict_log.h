// ConflictLogStore: pmoves_sync.conflict_log for people, and its upkeep.
//
// In the flow:  merge statements -> conflict_log -> `conflicts list|show|pick`; Coordinator ->
// Maintain
// Thread: its owner's.
#ifndef PMOVES_SUBSCRIBER_IO_CONFLICT_LOG_H_
#define PMOVES_SUBSCRIBER_IO_CONFLICT_LOG_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/io/pg_connection.h"

namespace pmoves {

// What a source says of a row: its latest report.
struct Sibling {
  std::string source, stamp, image;
};

struct ConflictRow {
  int64_t id = 0;
  std::string detected_at, state, type, resolution, table, key, remote_source, local_source, rule;
  bool lossy = false;
  // Only from Show: row values.
  std::string remote_row, local_row, applied_row, note;
  // Where the table has registers: the reports as they are now, the newest first.
  std::vector<Sibling> siblings;
};

class ConflictLogStore {
 public:
  explicit ConflictLogStore(PgConnection& connection) : connection_(connection) {}

  // Newest first, at most `limit`; of one table ("public.jobs", "jobs") and only open ones when
  // asked.
  absl::StatusOr<std::vector<ConflictRow>> List(const std::optional<std::string>& table, bool open,
                                                int limit);
  // kNotFound when there is none.
  absl::StatusOr<ConflictRow> Show(int64_t id);
  // An open conflict is settled; the note is kept with it. kNotFound when there is none.
  absl::Status Resolve(int64_t id, const std::string& note);
  // Partitions of today and the next two days are made, those older than `retention` go. The number
  // of rows that came before the partition of their day and were moved there.
  absl::StatusOr<int64_t> Maintain(absl::Duration retention);

 private:
  absl::StatusOr<std::vector<Sibling>> Siblings(int64_t id);

  PgConnection& connection_;
};

}  // namespace pmoves

#endif  // PMOVES_SUBSCRIBER_IO_CONFLICT_LOG_H_
