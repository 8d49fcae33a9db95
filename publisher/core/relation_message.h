// relation_message: what a RELATION message says of a captured table.
//
// In the flow:  MessagePlan -> DefinitionOf -> proto::EncodeRelation
// Invariant:    two relations have the same fingerprint only if the changes of both mean the same.
// Thread:       any. Pure.
#ifndef PMOVES_PUBLISHER_CORE_RELATION_MESSAGE_H_
#define PMOVES_PUBLISHER_CORE_RELATION_MESSAGE_H_

#include "proto/change_message.h"
#include "publisher/core/relation.h"

namespace pmoves {

proto::RelationDefinition DefinitionOf(const Relation& relation);

}  // namespace pmoves

#endif  // PMOVES_PUBLISHER_CORE_RELATION_MESSAGE_H_
