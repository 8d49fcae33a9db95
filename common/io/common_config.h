// Sections of the configuration that both programs share.
#ifndef PMOVES_COMMON_IO_COMMON_CONFIG_H_
#define PMOVES_COMMON_IO_COMMON_CONFIG_H_

#include <string>

#include "absl/time/time.h"
#include "common/io/config_file.h"
#include "common/io/nats_client.h"

namespace pmoves {

struct NatsSection {
  // nats.url, .user, .password, .token, .credentials_file, .nkey_seed_file, .nkey_public,
  // .tls.{ca_file,cert_file,key_file}, .inbox_prefix, .connect_timeout
  NatsConfig connection;
  std::string domain;  // nats.domain: JetStream domain, empty for the server itself
};

struct MetricsSection {
  std::string
      listen;  // metrics.listen: host:port of /metrics /livez /readyz /status; empty ("off"): none
};

struct LogSection {
  std::string level = "info";   // log.level: debug | info | warn | error
  std::string format = "auto";  // log.format: auto | text | json
};

struct RetrySection {
  absl::Duration initial = absl::Milliseconds(
      200);  // retry.initial: first pause after a failure, doubled each time, ...
  absl::Duration max = absl::Seconds(15);  // retry.max: ... up to this, with jitter
};

void ReadNatsSection(ConfigReader& root, NatsSection* section);
void ReadMetricsSection(ConfigReader& root, MetricsSection* section);
void ReadLogSection(ConfigReader& root, LogSection* section);
void ReadRetrySection(ConfigReader& root, RetrySection* section);

// "" or what is wrong with the name of a source.
std::string CheckSourceName(const std::string& name);
// "" or what is wrong with "host:port".
std::string CheckHostPort(const std::string& text);

}  // namespace pmoves

#endif  // PMOVES_COMMON_IO_COMMON_CONFIG_H_
