// Relation: what the publisher knows of a captured table beyond what wal2json says. Plain data,
// filled from the catalog by io.
#ifndef PMOVES_PUBLISHER_CORE_RELATION_H_
#define PMOVES_PUBLISHER_CORE_RELATION_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "proto/change_message.h"

namespace pmoves {

struct RelationColumn {
  std::string name;   // plain UTF-8
  std::string token;  // the same as a raw JSON string token, as wal2json writes it
  uint32_t type_oid = 0;
  // Part of the replica identity index (or of the primary key under REPLICA IDENTITY FULL).
  bool key = false;
  // attlen = -1 and not PLAIN storage: may be left out of an UPDATE.
  bool toastable = false;
  // float4, float8 or numeric without a guarding CHECK: wal2json 2.5 writes NaN and Infinity as
  // null.
  bool may_be_nonfinite = false;
  std::string type = {};  // with its modifier, as format_type() prints it
  bool not_null = false;
};

struct Relation {
  uint32_t oid = 0;
  std::string schema;
  std::string table;
  std::vector<RelationColumn> columns;  // in attnum order, dropped ones left out
  proto::ReplicaIdentity identity = proto::ReplicaIdentity::kDefault;
  // Of this definition, in this process; a changed one gets another. 0: nobody is told of it.
  uint64_t version = 0;
  // False: UPDATE and DELETE are dropped by wal2json; capture is refused by preflight.
  bool has_usable_identity = true;

  const RelationColumn* FindToken(std::string_view token) const {
    for (const RelationColumn& column : columns) {
      if (column.token == token) return &column;
    }
    return nullptr;
  }
};

// PORT. Owned by the core, implemented over the catalog in publisher/io/pg_catalog.
class RelationCatalog {
 public:
  virtual ~RelationCatalog() = default;
  // The captured table of that name, or nullptr when it is not captured. Valid until the next
  // Refresh.
  virtual const Relation* Find(std::string_view schema, std::string_view table) = 0;
  // Reads the catalog again (a column appeared that is not known). Throttled by the implementation.
  virtual void Refresh() = 0;
};

}  // namespace pmoves

#endif  // PMOVES_PUBLISHER_CORE_RELATION_H_
