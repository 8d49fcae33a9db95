#include "publisher/io/pg_wal_source.h"

#include <array>
#include <utility>

#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "common/base/status.h"

namespace pmoves {
namespace {

constexpr int64_t kPostgresEpochUs = 946684800000000;  // 2000-01-01 in microseconds since 1970
constexpr size_t kDataHeader = 25;                     // 'w' start end time
constexpr size_t kKeepaliveLength = 18;                // 'k' end time reply
constexpr const char kPluginListName[] = "output_plugin_libraries";

uint64_t ReadUint64(const char* bytes) {
  uint64_t value = 0;
  for (int i = 0; i < 8; ++i) value = value << 8 | static_cast<unsigned char>(bytes[i]);
  return value;
}

void WriteUint64(uint64_t value, char* bytes) {
  for (int i = 7; i >= 0; --i) {
    bytes[i] = static_cast<char>(value & 0xff);
    value >>= 8;
  }
}

std::string Quoted(std::string_view text) {
  std::string quoted = "'";
  for (char c : text) {
    if (c == '\'') quoted.push_back('\'');
    quoted.push_back(c);
  }
  quoted.push_back('\'');
  return quoted;
}

bool Contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

// The table of  no tuple identifier for UPDATE in table "schema"."table" . wal2json does not double
// quotes inside the names, so the separator  "."  is searched for. Both empty when the text has
// another form.
std::pair<std::string, std::string> TableOfWarning(std::string_view message) {
  constexpr std::string_view kMark = "in table \"";
  const size_t begin = message.find(kMark);
  if (begin == std::string_view::npos) return {};
  std::string_view names = message.substr(begin + kMark.size());
  const size_t dot = names.find("\".\"");
  const size_t end = names.rfind('"');
  if (dot == std::string_view::npos || end < dot + 3) return {};
  return {std::string(names.substr(0, dot)), std::string(names.substr(dot + 3, end - dot - 3))};
}

}  // namespace

absl::StatusOr<std::unique_ptr<PgWalSource>> PgWalSource::Connect(Options options) {
  std::unique_ptr<PgWalSource> source(new PgWalSource(std::move(options)));
  PgOptions connect;
  connect.dsn = source->options_.dsn;
  connect.password = source->options_.password;
  connect.application_name = source->options_.application_name;
  connect.replication = true;
  connect.settings = {{"search_path", "pg_catalog"}};
  connect.settings.emplace_back("wal_sender_timeout", "30s");
  ASSIGN_OR_RETURN(source->connection_, PgConnection::Connect(connect));
  PgWalSource* self = source.get();
  self->connection_->SetNoticeHandler(
      [self](std::string_view state, std::string_view message) { self->OnNotice(state, message); });
  return source;
}

absl::StatusOr<SystemIdentity> PgWalSource::Identify() {
  absl::StatusOr<PgRows> rows = connection_->Execute("IDENTIFY_SYSTEM");
  if (!rows.ok() || rows->size() != 1 || rows->columns() < 3) {
    if (!rows.ok() && absl::IsUnavailable(rows.status())) return rows.status();
    return absl::FailedPreconditionError(
        "IDENTIFY_SYSTEM is not understood at the other end: postgres.dsn points to a pooler. "
        "Give the address of PostgreSQL itself.");
  }
  SystemIdentity identity;
  identity.system_id = rows->String(0, 0);
  identity.timeline = rows->String(0, 1);
  ASSIGN_OR_RETURN(identity.wal_end, Lsn::Parse(rows->Text(0, 2)));
  return identity;
}

absl::Status PgWalSource::Start(Lsn from, std::string_view message_prefix) {
  const std::string command = absl::StrFormat(
      "START_REPLICATION SLOT %s LOGICAL %s (\"format-version\" '2', \"include-transaction\" '1', "
      "\"include-lsn\" '1', \"include-xids\" '1', \"include-timestamp\" '1', \"include-types\" "
      "'0', "
      "\"add-msg-prefixes\" %s, \"add-tables\" %s)",
      QuoteIdentifier(options_.slot), from.ToString(), Quoted(message_prefix),
      Quoted(options_.add_tables));
  PgResultPtr result(PQexec(connection_->raw(), command.c_str()));
  if (PQresultStatus(result.get()) != PGRES_COPY_BOTH) {
    return Explain(connection_->ErrorOf(result.get()));
  }
  if (PQsetnonblocking(connection_->raw(), 1) != 0) return connection_->ErrorOf(nullptr);
  return absl::OkStatus();
}

absl::StatusOr<std::optional<WalEvent>> PgWalSource::Next() {
  PGconn* connection = connection_->raw();
  char* message = nullptr;
  buffer_.reset();
  int length = PQgetCopyData(connection, &message, /*async=*/1);
  if (length == 0) {
    if (PQconsumeInput(connection) == 0) return connection_->ErrorOf(nullptr);
    if (PQflush(connection) < 0) return connection_->ErrorOf(nullptr);
    length = PQgetCopyData(connection, &message, /*async=*/1);
  }
  buffer_.reset(message);
  // The WARNING came before what follows it in the stream: nothing behind it may be published.
  if (!lost_changes_.ok()) return lost_changes_;
  if (length == 0) return std::optional<WalEvent>();
  if (length < 0) return EndOfStream();
  ASSIGN_OR_RETURN(WalEvent event, Parse({message, static_cast<size_t>(length)}));
  return std::optional<WalEvent>(event);
}

absl::StatusOr<WalEvent> PgWalSource::Parse(std::string_view message) const {
  WalEvent event;
  if (message[0] == 'w' && message.size() >= kDataHeader) {
    event.wal_start = Lsn{ReadUint64(message.data() + 1)};
    event.payload = message.substr(kDataHeader);
    return event;
  }
  if (message[0] == 'k' && message.size() >= kKeepaliveLength) {
    event.keepalive = true;
    event.wal_end = Lsn{ReadUint64(message.data() + 1)};
    event.reply_requested = message[17] != 0;
    return event;
  }
  return absl::InternalError("the walsender sent a message of an unknown kind");
}

int PgWalSource::fd() const { return PQsocket(connection_->raw()); }

bool PgWalSource::uses_tls() const { return PQsslInUse(connection_->raw()) != 0; }

absl::Status PgWalSource::Report(Lsn received, Lsn flush, bool ask_reply) {
  std::array<char, 34> reply = {'r'};
  WriteUint64(received.value, &reply[1]);
  WriteUint64(flush.value, &reply[9]);
  WriteUint64(flush.value, &reply[17]);  // apply: only shown in pg_stat_replication
  WriteUint64(static_cast<uint64_t>(absl::ToUnixMicros(absl::Now()) - kPostgresEpochUs),
              &reply[25]);
  reply[33] = ask_reply ? 1 : 0;
  PGconn* connection = connection_->raw();
  if (PQputCopyData(connection, reply.data(), static_cast<int>(reply.size())) < 0 ||
      PQflush(connection) < 0) {
    return connection_->ErrorOf(nullptr);
  }
  return absl::OkStatus();
}

absl::Status PgWalSource::EndOfStream() {
  PgResultPtr result(PQgetResult(connection_->raw()));
  if (PQresultStatus(result.get()) == PGRES_FATAL_ERROR) {
    absl::Status status = Explain(connection_->ErrorOf(result.get()));
    // In the middle of the stream an invalidated slot means that changes are gone.
    if (absl::IsFailedPrecondition(status) && Contains(MessageOf(status), "invalidated")) {
      return absl::DataLossError(MessageOf(status));
    }
    return status;
  }
  return absl::UnavailableError("the server ended the replication stream");
}

// wal2json drops the UPDATEs and DELETEs of a table without a usable replica identity, and only
// warns.
void PgWalSource::OnNotice(std::string_view sql_state, std::string_view message) {
  (void)sql_state;
  if (!Contains(message, "no tuple identifier")) return;
  const auto [schema, table] = TableOfWarning(message);
  if (!schema.empty() && options_.is_captured && !options_.is_captured(schema, table)) return;
  lost_table_ = {schema, table};
  lost_changes_ = absl::DataLossError(absl::StrFormat(
      "wal2json dropped an UPDATE or DELETE of table %s.%s, which had no usable replica identity "
      "when it was changed. To go on: take the table out of postgres.tables, let the publisher "
      "pass this place, give the table a primary key (not deferrable), add it again and start the "
      "table over with a snapshot",
      schema, table));
}

absl::Status PgWalSource::Explain(const absl::Status& status) const {
  const std::string state = SqlStateOf(status);
  const std::string message = MessageOf(status);
  if (state == "55006") {  // "replication slot "x" is active for PID n"
    return WithSqlState(
        absl::UnavailableError(message + "; another client holds it. It is free when that client "
                                         "ends, or 30 s after it died"),
        state);
  }
  if (state == "42501" && Contains(message, "output plugin")) {
    return WithSqlState(
        absl::FailedPreconditionError(absl::StrFormat(
            "%s; add it and reload: ALTER SYSTEM SET %s = pgoutput, test_decoding, wal2json; "
            "SELECT pg_reload_conf();",
            message, kPluginListName)),
        state);
  }
  if (state == "58P01" || Contains(message, "could not access file")) {
    return WithSqlState(
        absl::FailedPreconditionError(
            message + "; install the wal2json plugin (Debian: postgresql-15-wal2json)"),
        state);
  }
  if (state == "22023" || (state == "55000" && !Contains(message, "invalidated"))) {
    return WithSqlState(absl::FailedPreconditionError(message), state);
  }
  return status;
}

}  // namespace pmoves
