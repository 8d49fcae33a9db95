// ChangePump: decode -> order -> plan, for one WAL event after the other.
//
// In the flow:  WalSource -> ChangePump -> MessagePlan
// Rows that may hold a NaN (NonfiniteReader) must be read again before they are planned. They and
// all that follows them are held as raw bytes, in order, so that many rows share one statement;
// nothing is held longer than until the WAL has nothing more to read.
// A mark of the Refetcher becomes the rows that the centre asked for.
//
// Invariant:    changes reach the plan in WAL order. Held bytes are bounded by kMaxHeldBytes and
// one event (promise R1).
// Thread:       publish loop only.
#ifndef PMOVES_PUBLISHER_CHANGE_PUMP_H_
#define PMOVES_PUBLISHER_CHANGE_PUMP_H_

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "common/base/lsn.h"
#include "publisher/core/message_plan.h"
#include "publisher/core/relation.h"
#include "publisher/core/stuck_place.h"
#include "publisher/core/transaction_order.h"
#include "publisher/core/wal2json_decoder.h"
#include "publisher/io/nonfinite_reader.h"
#include "publisher/io/pg_catalog.h"
#include "publisher/io/relation_history.h"
#include "publisher/refetcher.h"

namespace pmoves {

class ChangePump {
 public:
  // All references must outlive the pump. `order` knows what the stream holds already.
  ChangePump(TransactionOrder order, MessagePlan& plan, PgCatalog& catalog,
             NonfiniteReader& nonfinite, Refetcher& refetcher, RelationHistory& history,
             std::string message_prefix)
      : order_(order),
        plan_(plan),
        catalog_(catalog),
        nonfinite_(nonfinite),
        refetcher_(refetcher),
        history_(history),
        message_prefix_(std::move(message_prefix)) {}

  // One payload of the WAL source, and where it is in the WAL.
  absl::Status Take(std::string_view payload, Lsn at);
  // The WAL has nothing more to read now: what is held goes on to the plan.
  absl::Status Release();
  // No transaction is open and nothing is held: all that was read is in the plan.
  bool idle() const { return held_.empty() && !order_.in_transaction(); }
  // Newest position read to its end.
  Lsn last_seen() const { return order_.last_seen(); }
  uint64_t transactions() const { return transactions_; }  // given to the plan
  // How far was read, also of what is held.
  const WalPlace& place() const { return place_; }
  uint64_t nonfinite_reads() const { return nonfinite_reads_; }
  // What cannot be published as it is, for people; "" for nothing.
  std::string Trouble() const { return nonfinite_.Trouble(); }

 private:
  static constexpr size_t kMaxHeldBytes = 256 * 1024;
  static constexpr size_t kMaxHeldRows = 256;  // that are read again

  struct HeldEvent {
    std::string payload;
    Lsn at;
  };
  bool LookedUp(const WalChange& change, uint32_t xid);
  bool IsOurs(const WalChange& change) const;
  absl::Status Hold(std::string_view payload, const WalChange& change, Lsn at);
  absl::Status Process(const WalChange& change, Lsn at);
  absl::Status ProcessRow(const WalChange& change, Lsn at);
  // What the table was at `at`. nullptr in *relation: it is not captured.
  absl::Status FindInHistory(const WalChange& change, Lsn at, uint32_t xid,
                             const Relation** relation);
  absl::Status FindInCatalog(const WalChange& change, uint32_t xid, const Relation** relation);
  absl::Status FindRelation(const WalChange& change, Lsn at, uint32_t xid,
                            const Relation** relation);

  TransactionOrder order_;
  MessagePlan& plan_;
  PgCatalog& catalog_;
  NonfiniteReader& nonfinite_;
  Refetcher& refetcher_;
  RelationHistory& history_;
  const std::string message_prefix_;
  Wal2JsonDecoder decoder_;
  WalPlace place_;
  uint32_t planned_xid_ = 0;  // of the transaction that is being planned
  bool publishing_ = false;   // the open transaction is one that the stream does not have
  std::deque<HeldEvent> held_;
  size_t held_bytes_ = 0;
  // A table that the catalog no longer knows, and the transaction in which that was looked up.
  Relation forgotten_;
  uint32_t looked_up_in_ = 0;
  uint64_t transactions_ = 0;
  uint64_t nonfinite_reads_ = 0;
};

}  // namespace pmoves

#endif  // PMOVES_PUBLISHER_CHANGE_PUMP_H_
