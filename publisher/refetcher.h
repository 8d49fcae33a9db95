// Refetcher: sends rows that the centre asks for, each at a place in the WAL where it is exactly
// known what comes before it.
//
//   RefetchFeed -> RefetchQueue -> mark in the WAL -> ChangePump -> row read over SQL ->
//   MessagePlan
//
// Why the row is read when the mark comes back, and not when it is written: all changes that
// committed before the mark were published by then, so a row that holds them all
// (RecentTransactions tells) is right at the mark's position, without a lock and with no right but
// SELECT. It may hold changes from behind the mark, too; they come again, as their own changes. Why
// no row travels in the mark: anybody may write a logical message, so it must not be trusted, and
// it would be in the WAL.
//
// Invariant:    one mark is under way at a time and one row in memory at a time; a mark's rows end
// at kBytesPerMark. What cannot be read is not sent, and the centre asks again.
// Thread:       publish loop only (queries on the session's SQL connection).
#ifndef PMOVES_PUBLISHER_REFETCHER_H_
#define PMOVES_PUBLISHER_REFETCHER_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/io/nats_client.h"
#include "common/io/pg_connection.h"
#include "publisher/core/message_plan.h"
#include "publisher/core/recent_transactions.h"
#include "publisher/core/refetch_queue.h"
#include "publisher/io/pg_catalog.h"
#include "publisher/io/refetch_feed.h"
#include "publisher/io/row_reader.h"
#include "publisher/metrics.h"

namespace pmoves {

class Refetcher {
 public:
  // All must outlive the refetcher. `session` is the id of this run.
  struct Parts {
    PgConnection& connection;
    PgCatalog& catalog;
    RefetchFeed& feed;
    NatsClient& nats;
    Metrics& metrics;
    std::string message_prefix;
  };
  Refetcher(Parts parts, std::string session)
      : parts_(parts), reader_(parts.connection), queue_(std::move(session)) {}

  // Takes what was asked, and writes a mark if rows wait. Non-OK: the connection is lost.
  absl::Status Turn(absl::Time now);
  // A transaction came out of the WAL. For each, and cheap.
  void Seen(uint32_t xid) { recent_.Add(xid); }
  // A logical message of ours came out of the WAL, inside a transaction that is being planned. Its
  // rows, if it is the mark under way, go to *plan.
  absl::Status TakeMark(std::string_view content, MessagePlan* plan);
  // Until this session sees every transaction that came out of the WAL so far. kUnavailable: it
  // takes too long now.
  absl::Status AwaitVisible();
  int fd() const { return parts_.feed.fd(); }
  // When Turn has something to do without being asked anew.
  absl::Time NextDue() const { return queue_.ready() ? mark_due_ : absl::InfiniteFuture(); }

 private:
  static constexpr size_t kBytesPerMark = size_t{8} << 20;

  absl::Status WriteMark(const std::string& content);
  // Why a request cannot be met, for the operator; OK: it is in the queue.
  absl::Status Accept(const proto::RefetchRequest& row);
  void Answer(const AskedRow& asked, const absl::Status& outcome);
  absl::StatusOr<bool> AllVisible();
  absl::StatusOr<size_t> SendRow(const proto::RefetchRequest& row, MessagePlan* plan);
  void NoteTrouble(const proto::RefetchRequest& row, const absl::Status& why);
  // Why rows of the table could not be read a moment ago; OK: nothing is known.
  absl::Status TroubleOf(const proto::RefetchRequest& row) const;

  struct Trouble {
    absl::Status why;
    absl::Time until;
  };

  Parts parts_;
  RowReader reader_;
  RefetchQueue queue_;
  RecentTransactions recent_;
  absl::Time now_;
  absl::Time mark_due_ = absl::InfinitePast();
  std::map<std::string, Trouble> troubles_;  // by table: why its rows could not be read just now
};

}  // namespace pmoves

#endif  // PMOVES_PUBLISHER_REFETCHER_H_
