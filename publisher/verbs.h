// verbs: what the command line offers beside `run`. Each prints to stdout and returns the exit
// code. Thread: main.
#ifndef PMOVES_PUBLISHER_VERBS_H_
#define PMOVES_PUBLISHER_VERBS_H_

#include "common/io/cli.h"
#include "publisher/config.h"

namespace pmoves {

int RunVerb(const PublisherConfig& config, const CliArgs& args);
// Live preflight: one line PASS, INFO, WARN or FAIL per check, with the fix. 69 when a server
// cannot be reached, else 1 on a FAIL.
int CheckVerb(const PublisherConfig& config, const CliArgs& args);
// Schema pmoves_sync, its table, the slot. Idempotent.
int InitVerb(const PublisherConfig& config, const CliArgs& args);
// Of the running daemon; of the database when none answers.
int StatusVerb(const PublisherConfig& config, const CliArgs& args);
int ResyncVerb(const PublisherConfig& config, const CliArgs& args);

}  // namespace pmoves

#endif  // PMOVES_PUBLISHER_VERBS_H_
