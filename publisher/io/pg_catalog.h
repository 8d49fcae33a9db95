// PgCatalog: what the database's catalog says of the captured tables. RelationCatalog over SQL.
//
// In the flow:  pg_class, pg_attribute, pg_index -> PgCatalog -> MessagePlan, NonfiniteReader
// Invariant:    a table that the operator asked for is never taken for one that is not captured
// because a query failed: after
//               nullptr the caller looks at status().
// Thread:       publish loop only (queries on the session's SQL connection).
#ifndef PMOVES_PUBLISHER_IO_PG_CATALOG_H_
#define PMOVES_PUBLISHER_IO_PG_CATALOG_H_

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/io/pg_connection.h"
#include "common/io/steady_time.h"
#include "publisher/core/captured_tables.h"
#include "publisher/core/relation.h"

namespace pmoves {

// Of pg_class.relreplident.
proto::ReplicaIdentity IdentityOf(std::string_view relreplident);

class PgCatalog : public RelationCatalog {
 public:
  // Of tables that were missing: what appears under the name must have a newer oid
  // (waiting_tables.h).
  using Floors = std::map<std::pair<std::string, std::string>, uint32_t>;
  // Both must outlive the catalog.
  PgCatalog(PgConnection& connection, const CapturedTables& tables);

  // Reads all captured tables.
  absl::Status Load();
  // A table that appeared after Load (below a "schema.*") is looked up once; nullptr when it is not
  // captured (not asked for, or a materialized view, whose rows must not leave: it is derived
  // data).
  const Relation* Find(std::string_view schema, std::string_view table) override;
  // kFailedPrecondition: a table that was waited for appeared by a rename.
  absl::Status Admits(std::string_view schema, std::string_view table, uint32_t oid) const;
  // The table was waited for and was not looked up since.
  bool Awaits(std::string_view schema, std::string_view table) const;
  // The operator asked for a table of that name.
  bool Wanted(std::string_view schema, std::string_view table) const {
    return tables_.Matches(schema, table) && !IsLeftOut(schema, table);
  }
  bool IsLeftOut(std::string_view schema, std::string_view table) const {
    return !left_out_.empty() && left_out_.count(Key(schema, table)) > 0;
  }
  // Reads one table again, whatever was known of it.
  absl::StatusOr<const Relation*> LookUp(std::string_view schema, std::string_view table);
  // The name is that of something that is no ordinary permanent table.
  absl::StatusOr<bool> IsOtherKind(std::string_view schema, std::string_view table);
  // Reads all again, at most once in `kRefreshInterval`. Pointers given out before are then
  // invalid.
  void Refresh() override;
  // The first error of a query since Load.
  const absl::Status& status() const { return query_status_; }
  size_t size() const { return relations_.size(); }
  // Tables below a "schema.*" that are not captured any more (waiting_tables.h).
  using Names = std::set<std::pair<std::string, std::string>>;
  void LeaveOut(Names names) { left_out_ = std::move(names); }
  void SetFloors(Floors floors) { floors_ = std::move(floors); }
  // Tables that are named and not there (yet), or that are left out; for people.
  std::vector<std::string> Missing() const;

 private:
  using Key = std::pair<std::string, std::string>;
  struct Less {  // finds a pair of views without building strings
    using is_transparent = void;
    template <typename A, typename B>
    bool operator()(const A& a, const B& b) const {
      const std::string_view a1 = a.first, a2 = a.second, b1 = b.first, b2 = b.second;
      return a1 != b1 ? a1 < b1 : a2 < b2;
    }
  };
  static constexpr absl::Duration kRefreshInterval = absl::Seconds(10);

  // Reads the tables of one pattern into relations_ (replacing entries).
  absl::Status Read(const TablePattern& pattern);

  PgConnection& connection_;
  const CapturedTables& tables_;
  // An empty pointer: looked up, and not captured.
  std::map<Key, std::unique_ptr<Relation>, Less> relations_;
  Floors floors_;
  Names left_out_;
  uint64_t versions_ = uint64_t{1} << 62;  // given out, see Relation::version
  const Relation* last_found_ = nullptr;   // rows come in runs of one table
  SteadyTime refreshed_at_;
  absl::Status query_status_;
};

}  // namespace pmoves

#endif  // PMOVES_PUBLISHER_IO_PG_CATALOG_H_
