// RefetchAsker: asks the edges for rows that the centre does not have whole.
//
// In the flow:  pmoves_sync.dead_letter (refetch_at is due) -> RefetchAsker ->
// supabase.sync-refetch.<source> -> publisher; the row comes back in the stream, and the worker
// supersedes the letters with it
//
// The table is the memory: a letter that asks has refetch_at, which moves on with each question.
// An edge that is away is asked again every few seconds and that counts for nothing; each answer
// doubles the pause, and after kMostAnswers the letter waits for a person.
// Invariant:    at most kMostQuestions per turn; nothing is asked twice within kPause.
// Thread:       coordinator; answers come in on a thread of the NATS library, which only stores.
#ifndef PMOVES_SUBSCRIBER_IO_REFETCH_ASKER_H_
#define PMOVES_SUBSCRIBER_IO_REFETCH_ASKER_H_

#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/mutex.h"
#include "common/io/nats_client.h"
#include "common/io/pg_connection.h"

namespace pmoves {

class RefetchAsker {
 public:
  static constexpr int kMostQuestions = 100;
  static constexpr size_t kMostAnswersHeld = 1000;
  static constexpr int kMostAnswers = 20;
  static constexpr absl::Duration kPause = absl::Seconds(5);

  // `client` must outlive the asker.
  static absl::StatusOr<std::unique_ptr<RefetchAsker>> Create(NatsClient& client);

  // Notes the answers that came and asks what is due for `sources`, those that this process
  // applies. Returns the number of questions.
  absl::StatusOr<int> Turn(absl::Time now, PgConnection& connection,
                           const std::vector<std::string>& sources);

 private:
  struct Heard {
    std::string source;
    std::string bytes;  // "" when nobody listens there
  };
  explicit RefetchAsker(NatsClient& client) : client_(client) {}
  void Store(const std::string& source, NatsMsgPtr message);
  absl::Status NoteAnswers(absl::Time now, PgConnection& connection);

  NatsClient& client_;
  std::string inbox_;
  std::map<std::string, absl::Time> away_;  // sources whose edge does not listen, and until when
                                            // they are left alone
  Mutex mutex_;
  std::vector<Heard> heard_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<NatsSubscription> subscription_;  // last: its handler uses the rest
};

}  // namespace pmoves

#endif  // PMOVES_SUBSCRIBER_IO_REFETCH_ASKER_H_
