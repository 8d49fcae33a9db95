#include "tests/testing/postgres_server.h"

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <vector>

#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "common/base/check.h"
#include "common/base/status.h"
#include "common/io/pg_connection.h"
#include "tests/testing/eventually.h"

namespace pmoves {
namespace {

namespace fs = std::filesystem;

constexpr absl::Duration kStartLimit = absl::Seconds(60);
constexpr const char kAccount[] = "postgres";

std::string FindPrograms() {
  if (const char* chosen = std::getenv("PMOVES_PG_BIN"); chosen != nullptr) return chosen;
  int newest = 0;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator("/usr/lib/postgresql", ignored)) {
    const int version = std::atoi(entry.path().filename().c_str());
    if (version > newest && access((entry.path() / "bin/postgres").c_str(), X_OK) == 0)
      newest = version;
  }
  return newest == 0 ? "" : absl::StrFormat("/usr/lib/postgresql/%d/bin", newest);
}

// The account that a server of root's runs under; null when we are not root.
const passwd* ServerAccount() {
  if (geteuid() != 0) return nullptr;
  const passwd* account = getpwnam(kAccount);
  PMOVES_CHECK(account != nullptr);
  return account;
}

// A child that runs `arguments` in `directory`, its output appended to `log`. It gets SIGQUIT when
// the calling thread ends: a postmaster then stops at once and takes its children along.
pid_t Run(const std::vector<std::string>& arguments, const std::string& directory,
          const std::string& log) {
  std::vector<char*> pointers;
  for (const std::string& argument : arguments)
    pointers.push_back(const_cast<char*>(argument.c_str()));
  pointers.push_back(nullptr);
  const passwd* account = ServerAccount();
  const pid_t parent = getpid();
  const pid_t child = fork();
  PMOVES_CHECK(child >= 0);
  if (child != 0) return child;
  if (account != nullptr) {
    if (setgroups(0, nullptr) != 0 || setgid(account->pw_gid) != 0 || setuid(account->pw_uid) != 0)
      _exit(126);
  }
  prctl(PR_SET_PDEATHSIG, SIGQUIT);  // after setuid, which forgets it
  if (getppid() != parent) _exit(1);
  const int output = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
  if (output < 0 || chdir(directory.c_str()) != 0) _exit(126);
  dup2(output, STDOUT_FILENO);
  dup2(output, STDERR_FILENO);
  execv(pointers[0], pointers.data());
  _exit(127);
}

}  // namespace

absl::StatusOr<std::unique_ptr<PostgresServer>> PostgresServer::Start() {
  std::unique_ptr<PostgresServer> server(new PostgresServer());
  server->programs_ = FindPrograms();
  if (server->programs_.empty())
    return absl::NotFoundError("no PostgreSQL server below /usr/lib/postgresql");
  std::string name = (fs::temp_directory_path() / "pmoves-postgres-XXXXXX").string();
  PMOVES_CHECK(mkdtemp(name.data()) != nullptr);
  server->directory_ = name;
  if (const passwd* account = ServerAccount(); account != nullptr)
    PMOVES_CHECK(chown(name.c_str(), account->pw_uid, account->pw_gid) == 0);
  RETURN_IF_ERROR(server->Initialize());
  RETURN_IF_ERROR(server->Spawn());
  return server;
}

PostgresServer::~PostgresServer() {
  if (pid_ > 0) {
    kill(pid_, SIGQUIT);
    waitpid(pid_, nullptr, 0);
  }
  std::error_code ignored;
  if (!directory_.empty()) fs::remove_all(directory_, ignored);
}

std::string PostgresServer::Dsn(const std::string& database) const {
  return absl::StrFormat("host=%s user=%s dbname=%s", directory_, kAccount, database);
}

absl::Status PostgresServer::Initialize() {
  const std::string log = directory_ + "/initdb.log";
  const pid_t child = Run({programs_ + "/initdb", "-D", directory_ + "/data", "-U", kAccount,
                           "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C.UTF-8"},
                          directory_, log);
  int status = 0;
  waitpid(child, &status, 0);
  if (status == 0) return absl::OkStatus();
  return absl::InternalError(absl::StrFormat("initdb failed\n%s", ReadFile(log)));
}

absl::Status PostgresServer::Spawn() {
  const std::string log = directory_ + "/postgres.log";
  std::vector<std::string> arguments = {programs_ + "/postgres", "-D", directory_ + "/data"};
  for (const char* setting :
       {"fsync=off", "full_page_writes=off", "listen_addresses=", "timezone=UTC", "autovacuum=off",
        "shared_buffers=64MB", "max_wal_size=2GB", "log_min_messages=fatal"}) {
    arguments.insert(arguments.end(), {"-c", setting});
  }
  arguments.insert(arguments.end(), {"-k", directory_});
  pid_ = Run(arguments, directory_, log);
  PgOptions options;
  options.dsn = Dsn();
  absl::Status status;
  const bool answered = Eventually(
      [&] {
        status = PgConnection::Connect(options).status();
        if (!status.ok() && waitpid(pid_, nullptr, WNOHANG) == pid_) pid_ = -1;
        return status.ok() || pid_ == -1;
      },
      kStartLimit);
  if (answered && status.ok()) return status;
  return absl::UnavailableError(
      absl::StrFormat("PostgreSQL does not start: %s\n%s", MessageOf(status), ReadFile(log)));
}

}  // namespace pmoves
