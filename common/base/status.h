// The two macros that Debian's Abseil (20220623) lacks, and the codes this project gives a meaning:
//
//   kUnavailable         the other side is away: reconnect and go on
//   kUnknown             the outcome of a commit or publish is unknown: read what is stored, then
//   go on kAborted             the transaction must be run again as it is kInvalidArgument
//   malformed or refused content: quarantine it kFailedPrecondition  the world is not as
//   configured: block or refuse until a person acts kCancelled           we are stopping
//
// Statuses of database errors carry the SQLSTATE (SqlStateOf) and the constraint (ConstraintOf).
#ifndef PMOVES_COMMON_BASE_STATUS_H_
#define PMOVES_COMMON_BASE_STATUS_H_

#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/cord.h"

#define PMOVES_CONCAT_INNER(a, b) a##b
#define PMOVES_CONCAT(a, b) PMOVES_CONCAT_INNER(a, b)

#define RETURN_IF_ERROR(expr)                           \
  do {                                                  \
    if (absl::Status status_ = (expr); !status_.ok()) { \
      return status_;                                   \
    }                                                   \
  } while (false)

#define ASSIGN_OR_RETURN(lhs, expr) \
  PMOVES_ASSIGN_OR_RETURN(PMOVES_CONCAT(status_or_, __LINE__), lhs, expr)
#define PMOVES_ASSIGN_OR_RETURN(tmp, lhs, expr) \
  auto tmp = (expr);                            \
  if (!tmp.ok()) {                              \
    return std::move(tmp).status();             \
  }                                             \
  lhs = *std::move(tmp)

namespace pmoves {

inline constexpr const char kSqlStatePayload[] = "pmoves/sqlstate";

// The five-character SQLSTATE that the server gave, or "" when there was none.
inline std::string SqlStateOf(const absl::Status& status) {
  auto payload = status.GetPayload(kSqlStatePayload);
  return payload.has_value() ? std::string(*payload) : std::string();
}

inline absl::Status WithSqlState(absl::Status status, std::string_view sql_state) {
  status.SetPayload(kSqlStatePayload,
                    absl::Cord(absl::string_view(sql_state.data(), sql_state.size())));
  return status;
}

inline constexpr const char kConstraintPayload[] = "pmoves/constraint";

// The constraint that refused a row, as "schema"."name" in SQL, or "" when the server named none.
inline std::string ConstraintOf(const absl::Status& status) {
  auto payload = status.GetPayload(kConstraintPayload);
  return payload.has_value() ? std::string(*payload) : std::string();
}

inline absl::Status WithConstraint(absl::Status status, std::string_view constraint) {
  status.SetPayload(kConstraintPayload,
                    absl::Cord(absl::string_view(constraint.data(), constraint.size())));
  return status;
}

// Status messages as std::string, so that Abseil's string type stays out of our signatures.
inline std::string MessageOf(const absl::Status& status) { return std::string(status.message()); }

}  // namespace pmoves

#endif  // PMOVES_COMMON_BASE_STATUS_H_
