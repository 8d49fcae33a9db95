// Coordinator: the part of a session that is not applying: which sources there are, who owns them,
// what is reported.
//
// In the flow:  stream list -> Coordinator (FairShare) -> Worker::Claim;  FleetState ->
// StatusWriter
// -> applied positions -> publishers
// Sharing: every process stands in the ProcessBook with the sources that it may own, so the live
// ones are known at once when one dies. Each owns at most its fair share and gives the rest back.
// Invariant:  a position is reported, and messages are purged, only after it is on disk in the
// centre (see StatusWriter). Thread:     main, for the length of a session.
#ifndef PMOVES_SUBSCRIBER_COORDINATOR_H_
#define PMOVES_SUBSCRIBER_COORDINATOR_H_

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/io/backoff.h"
#include "common/io/jetstream.h"
#include "common/io/nats_client.h"
#include "common/io/pg_connection.h"
#include "subscriber/config.h"
#include "subscriber/core/fair_share.h"
#include "subscriber/fleet_state.h"
#include "subscriber/io/central_writes.h"
#include "subscriber/io/collector.h"
#include "subscriber/io/refetch_asker.h"
#include "subscriber/io/status_writer.h"
#include "subscriber/metrics.h"
#include "subscriber/worker.h"

namespace pmoves {

// The source whose stream it is; "" when it is none's, or of one that `config` leaves to others.
std::string SourceOfStream(const std::string& stream, const SubscriberConfig& config);

class Coordinator {
 public:
  Coordinator(const SubscriberConfig& config, NatsClient& nats, JetStream& jetstream,
              RefetchAsker& asker, FleetState& fleet, SubscriberMetrics& metrics,
              std::vector<std::unique_ptr<Worker>>& workers);

  // Everything that is due at `now`, which is MonotonicTime()'s. Never fails: what does not work is
  // logged and tried again at its next turn.
  void Turn(absl::Time now);
  // Last status and report, after the workers ended.
  void Finish();
  bool connected() const { return connection_ != nullptr && connection_->IsOpen(); }

 private:
  bool EnsureConnection(absl::Time now);
  void Discover();
  absl::Status ShareSources(const std::set<std::string>& known);
  void Report(absl::Time now, bool everything);
  void ForgetLetters();
  void Collect(absl::Time now);
  void Purge();
  // Of one stream, below `sequence`, if what would be the first message shows to be applied.
  absl::Status PurgeApplied(const std::string& source, uint64_t sequence);
  void AskForRows(absl::Time now);
  void SettleCentralWrites();

  const SubscriberConfig& config_;
  NatsClient& nats_;
  JetStream& jetstream_;
  RefetchAsker& asker_;
  FleetState& fleet_;
  SubscriberMetrics& metrics_;
  std::vector<std::unique_ptr<Worker>>& workers_;
  std::unique_ptr<PgConnection> connection_;
  std::unique_ptr<StatusWriter> status_;
  std::unique_ptr<Collector> collector_;
  std::unique_ptr<CentralWrites> central_writes_;
  Backoff backoff_;
  absl::Time connect_at_ = absl::InfinitePast();
  absl::Time discover_at_ = absl::InfinitePast();
  absl::Time report_at_ = absl::InfinitePast();
  absl::Time report_all_at_ = absl::InfinitePast();
  absl::Time failures_at_ = absl::InfinitePast();
  absl::Time ask_at_ = absl::InfinitePast();
  absl::Time settle_at_ = absl::InfinitePast();
  absl::Time purge_at_ = absl::InfinitePast();
  absl::Time collect_at_ = absl::InfinitePast();
  absl::Time maintain_log_at_ = absl::InfinitePast();
  std::map<std::string, SourceState> unreported_;  // taken from the fleet, not yet written
  // What is applied of a stream, and on disk. A name may stand for another stream at any time: one
  // that is made anew, and one whose server lost its tail and gives sequences out again.
  struct Durable {
    std::string stream_created;
    uint64_t sequence = 0;
    uint32_t epoch = 0;
    Lsn position;
    uint64_t useless = 0;  // up to here nothing is kept, not even for a look back
    bool full = false;     // its publisher waits for room
  };
  struct Purged {
    std::string stream_created;
    uint64_t below = 0;
  };
  FairShare share_;
  std::map<std::string, Durable> durable_;  // by source
  std::map<std::string, Purged> purged_;
};

}  // namespace pmoves

#endif  // PMOVES_SUBSCRIBER_COORDINATOR_H_
