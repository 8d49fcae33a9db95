#include "common/base/reaction.h"

#include <string>

#include "common/base/check.h"
#include "common/base/status.h"

namespace pmoves {
namespace {

struct Rule {
  std::string_view sql_state;  // a whole SQLSTATE, or the first two characters of its class
  ReactionRow row;
};

// First match wins, so whole codes stand above their class. Keep the retry rows few: a retry that
// cannot succeed is a stuck source.
constexpr Rule kRules[] = {
    {"40001", {Reaction::kRetry, "another transaction changed the same rows; tried again"}},
    {"40P01", {Reaction::kRetry, "deadlock with another session; tried again"}},
    {"55P03",
     {Reaction::kRetry, "a lock was not granted in time; look for long transactions on the table"}},
    {"57014",
     {Reaction::kRetry,
      "a statement timeout or a cancel ended the batch; raise statement_timeout for this role"}},
    {"25P03", {Reaction::kReconnect, "the session sat idle in a transaction for too long"}},
    {"57P", {Reaction::kReconnect, "the central server is shutting down or restarting"}},
    {"08", {Reaction::kReconnect, "the connection to the central server broke"}},
    {"53",
     {Reaction::kRetry, "the central server is out of disk, memory or connections; free some"}},
    {"58",
     {Reaction::kRetry, "the central server reports an I/O error; look at its log and disks"}},
    {"21000",
     {Reaction::kSplit, "two keys of a batch are equal for the database; they are applied apart"}},
    {"22",
     {Reaction::kSplit,
      "the value does not fit the central column; mend the column or the row, then retry the dead "
      "letter"}},
    {"23",
     {Reaction::kSplit,
      "a constraint of the central table refuses the row; mend it, then retry the dead letter"}},
    {"P0", {Reaction::kSplit, "a trigger of the central table raised an error for the row"}},
    {"44", {Reaction::kSplit, "a WITH CHECK OPTION refuses the row"}},
    {"54",
     {Reaction::kSplit,
      "the row is too large for the central server (index row or column limits)"}},
    {"42501",
     {Reaction::kBlock,
      "the role lacks a privilege in the centre; GRANT it, replication goes on by itself"}},
    {"42",
     {Reaction::kBlock,
      "the central schema lacks something that the change needs; ALTER it, replication goes on by "
      "itself"}},
    {"0A", {Reaction::kBlock, "the central server does not support what the change needs"}},
    {"55", {Reaction::kBlock, "an object of the central schema is not in a usable state"}},
    {"25006",  // the session was made by a server that is the primary no more
     {Reaction::kReconnect,
      "the central server is read-only (a standby?); point the DSN at the primary"}},
    {"28",
     {Reaction::kReconnect, "the central server refuses the login; check the role and password"}},
    {"3D", {Reaction::kReconnect, "the central database does not exist; check dbname"}},
    {"XX", {Reaction::kBlock, "the central server reports an internal error; look at its log"}},
};

}  // namespace

ReactionRow ReactionTo(const absl::Status& status) {
  PMOVES_CHECK(!status.ok());
  const std::string sql_state = SqlStateOf(status);
  if (!sql_state.empty()) {
    for (const Rule& rule : kRules) {
      if (std::string_view(sql_state).substr(0, rule.sql_state.size()) == rule.sql_state)
        return rule.row;
    }
    return {Reaction::kBlock, "an error that this program has no rule for; see its SQLSTATE"};
  }
  switch (status.code()) {
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kUnknown:
      return {Reaction::kReconnect,
              "the connection broke; the position row tells what was committed"};
    case absl::StatusCode::kAborted:
      return {Reaction::kRetry, "the batch must be run again"};
    case absl::StatusCode::kInvalidArgument:
      return {Reaction::kSplit, "the content is malformed or refused; see the reason"};
    case absl::StatusCode::kNotFound:
      return {Reaction::kSplit, "the centre lacks the row that the update needs"};
    case absl::StatusCode::kFailedPrecondition:
      return {Reaction::kBlock, "the centre is not as the change needs it; see the reason"};
    case absl::StatusCode::kCancelled:
      return {Reaction::kStop, "stopping"};
    default:
      return {Reaction::kBlock, "an unexpected failure; see the reason"};
  }
}

std::string_view ReactionName(Reaction reaction) {
  switch (reaction) {
    case Reaction::kRetry:
      return "retry";
    case Reaction::kReconnect:
      return "reconnect";
    case Reaction::kSplit:
      return "split";
    case Reaction::kBlock:
      return "block";
    case Reaction::kStop:
      return "stop";
  }
  return "?";
}

std::string LoggableMessage(const absl::Status& status) {
  const std::string data_class = SqlStateOf(status).substr(0, 2);
  if (data_class == "22" || data_class == "P0") {
    return ReactionTo(status).advice;
  }
  return MessageOf(status);
}

}  // namespace pmoves
