// Applier: the apply step of a worker, with what happens to workers.
//
// In the flow:  transactions of sources -> message bodies -> RowDecoder -> PgTarget -> Centre
// It does what a worker does with a batch: transactions at or below the applied position are left
// out, rows and positions commit together, a batch that the database refuses is split. And a batch
// is rolled back, cut in two, offered again by one who has forgotten how far he was, or by one who
// was replaced.
// Thread: one.
#ifndef PMOVES_TESTS_SUBSCRIBER_CONFLICTS_APPLIER_H_
#define PMOVES_TESTS_SUBSCRIBER_CONFLICTS_APPLIER_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/io/pg_connection.h"
#include "proto/message_codec.h"
#include "subscriber/config.h"
#include "subscriber/core/row_decoder.h"
#include "subscriber/io/pg_catalog.h"
#include "subscriber/io/pg_target.h"
#include "tests/subscriber/conflicts/history.h"
#include "tests/subscriber/conflicts/rule_cases.h"

namespace pmoves::conflicts {

// One source transaction on its way, written for the keys from first_key on.
struct Delivery {
  const Transaction* transaction = nullptr;
  int source = 0;  // of Sources()
  Lsn position;    // rises within a source, from 1
  int64_t first_key = 0;
};

enum class Fault {
  kNone,
  kRollback,   // the process dies before the commit, and does it again
  kForgotten,  // it dies between commit and report: starts from the position row
  kPieces,     // the batch is applied in two pieces, each in a savepoint
  kZombie,     // another one, who did not see the commit, applies the same: he must be fenced
  kReconnect,  // the connection breaks before the commit
};
inline constexpr int kFaults = 6;

class Applier {
 public:
  // `config` must outlive the applier.
  static absl::StatusOr<std::unique_ptr<Applier>> Connect(const SubscriberConfig& config);

  // Offers a batch: what of it is new is applied, whatever befalls the worker. `cut` says where
  // Fault::kPieces cuts.
  absl::Status Offer(const RuleCase& rule, const std::vector<Delivery>& batch, size_t cut,
                     Fault fault);
  // Batches that went to the database in one round trip.
  int64_t at_once() const { return at_once_; }
  // Begins anew with what the position rows say.
  absl::Status ReadPositions();

 private:
  explicit Applier(const SubscriberConfig& config) : config_(config) {}
  absl::Status Connect();
  absl::Status ApplyAndCommit(const RuleCase& rule, const std::vector<Delivery>& batch, size_t cut,
                              Fault fault);
  // Decodes what lies above `after` into set_.
  absl::Status Fill(const RuleCase& rule, const std::vector<Delivery>& batch,
                    const std::vector<Lsn>& after, std::vector<SourceProgress>* progress);
  absl::Status AddTransaction(const RuleCase& rule, const Delivery& delivery, TargetTable* table);
  // Begin, Apply, Advance of set_; the transaction stays open.
  absl::Status ApplySet(const std::vector<SourceProgress>& progress, bool pieces, size_t cut);
  // As a worker does after an error: ever smaller pieces. Nothing here deserves to be set aside.
  absl::Status ApplySeparating(size_t begin, size_t end);
  absl::Status ExpectFenced(const RuleCase& rule, const std::vector<Delivery>& batch,
                            const std::vector<Lsn>& before);

  const SubscriberConfig& config_;
  std::unique_ptr<PgConnection> connection_;
  std::unique_ptr<TargetCatalog> catalog_;
  std::unique_ptr<PgTarget> target_;
  RowDecoder decoder_;
  proto::BodyReader reader_;
  proto::BodyWriter writer_;
  ChangeSet set_;
  int64_t offers_ = 0;  // most of them go the shortest way that they can
  int64_t at_once_ = 0;
  std::vector<Lsn> positions_;  // by source, as the worker remembers them
};

}  // namespace pmoves::conflicts

#endif  // PMOVES_TESTS_SUBSCRIBER_CONFLICTS_APPLIER_H_
