// What the NATS contract tests share: a server per test, a client, a stream, messages.
#ifndef PMOVES_TESTS_CONTRACT_NATS_FIXTURE_H_
#define PMOVES_TESTS_CONTRACT_NATS_FIXTURE_H_

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_format.h"
#include "common/io/jetstream.h"
#include "common/io/nats_client.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/subject.h"
#include "publisher/core/message_plan.h"
#include "publisher/core/message_sink.h"
#include "tests/testing/nats_server.h"
#include "tests/testing/status_matchers.h"

namespace pmoves {

inline constexpr char kStream[] = "SYNC_jetson-01";

inline std::unique_ptr<NatsClient> MustConnect(const NatsServer& server) {
  NatsConfig config;
  config.url = server.url();
  auto client = NatsClient::Connect(config, [] {});
  EXPECT_THAT(client, IsOk());
  return client.ok() ? *std::move(client) : nullptr;
}

inline StreamConfig SourceStream(int64_t max_bytes = -1, const std::string& source = "jetson-01") {
  StreamConfig config;
  config.name = proto::StreamName(source);
  config.subjects = {proto::SourceWildcard(source)};
  config.max_bytes = max_bytes;
  return config;
}

// Message number `number` of the source: position and body tell it.
inline OutgoingMessage MakeMessage(uint64_t number, size_t body_bytes = 100,
                                   const std::string& source = "jetson-01") {
  OutgoingMessage message;
  message.subject = proto::MakeSubject("public", "jobs", proto::Operation::kInsert, source);
  message.envelope.source = source;
  message.envelope.epoch = 1;
  message.envelope.origin = "7000000000000000001/1/pmoves_sync";
  message.envelope.writer = "6ba7b810-9dad-11d1-80b4-00c04fd430c8";
  message.envelope.position = Lsn{number * 16};
  message.envelope.previous = Lsn{(number - 1) * 16};
  message.envelope.last = true;
  message.envelope.hlc = Hlc{static_cast<int64_t>(number)};
  message.body = absl::StrFormat("%d:", number);
  message.body.resize(std::max(message.body.size(), body_bytes), 'x');
  message.changes = 1;
  message.commit_us = static_cast<int64_t>(number);
  return message;
}

// Takes acks until `count` came or the sink failed.
inline absl::Status AwaitAcks(MessageSink& sink, size_t count, std::vector<StoredMessage>* acks) {
  absl::Status status;
  if (!Eventually([&] {
        status = sink.TakeAcks(acks);
        return !status.ok() || acks->size() >= count;
      })) {
    return absl::DeadlineExceededError("the acks did not come");
  }
  return status;
}

class NatsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto server = NatsServer::Start();
    ASSERT_THAT(server, IsOk());
    server_ = *std::move(server);
    Reconnect();
  }
  void Reconnect() {
    jetstream_.reset();
    client_ = MustConnect(*server_);
    ASSERT_NE(client_, nullptr);
    jetstream_ = std::make_unique<JetStream>(*client_, "");
  }
  uint64_t LastSequence(const std::string& stream = kStream) {
    auto info = jetstream_->GetStream(stream);
    EXPECT_THAT(info, IsOk());
    return info.ok() ? info->last_sequence : 0;
  }
  // Stores messages `first` to `last` as they are, without a fence.
  void Store(uint64_t first, uint64_t last, size_t body_bytes = 100) {
    for (uint64_t number = first; number <= last; ++number) {
      const OutgoingMessage message = MakeMessage(number, body_bytes);
      ASSERT_THAT(client_->Publish(message.subject, "", proto::EncodeHeaders(message.envelope),
                                   message.body),
                  IsOk());
    }
    ASSERT_THAT(client_->Flush(absl::Seconds(10)), IsOk());
    ASSERT_TRUE(Eventually([&] { return LastSequence() >= last; }));
  }
  // Stores a message whose header block is `headers`, byte for byte, as anybody may.
  void StoreRaw(const std::string& subject, const std::string& headers, const std::string& body) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(server_->port()));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ASSERT_EQ(connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    const std::string request = absl::StrFormat(
        "CONNECT {\"verbose\":false,\"headers\":true}\r\nHPUB %s %d %d\r\n%s%s\r\nPING\r\n",
        subject, headers.size(), headers.size() + body.size(), headers, body);
    ASSERT_EQ(send(fd, request.data(), request.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(request.size()));
    std::string answer;
    char buffer[4096];
    while (answer.find("PONG") == std::string::npos) {
      const ssize_t count = recv(fd, buffer, sizeof buffer, 0);
      ASSERT_GT(count, 0) << answer;
      answer.append(buffer, static_cast<size_t>(count));
    }
    close(fd);
  }

  std::unique_ptr<NatsServer> server_;
  std::unique_ptr<NatsClient> client_;
  std::unique_ptr<JetStream> jetstream_;
};

}  // namespace pmoves

#endif  // PMOVES_TESTS_CONTRACT_NATS_FIXTURE_H_
