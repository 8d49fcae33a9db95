#include "common/io/stream_rules.h"

#include <utility>

#include "absl/strings/str_format.h"
#include "absl/time/time.h"

namespace pmoves {
namespace {

// Of each stream: readers that take over from one another, and those whose owner died.
constexpr int64_t kLeastConsumers = 8;
// Ten thousand last values take less.
constexpr int64_t kLeastLastValueBytes = 4 << 20;

class Judge {
 public:
  explicit Judge(const std::string& name) : name_(name) {}

  // `option` of `nats stream edit` mends it.
  void Editable(bool is, std::string what, const std::string& option) {
    if (is) {
      faults_.push_back(
          {std::move(what), absl::StrFormat("`nats stream edit %s %s`", name_, option)});
    }
  }
  // The server does not let anybody change it.
  void Fixed(bool is, std::string what) {
    if (is) {
      faults_.push_back(
          {std::move(what),
           absl::StrFormat("the server cannot change that: remove the stream (`nats stream rm "
                           "%s`), it is made anew; what it still holds is sent again as long as "
                           "the slot of the edge keeps it",
                           name_)});
    }
  }
  std::vector<StreamFault> Take() { return std::move(faults_); }

 private:
  const std::string& name_;
  std::vector<StreamFault> faults_;
};

std::string Age(int64_t ns) { return absl::FormatDuration(absl::Nanoseconds(ns)); }

// What neither kind of stream may be.
void JudgeBoth(const StreamSettings& s, Judge* judge) {
  judge->Fixed(!s.retention.empty() && s.retention != "limits",
               absl::StrFormat("retention is '%s', which drops messages that somebody "
                               "acknowledged; it must be 'limits'",
                               s.retention));
  judge->Fixed(s.storage == "memory", "storage is 'memory', which a restart of the server empties");
  judge->Fixed(s.persist_mode == "async",
               "persist_mode is 'async', which acknowledges what is not stored yet");
  judge->Editable(s.max_age_ns > 0,
                  absl::StrFormat("max_age is %s, and what is older is dropped", Age(s.max_age_ns)),
                  "--max-age=0");
  judge->Editable(s.allow_rollup,
                  "allow_rollup_hdrs is true, so that one message may drop all before it",
                  "--no-allow-rollup");
  judge->Editable(s.subject_transform, "subject_transform is set, which bends subjects",
                  "--no-transform");
  judge->Fixed(s.mirror, "it is a mirror of another stream, and nobody can store in it");
  judge->Editable(s.sources, "sources are set, so that messages of other streams come between",
                  "--no-sources");
  judge->Fixed(s.sealed, "it is sealed: nothing can be stored in it or purged from it");
  judge->Fixed(s.counter, "allow_msg_counter is true, which refuses ordinary messages");
}

void JudgeChanges(const StreamSettings& s, int64_t largest_message, Judge* judge) {
  const bool drops_old = s.discard != "new";
  judge->Editable(s.max_bytes > 0 && drops_old,
                  absl::StrFormat("discard is 'old', and the oldest messages are dropped when "
                                  "max_bytes (%d) is reached",
                                  s.max_bytes),
                  "--discard=new");
  judge->Editable(
      s.max_msgs > 0 && drops_old,
      absl::StrFormat("max_msgs is %d, and the oldest messages are dropped beyond it", s.max_msgs),
      "--max-msgs=-1 --discard=new");
  judge->Editable(
      s.max_msgs_per_subject > 0,
      absl::StrFormat("max_msgs_per_subject is %d, and %s", s.max_msgs_per_subject,
                      s.discard_new_per_subject ? "what comes beyond it is refused for good"
                                                : "the oldest messages of a subject are dropped"),
      "--max-msgs-per-subject=-1");
  judge->Fixed(s.no_ack, "no_ack is true, so that nobody learns what is stored");
  judge->Fixed(s.deny_purge, "deny_purge is true, so that it fills for good");
  judge->Editable(s.delete_marker_ttl_ns > 0,
                  "subject_delete_marker_ttl is set, so that the server stores messages of its own",
                  "--subject-del-markers-ttl=0");
  judge->Editable(
      s.max_msg_size > 0 && s.max_msg_size < largest_message,
      absl::StrFormat("max_msg_size is %d, less than the largest message (%d with headers)",
                      s.max_msg_size, largest_message),
      "--max-msg-size=-1");
  judge->Fixed(s.max_consumers > 0 && s.max_consumers < kLeastConsumers,
               absl::StrFormat("max_consumers is %d, too few for readers that take over from one "
                               "another (%d)",
                               s.max_consumers, kLeastConsumers));
}

void JudgeLastValue(const StreamSettings& s, Judge* judge) {
  judge->Editable(s.max_msgs > 0,
                  absl::StrFormat("max_msgs is %d: beyond so many sources, values go", s.max_msgs),
                  "--max-msgs=-1");
  judge->Editable(
      s.max_bytes > 0 && s.max_bytes < kLeastLastValueBytes,
      absl::StrFormat("max_bytes is %d: too small for the last value of each source", s.max_bytes),
      absl::StrFormat("--max-bytes=%d", kLeastLastValueBytes));
  judge->Editable(s.max_msgs_per_subject < 1,
                  "max_msgs_per_subject is not set, so that old values push out others' last ones",
                  "--max-msgs-per-subject=1 --discard=old");
  judge->Editable(s.discard_new_per_subject,
                  "discard_new_per_subject is true, so that no value replaces an older one",
                  "--no-discard-per-subject");
}

}  // namespace

std::vector<StreamFault> FaultsOf(const std::string& name, const StreamSettings& settings,
                                  StreamUse use, int64_t largest_message) {
  Judge judge(name);
  JudgeBoth(settings, &judge);
  if (use == StreamUse::kChanges) {
    JudgeChanges(settings, largest_message, &judge);
  } else {
    JudgeLastValue(settings, &judge);
  }
  return judge.Take();
}

absl::Status StreamFaults(const std::string& name, const StreamSettings& settings, StreamUse use,
                          int64_t largest_message) {
  std::string text;
  for (const StreamFault& fault : FaultsOf(name, settings, use, largest_message)) {
    absl::StrAppendFormat(&text, "%s %s (%s)", text.empty() ? "" : ";", fault.what, fault.fix);
  }
  if (text.empty()) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrFormat("stream %s may lose, bend or refuse what it must keep:%s", name, text));
}

}  // namespace pmoves
