// Collector: forgets deletes that no change can meet any more.
//
// In the flow:  coordinator -> Collector -> pmoves_sync.tombstone, pmoves_sync.register,
// pmoves_sync.collection
//
// A tombstone may go when every version that may still come is above it. The bound of a table is
// the lowest state of the clocks (SourceClock) of the sources that may write it:
//   - every later change of a source gets a version above the state that is committed, whatever its
//     clock does and however long its edge was offline: that is what the fold is for. So the lowest
//     committed state is below all that may still come, and needs nobody's clock to be right;
//   - an idle source moves its state by progress messages that say up to when it has nothing older;
//   - an open dead letter of the table may still be applied, with the version that it has;
//   - sources that nobody has heard of for `retention` (neither a change nor a heartbeat) and
//     letters that are older are not waited for, and new sources may join with old changes. So the
//     bound is also never younger than `retention`, and whatever comes from beyond it is set aside
//     as too late (see below). Never applied, never dropped.
//
// Of tables with registers the keys go of which only deletes below the bound are left, where the
// rule allows it (collect_sql.h).
//
// What was forgotten is remembered as one number per table: collection.horizon lies above every
// version that was collected. Whatever is below may meet a delete that nobody knows any more.
//
// The race: a worker merges an old change while its tombstone is collected. The horizon commits in
// the transaction that deletes, and the worker looks at it in the last statement of its own
// (PgTarget::Advance). If a merge did not see a tombstone, the deletion was committed by then, so
// the horizon is seen by the later look, and the batch is made anew without the change. No lock is
// held, and sources that are not late never notice.
//
// With registers that is not enough: a worker that saw the delete leaves an old report behind,
// hidden by the delete alone. So registers go under the table's lock, a few at a time: who had the
// lock before has committed and is seen, who gets it afterwards sees the horizon. They are looked
// for without it.
//
// Tables with a version column, or by arrival, have clocks of their own; one that a source has not
// moved yet holds them back.
// Invariant:  the final state is that without any collection, but for what is set aside as too
// late.
// Thread:     coordinator.
#ifndef PMOVES_SUBSCRIBER_IO_COLLECTOR_H_
#define PMOVES_SUBSCRIBER_IO_COLLECTOR_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/io/pg_connection.h"
#include "subscriber/config.h"
#include "subscriber/core/target_table.h"
#include "subscriber/io/pg_catalog.h"

namespace pmoves {

class Collector {
 public:
  // Tombstones of one table that go at one call.
  static constexpr int kBatch = 10000;
  // Keys with a deleted register that one call looks at, of one table.
  static constexpr int kGraves = 2000;

  struct Collected {
    int64_t forgotten = 0;
    bool more = false;  // some table may have another batch
  };
  struct Horizon {
    int64_t tombstones = 0;  // and deleted registers, as the planner estimates
    // Now minus the lowest commit clock of the sources that are heard of; none: there are none.
    std::optional<absl::Duration> lag;
  };

  Collector(PgConnection& connection, const std::vector<TableConfig>& tables,
            absl::Duration retention)
      : connection_(connection), tables_(tables), retention_(retention) {}

  // One batch of each table, each in a transaction of its own. Of registers the next keys in their
  // order, from the first again behind the last.
  absl::StatusOr<Collected> Collect();
  absl::StatusOr<Horizon> Look();

 private:
  absl::StatusOr<int64_t> CollectTombstones(const TableConfig& table);
  absl::Status CollectRegisters(const TargetTable& table, const TableConfig& config,
                                Collected* all);
  absl::StatusOr<int64_t> ForgetRegisters(const TargetTable& table, const std::string& statement,
                                          const std::string& after, const std::string& last);

  PgConnection& connection_;
  const std::vector<TableConfig>& tables_;
  const absl::Duration retention_;
  std::map<std::string, std::string> swept_;  // relation -> the last key that was looked at
};

}  // namespace pmoves

#endif  // PMOVES_SUBSCRIBER_IO_COLLECTOR_H_
