// PgConnection: one libpq connection, owned. Every SQL statement of both programs goes through it.
//
// Invariant:  never reconnects by itself: a lost connection is kUnavailable until a new object is
// made, because session state
//             (locks, prepared statements, an open transaction) would be gone silently. docs/adr
//             tells why not libpqxx.
// Errors:     a server error carries its SQLSTATE (SqlStateOf), the constraint that it names
//             (ConstraintOf) and "message; detail" without row values unless the server puts
//             them into its primary message. A connection that broke: kUnavailable. A COMMIT whose
//             answer was lost: kUnknown.
// Thread:     one thread at a time.
#ifndef PMOVES_COMMON_IO_PG_CONNECTION_H_
#define PMOVES_COMMON_IO_PG_CONNECTION_H_

#include <libpq-fe.h>

#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/io/pg_settings.h"
#include "common/io/steady_time.h"

namespace pmoves {

struct PgConnDeleter {
  void operator()(PGconn* connection) const { PQfinish(connection); }
};
struct PgResultDeleter {
  void operator()(PGresult* result) const { PQclear(result); }
};
struct PgCancelDeleter {
  void operator()(PGcancel* cancel) const;
};
using PgConnPtr = std::unique_ptr<PGconn, PgConnDeleter>;
using PgResultPtr = std::unique_ptr<PGresult, PgResultDeleter>;

// A query's rows, as text.
class PgRows {
 public:
  explicit PgRows(PgResultPtr result) : result_(std::move(result)) {}
  int size() const { return PQntuples(result_.get()); }
  int columns() const { return PQnfields(result_.get()); }
  std::string_view Name(int column) const { return PQfname(result_.get(), column); }
  std::vector<uint32_t> Types() const;  // the oids of the columns' types
  bool IsNull(int row, int column) const { return PQgetisnull(result_.get(), row, column) != 0; }
  std::string_view Text(int row, int column) const {
    return {PQgetvalue(result_.get(), row, column),
            static_cast<size_t>(PQgetlength(result_.get(), row, column))};
  }
  std::string String(int row, int column) const { return std::string(Text(row, column)); }
  int64_t Int(int row, int column) const;  // 0 when null
  bool Bool(int row, int column) const;    // 't'
  // Rows touched by INSERT / UPDATE / DELETE / COPY.
  int64_t affected() const;

 private:
  PgResultPtr result_;
};

struct PgOptions {
  std::string dsn;               // libpq conninfo or postgres:// URI
  std::string password;          // from a secret file; wins over the DSN's
  std::string application_name;  // shown in pg_stat_activity
  bool replication = false;      // replication=database
  // Beside PinnedSettings, and instead of what these say. Connect fails where one cannot be had.
  SessionSettings settings;
  absl::Duration connect_timeout = absl::Seconds(10);  // until the session may be used
};

using PgParam = std::optional<std::string_view>;  // nullopt is NULL

class PgConnection {
 public:
  // kUnavailable when the server cannot be reached or refuses; the message says host, port, dbname
  // and never the password. kFailedPrecondition: the session does not keep the settings that it
  // needs; the message says which, and what to do.
  static absl::StatusOr<std::unique_ptr<PgConnection>> Connect(const PgOptions& options);

  // One or more statements without parameters; the last one's rows.
  absl::StatusOr<PgRows> Execute(const std::string& sql);
  // One statement with $1.. as text.
  absl::StatusOr<PgRows> Execute(const std::string& sql, std::span<const PgParam> params);
  absl::StatusOr<PgRows> Execute(const std::string& sql, std::initializer_list<PgParam> params) {
    return Execute(sql, std::span<const PgParam>(params.begin(), params.size()));
  }
  // A statement that runs often is planned once: by EXECUTE name(...), which may follow others in
  // one round trip. `parameters`: their types, "text, integer" or "". Prepared when the session has
  // no statement of this name yet; the same name must always be the same statement.
  absl::Status PrepareOnce(const std::string& name, const std::string& parameters,
                           const std::string& sql);
  // Of the whole session, whoever prepared them.
  absl::Status ForgetStatements();
  // The next statement begins a transaction, in its own round trip. Without one there is nothing to
  // commit or to roll back.
  void Begin() { begins_ = true; }
  // COMMIT. kUnknown when the answer did not arrive: the caller must read what is stored.
  absl::Status Commit();
  // ROLLBACK; errors are ignored (the connection is then broken and says so at its next use).
  void Rollback();

  bool IsOpen() const { return PQstatus(connection_.get()) == CONNECTION_OK; }
  PGTransactionStatusType transaction_status() const {
    return PQtransactionStatus(connection_.get());
  }
  int server_version() const { return PQserverVersion(connection_.get()); }  // e.g. 150018
  std::string Parameter(const char* name) const;  // PQparameterStatus, "" if unknown
  std::string QuoteLiteral(std::string_view text) const;
  // The raw handle, for COPY, pipeline mode and the replication protocol in the io folders. Null,
  // a connection that is lost, when a transaction was to begin and could not.
  PGconn* raw() {
    SendBegin();
    return connection_.get();
  }
  // Called for each NOTICE / WARNING: SQLSTATE and primary message.
  void SetNoticeHandler(
      std::function<void(std::string_view sql_state, std::string_view message)> handler);

  // The Status of a result or, when there is none, of the connection.
  absl::Status ErrorOf(const PGresult* result) const;

  // Whether the session still has its settings. A pooler that gives each transaction another
  // session does not always show at once. kFailedPrecondition; the connection must not be used.
  absl::Status CheckSettings();

  // Lets another thread end a running statement (shutdown). Safe to call at any time while the
  // object lives.
  void Cancel();

 private:
  explicit PgConnection(PgConnPtr connection);
  absl::StatusOr<PgRows> Take(PGresult* result);
  void SendBegin();
  absl::Status PinSettings(const SessionSettings& wanted, SteadyTime deadline);
  absl::Status Compare(const PgRows& shown) const;

  std::function<void(std::string_view, std::string_view)> notice_handler_;
  PgConnPtr connection_;
  bool begins_ = false;
  std::set<std::string> prepared_once_;
  SessionSettings pinned_;  // as the server shows them
  std::unique_ptr<PGcancel, PgCancelDeleter>
      cancel_;  // made at connect: Cancel() must not read connection_ beside its user
};

// "name" quoted as an SQL identifier, always with quotes.
std::string QuoteIdentifier(std::string_view name);

}  // namespace pmoves

#endif  // PMOVES_COMMON_IO_PG_CONNECTION_H_
