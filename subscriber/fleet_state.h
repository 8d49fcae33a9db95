// FleetState: what this process knows about every source, for the coordinator, /status and
// /metrics.
//
// In the flow:  workers and the heartbeat handler write, the coordinator and HTTP threads read
// Thread:       any; one mutex, held for copies only.
#ifndef PMOVES_SUBSCRIBER_FLEET_STATE_H_
#define PMOVES_SUBSCRIBER_FLEET_STATE_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "common/base/hlc.h"
#include "common/base/lsn.h"
#include "common/base/mutex.h"

namespace pmoves {

// Per table of one source, since the status was last written.
struct TableActivity {
  int64_t changes = 0;
  int64_t set_aside = 0;
};

// Of a transaction whose last message is not stored yet.
struct IncompleteTransaction {
  Lsn position;  // none: there is none
  uint64_t messages = 0;
  uint64_t bytes = 0;
  absl::Time since;  // its first message was seen
};

struct SourceState {
  std::string source;
  bool owned = false;  // by this process
  int worker = -1;
  bool blocked = false;
  std::string reason;         // why it is blocked, or the last error
  std::string blocked_table;  // schema.table, "" when the source as a whole is
  uint32_t epoch = 0;
  Lsn position;  // committed in the centre
  Hlc hlc;
  // Of the stream that was made then: all up to `sequence` is applied. No other stream of that
  // name.
  std::string stream_created;
  uint64_t sequence = 0;
  int64_t last_commit_us = 0;  // source commit time of the newest applied transaction
  absl::Time applied_at = absl::InfinitePast();
  absl::Time last_seen = absl::InfinitePast();     // a message or a heartbeat came
  absl::Time last_message = absl::InfinitePast();  // a message came
  int64_t waiting_since_us =
      0;  // when JetStream stored the oldest message that is not applied; 0: nothing waits
  std::string waiting;  // why a transaction that is there is not being applied, though not blocked
  IncompleteTransaction incomplete;
  // In the stream that was made then: messages up to `useless` can never be of use.
  std::string useless_in;
  uint64_t useless = 0;
  uint64_t pending = 0;                         // messages behind the newest one fetched
  std::map<std::string, TableActivity> tables;  // keyed by table name
  bool dirty = false;                           // changed since the coordinator last took it
  std::string heartbeat;                        // the edge's last heartbeat, JSON
};

class FleetState {
 public:
  // Runs `change` on the state of `source`, made on first sight, and marks it dirty.
  template <typename Change>
  void Update(const std::string& source, Change change) {
    MutexLock lock(mutex_);
    SourceState& state = sources_[source];
    state.source = source;
    change(state);
    state.dirty = true;
  }
  // The same, but nothing for a source that is not known: what anybody may send must not make
  // entries.
  template <typename Change>
  void UpdateKnown(const std::string& source, Change change) {
    MutexLock lock(mutex_);
    auto found = sources_.find(source);
    if (found == sources_.end()) return;
    change(found->second);
    found->second.dirty = true;
  }
  std::vector<SourceState> Snapshot() const;
  // The dirty sources, whose dirty mark and table activity are taken away.
  std::vector<SourceState> TakeDirty();
  void Forget(const std::string& source);

  // How far the centre is behind this source at `now`: the age of the oldest message that waits,
  // or, for an edge that went silent, the time since it was last heard (it may have written
  // anything since): it keeps growing (promise O1).
  static absl::Duration Lag(const SourceState& state, absl::Time now);
  // What a source that is not blocked waits for, for people; "" when nothing, or only for a moment.
  static std::string WaitsFor(const SourceState& state, absl::Time now);

 private:
  mutable Mutex mutex_;
  std::map<std::string, SourceState> sources_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace pmoves

#endif  // PMOVES_SUBSCRIBER_FLEET_STATE_H_
