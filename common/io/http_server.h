// HttpServer: /metrics /livez /readyz /status on metrics.listen, over civetweb and prometheus-cpp's
// serializer.
//
// /livez   200 while the main loop turns, 503 when it has not turned for 60 s
// /readyz  200 when all dependencies are connected, 503 with one line per missing one
// /status  JSON, the same that `status --json` prints
// Thread: handlers run on civetweb's threads; the callbacks given must be thread-safe.
#ifndef PMOVES_COMMON_IO_HTTP_SERVER_H_
#define PMOVES_COMMON_IO_HTTP_SERVER_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace prometheus {
class Registry;
}

namespace pmoves {

struct HttpCallbacks {
  std::function<bool()> alive;
  std::function<std::string()> not_ready;  // "" when ready, else why not, one reason per line
  std::function<std::string()> status_json;
  std::function<void()> before_metrics;  // refresh process_* and ages; may be empty
};

class HttpServer {
 public:
  // kUnavailable names the address and the system's error. `listen` is host:port (port 0: any free
  // one, see port()).
  static absl::StatusOr<std::unique_ptr<HttpServer>> Start(
      const std::string& listen, std::shared_ptr<prometheus::Registry> registry,
      HttpCallbacks callbacks);
  ~HttpServer();
  int port() const;

 private:
  struct State;
  explicit HttpServer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// Fetches http://<listen><path> on loopback, for `status` of a running daemon (0.0.0.0 and [::]
// mean loopback here). kUnavailable when nothing listens, kDeadlineExceeded when the answer takes
// longer, kFailedPrecondition with the body for an answer other than 200.
absl::StatusOr<std::string> HttpGet(const std::string& listen, const std::string& path,
                                    absl::Duration timeout);

}  // namespace pmoves

#endif  // PMOVES_COMMON_IO_HTTP_SERVER_H_
