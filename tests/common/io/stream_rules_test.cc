#include "common/io/stream_rules.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "tests/testing/status_matchers.h"

namespace pmoves {
namespace {

using testing::HasSubstr;

StreamSettings Sound(StreamUse use) {
  StreamSettings settings;
  settings.retention = "limits";
  settings.storage = "file";
  settings.discard = use == StreamUse::kChanges ? "new" : "old";
  if (use == StreamUse::kLastValue) settings.max_msgs_per_subject = 1;
  return settings;
}

struct Fault {
  const char* name;
  StreamUse use;
  std::function<void(StreamSettings*)> change;
};

class StreamFaultTest : public testing::TestWithParam<Fault> {};

TEST_P(StreamFaultTest, IsNamedWithWhatMendsIt) {
  const Fault& test = GetParam();
  StreamSettings settings = Sound(test.use);
  EXPECT_THAT(StreamFaults("S", settings, test.use, 1000), IsOk());
  test.change(&settings);
  EXPECT_THAT(StreamFaults("S", settings, test.use, 1000),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       testing::AllOf(HasSubstr(test.name), HasSubstr("nats stream"))));
}

using S = StreamSettings;
INSTANTIATE_TEST_SUITE_P(
    Changes, StreamFaultTest,
    testing::Values(
        Fault{"retention", StreamUse::kChanges, [](S* s) { s->retention = "interest"; }},
        Fault{"storage", StreamUse::kChanges, [](S* s) { s->storage = "memory"; }},
        Fault{"persist_mode", StreamUse::kChanges, [](S* s) { s->persist_mode = "async"; }},
        Fault{"max_age is 1s", StreamUse::kChanges, [](S* s) { s->max_age_ns = 1000000000; }},
        Fault{"allow_rollup_hdrs", StreamUse::kChanges, [](S* s) { s->allow_rollup = true; }},
        Fault{"subject_transform", StreamUse::kChanges, [](S* s) { s->subject_transform = true; }},
        Fault{"mirror", StreamUse::kChanges, [](S* s) { s->mirror = true; }},
        Fault{"sources", StreamUse::kChanges, [](S* s) { s->sources = true; }},
        Fault{"sealed", StreamUse::kChanges, [](S* s) { s->sealed = true; }},
        Fault{"allow_msg_counter", StreamUse::kChanges, [](S* s) { s->counter = true; }},
        Fault{"discard is 'old'", StreamUse::kChanges,
              [](S* s) {
                s->discard = "old";
                s->max_bytes = 1000;
              }},
        Fault{"max_msgs is 7", StreamUse::kChanges,
              [](S* s) {
                s->discard = "old";
                s->max_msgs = 7;
              }},
        Fault{"max_msgs_per_subject is 7", StreamUse::kChanges,
              [](S* s) { s->max_msgs_per_subject = 7; }},
        Fault{"refused for good", StreamUse::kChanges,
              [](S* s) {
                s->max_msgs_per_subject = 7;
                s->discard_new_per_subject = true;
              }},
        Fault{"no_ack", StreamUse::kChanges, [](S* s) { s->no_ack = true; }},
        Fault{"deny_purge", StreamUse::kChanges, [](S* s) { s->deny_purge = true; }},
        Fault{"subject_delete_marker_ttl", StreamUse::kChanges,
              [](S* s) { s->delete_marker_ttl_ns = 1; }},
        Fault{"max_msg_size is 999", StreamUse::kChanges, [](S* s) { s->max_msg_size = 999; }},
        Fault{"max_consumers is 1", StreamUse::kChanges, [](S* s) { s->max_consumers = 1; }}));
INSTANTIATE_TEST_SUITE_P(
    LastValues, StreamFaultTest,
    testing::Values(Fault{"storage", StreamUse::kLastValue, [](S* s) { s->storage = "memory"; }},
                    Fault{"max_age", StreamUse::kLastValue,
                          [](S* s) { s->max_age_ns = 1000000000; }},
                    Fault{"max_msgs is 7", StreamUse::kLastValue, [](S* s) { s->max_msgs = 7; }},
                    Fault{"max_bytes is 7", StreamUse::kLastValue, [](S* s) { s->max_bytes = 7; }},
                    Fault{"max_msgs_per_subject", StreamUse::kLastValue,
                          [](S* s) { s->max_msgs_per_subject = -1; }},
                    Fault{"discard_new_per_subject", StreamUse::kLastValue,
                          [](S* s) { s->discard_new_per_subject = true; }}));

TEST(StreamFaultsTest, AllAreNamedAtOnce) {
  StreamSettings settings = Sound(StreamUse::kChanges);
  settings.storage = "memory";
  settings.max_age_ns = 1;
  EXPECT_EQ(FaultsOf("S", settings, StreamUse::kChanges, 0).size(), 2u);
}

TEST(StreamFaultsTest, ALimitThatRefusesLosesNothing) {
  StreamSettings settings = Sound(StreamUse::kChanges);
  settings.max_msgs = 10;
  settings.max_bytes = 1 << 20;
  settings.max_msg_size = 1000;
  EXPECT_TRUE(FaultsOf("S", settings, StreamUse::kChanges, 1000).empty());
}

}  // namespace
}  // namespace pmoves
