// pmoves-sync-publisher: reads the command line and the configuration, and wires. See publisher.h
// for the daemon.
#include "common/io/cli.h"
#include "publisher/config.h"
#include "publisher/verbs.h"

namespace {

pmoves::CliProgram Program() {
  pmoves::CliProgram program;
  program.name = "pmoves-sync-publisher";
  program.summary =
      "Publishes the committed changes of an edge database to the stream of its source.";
  program.examples = {
      "pmoves-sync-publisher check --config /etc/pmoves-sync/publisher.yaml",
      "pmoves-sync-publisher run --config /etc/pmoves-sync/publisher.yaml",
      "pmoves-sync-publisher status",
  };
  program.check_config = [](pmoves::ConfigSource* source) {
    return pmoves::LoadPublisherConfig(source).status();
  };
  const auto verb = [](int (*body)(const pmoves::PublisherConfig&, const pmoves::CliArgs&)) {
    return pmoves::WithConfig<pmoves::PublisherConfig>(&pmoves::LoadPublisherConfig, body);
  };
  program.verbs = {
      {"run", "Run the daemon until SIGTERM", {}, verb(&pmoves::RunVerb), {}},
      {"check",
       "Check the database and NATS; each line PASS, INFO, WARN or FAIL with the fix",
       {},
       verb(&pmoves::CheckVerb),
       {}},
      {"init",
       "Create schema pmoves_sync and the replication slot",
       {},
       verb(&pmoves::InitVerb),
       {}},
      {"status",
       "Show what the daemon does, or what the database knows",
       {{"--json", "", "machine readable"}},
       verb(&pmoves::StatusVerb),
       {}},
      {"resync",
       "Start a source or a table over with a snapshot",
       {{"--table", "TABLE", "only this table"}},
       verb(&pmoves::ResyncVerb),
       {}},
  };
  return program;
}

}  // namespace

int main(int argc, char** argv) { return pmoves::RunCli(Program(), argc, argv); }
