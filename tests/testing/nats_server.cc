#include "tests/testing/nats_server.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <vector>

#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "common/base/check.h"
#include "common/base/status.h"
#include "common/io/nats_client.h"

namespace pmoves {
namespace {

namespace fs = std::filesystem;

std::string FindProgram(const std::string& name) {
  const char* path = std::getenv("PATH");
  const std::string places = std::string(path == nullptr ? "" : path) + ":/usr/sbin:/usr/local/bin";
  const std::vector<std::string> list = absl::StrSplit(places, ':');
  for (const std::string& place : list) {
    const std::string candidate = place + "/" + name;
    if (!place.empty() && access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return "";
}

}  // namespace

absl::StatusOr<std::unique_ptr<NatsServer>> NatsServer::Start(Options options) {
  std::unique_ptr<NatsServer> server(new NatsServer());
  server->options_ = std::move(options);
  server->program_ = FindProgram("nats-server");
  if (server->program_.empty()) return absl::NotFoundError("nats-server is not installed");
  std::string name = (fs::temp_directory_path() / "pmoves-nats-XXXXXX").string();
  PMOVES_CHECK(mkdtemp(name.data()) != nullptr);
  server->directory_ = name;
  RETURN_IF_ERROR(server->Spawn());
  return server;
}

NatsServer::~NatsServer() {
  Kill();
  std::error_code ignored;
  if (!directory_.empty()) fs::remove_all(directory_, ignored);
}

std::string NatsServer::url() const { return absl::StrFormat("nats://127.0.0.1:%d", port_); }

absl::Status NatsServer::Spawn() {
  const std::string config = directory_ + "/nats.conf";
  {
    std::ofstream file(config);
    file << absl::StrFormat(
        "server_name: test\nlisten: 127.0.0.1:%d\n"
        "jetstream { store_dir: \"%s/store\", max_file: 4GB, max_mem: 256MB }\n%s%s\n",
        port_ == 0 ? -1 : port_, directory_,
        options_.max_payload == 0 ? "" : absl::StrFormat("max_payload: %d\n", options_.max_payload),
        options_.configuration);
  }
  const std::string log = directory_ + "/nats.log";
  const char* arguments[] = {program_.c_str(),   "-c", config.c_str(), "--ports_file_dir",
                             directory_.c_str(), "-l", log.c_str(),    nullptr};
  const pid_t parent = getpid();
  pid_ = fork();
  PMOVES_CHECK(pid_ >= 0);
  if (pid_ == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(1);
    execv(program_.c_str(), const_cast<char* const*>(arguments));
    _exit(127);
  }
  const absl::Status ready = AwaitReady();
  if (ready.ok()) return ready;
  return absl::UnavailableError(
      absl::StrFormat("%s\n%s", MessageOf(ready), ReadFile(directory_ + "/nats.log")));
}

absl::Status NatsServer::AwaitReady() {
  const std::string ports = absl::StrFormat("%s/nats-server_%d.ports", directory_, pid_);
  // The file is not written in one piece: read it until it has what we look for.
  if (!Eventually([&] {
        const std::string text = ReadFile(ports);
        const std::string mark = "nats://127.0.0.1:";
        const size_t at = text.find(mark);
        if (at == std::string::npos || text.find('}') == std::string::npos) return false;
        port_ = std::atoi(text.c_str() + at + mark.size());
        return port_ > 0;
      })) {
    return absl::UnavailableError("nats-server did not write its ports file");
  }
  if (!Eventually([&] {
        NatsConfig config;
        config.url = url();
        config.user = options_.user;
        config.password = options_.password;
        auto client = NatsClient::Connect(config, [] {});
        return client.ok() && (*client)->Request("$JS.API.INFO", "", absl::Seconds(1)).ok();
      })) {
    return absl::UnavailableError("JetStream did not answer");
  }
  return absl::OkStatus();
}

void NatsServer::Kill() {
  if (pid_ <= 0) return;
  kill(pid_, SIGKILL);
  int status = 0;
  waitpid(pid_, &status, 0);
  pid_ = -1;
}

absl::Status NatsServer::Restart() {
  Kill();
  return Spawn();
}

void NatsServer::Pause() {
  kill(pid_, SIGSTOP);
  int status = 0;
  waitpid(pid_, &status, WUNTRACED);
}

void NatsServer::Resume() { kill(pid_, SIGCONT); }

void NatsServer::CopyStore(const std::string& name) {
  const bool running = pid_ > 0;
  if (running) Pause();
  fs::remove_all(directory_ + "/" + name);
  fs::copy(directory_ + "/store", directory_ + "/" + name, fs::copy_options::recursive);
  if (running) Resume();
}

void NatsServer::RestoreStore(const std::string& name) {
  PMOVES_CHECK(pid_ <= 0);
  fs::remove_all(directory_ + "/store");
  fs::copy(directory_ + "/" + name, directory_ + "/store", fs::copy_options::recursive);
}

void NatsServer::DeleteStore() {
  PMOVES_CHECK(pid_ <= 0);
  fs::remove_all(directory_ + "/store");
}

}  // namespace pmoves
