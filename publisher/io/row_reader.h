// RowReader: one whole row of a captured table, read by its key, in the form that wal2json gives
// rows.
//
// In the flow:  Refetcher -> RowReader -> WalChange -> MessagePlan
// Thread:       publish loop only (queries on the session's SQL connection).
#ifndef PMOVES_PUBLISHER_IO_ROW_READER_H_
#define PMOVES_PUBLISHER_IO_ROW_READER_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/io/pg_connection.h"
#include "proto/change_message.h"
#include "proto/refetch.h"
#include "publisher/core/relation.h"

namespace pmoves {

// A row as raw JSON tokens.
struct ReadRow {
  std::vector<std::string> names;
  std::vector<std::string> values;
  size_t bytes = 0;

  // Views into this row.
  std::vector<proto::RawColumn> Columns() const;
};

// Whether `request` names columns of the relation. The centre's key need not be the edge's replica
// identity; whether it finds one row only, KeyLookup knows. kInvalidArgument says what is wrong,
// for the one who asked.
absl::Status CheckKey(const proto::RefetchRequest& request, const Relation& relation);

class RowReader {
 public:
  // The connection must outlive the reader.
  explicit RowReader(PgConnection& connection) : connection_(connection) {}

  // The row as this session sees it now, all columns; nullopt when there is none. REQUIRES:
  // CheckKey is OK. kFailedPrecondition: the table has other columns than `relation` says, or its
  // rows are hidden from this role; kPermissionDenied: no right to read it. A lock that is not
  // given within moments is an error, too.
  absl::StatusOr<std::optional<ReadRow>> Read(const proto::RefetchRequest& request,
                                              const Relation& relation);

 private:
  static absl::StatusOr<std::optional<ReadRow>> RowOf(const PgRows& rows, const Relation& relation);

  PgConnection& connection_;
};

}  // namespace pmoves

#endif  // PMOVES_PUBLISHER_IO_ROW_READER_H_
