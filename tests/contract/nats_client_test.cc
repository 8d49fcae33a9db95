#include "common/io/nats_client.h"

#include <thread>

#include "common/base/mutex.h"
#include "tests/contract/nats_fixture.h"

namespace pmoves {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class NatsClientTest : public NatsTest {};

NatsConfig ConfigFor(const std::string& url) {
  NatsConfig config;
  config.url = url;
  config.connect_timeout = absl::Seconds(2);
  return config;
}

TEST_F(NatsClientTest, AnAbsentServerIsUnavailable) {
  server_->Kill();
  EXPECT_THAT(NatsClient::Connect(ConfigFor(server_->url()), [] {}),
              StatusIs(absl::StatusCode::kUnavailable));
}

TEST_F(NatsClientTest, OneOfSeveralServersIsEnough) {
  EXPECT_THAT(NatsClient::Connect(ConfigFor("nats://127.0.0.1:1, " + server_->url()), [] {}),
              IsOk());
}

TEST_F(NatsClientTest, AMissingCredentialsFileIsABadSetting) {
  NatsConfig config = ConfigFor(server_->url());
  config.tls_ca_file = "/nonexistent/ca.pem";
  EXPECT_THAT(NatsClient::Connect(config, [] {}), StatusIs(absl::StatusCode::kInvalidArgument));
  config = ConfigFor("");
  EXPECT_THAT(NatsClient::Connect(config, [] {}), StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_F(NatsClientTest, ALostConnectionIsToldOnce) {
  std::atomic<int> closed = 0;
  auto client = NatsClient::Connect(ConfigFor(server_->url()), [&] { ++closed; });
  ASSERT_THAT(client, IsOk());
  EXPECT_FALSE((*client)->IsClosed());
  server_->Kill();
  EXPECT_TRUE(Eventually([&] { return closed == 1; }));
  EXPECT_TRUE((*client)->IsClosed());
  EXPECT_THAT((*client)->Publish("a", "b"), StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_THAT((*client)->Request("a", "b", absl::Seconds(1)),
              StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_THAT((*client)->Subscribe("a", [](NatsMsgPtr) {}),
              StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_THAT((*client)->Flush(absl::Seconds(1)), StatusIs(absl::StatusCode::kUnavailable));
  client->reset();
  EXPECT_EQ(closed, 1);
}

TEST_F(NatsClientTest, ItsOwnEndIsNotALoss) {
  std::atomic<int> closed = 0;
  for (int i = 0; i < 50; ++i) {
    auto client = NatsClient::Connect(ConfigFor(server_->url()), [&] { ++closed; });
    ASSERT_THAT(client, IsOk());
  }
  EXPECT_EQ(closed, 0);
}

TEST_F(NatsClientTest, RequestsTellNobodyThereFromNoAnswer) {
  EXPECT_THAT(client_->Request("nobody.here", "", absl::Seconds(5)),
              StatusIs(absl::StatusCode::kNotFound));
  auto silent = client_->Subscribe("silent", [](NatsMsgPtr) {});
  ASSERT_THAT(silent, IsOk());
  EXPECT_THAT(client_->Request("silent", "", absl::Milliseconds(50)),
              StatusIs(absl::StatusCode::kDeadlineExceeded));
  auto echo = client_->Subscribe("echo", [&](NatsMsgPtr message) {
    const std::string body(natsMsg_GetData(message.get()),
                           static_cast<size_t>(natsMsg_GetDataLength(message.get())));
    EXPECT_THAT(client_->Publish(natsMsg_GetReply(message.get()), body), IsOk());
  });
  ASSERT_THAT(echo, IsOk());
  auto reply = client_->Request("echo", "hello", absl::Seconds(5));
  ASSERT_THAT(reply, IsOk());
  EXPECT_STREQ(natsMsg_GetData(reply->get()), "hello");
}

TEST_F(NatsClientTest, HeadersAndReplyTravel) {
  Mutex mutex;
  std::vector<std::string> seen;
  auto subscription = client_->Subscribe("with.>", [&](NatsMsgPtr message) {
    const char* value = nullptr;
    MutexLock lock(mutex);
    if (natsMsgHeader_Get(message.get(), "Sync-Source", &value) == NATS_OK) {
      seen.push_back(absl::StrFormat("%s %s %s %d", natsMsg_GetSubject(message.get()),
                                     natsMsg_GetReply(message.get()), value,
                                     natsMsg_GetDataLength(message.get())));
    }
  });
  ASSERT_THAT(subscription, IsOk());
  ASSERT_THAT(client_->Publish("with.headers", "re.ply", {{"Sync-Source", "jetson-01"}}, ""),
              IsOk());
  ASSERT_TRUE(Eventually([&] {
    MutexLock lock(mutex);
    return seen.size() == 1;
  }));
  MutexLock lock(mutex);
  EXPECT_EQ(seen[0], "with.headers re.ply jetson-01 0");
}

TEST_F(NatsClientTest, NoHandlerRunsAfterTheSubscriptionIsGone) {
  std::atomic<bool> stop = false;
  auto other = MustConnect(*server_);
  std::thread noise([&] {
    while (!stop) EXPECT_THAT(other->Publish("noise", "x"), IsOk());
  });
  for (int i = 0; i < 100; ++i) {
    auto counter = std::make_unique<std::atomic<int>>(0);
    std::atomic<int>* count = counter.get();
    auto subscription = client_->Subscribe("noise", [count](NatsMsgPtr) { ++*count; });
    ASSERT_THAT(subscription, IsOk());
    EXPECT_TRUE(Eventually([&] { return *count > 0; }));
    subscription->reset();
    counter.reset();  // a late handler would touch freed memory: the sanitizers would say so
  }
  stop = true;
  noise.join();
}

TEST_F(NatsClientTest, ASubscriptionMayOutliveItsConnection) {
  auto client = NatsClient::Connect(ConfigFor(server_->url()), [] {});
  ASSERT_THAT(client, IsOk());
  auto subscription = (*client)->Subscribe("a", [](NatsMsgPtr) {});
  ASSERT_THAT(subscription, IsOk());
  client->reset();
  subscription->reset();
}

TEST_F(NatsClientTest, APolledSubscriptionKeepsWhatComesUntilItIsTaken) {
  auto polled = client_->SubscribePolled("a.*", 100);
  bool unanswered = false;
  ASSERT_THAT(polled, IsOk());
  EXPECT_EQ((*polled)->Next(absl::ZeroDuration(), &unanswered), nullptr);
  for (int i = 0; i < 3; ++i) {
    ASSERT_THAT(client_->Publish(absl::StrFormat("a.%d", i), "x"), IsOk());
  }
  for (int i = 0; i < 3; ++i) {
    const NatsMsgPtr message = (*polled)->Next(absl::Seconds(20), &unanswered);
    ASSERT_NE(message, nullptr);
    EXPECT_EQ(natsMsg_GetSubject(message.get()), absl::StrFormat("a.%d", i));
  }
  const absl::Time begun = absl::Now();
  EXPECT_EQ((*polled)->Next(absl::Milliseconds(20), &unanswered), nullptr);
  EXPECT_GE(absl::Now() - begun, absl::Milliseconds(15));
}

TEST_F(NatsClientTest, ARequestThatNobodyTakesShowsWhereItsAnswerWasToCome) {
  auto polled = client_->SubscribePolled("answers.*", 100);
  bool unanswered = false;
  ASSERT_THAT(polled, IsOk());
  ASSERT_THAT(client_->Publish("nobody", "answers.1", {}, "x"), IsOk());
  ASSERT_THAT(client_->Publish("answers.2", "x"), IsOk());
  EXPECT_EQ((*polled)->Next(absl::Seconds(20), &unanswered), nullptr);
  EXPECT_TRUE(unanswered);
  EXPECT_NE((*polled)->Next(absl::Seconds(20), &unanswered), nullptr);
  EXPECT_FALSE(unanswered);
}

TEST_F(NatsClientTest, APolledSubscriptionHoldsNoMoreThanItsLimit) {
  auto polled = client_->SubscribePolled("a", 10);
  bool unanswered = false;
  ASSERT_THAT(polled, IsOk());
  for (int i = 0; i < 50; ++i) ASSERT_THAT(client_->Publish("a", std::to_string(i)), IsOk());
  ASSERT_THAT(client_->Flush(absl::Seconds(20)), IsOk());
  int taken = 0;
  for (int i = 0; i < 60; ++i)
    taken += (*polled)->Next(absl::ZeroDuration(), &unanswered) != nullptr ? 1 : 0;
  EXPECT_EQ(taken, 10);
  ASSERT_THAT(client_->Publish("a", "later"), IsOk());
  const NatsMsgPtr later = (*polled)->Next(absl::Seconds(20), &unanswered);
  ASSERT_NE(later, nullptr) << "it is not out of order for good";
  EXPECT_STREQ(natsMsg_GetData(later.get()), "later");
}

TEST_F(NatsClientTest, ALostConnectionEndsTheWaitOfAPolledSubscription) {
  auto client = NatsClient::Connect(ConfigFor(server_->url()), [] {});
  ASSERT_THAT(client, IsOk());
  auto polled = (*client)->SubscribePolled("a", 100);
  bool unanswered = false;
  ASSERT_THAT(polled, IsOk());
  std::thread killer([&] { server_->Kill(); });
  const absl::Time begun = absl::Now();
  EXPECT_EQ((*polled)->Next(absl::Seconds(60), &unanswered), nullptr);
  EXPECT_LT(absl::Now() - begun, absl::Seconds(30));
  killer.join();
  EXPECT_EQ((*polled)->Next(absl::Seconds(60), &unanswered), nullptr);
  EXPECT_LT(absl::Now() - begun, absl::Seconds(30));
  client->reset();
  polled->reset();  // it may outlive its connection
}

TEST_F(NatsClientTest, InboxesAreFreshAndBelowThePrefix) {
  EXPECT_THAT(client_->NewInbox(), StartsWith("_INBOX."));
  EXPECT_NE(client_->NewInbox(), client_->NewInbox());
  NatsConfig config = ConfigFor(server_->url());
  config.inbox_prefix = "_INBOX_jetson-01";
  auto client = NatsClient::Connect(config, [] {});
  ASSERT_THAT(client, IsOk());
  EXPECT_THAT((*client)->NewInbox(), StartsWith("_INBOX_jetson-01."));
  EXPECT_THAT((*client)->Request("$JS.API.INFO", "", absl::Seconds(5)), IsOk());
}

TEST_F(NatsClientTest, TheServerTellsItsVersionAndLimits) {
  EXPECT_THAT(client_->server_version(), StartsWith("2."));
  EXPECT_EQ(client_->max_payload(), 1 << 20);
}

TEST(NatsClientCredentialsTest, RefusedCredentialsAreUnavailableAndNotShown) {
  NatsServer::Options options;
  options.configuration = "authorization { user: good, password: right-secret }";
  options.user = "good";
  options.password = "right-secret";
  auto server = NatsServer::Start(options);
  ASSERT_THAT(server, IsOk());
  NatsConfig config = ConfigFor((*server)->url());
  config.user = "good";
  config.password = "wrong-secret";
  const absl::Status status = NatsClient::Connect(config, [] {}).status();
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kUnavailable, Not(HasSubstr("secret"))));
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kUnavailable, HasSubstr("uthorization")));
}

}  // namespace
}  // namespace pmoves
