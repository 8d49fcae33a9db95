// NatsServer: a real nats-server with JetStream for a test, on a free port, with the faults that a
// real one can have.
//
// Its store lives in a fresh temporary directory; server and directory are gone with this object,
// the server also when the test process dies.
//
// Thread: one, the one that started it: the server gets SIGKILL when that thread ends.
#ifndef PMOVES_TESTS_TESTING_NATS_SERVER_H_
#define PMOVES_TESTS_TESTING_NATS_SERVER_H_

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "tests/testing/eventually.h"

namespace pmoves {

class NatsServer {
 public:
  struct Options {
    int64_t max_payload = 0;     // bytes; 0: the server's default
    std::string configuration;   // further lines of the configuration file ...
    std::string user, password;  // ... and one of its users who may use JetStream, when it has any
  };
  // Returns when JetStream answers. kNotFound: nats-server is not installed.
  static absl::StatusOr<std::unique_ptr<NatsServer>> Start(Options options);
  static absl::StatusOr<std::unique_ptr<NatsServer>> Start() { return Start(Options{}); }
  ~NatsServer();
  NatsServer(const NatsServer&) = delete;
  NatsServer& operator=(const NatsServer&) = delete;

  int port() const { return port_; }
  std::string url() const;
  pid_t pid() const { return pid_; }

  void Kill();             // SIGKILL; returns when the process is gone
  absl::Status Restart();  // kills it if it runs; same port, same store
  void Pause();            // SIGSTOP: connections stay open, nothing moves
  void Resume();

  // A copy of the store as it is now (a running server is held still for it), and putting a copy
  // back, as a power cut would.
  void CopyStore(const std::string& name);
  void RestoreStore(const std::string& name);  // REQUIRES: killed
  void DeleteStore();                          // REQUIRES: killed

 private:
  NatsServer() = default;
  absl::Status Spawn();
  absl::Status AwaitReady();

  Options options_;
  std::string program_;
  std::string directory_;
  pid_t pid_ = -1;
  int port_ = 0;
};

}  // namespace pmoves

#endif  // PMOVES_TESTS_TESTING_NATS_SERVER_H_
