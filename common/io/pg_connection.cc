#include "common/io/pg_connection.h"

#include <poll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <utility>

#include "absl/strings/str_format.h"
#include "common/base/status.h"

namespace pmoves {
namespace {

struct ConninfoDeleter {
  void operator()(PQconninfoOption* options) const { PQconninfoFree(options); }
};
using ConninfoPtr = std::unique_ptr<PQconninfoOption, ConninfoDeleter>;

// On one line: libpq breaks its messages with "\n\t".
std::string Trimmed(const char* text) {
  std::string line;
  for (const char* c = text == nullptr ? "" : text; *c != '\0'; ++c) {
    const bool blank = *c == '\n' || *c == '\t' || *c == ' ';
    if (!blank) {
      line.push_back(*c);
    } else if (!line.empty() && line.back() != ' ') {
      line.push_back(' ');
    }
  }
  while (!line.empty() && line.back() == ' ') line.pop_back();
  return line;
}

const char* SettingOf(const PQconninfoOption* options, std::string_view keyword) {
  for (; options != nullptr && options->keyword != nullptr; ++options) {
    if (keyword == options->keyword && options->val != nullptr && *options->val != '\0') {
      return options->val;
    }
  }
  return nullptr;
}

// The keyword list for PQconnectStartParams: the DSN first, then what we add; later ones win.
class Keywords {
 public:
  void Add(const char* keyword, std::string value) {
    names_.push_back(keyword);
    values_.push_back(std::move(value));
  }
  PGconn* Start() const {
    std::vector<const char*> names(names_);
    std::vector<const char*> values;
    for (const std::string& value : values_) values.push_back(value.c_str());
    names.push_back(nullptr);
    values.push_back(nullptr);
    return PQconnectStartParams(names.data(), values.data(), /*expand_dbname=*/1);
  }

 private:
  std::vector<const char*> names_;
  std::vector<std::string> values_;
};

// A peer that vanished (power cut, cable) must be noticed in half a minute, not in two hours. What
// the DSN says itself wins.
struct KeepaliveDefault {
  const char* keyword;
  const char* value;
};
constexpr std::array<KeepaliveDefault, 5> kKeepaliveDefaults = {{
    {"keepalives", "1"},
    {"keepalives_idle", "10"},
    {"keepalives_interval", "5"},
    {"keepalives_count", "3"},
    {"tcp_user_timeout", "30000"},
}};

Keywords MakeKeywords(const PgOptions& options, const PQconninfoOption* dsn) {
  Keywords keywords;
  keywords.Add("dbname", options.dsn.empty() ? std::string("dbname=postgres") : options.dsn);
  if (!options.password.empty()) keywords.Add("password", options.password);
  if (!options.application_name.empty()) {
    keywords.Add("application_name", options.application_name);
  }
  if (options.replication) keywords.Add("replication", "database");
  keywords.Add("client_encoding", "UTF8");
  for (const KeepaliveDefault& entry : kKeepaliveDefaults) {
    if (SettingOf(dsn, entry.keyword) == nullptr) keywords.Add(entry.keyword, entry.value);
  }
  return keywords;
}

// Waits until libpq can go on. False when the deadline passed.
bool WaitForSocket(int fd, bool for_write, SteadyTime deadline) {
  while (true) {
    const int64_t left_ms = absl::ToInt64Milliseconds(SteadyUntil(deadline));
    if (left_ms <= 0) return false;
    pollfd entry = {fd, static_cast<short>(for_write ? POLLOUT : POLLIN), 0};
    const int ready = poll(&entry, 1, static_cast<int>(std::min<int64_t>(left_ms, 1000)));
    if (ready > 0) return true;
    if (ready < 0 && errno != EINTR) return false;
  }
}

absl::Status NoAnswer(PGconn* connection, absl::Duration timeout) {
  return absl::UnavailableError(absl::StrFormat(
      "no answer from PostgreSQL at %s port %s within %s", Trimmed(PQhost(connection)),
      Trimmed(PQport(connection)), absl::FormatDuration(timeout)));
}

absl::Status FinishConnecting(PGconn* connection, absl::Duration timeout, SteadyTime deadline) {
  PostgresPollingStatusType state = PGRES_POLLING_WRITING;
  while (state != PGRES_POLLING_OK) {
    if (state == PGRES_POLLING_FAILED) {
      return absl::UnavailableError(Trimmed(PQerrorMessage(connection)));
    }
    if (!WaitForSocket(PQsocket(connection), state == PGRES_POLLING_WRITING, deadline)) {
      return NoAnswer(connection, timeout);
    }
    state = PQconnectPoll(connection);
  }
  return absl::OkStatus();
}

// The last result of `sql`, like PQexec, but for a server or pooler that does not answer: null when
// the deadline passed.
PgResultPtr ExecuteUntil(PGconn* connection, const std::string& sql, SteadyTime deadline) {
  if (PQsendQuery(connection, sql.c_str()) == 0) return nullptr;
  PgResultPtr last;
  while (true) {
    while (PQisBusy(connection) != 0) {
      if (!WaitForSocket(PQsocket(connection), /*for_write=*/false, deadline)) return nullptr;
      if (PQconsumeInput(connection) == 0) return nullptr;
    }
    PgResultPtr result(PQgetResult(connection));
    if (result == nullptr) return last;
    last = std::move(result);
  }
}

// `pinned` overridden by `chosen`.
SessionSettings Together(SessionSettings pinned, const SessionSettings& chosen) {
  for (const auto& [name, value] : chosen) {
    auto same = std::find_if(pinned.begin(), pinned.end(),
                             [&name = name](const auto& entry) { return entry.first == name; });
    if (same == pinned.end()) same = pinned.emplace(pinned.end(), name, "");
    same->second = value;
  }
  return pinned;
}

// Statements that no default_transaction_isolation or statement_timeout keeps from running: the
// others may need a snapshot, and time.
constexpr char kFirstSettings[] =
    "SET default_transaction_isolation = 'read committed'; SET statement_timeout = 0";

// Sets them all and shows what they are then, as name and value; an older server does not know all
// of the pinned ones.
std::string SetSql(const PgConnection& connection, const SessionSettings& wanted) {
  std::string values;
  for (const auto& [name, value] : wanted) {
    values += absl::StrFormat("%s(%s, %s)", values.empty() ? "" : ", ",
                              connection.QuoteLiteral(name), connection.QuoteLiteral(value));
  }
  return absl::StrFormat(
      "SELECT s.n, pg_catalog.set_config(s.n, s.v, false) FROM (VALUES %s) s (n, v) WHERE "
      "pg_catalog.strpos(s.n, '.') OPERATOR(pg_catalog.>) 0 OR "
      "pg_catalog.current_setting(s.n, true) IS NOT NULL",
      values);
}

std::string ShowSql(const PgConnection& connection, const SessionSettings& pinned) {
  std::string columns;
  for (const auto& [name, value] : pinned) {
    columns += absl::StrFormat("%spg_catalog.current_setting(%s, true)",
                               columns.empty() ? "" : ", ", connection.QuoteLiteral(name));
  }
  return "SELECT " + columns;
}

// 08 connection, 57P0x shutdown or crash of the server: the session is over.
bool EndsSession(std::string_view sql_state) {
  return sql_state.substr(0, 2) == "08" || sql_state.substr(0, 4) == "57P0";
}

absl::StatusCode CodeOf(std::string_view sql_state) {
  const std::string_view code_class = sql_state.substr(0, 2);
  if (EndsSession(sql_state)) return absl::StatusCode::kUnavailable;
  if (code_class == "40" || sql_state == "55P03") return absl::StatusCode::kAborted;
  if (sql_state == "57014") return absl::StatusCode::kCancelled;
  if (code_class == "53") return absl::StatusCode::kResourceExhausted;
  if (code_class == "21" || code_class == "22" || code_class == "23") {
    return absl::StatusCode::kInvalidArgument;
  }
  if (sql_state == "42704" || sql_state == "42P01" || sql_state == "3D000") {
    return absl::StatusCode::kNotFound;
  }
  if (sql_state == "42501") return absl::StatusCode::kPermissionDenied;
  return absl::StatusCode::kFailedPrecondition;
}

// The DETAIL of these classes quotes row values ("Failing row contains ..."): it must not reach a
// log.
bool DetailShowsValues(std::string_view sql_state) {
  const std::string_view code_class = sql_state.substr(0, 2);
  return code_class == "21" || code_class == "22" || code_class == "23" || code_class == "44" ||
         code_class == "40" || code_class == "P0";
}

}  // namespace

void PgCancelDeleter::operator()(PGcancel* cancel) const { PQfreeCancel(cancel); }

std::vector<uint32_t> PgRows::Types() const {
  std::vector<uint32_t> types(static_cast<size_t>(columns()));
  for (int i = 0; i < columns(); ++i) types[static_cast<size_t>(i)] = PQftype(result_.get(), i);
  return types;
}

int64_t PgRows::Int(int row, int column) const {
  if (IsNull(row, column)) return 0;
  const std::string_view text = Text(row, column);
  int64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

bool PgRows::Bool(int row, int column) const { return Text(row, column) == "t"; }

int64_t PgRows::affected() const {
  const char* text = PQcmdTuples(result_.get());
  int64_t value = 0;
  std::from_chars(text, text + std::strlen(text), value);
  return value;
}

PgConnection::PgConnection(PgConnPtr connection)
    : connection_(std::move(connection)), cancel_(PQgetCancel(connection_.get())) {
  PQsetNoticeReceiver(
      connection_.get(),
      [](void* self, const PGresult* result) {
        const auto& handler = static_cast<PgConnection*>(self)->notice_handler_;
        if (!handler) return;
        const char* state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
        const char* message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
        handler(state == nullptr ? "" : state, message == nullptr ? "" : message);
      },
      this);
}

absl::StatusOr<std::unique_ptr<PgConnection>> PgConnection::Connect(const PgOptions& options) {
  char* error = nullptr;
  ConninfoPtr dsn(PQconninfoParse(options.dsn.c_str(), &error));
  if (error != nullptr) PQfreemem(error);  // it may quote a piece of the password: not shown
  if (dsn == nullptr) {
    return absl::InvalidArgumentError(
        "the database DSN is neither \"key=value ...\" nor a postgres:// URI; a value with blanks "
        "needs single quotes, and in a URI special characters need %-encoding");
  }
  PgConnPtr connection(MakeKeywords(options, dsn.get()).Start());
  if (connection == nullptr) return absl::ResourceExhaustedError("no memory for a connection");
  PQsetNoticeProcessor(
      connection.get(), [](void*, const char*) {}, nullptr);
  if (PQstatus(connection.get()) == CONNECTION_BAD) {
    return absl::UnavailableError(Trimmed(PQerrorMessage(connection.get())));
  }
  const SteadyTime deadline = SteadyIn(options.connect_timeout);
  absl::Status status = FinishConnecting(connection.get(), options.connect_timeout, deadline);
  if (!status.ok()) {
    const char* database = PQdb(connection.get());
    return absl::UnavailableError(absl::StrFormat("%s (database \"%s\")", MessageOf(status),
                                                  database == nullptr ? "" : database));
  }
  std::unique_ptr<PgConnection> made(new PgConnection(std::move(connection)));
  RETURN_IF_ERROR(made->PinSettings(Together(PinnedSettings(), options.settings), deadline));
  return made;
}

absl::Status PgConnection::PinSettings(const SessionSettings& wanted, SteadyTime deadline) {
  const auto run = [&](const std::string& sql) -> absl::StatusOr<PgRows> {
    PgResultPtr result = ExecuteUntil(connection_.get(), sql, deadline);
    if (result == nullptr && IsOpen()) {
      return absl::UnavailableError(
          "PostgreSQL, or a pooler before it, took the login but answers no statement in time");
    }
    absl::StatusOr<PgRows> rows = Take(result.release());
    const std::string state = SqlStateOf(rows.status());
    if (state.empty() || EndsSession(state) || state.substr(0, 2) == "53" || state == "57014") {
      return rows;
    }
    return WithSqlState(
        absl::FailedPreconditionError(absl::StrFormat(
            "a session setting that exact rows need cannot be had: %s. Let the role of "
            "postgres.dsn set it, or connect to PostgreSQL itself instead of a pooler",
            MessageOf(rows.status()))),
        state);
  };
  RETURN_IF_ERROR(run(kFirstSettings).status());
  ASSIGN_OR_RETURN(const PgRows rows, run(SetSql(*this, wanted)));
  for (int i = 0; i < rows.size(); ++i) pinned_.emplace_back(rows.String(i, 0), rows.String(i, 1));
  ASSIGN_OR_RETURN(const PgRows shown, run(ShowSql(*this, pinned_)));
  return Compare(shown);
}

absl::Status PgConnection::CheckSettings() {
  ASSIGN_OR_RETURN(const PgRows shown, Execute(ShowSql(*this, pinned_)));
  return Compare(shown);
}

absl::Status PgConnection::Compare(const PgRows& shown) const {
  for (size_t i = 0; i < pinned_.size(); ++i) {
    const int column = static_cast<int>(i);
    if (shown.columns() > column && shown.Text(0, column) == pinned_[i].second) continue;
    return absl::FailedPreconditionError(absl::StrFormat(
        "the session setting %s was set to \"%s\" and is \"%s\": a pooler that gives each "
        "transaction another session stands before PostgreSQL. Give the address of PostgreSQL "
        "itself, or of a pooler in session mode, in postgres.dsn",
        pinned_[i].first, pinned_[i].second,
        shown.columns() > column ? shown.Text(0, column) : std::string_view()));
  }
  return absl::OkStatus();
}

absl::Status PgConnection::ErrorOf(const PGresult* result) const {
  const char* state_text =
      result == nullptr ? nullptr : PQresultErrorField(result, PG_DIAG_SQLSTATE);
  if (state_text == nullptr) {
    // No answer of the server: the connection is gone (or libpq itself refused).
    const std::string message = Trimmed(PQerrorMessage(connection_.get()));
    const absl::StatusCode code =
        IsOpen() ? absl::StatusCode::kInternal : absl::StatusCode::kUnavailable;
    return absl::Status(code, message.empty() ? "the connection to PostgreSQL is lost" : message);
  }
  const std::string_view state = state_text;
  std::string message = Trimmed(PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY));
  const std::string detail = Trimmed(PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL));
  if (!detail.empty() && !DetailShowsValues(state)) message += "; " + detail;
  absl::Status status = WithSqlState(absl::Status(CodeOf(state), message), state);
  const char* schema = PQresultErrorField(result, PG_DIAG_SCHEMA_NAME);
  const char* constraint = PQresultErrorField(result, PG_DIAG_CONSTRAINT_NAME);
  if (schema == nullptr || constraint == nullptr) return status;
  return WithConstraint(std::move(status), absl::StrFormat("%s.%s", QuoteIdentifier(schema),
                                                           QuoteIdentifier(constraint)));
}

absl::StatusOr<PgRows> PgConnection::Take(PGresult* result) {
  PgResultPtr owned(result);
  switch (PQresultStatus(result)) {
    case PGRES_COMMAND_OK:
    case PGRES_TUPLES_OK:
    case PGRES_SINGLE_TUPLE:
    case PGRES_EMPTY_QUERY:
    case PGRES_COPY_IN:
    case PGRES_COPY_OUT:
    case PGRES_COPY_BOTH:
      return PgRows(std::move(owned));
    default:
      return ErrorOf(result);
  }
}

absl::StatusOr<PgRows> PgConnection::Execute(const std::string& sql) {
  if (!std::exchange(begins_, false)) return Take(PQexec(connection_.get(), sql.c_str()));
  return Take(PQexec(connection_.get(), ("BEGIN; " + sql).c_str()));
}

absl::Status PgConnection::PrepareOnce(const std::string& name, const std::string& parameters,
                                       const std::string& sql) {
  if (prepared_once_.count(name) > 0) return absl::OkStatus();
  absl::Status status =
      Execute(parameters.empty() ? absl::StrFormat("PREPARE %s AS %s", name, sql)
                                 : absl::StrFormat("PREPARE %s(%s) AS %s", name, parameters, sql))
          .status();
  if (status.ok()) prepared_once_.insert(name);
  return status;
}

absl::Status PgConnection::ForgetStatements() {
  prepared_once_.clear();
  return Execute("DEALLOCATE ALL").status();
}

// Nothing may run outside of the transaction that it belongs to.
void PgConnection::SendBegin() {
  if (!std::exchange(begins_, false)) return;
  const PgResultPtr result(PQexec(connection_.get(), "BEGIN"));
  if (PQresultStatus(result.get()) != PGRES_COMMAND_OK) connection_.reset();
}

absl::StatusOr<PgRows> PgConnection::Execute(const std::string& sql,
                                             std::span<const PgParam> params) {
  SendBegin();
  // libpq wants NUL-terminated text parameters.
  std::vector<std::string> texts;
  texts.reserve(params.size());
  std::vector<const char*> values;
  for (const PgParam& param : params) texts.emplace_back(param.value_or(std::string_view()));
  for (size_t i = 0; i < params.size(); ++i) {
    values.push_back(params[i].has_value() ? texts[i].c_str() : nullptr);
  }
  return Take(PQexecParams(connection_.get(), sql.c_str(), static_cast<int>(params.size()), nullptr,
                           values.data(), nullptr, nullptr, /*resultFormat=*/0));
}

absl::Status PgConnection::Commit() {
  if (!IsOpen()) return ErrorOf(nullptr);  // nothing was sent: surely not committed
  if (std::exchange(begins_, false)) return absl::OkStatus();
  PgResultPtr result(PQexec(connection_.get(), "COMMIT"));
  if (PQresultStatus(result.get()) == PGRES_COMMAND_OK) {
    // An aborted transaction answers COMMIT with the tag ROLLBACK.
    if (std::string_view(PQcmdStatus(result.get())) == "COMMIT") return absl::OkStatus();
    return absl::AbortedError("the transaction had failed; COMMIT rolled it back");
  }
  absl::Status status = ErrorOf(result.get());
  const std::string state = SqlStateOf(status);
  if (state.empty() || EndsSession(state)) {
    return WithSqlState(absl::UnknownError("the answer to COMMIT was lost: " + MessageOf(status)),
                        state);
  }
  return status;
}

void PgConnection::Rollback() {
  if (std::exchange(begins_, false) || !IsOpen()) return;
  PgResultPtr result(PQexec(connection_.get(), "ROLLBACK"));
}

std::string PgConnection::Parameter(const char* name) const {
  const char* value = PQparameterStatus(connection_.get(), name);
  return value == nullptr ? "" : value;
}

std::string PgConnection::QuoteLiteral(std::string_view text) const {
  char* quoted = PQescapeLiteral(connection_.get(), text.data(), text.size());
  if (quoted == nullptr)
    return "''";  // invalid UTF-8 or out of memory: an empty literal, never an open one
  std::string result = quoted;
  PQfreemem(quoted);
  return result;
}

void PgConnection::SetNoticeHandler(
    std::function<void(std::string_view sql_state, std::string_view message)> handler) {
  notice_handler_ = std::move(handler);
}

void PgConnection::Cancel() {
  std::array<char, 256> error = {};
  if (cancel_ != nullptr) PQcancel(cancel_.get(), error.data(), static_cast<int>(error.size()));
}

std::string QuoteIdentifier(std::string_view name) {
  std::string quoted = "\"";
  for (char c : name) {
    if (c == '"') quoted.push_back('"');
    quoted.push_back(c);
  }
  quoted.push_back('"');
  return quoted;
}

}  // namespace pmoves
