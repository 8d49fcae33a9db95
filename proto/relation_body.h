// relation_body: the members of a RELATION message's body, struct <-> bytes.
//
// In the flow:  EncodeRelation (message_codec.h) writes them; BodyReader reads the body of every
//               message and asks here for the members that only a RELATION has.
// Invariant:    decode(encode(x)) == x. Any input bytes give false, never a crash.
// Thread:       any. Pure.
#ifndef PMOVES_PROTO_RELATION_BODY_H_
#define PMOVES_PROTO_RELATION_BODY_H_

#include <simdjson.h>

#include <string>
#include <vector>

#include "proto/change_message.h"

namespace pmoves::proto {

// The array "columns": at least one column, no name twice. False: malformed.
bool ReadRelationColumns(simdjson::ondemand::value value, std::vector<RelationColumn>* columns);

}  // namespace pmoves::proto

#endif  // PMOVES_PROTO_RELATION_BODY_H_
