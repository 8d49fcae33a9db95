#include "publisher/core/start_decision.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_format.h"

namespace pmoves {
namespace {

constexpr const char kNewEpochFix[] =
    "The source needs a new epoch with a snapshot of its tables (see docs/operations.md, "
    "\"A source that must start over\").";

StartDecision Refuse(const char* name, std::string reason) {
  StartDecision decision;
  decision.action = StartDecision::Action::kRefuse;
  decision.refusal = name;
  decision.reason = std::move(reason);
  return decision;
}

bool KnowsWriter(const WriterRow& row, const std::string& writer) {
  return writer == row.writer || (!writer.empty() && writer == row.previous_writer) ||
         std::find(row.former_writers.begin(), row.former_writers.end(), writer) !=
             row.former_writers.end();
}

bool AppliedInEpoch(const StartFacts& facts, uint32_t epoch) {
  return facts.applied.has_value() && facts.applied->epoch == epoch;
}

// Is this database the one that wrote the stream? nullopt: yes.
std::optional<StartDecision> RefuseOtherHistory(const StartFacts& facts) {
  const StreamTail& tail = facts.tail;
  const std::string stream = "SYNC_" + facts.source;
  if (!facts.row.has_value()) {
    return Refuse("unknown_database",
                  absl::StrFormat("The stream %s already holds messages of writer %s, but this "
                                  "database has never published as \"%s\". Two edges with one "
                                  "name, or a new database under an old name? Give this edge "
                                  "another `source`, or start it over. %s",
                                  stream, tail.writer, facts.source, kNewEpochFix));
  }
  if (!KnowsWriter(*facts.row, tail.writer)) {
    return Refuse("foreign_writer",
                  absl::StrFormat("The last message of %s was written by %s, which this database "
                                  "does not know: it is a clone, or it was restored from a "
                                  "backup, or another publisher writes this source. Stop the "
                                  "other one, or give this edge another `source`. %s",
                                  stream, tail.writer, kNewEpochFix));
  }
  if (tail.epoch != facts.row->epoch) {
    return Refuse("epoch_mismatch",
                  absl::StrFormat("The stream %s is in epoch %d, this database "
                                  "in epoch %d. %s",
                                  stream, tail.epoch, facts.row->epoch, kNewEpochFix));
  }
  if (tail.origin != facts.origin) {
    return Refuse("identity_mismatch",
                  absl::StrFormat("The stream %s was written by database %s (system identifier / "
                                  "timeline / slot); this one is %s. Positions of the two cannot "
                                  "be compared. %s",
                                  stream, tail.origin, facts.origin, kNewEpochFix));
  }
  if (facts.wal_end < tail.newest) {
    return Refuse(
        "wal_went_back",
        absl::StrFormat("The stream %s holds position %s, but the WAL of this database "
                        "only reaches %s: the database was set back to an older state. "
                        "%s",
                        stream, tail.newest.ToString(), facts.wal_end.ToString(), kNewEpochFix));
  }
  return std::nullopt;
}

std::optional<StartDecision> RefuseUnusableSlot(const StartFacts& facts) {
  if (!facts.slot.exists) {
    return Refuse("slot_missing",
                  absl::StrFormat("The replication slot \"%s\" does not exist any more: changes "
                                  "since it was dropped are not known. %s",
                                  facts.slot_name, kNewEpochFix));
  }
  if (facts.slot.lost) {
    return Refuse("slot_lost",
                  absl::StrFormat("The replication slot \"%s\" was invalidated (wal_status lost): "
                                  "it fell behind by more than max_slot_wal_keep_size and the WAL "
                                  "it needs is gone. %s",
                                  facts.slot_name, kNewEpochFix));
  }
  if (!facts.slot.reason.empty()) return Refuse("slot_unusable", facts.slot.reason);
  return std::nullopt;
}

StartDecision Start(const StartFacts& facts, uint32_t epoch, Lsn previous, Hlc hlc) {
  StartDecision decision;
  decision.action = StartDecision::Action::kStart;
  decision.epoch = epoch;
  decision.previous = previous;
  decision.hlc = hlc;
  // Without a tail the highest version that the centre has seen is the floor: a clock that stepped
  // back must not make newer rows look older, also across epochs. (With one, a transaction that is
  // sent again must get the same versions again.)
  if (!facts.tail.has_own_message && facts.applied.has_value()) {
    decision.hlc = std::max(hlc, facts.applied->hlc);
  }
  decision.expected_sequence = facts.tail.last_sequence;
  if (facts.tail.has_own_message) {
    decision.previous_writer = facts.tail.writer;
  } else if (facts.row.has_value()) {
    decision.previous_writer = facts.row->previous_writer;
  }
  return decision;
}

// No message of this source anywhere, and this database never published it.
StartDecision DecideFirstStart(const StartFacts& facts) {
  if (facts.applied.has_value()) {
    return Refuse("unknown_database",
                  absl::StrFormat("The centre has applied source \"%s\" up to %s in epoch %d, but "
                                  "neither the stream nor this database knows of it. %s",
                                  facts.source, facts.applied->position.ToString(),
                                  facts.applied->epoch, kNewEpochFix));
  }
  if (!facts.slot.exists) {
    StartDecision decision;
    decision.action = StartDecision::Action::kCreateSlot;
    return decision;
  }
  if (auto refused = RefuseUnusableSlot(facts)) return *refused;
  return Start(facts, 1, Lsn{}, Hlc{});
}

}  // namespace

StartDecision Decide(const StartFacts& facts) {
  const StreamTail& tail = facts.tail;
  if (!tail.has_own_message && !facts.row.has_value()) return DecideFirstStart(facts);
  if (tail.has_own_message) {
    if (auto refused = RefuseOtherHistory(facts)) return *refused;
  }
  if (auto refused = RefuseUnusableSlot(facts)) return *refused;

  const uint32_t epoch = facts.row->epoch;
  const Lsn confirmed = facts.slot.confirmed;
  if (facts.wal_end < confirmed) {
    return Refuse("wal_went_back",
                  absl::StrFormat("The slot \"%s\" is confirmed up to %s, beyond the end of the "
                                  "WAL at %s. %s",
                                  facts.slot_name, confirmed.ToString(), facts.wal_end.ToString(),
                                  kNewEpochFix));
  }
  if (tail.position >= confirmed) return Start(facts, epoch, tail.position, tail.hlc);
  // Nothing was ever confirmed in this epoch: the slot still has all of it, from the first
  // transaction.
  if (confirmed <= facts.row->epoch_start) return Start(facts, epoch, tail.position, tail.hlc);
  if (AppliedInEpoch(facts, epoch) && facts.applied->position >= confirmed) {
    StartDecision decision = Start(facts, epoch, std::max(tail.position, confirmed),
                                   std::max(tail.hlc, facts.applied->hlc));
    decision.covered_by_centre = true;
    return decision;
  }
  return Refuse(
      "tail_lost",
      absl::StrFormat("JetStream lost messages that it had acknowledged: the stream SYNC_%s ends "
                      "at %s, but the slot has forgotten everything up to %s, and the centre has "
                      "%s. %s",
                      facts.source, tail.position.ToString(), confirmed.ToString(),
                      AppliedInEpoch(facts, epoch)
                          ? "applied only up to " + facts.applied->position.ToString()
                          : std::string("not reported what it applied"),
                      kNewEpochFix));
}

}  // namespace pmoves
