// PostgresServer: a real PostgreSQL cluster for a test, reached through a socket in its own
// directory, so no port can be taken.
//
// Server and directory are gone with this object, the server also when the test process dies. It
// does not survive a power cut (fsync is off) and does not need to.
//
// Thread: one, the one that started it: the server is told to end when that thread ends.
#ifndef PMOVES_TESTS_TESTING_POSTGRES_SERVER_H_
#define PMOVES_TESTS_TESTING_POSTGRES_SERVER_H_

#include <sys/types.h>

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace pmoves {

class PostgresServer {
 public:
  // The newest server below /usr/lib/postgresql, or that of PMOVES_PG_BIN. As root it runs under
  // the account postgres, because it refuses root. Returns when it takes connections.
  static absl::StatusOr<std::unique_ptr<PostgresServer>> Start();
  ~PostgresServer();
  PostgresServer(const PostgresServer&) = delete;
  PostgresServer& operator=(const PostgresServer&) = delete;

  // Of the superuser, for libpq.
  std::string Dsn(const std::string& database = "postgres") const;

 private:
  PostgresServer() = default;
  absl::Status Initialize();
  absl::Status Spawn();

  std::string programs_;
  std::string directory_;
  pid_t pid_ = -1;
};

}  // namespace pmoves

#endif  // PMOVES_TESTS_TESTING_POSTGRES_SERVER_H_
