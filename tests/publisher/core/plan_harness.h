// Drives Wal2JsonDecoder and MessagePlan with the transactions of tests/testing/builders.h, and
// reads what comes out with the codec.
#ifndef PMOVES_TESTS_PUBLISHER_CORE_PLAN_HARNESS_H_
#define PMOVES_TESTS_PUBLISHER_CORE_PLAN_HARNESS_H_

#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "proto/message_codec.h"
#include "publisher/core/message_plan.h"
#include "publisher/core/wal2json_decoder.h"
#include "tests/testing/builders.h"
#include "tests/testing/status_matchers.h"

namespace pmoves {

inline MessagePlan::Options PlanOptions() {
  MessagePlan::Options options;
  options.source = "jetson-01";
  options.epoch = 3;
  options.origin = "70/1/slot";
  options.writer = "0b9bb1d2-58d4-4d2d-a2f0-7a4f8d5f1c11";
  return options;
}

class PlanHarness {
 public:
  explicit PlanHarness(MessagePlan::Options options = PlanOptions(), Lsn previous = {},
                       Hlc hlc = {})
      : plan_(std::move(options), previous, hlc) {}

  void AddTable(const Relation& relation) {
    relations_.insert_or_assign({relation.schema, relation.table}, relation);
  }

  // `after_each` runs after every change.
  void Feed(
      const Txn& txn, const std::function<void()>& after_each = [] {}) {
    Begin(txn);
    for (const std::string& payload : txn.ChangePayloads()) {
      Add(payload);
      after_each();
    }
    plan_.Commit();
  }
  void Begin(const Txn& txn) { plan_.Begin(txn.position(), txn.xid(), txn.commit_us()); }
  void Add(const std::string& payload) {
    const absl::StatusOr<const WalChange*> change = decoder_.Decode(payload);
    ASSERT_THAT(change, IsOk());
    plan_.Add(**change, relations_.at({(*change)->schema, (*change)->table}));
  }

  MessagePlan& plan() { return plan_; }
  // All that is ready, taken.
  std::vector<OutgoingMessage> Take() {
    std::vector<OutgoingMessage> messages(std::make_move_iterator(plan_.ready().begin()),
                                          std::make_move_iterator(plan_.ready().end()));
    plan_.ready().clear();
    return messages;
  }
  std::vector<OutgoingMessage> FlushAndTake() {
    plan_.FlushGroup();
    return Take();
  }

 private:
  Wal2JsonDecoder decoder_;
  MessagePlan plan_;
  std::map<std::pair<std::string, std::string>, Relation> relations_;
};

}  // namespace pmoves

#endif  // PMOVES_TESTS_PUBLISHER_CORE_PLAN_HARNESS_H_
