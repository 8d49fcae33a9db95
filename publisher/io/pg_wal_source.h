// PgWalSource: the replication connection. WalSource over libpq: START_REPLICATION ... LOGICAL with
// wal2json, format-version 2.
//
// In the flow:  Postgres walsender -> PgWalSource -> Wal2JsonDecoder
// Invariant:    starts behind what the stream is known to hold, never at a position from anywhere
// else: the server believes any
//               LSN and would skip changes silently. A position before the slot's own is moved up
//               to it by the server.
// Thread:       publish loop only.
#ifndef PMOVES_PUBLISHER_IO_PG_WAL_SOURCE_H_
#define PMOVES_PUBLISHER_IO_PG_WAL_SOURCE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/lsn.h"
#include "common/io/pg_connection.h"
#include "publisher/core/wal_source.h"

namespace pmoves {

// Answer of IDENTIFY_SYSTEM.
struct SystemIdentity {
  std::string system_id;
  std::string timeline;
  Lsn wal_end;
};

class PgWalSource : public WalSource {
 public:
  struct Options {
    std::string dsn;
    std::string password;
    std::string application_name;
    std::string slot;
    std::string add_tables;  // CapturedTables::AddTablesOption()
    // Whether a table whose changes were dropped by wal2json matters; asked on the publish loop.
    std::function<bool(std::string_view schema, std::string_view table)> is_captured;
  };

  // Opens the connection without starting the stream. kUnavailable, or kFailedPrecondition behind a
  // pooler.
  static absl::StatusOr<std::unique_ptr<PgWalSource>> Connect(Options options);

  absl::StatusOr<SystemIdentity> Identify();
  // START_REPLICATION behind `from` (0/0: at the slot's own position), with the logical messages
  // of one prefix. Transactions up to it are
  // not even decoded, which after a restart saves doing all of the hold again. kUnavailable: the
  // slot is held by another process (its PID is in the message). kNotFound: no such slot.
  // kFailedPrecondition: the slot was invalidated, or wal2json may not be used; the message says
  // what to do.
  absl::Status Start(Lsn from, std::string_view message_prefix);

  absl::StatusOr<std::optional<WalEvent>> Next() override;
  int fd() const override;
  absl::Status Report(Lsn received, Lsn flush, bool ask_reply) override;
  // The table of which changes were dropped; empty: none, or its name is not known.
  const std::pair<std::string, std::string>& lost_table() const { return lost_table_; }
  // TLS may hold decrypted bytes that poll() does not see.
  bool uses_tls() const;

 private:
  explicit PgWalSource(Options options) : options_(std::move(options)) {}
  void OnNotice(std::string_view sql_state, std::string_view message);
  absl::Status EndOfStream();
  absl::Status Explain(const absl::Status& status) const;
  absl::StatusOr<WalEvent> Parse(std::string_view message) const;

  struct CopyDeleter {
    void operator()(char* buffer) const { PQfreemem(buffer); }
  };

  Options options_;
  std::unique_ptr<PgConnection> connection_;
  std::unique_ptr<char, CopyDeleter> buffer_;  // holds the payload that the last Next() gave out
  std::pair<std::string, std::string> lost_table_;
  absl::Status lost_changes_;  // from a WARNING; ends the stream at the next Next()
};

}  // namespace pmoves

#endif  // PMOVES_PUBLISHER_IO_PG_WAL_SOURCE_H_
