// What the publisher installs in the edge database so that the WAL tells of each change of a table:
// the secret prefix of its messages, the history of definitions and the event trigger that writes
// it. docs/adr/2026-12-01-history-of-definitions.md says why.
//
// In the flow:  `init`, start of a session -> schema pmoves_sync -> RelationHistory, PgWalSource
// Invariant:    a definition and its mark in the WAL are written by the transaction that changes
//               the table, under the lock that it holds; a command whose mark cannot be written
//               fails.
// Thread:       publish loop, or main for the verbs.
#ifndef PMOVES_PUBLISHER_IO_HISTORY_SCHEMA_H_
#define PMOVES_PUBLISHER_IO_HISTORY_SCHEMA_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "common/io/pg_connection.h"

namespace pmoves {

// All statements, for a superuser to run; `role` (a quoted identifier) may then use the history.
std::string HistorySql(std::string_view role);
// The secret prefix; made when there is none yet. It stays the same for the life of the database.
absl::StatusOr<std::string> EnsurePrefix(PgConnection& connection);
// The history and both event triggers are there, always enabled, and this role may read them.
absl::StatusOr<bool> HistoryInstalled(PgConnection& connection);
// Installs it where it is missing and the role may; false: the role may not.
absl::StatusOr<bool> EnsureHistory(PgConnection& connection);

}  // namespace pmoves

#endif  // PMOVES_PUBLISHER_IO_HISTORY_SCHEMA_H_
