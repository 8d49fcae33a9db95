// Session: one attempt to publish, from nothing to the first doubt. Crash-only.
//
// Opens everything, asks the fences, reads what is stored, decides where to go on, and runs the
// PublishLoop. Whatever goes wrong ends the session with a Status; the Publisher then makes a new
// one, which begins from what is stored and not from memory.
//
// Order of opening (each step may refuse):
//   NATS -> streams -> fence: does another writer answer? -> SQL -> preflight -> state row, slot,
//   stream tail, applied position
//   -> Decide -> replication connection -> writer row -> answer the fence -> START_REPLICATION ->
//   loop
// Invariant:    nothing is published before the writer row names this session.
// Thread:       publish loop (main).
#ifndef PMOVES_PUBLISHER_SESSION_H_
#define PMOVES_PUBLISHER_SESSION_H_

#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/io/jetstream.h"
#include "common/io/nats_client.h"
#include "common/io/pg_connection.h"
#include "common/io/stop.h"
#include "publisher/config.h"
#include "publisher/core/captured_tables.h"
#include "publisher/core/start_decision.h"
#include "publisher/core/stuck_place.h"
#include "publisher/io/applied_feed.h"
#include "publisher/io/pg_catalog.h"
#include "publisher/io/pg_wal_source.h"
#include "publisher/io/relation_history.h"
#include "publisher/metrics.h"
#include "publisher/status.h"

namespace pmoves {

// What outlives a session.
struct SessionContext {
  const PublisherConfig& config;
  const CapturedTables& tables;
  // uuid of this session: a new one each time, so that a copy of the database that was taken
  // before does not know it.
  std::string writer;
  StatusBoard& board;
  Metrics& metrics;
  StopSignal& stop;
  StuckPlace& stuck;
};

class Session {
 public:
  explicit Session(SessionContext context) : context_(std::move(context)) {}
  ~Session();

  // OK only when stopping was asked for.
  absl::Status Run();
  // Why it was refused, as a stable name; "" when it was no refusal.
  const std::string& refusal() const { return refusal_; }
  // The step of opening that was reached last: nats, database, preflight, decide, take-over,
  // publish.
  const char* step() const { return step_; }
  // It worked for a while before it ended.
  bool was_sound() const { return was_sound_; }

 private:
  absl::Status ConnectNats();
  absl::Status ConnectDatabase();
  absl::Status Preflight();
  absl::StatusOr<StartFacts> GatherFacts();
  absl::Status DecideStart();
  absl::Status OpenReplication();
  absl::Status TakeOverRow();
  absl::Status Publish();
  bool MayLeaveOut() const;
  absl::Status LeaveTableOut();
  // Keeps the name of a refusal while the sentence goes up.
  absl::Status Refused(const char* name, absl::Status status);
  // So that the centre sees a blocked edge, too.
  void SendFarewell(const absl::Status& status);

  SessionContext context_;
  std::string refusal_;
  const char* step_ = "";
  bool was_sound_ = false;

  std::unique_ptr<NatsClient> nats_;
  std::unique_ptr<JetStream> jetstream_;
  std::unique_ptr<AppliedFeed> applied_;
  std::unique_ptr<NatsSubscription> fence_;
  std::unique_ptr<PgConnection> sql_;
  std::unique_ptr<PgCatalog> catalog_;
  std::unique_ptr<RelationHistory> history_;
  std::string message_prefix_;
  std::unique_ptr<PgWalSource> source_;
  SystemIdentity identity_;
  StartFacts facts_;
  StartDecision decision_;
};

// Options of the SQL connection of sessions and verbs.
PgOptions DatabaseOptions(const PublisherConfig& config, const std::string& purpose);
PgWalSource::Options ReplicationOptions(const PublisherConfig& config,
                                        const CapturedTables& tables);
// The two streams that the publisher needs. kFailedPrecondition with the server's text.
absl::Status EnsureStreams(JetStream& jetstream, const PublisherConfig& config);

}  // namespace pmoves

#endif  // PMOVES_PUBLISHER_SESSION_H_
