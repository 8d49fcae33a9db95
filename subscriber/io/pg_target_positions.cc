// Moving the positions of the sources, the last statement of a batch. See pg_target.h.
#include <string>
#include <vector>

#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "common/base/status.h"
#include "common/base/time_text.h"
#include "subscriber/core/sql_array.h"
#include "subscriber/io/pg_target.h"

namespace pmoves {
namespace {

constexpr const char kTooLatePayload[] = "pmoves/too_late";

// Tables of two arrays, relations and the lowest version of each, of which the collector has
// forgotten that version.
std::string BelowHorizon(const std::string& relations, const std::string& lowest) {
  return absl::StrFormat(
      "SELECT c.relation, c.horizon FROM unnest(%s::text[], %s::bigint[]) AS b(relation, lowest) "
      "JOIN pmoves_sync.collection c ON c.relation = b.relation WHERE b.lowest < c.horizon",
      relations, lowest);
}

constexpr const char kAdvanceParameters[] =
    "text[], bigint[], pg_lsn[], bigint[], pg_lsn[], bigint[], text[], bigint[], text[], "
    "timestamptz[], bigint[], bigint[], text[], bigint[]";

std::string AdvanceStatement() {
  return absl::StrFormat(
      "UPDATE pmoves_sync.source_position p SET epoch = s.epoch, position = s.position, hlc = "
      "GREATEST(p.hlc, s.hlc), stream_created = s.created, stream_sequence = s.sequence, origin = "
      "s.origin, last_commit_at = COALESCE(s.committed, p.last_commit_at), applied_at = "
      "clock_timestamp(), transactions = p.transactions + s.transactions, changes = p.changes + "
      "s.changes FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) AS s(source, "
      "old_epoch, old_position, epoch, position, hlc, created, sequence, origin, committed, "
      "transactions, changes) WHERE p.source = s.source AND p.epoch = s.old_epoch AND p.position "
      "= s.old_position AND NOT EXISTS (%s)",
      BelowHorizon("$13", "$14"));
}

std::string ClocksStatement(const std::vector<SourceProgress>& sources) {
  std::vector<std::string> clocks;
  for (const SourceProgress& source : sources) {
    for (const RelationClock& clock : source.clocks) {
      clocks.push_back(absl::StrFormat("(%s, %s, %d)", SqlLiteral(source.source),
                                       SqlLiteral(clock.relation), clock.hlc.value));
    }
  }
  if (clocks.empty()) return "";
  return absl::StrFormat(
      "INSERT INTO pmoves_sync.source_clock AS c (source, relation, hlc) VALUES %s ON CONFLICT "
      "(source, relation) DO UPDATE SET hlc = GREATEST(c.hlc, EXCLUDED.hlc); ",
      absl::StrJoin(clocks, ", "));
}

std::string ProgressArrays(const std::vector<SourceProgress>& sources) {
  using P = SourceProgress;
  auto number = [](auto value) { return std::to_string(value); };
  auto lsn = [](Lsn position) { return position.ToString(); };
  auto committed = [](const P& p) {
    return p.commit_us == 0 ? std::string("NULL") : ArrayElement(FormatRfc3339(p.commit_us));
  };
  const std::string columns[] = {
      ArrayOf(sources, [](const P& p) { return ArrayElement(p.source); }),
      ArrayOf(sources, [&](const P& p) { return number(p.old_epoch); }),
      ArrayOf(sources, [&](const P& p) { return lsn(p.old_position); }),
      ArrayOf(sources, [&](const P& p) { return number(p.epoch); }),
      ArrayOf(sources, [&](const P& p) { return lsn(p.position); }),
      ArrayOf(sources, [&](const P& p) { return number(p.hlc.value); }),
      ArrayOf(sources, [](const P& p) { return ArrayElement(p.stream_created); }),
      ArrayOf(sources, [&](const P& p) { return number(p.sequence); }),
      ArrayOf(sources, [](const P& p) { return ArrayElement(p.origin); }),
      ArrayOf(sources, committed),
      ArrayOf(sources, [&](const P& p) { return number(p.transactions); }),
      ArrayOf(sources, [&](const P& p) { return number(p.changes); }),
  };
  return absl::StrJoin(columns, ", ");
}

}  // namespace

absl::Status PgTarget::Advance(const std::vector<SourceProgress>& sources) {
  RETURN_IF_ERROR(
      connection_.PrepareOnce("pmoves_advance", kAdvanceParameters, AdvanceStatement()));
  const Lowest lowest = LowestApplied();
  ASSIGN_OR_RETURN(const PgRows updated,
                   connection_.Execute(absl::StrFormat(
                       "%sEXECUTE pmoves_advance(%s, %s, %s)", ClocksStatement(sources),
                       ProgressArrays(sources), lowest.relations, lowest.versions)));
  return updated.affected() == static_cast<int64_t>(sources.size()) ? absl::OkStatus()
                                                                    : WhyNotAdvanced();
}

PgTarget::Lowest PgTarget::LowestApplied() const {
  const std::vector<std::pair<const TargetTable*, Hlc>> lowest(lowest_.begin(), lowest_.end());
  return {ArrayOf(lowest, [](const auto& item) { return ArrayElement(item.first->Name()); }),
          ArrayOf(lowest, [](const auto& item) { return std::to_string(item.second.value); })};
}

absl::Status PgTarget::WhyNotAdvanced() {
  const Lowest lowest = LowestApplied();
  ASSIGN_OR_RETURN(const PgRows below,
                   connection_.Execute(BelowHorizon(lowest.relations, lowest.versions)));
  for (int i = 0; i < below.size(); ++i) horizons_[below.String(i, 0)] = Hlc{below.Int(i, 1)};
  if (below.size() > 0) {
    absl::Status status = absl::AbortedError(absl::StrFormat(
        "changes of %s are older than deletes that are forgotten there", below.Text(0, 0)));
    status.SetPayload(kTooLatePayload, absl::Cord("1"));
    return status;
  }
  return absl::AbortedError(
      "fenced: the position of a source is not where this worker left it; another one applies it");
}

bool IsTooLate(const absl::Status& status) {
  return status.GetPayload(kTooLatePayload).has_value();
}

}  // namespace pmoves
