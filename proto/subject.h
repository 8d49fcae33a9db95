// Subjects:  supabase.sync.<table>.<OPERATION>.<source>
//
// A table outside schema public is "<schema>:<table>". Bytes that NATS forbids in a token ('.',
// '*', '>', white space, controls) and the bytes this scheme uses itself ('%', ':', '~') are
// percent-encoded; other UTF-8 stays readable. The table token "~" is that of control messages: no
// table can have it.
//
// Invariant:    ParseSubject(MakeSubject(x)) == x; two tables never share a subject.
// Thread:       any. Pure.
#ifndef PMOVES_PROTO_SUBJECT_H_
#define PMOVES_PROTO_SUBJECT_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "proto/change_message.h"

namespace pmoves::proto {

inline constexpr std::string_view kSubjectPrefix = "supabase.sync.";
// Prefixes; the source follows.
inline constexpr std::string_view kStreamPrefix = "SYNC_";
// Applied positions, centre -> edge; the stream keeps the last one of each source.
inline constexpr std::string_view kAppliedPrefix = "supabase.sync-applied.";
inline constexpr std::string_view kAppliedStream = "SYNC-APPLIED";
// Status of the edge, not stored.
inline constexpr std::string_view kHeartbeatPrefix = "supabase.sync-heartbeat.";
// Who writes this source? Request and reply.
inline constexpr std::string_view kWriterPrefix = "supabase.sync-writer.";

struct Subject {
  // schema and table are both empty for control messages: PROGRESS is of no table, and the body of
  // a RELATION names its own.
  std::string schema;
  std::string table;
  Operation operation = Operation::kInsert;
  std::string source;

  bool operator==(const Subject&) const = default;
};

// [a-z0-9][a-z0-9-]{0,31}
bool IsSourceName(std::string_view name);

// REQUIRES: names as Postgres has them (not empty, UTF-8), or both empty for a control message.
std::string MakeSubject(std::string_view schema, std::string_view table, Operation operation,
                        std::string_view source);
// REQUIRES: IsControl(operation).
std::string MakeControlSubject(Operation operation, std::string_view source);
// kInvalidArgument: not one of ours, an unknown operation, a bad escape, a bad source name.
absl::StatusOr<Subject> ParseSubject(std::string_view subject);

std::string StreamName(std::string_view source);
// All subjects that one source may write: supabase.sync.*.*.<source>
std::string SourceWildcard(std::string_view source);

// What the centre reports back, JSON body on kAppliedPrefix + source.
struct Applied {
  std::string source;
  uint32_t epoch = 0;
  Lsn position;
  Hlc hlc;  // highest version applied

  bool operator==(const Applied&) const = default;
};
std::string EncodeApplied(const Applied& applied);
absl::StatusOr<Applied> DecodeApplied(std::string_view bytes);

}  // namespace pmoves::proto

#endif  // PMOVES_PROTO_SUBJECT_H_
