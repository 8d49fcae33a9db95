#include "subscriber/io/refetch_asker.h"

#include <set>
#include <utility>

#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "common/base/status.h"
#include "common/io/log.h"
#include "proto/refetch.h"
#include "proto/subject.h"

namespace pmoves {
namespace {

constexpr size_t kMostReasonBytes = 300;
constexpr size_t kMostAnswerBytes = 128 * 1024;

// Letters that ask, in the order in which they are due.
constexpr const char kAsk[] =
    "UPDATE pmoves_sync.dead_letter SET refetch_at = clock_timestamp() + interval '%d s' WHERE id "
    "IN (SELECT id FROM pmoves_sync.dead_letter WHERE state = 'open' AND refetch_at <= "
    "clock_timestamp() AND source = ANY ($1) ORDER BY refetch_at LIMIT %d FOR UPDATE SKIP "
    "LOCKED) RETURNING source, schema_name, table_name, key";
constexpr const char kNote[] =
    "UPDATE pmoves_sync.dead_letter SET refetch_attempts = refetch_attempts + 1, refetch_answer = "
    "$5, refetch_at = CASE WHEN refetch_attempts + 1 < %d THEN clock_timestamp() + interval '%d s' "
    "* (2 ^ least(refetch_attempts, 7)) END WHERE source = $1 AND schema_name = $2 AND table_name "
    "= $3 AND hashtextextended(key, 0) = hashtextextended($4, 0) AND key = $4 AND state = 'open' "
    "AND refetch_at IS NOT NULL";

// The beginning of a text, not cut inside a character.
std::string_view Beginning(std::string_view text) {
  if (text.size() <= kMostReasonBytes) return text;
  size_t end = kMostReasonBytes;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return text.substr(0, end);
}

}  // namespace

absl::StatusOr<std::unique_ptr<RefetchAsker>> RefetchAsker::Create(NatsClient& client) {
  std::unique_ptr<RefetchAsker> asker(new RefetchAsker(client));
  RefetchAsker* self = asker.get();
  asker->inbox_ = absl::StrFormat("%s.", client.NewInbox());
  ASSIGN_OR_RETURN(
      asker->subscription_,
      client.Subscribe(absl::StrFormat("%s*", asker->inbox_), [self](NatsMsgPtr message) {
        const std::string subject = natsMsg_GetSubject(message.get());
        const std::string source = subject.substr(self->inbox_.size());
        if (proto::IsSourceName(source)) self->Store(source, std::move(message));
      }));
  return asker;
}

void RefetchAsker::Store(const std::string& source, NatsMsgPtr message) {
  Heard heard{source, ""};
  if (!natsMsg_IsNoResponders(message.get())) {
    const auto size = static_cast<size_t>(natsMsg_GetDataLength(message.get()));
    if (size == 0 || size > kMostAnswerBytes) return;
    heard.bytes.assign(natsMsg_GetData(message.get()), size);
  }
  MutexLock lock(mutex_);
  if (heard_.size() < kMostAnswersHeld) heard_.push_back(std::move(heard));
}

absl::Status RefetchAsker::NoteAnswers(absl::Time now, PgConnection& connection) {
  std::vector<Heard> heard;
  {
    MutexLock lock(mutex_);
    heard.swap(heard_);
  }
  for (const Heard& one : heard) {
    if (one.bytes.empty()) {
      away_[one.source] = now + kPause;
      continue;
    }
    const absl::StatusOr<proto::RefetchAnswer> answer = proto::DecodeRefetchAnswer(one.bytes);
    if (!answer.ok()) continue;
    if (!answer->accepted) {
      LogLimited(LogLevel::kWarn, "refetch.refused", Beginning(answer->reason),
                 {{"source", one.source}, {"table", answer->row.table}});
    }
    const std::string note =
        answer->accepted ? "accepted" : absl::StrFormat("refused: %s", Beginning(answer->reason));
    const std::string key = proto::EncodeKey(answer->row.key);
    RETURN_IF_ERROR(connection
                        .Execute(absl::StrFormat(kNote, kMostAnswers, absl::ToInt64Seconds(kPause)),
                                 {PgParam(one.source), PgParam(answer->row.schema),
                                  PgParam(answer->row.table), PgParam(key), PgParam(note)})
                        .status());
  }
  return absl::OkStatus();
}

absl::StatusOr<int> RefetchAsker::Turn(absl::Time now, PgConnection& connection,
                                       const std::vector<std::string>& sources) {
  RETURN_IF_ERROR(NoteAnswers(now, connection));
  std::vector<std::string> present;
  for (const std::string& source : sources) {
    auto away = away_.find(source);
    if (away != away_.end() && now < away->second) continue;
    if (away != away_.end()) away_.erase(away);
    present.push_back(source);
  }
  if (present.empty()) return 0;
  const std::string list = absl::StrFormat("{%s}", absl::StrJoin(present, ","));
  RETURN_IF_ERROR(connection.PrepareOnce(
      "pmoves_ask", "text[]", absl::StrFormat(kAsk, absl::ToInt64Seconds(kPause), kMostQuestions)));
  ASSIGN_OR_RETURN(
      const PgRows rows,
      connection.Execute(absl::StrFormat("EXECUTE pmoves_ask(%s)", connection.QuoteLiteral(list))));
  std::set<std::pair<std::string, std::string>> asked;  // several letters of one row ask once
  for (int i = 0; i < rows.size(); ++i) {
    auto key = proto::DecodeKey(rows.Text(i, 3));
    if (!key.ok()) continue;
    const std::string source = rows.String(i, 0);
    const std::string question =
        proto::EncodeRefetchRequest({rows.String(i, 1), rows.String(i, 2), *std::move(key)});
    if (!asked.emplace(source, question).second) continue;
    RETURN_IF_ERROR(client_.Publish(std::string(proto::kRefetchPrefix) + source, inbox_ + source,
                                    {}, question));
  }
  return static_cast<int>(asked.size());
}

}  // namespace pmoves
