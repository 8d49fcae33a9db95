// Moving the positions of the sources, the last statement of a batch. See pg_target.h.
#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "common/base/status.h"
#include "common/base/time_text.h"
#include "subscriber/core/sql_array.h"
#include "subscriber/io/pg_catalog.h"
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

// Moves one row or, with FROM, several. Of each: epoch, position, hlc, stream_created,
// stream_sequence, origin, committed, transactions, changes.
constexpr const char kMove[] =
    "UPDATE pmoves_sync.source_position p SET epoch = %s, position = %s, hlc = GREATEST(p.hlc, "
    "%s), stream_created = %s, stream_sequence = %s, origin = COALESCE(NULLIF(%s, ''), p.origin), "
    "last_commit_at = COALESCE(%s, "
    "p.last_commit_at), applied_at = clock_timestamp(), transactions = p.transactions + %s, "
    "changes = p.changes + %s";

constexpr const char kAdvanceParameters[] =
    "text[], bigint[], pg_lsn[], bigint[], pg_lsn[], bigint[], text[], bigint[], text[], "
    "timestamptz[], bigint[], bigint[], text[], bigint[], oid[], text[], text[]";

std::string AdvanceStatement() {
  const std::string move =
      absl::StrFormat(kMove, "s.epoch", "s.position", "s.hlc", "s.created", "s.sequence",
                      "s.origin", "s.committed", "s.transactions", "s.changes");
  return absl::StrFormat(
      "%s FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) AS s(source, old_epoch, "
      "old_position, epoch, position, hlc, created, sequence, origin, committed, transactions, "
      "changes) WHERE p.source = s.source AND p.epoch = s.old_epoch AND p.position = "
      "s.old_position AND NOT EXISTS (%s) AND NOT EXISTS (%s)",
      move, BelowHorizon("$13", "$14"), AlteredTables("$15", "$16", "$17"));
}

// One source, in scalars, which are read faster. An error (division by zero) unless it is where it
// should be, nothing is below the horizons, nobody else has ever written a relation of $15, and the
// tables are as they are marked.
constexpr const char kAdvanceOneParameters[] =
    "text, bigint, pg_lsn, bigint, pg_lsn, bigint, text, bigint, text, timestamptz, bigint, "
    "bigint, text[], bigint[], text[], oid[], text[], text[]";

std::string AdvanceOneStatement() {
  // As BelowHorizon, without making tables of the arrays.
  return absl::StrFormat(
      "WITH moved AS (%s WHERE p.source = $1 AND p.epoch = $2 AND p.position = $3 AND NOT EXISTS "
      "(SELECT FROM pmoves_sync.collection c WHERE c.relation = ANY ($13) AND c.horizon > "
      "($14)[array_position($13, c.relation)]) AND NOT EXISTS (SELECT FROM "
      "pmoves_sync.table_source w WHERE w.relation = ANY ($15) AND w.source <> $1) AND NOT EXISTS "
      "(%s) RETURNING 1) SELECT 1 / count(*) FROM moved",
      absl::StrFormat(kMove, "$4", "$5", "$6", "$7", "$8", "$9", "$10", "$11", "$12"),
      AlteredTables("$16", "$17", "$18"));
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
      "(source, relation) DO UPDATE SET hlc = GREATEST(c.hlc, EXCLUDED.hlc)",
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
  const MarkedTables relied_on = MarksOf(relied_on_);
  std::string clocks = ClocksStatement(sources);
  if (!clocks.empty()) clocks += "; ";
  ASSIGN_OR_RETURN(
      const PgRows updated,
      connection_.Execute(absl::StrFormat(
          "%sEXECUTE pmoves_advance(%s, %s, %s, %s, %s, %s)", clocks, ProgressArrays(sources),
          SqlLiteral(lowest.relations), SqlLiteral(lowest.versions), SqlLiteral(relied_on.oids),
          SqlLiteral(relied_on.names), SqlLiteral(relied_on.marks))));
  return updated.affected() == static_cast<int64_t>(sources.size()) ? absl::OkStatus()
                                                                    : WhyNotAdvanced();
}

absl::Status PgTarget::PrepareAdvanceOne() {
  return connection_.PrepareOnce("pmoves_advance_one", kAdvanceOneParameters,
                                 AdvanceOneStatement());
}

absl::Status PgTarget::SendPositions(const ChangeSet& set,
                                     const std::vector<SourceProgress>& sources) {
  if (const std::string clocks = ClocksStatement(sources); !clocks.empty())
    RETURN_IF_ERROR(SendCommand(clocks));
  MarkedTables relied_on = MarksOf(relied_on_);
  for (const SourceProgress& source : sources) {
    RETURN_IF_ERROR(SendAdvanceOne(set, source, relied_on));
    relied_on = MarksOf({});  // once is enough
  }
  return absl::OkStatus();
}

absl::Status PgTarget::SendAdvanceOne(const ChangeSet& set, const SourceProgress& source,
                                      const MarkedTables& relied_on) {
  std::set<std::string> alone;
  for (const Change& change : set.changes) {
    if (*change.source == source.source && !facts_.at(change.table->oid).shared)
      alone.insert(change.table->Name());
  }
  const Lowest lowest = LowestApplied();
  binder_.Clear();
  binder_.Add(source.source);
  binder_.Add(std::to_string(source.old_epoch));
  binder_.Add(source.old_position.ToString());
  binder_.Add(std::to_string(source.epoch));
  binder_.Add(source.position.ToString());
  binder_.Add(std::to_string(source.hlc.value));
  binder_.Add(source.stream_created);
  binder_.Add(std::to_string(source.sequence));
  binder_.Add(source.origin);
  source.commit_us == 0 ? binder_.AddNull() : binder_.Add(FormatRfc3339(source.commit_us));
  binder_.Add(std::to_string(source.transactions));
  binder_.Add(std::to_string(source.changes));
  binder_.Add(lowest.relations);
  binder_.Add(lowest.versions);
  binder_.Add(ArrayBody(std::vector<std::string>(alone.begin(), alone.end()), ArrayElement));
  binder_.Add(relied_on.oids);
  binder_.Add(relied_on.names);
  binder_.Add(relied_on.marks);
  return SendPrepared("pmoves_advance_one", {});
}

PgTarget::Lowest PgTarget::LowestApplied() const {
  std::map<std::string, Hlc> by_name;  // a table that was altered meanwhile is there twice
  for (const auto& [table, version] : lowest_) {
    Hlc& lowest = by_name.try_emplace(table->Name(), version).first->second;
    lowest = std::min(lowest, version);
  }
  const std::vector<std::pair<std::string, Hlc>> lowest(by_name.begin(), by_name.end());
  return {ArrayBody(lowest, [](const auto& item) { return ArrayElement(item.first); }),
          ArrayBody(lowest, [](const auto& item) { return std::to_string(item.second.value); })};
}

absl::Status PgTarget::WhyNotAdvanced() {
  const Lowest lowest = LowestApplied();
  ASSIGN_OR_RETURN(
      const PgRows below,
      connection_.Execute(BelowHorizon(SqlLiteral(lowest.relations), SqlLiteral(lowest.versions))));
  for (int i = 0; i < below.size(); ++i) horizons_[below.String(i, 0)] = Hlc{below.Int(i, 1)};
  if (below.size() > 0) {
    absl::Status status = absl::AbortedError(absl::StrFormat(
        "changes of %s are older than deletes that are forgotten there", below.Text(0, 0)));
    status.SetPayload(kTooLatePayload, absl::Cord("1"));
    return status;
  }
  RETURN_IF_ERROR(RequireUnaltered());
  return absl::AbortedError(
      "fenced: the position of a source is not where this worker left it; another one applies it");
}

absl::Status PgTarget::RequireUnaltered() {
  return pmoves::RequireUnaltered(connection_, relied_on_);
}

bool IsTooLate(const absl::Status& status) {
  return status.GetPayload(kTooLatePayload).has_value();
}

}  // namespace pmoves
