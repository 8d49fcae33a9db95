// The verbs `stream resize` and `stream remove`: what an operator in the centre does to the stream
// of an edge. An edge may not update or delete streams itself (deploy/nats/permissions.conf).
#ifndef PMOVES_SUBSCRIBER_STREAM_VERBS_H_
#define PMOVES_SUBSCRIBER_STREAM_VERBS_H_

#include <vector>

#include "common/io/cli.h"

namespace pmoves {

std::vector<CliVerb> StreamVerbs();

}  // namespace pmoves

#endif  // PMOVES_SUBSCRIBER_STREAM_VERBS_H_
