// Refetch: the centre asks an edge for a row that it does not have whole, and the edge answers that
// it will send it. The row itself comes in the stream, as a SNAPSHOT message.
//
// In the flow:  subscriber -> supabase.sync-refetch.<source> -> publisher;  RefetchAnswer on the
// reply subject
// Invariant:    Decode(Encode(x)) == x; any bytes give a Status, never a crash, and reasons show no
// content.
// Thread:       any. Pure.
#ifndef PMOVES_PROTO_REFETCH_H_
#define PMOVES_PROTO_REFETCH_H_

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"

namespace pmoves::proto {

// Prefix; the source follows.
inline constexpr std::string_view kRefetchPrefix = "supabase.sync-refetch.";

struct RefetchRequest {
  std::string schema;
  std::string table;
  // Column -> text, as Postgres's input function reads it (bytea with \x).
  std::vector<std::pair<std::string, std::string>> key;

  bool operator==(const RefetchRequest&) const = default;
};

// What becomes of a request: it is accepted, or refused for a reason that a person can mend.
struct RefetchAnswer {
  RefetchRequest row;
  bool accepted = false;
  std::string reason;  // "" when accepted

  bool operator==(const RefetchAnswer&) const = default;
};

// The members of `key` as a JSON object of strings, and back. kInvalidArgument: not such an object,
// empty, or a column twice.
std::string EncodeKey(const std::vector<std::pair<std::string, std::string>>& key);
absl::StatusOr<std::vector<std::pair<std::string, std::string>>> DecodeKey(std::string_view bytes);

std::string EncodeRefetchRequest(const RefetchRequest& request);
absl::StatusOr<RefetchRequest> DecodeRefetchRequest(std::string_view bytes);
std::string EncodeRefetchAnswer(const RefetchAnswer& answer);
absl::StatusOr<RefetchAnswer> DecodeRefetchAnswer(std::string_view bytes);

}  // namespace pmoves::proto

#endif  // PMOVES_PROTO_REFETCH_H_
