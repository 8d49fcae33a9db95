#include "common/io/common_config.h"

#include <algorithm>
#include <string_view>
#include <vector>

#include "absl/strings/str_format.h"
#include "common/io/config_values.h"
#include "common/io/mask.h"
#include "proto/subject.h"

namespace pmoves {
namespace {

// Rows written in the centre itself count under this name (subscriber/core/conflict_rule.h).
constexpr std::string_view kReservedSource = "central";

std::string CheckNatsUrl(const std::string& urls) {
  for (const std::string& url : SplitCommas(urls)) {
    const size_t scheme_end = url.find("://");
    const std::string scheme = url.substr(0, scheme_end == std::string::npos ? 0 : scheme_end);
    if (scheme != "nats" && scheme != "tls") {
      return absl::StrFormat("'%s' must begin with nats:// or tls://", MaskSecrets(url));
    }
    std::string host = url.substr(scheme_end + 3);
    const size_t at = host.rfind('@');
    if (at != std::string::npos) host.erase(0, at + 1);
    const bool has_port = host.find(':') != std::string::npos && host.back() != ']';
    const std::string wrong = CheckHostPort(has_port ? host : host + ":4222");
    if (!wrong.empty()) return wrong;
  }
  return "";
}

// One way to log in, and complete.
void CheckNatsLogin(ConfigReader& nats, const NatsConfig& config) {
  std::vector<std::string> ways;
  if (!config.user.empty()) ways.push_back("user");
  if (!config.token.empty()) ways.push_back("token");
  if (!config.credentials_file.empty()) ways.push_back("credentials_file");
  if (!config.nkey_seed_file.empty()) ways.push_back("nkey_seed_file");
  if (ways.size() > 1) {
    nats.Problem(ways[1].c_str(), "set only one way to log in; set are " + JoinCommas(ways));
  }
  if (!config.password.empty() && config.user.empty()) nats.Problem("password", "needs nats.user");
  if (!config.nkey_seed_file.empty() && config.nkey_public.empty()) {
    nats.Problem("nkey_seed_file", "needs nats.nkey_public, the public key of the seed");
  }
  if (!config.nkey_public.empty() && config.nkey_seed_file.empty()) {
    nats.Problem("nkey_public", "needs nats.nkey_seed_file");
  }
}

void ReadChoice(ConfigReader& reader, const char* key, const std::vector<std::string>& allowed,
                std::string* value) {
  const auto present = std::find(allowed.begin(), allowed.end(), *value);
  int index = static_cast<int>(present - allowed.begin());
  reader.Choice(key, allowed, &index);
  *value = allowed[static_cast<size_t>(index)];
}

}  // namespace

std::string CheckSourceName(const std::string& name) {
  if (name == kReservedSource) {
    return absl::StrFormat(
        "'%s' is reserved for rows that are written in the centre; call the source otherwise",
        name);
  }
  if (proto::IsSourceName(name)) return "";
  return absl::StrFormat(
      "'%s' is not a source name; allowed: 1 to 32 of a-z, 0-9 and -, not - first", name);
}

std::string CheckHostPort(const std::string& text) {
  const size_t colon = text.rfind(':');
  const std::string host = text.substr(0, colon);
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (colon == std::string::npos || host.empty() ||
      (host.find(':') != std::string::npos && !bracketed)) {
    return absl::StrFormat("'%s' is not host:port; write for example 127.0.0.1:9187", text);
  }
  int64_t port = 0;
  const std::string wrong = ParseInt(text.substr(colon + 1), 0, 65535, &port);
  return wrong.empty() ? "" : absl::StrFormat("port of '%s': %s", text, wrong);
}

void ReadNatsSection(ConfigReader& root, NatsSection* section) {
  NatsConfig& config = section->connection;
  ConfigReader& nats = root.Section("nats");
  nats.String("url", &config.url);
  if (!config.url.empty()) {
    const std::string wrong = CheckNatsUrl(config.url);
    if (!wrong.empty()) nats.Problem("url", wrong);
  }
  nats.String("domain", &section->domain);
  nats.String("user", &config.user);
  nats.Secret("password", &config.password);
  nats.Secret("token", &config.token);
  nats.String("credentials_file", &config.credentials_file);
  nats.String("nkey_seed_file", &config.nkey_seed_file);
  nats.String("nkey_public", &config.nkey_public);
  CheckNatsLogin(nats, config);
  ConfigReader& tls = nats.Section("tls");
  tls.String("ca_file", &config.tls_ca_file);
  tls.String("cert_file", &config.tls_cert_file);
  tls.String("key_file", &config.tls_key_file);
  if (config.tls_cert_file.empty() != config.tls_key_file.empty()) {
    tls.Problem(config.tls_cert_file.empty() ? "key_file" : "cert_file",
                "cert_file and key_file go together");
  }
  nats.String("inbox_prefix", &config.inbox_prefix);
  nats.Duration("connect_timeout", absl::Milliseconds(100), absl::Minutes(5),
                &config.connect_timeout);
}

void ReadMetricsSection(ConfigReader& root, MetricsSection* section) {
  ConfigReader& metrics = root.Section("metrics");
  metrics.String("listen", &section->listen);
  // An empty environment variable counts as absent, so there is a word for "none" too.
  if (section->listen == "off") section->listen.clear();
  if (section->listen.empty()) return;
  const std::string wrong = CheckHostPort(section->listen);
  if (!wrong.empty()) metrics.Problem("listen", wrong);
}

void ReadLogSection(ConfigReader& root, LogSection* section) {
  ConfigReader& log = root.Section("log");
  ReadChoice(log, "level", {"debug", "info", "warn", "error"}, &section->level);
  ReadChoice(log, "format", {"auto", "text", "json"}, &section->format);
}

void ReadRetrySection(ConfigReader& root, RetrySection* section) {
  ConfigReader& retry = root.Section("retry");
  retry.Duration("initial", absl::Milliseconds(10), absl::Minutes(1), &section->initial);
  retry.Duration("max", absl::Milliseconds(10), absl::Hours(1), &section->max);
  if (section->max < section->initial) {
    retry.Problem("max",
                  absl::StrFormat("%s is less than retry.initial, %s", DurationText(section->max),
                                  DurationText(section->initial)));
  }
}

}  // namespace pmoves
