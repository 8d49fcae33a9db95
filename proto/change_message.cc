#include "proto/change_message.h"

#include "common/base/check.h"

namespace pmoves::proto {
namespace {

struct Name {
  Operation operation;
  std::string_view name;
};

constexpr Name kNames[] = {
    {Operation::kInsert, "INSERT"},     {Operation::kUpdate, "UPDATE"},
    {Operation::kDelete, "DELETE"},     {Operation::kTruncate, "TRUNCATE"},
    {Operation::kSnapshot, "SNAPSHOT"}, {Operation::kProgress, "PROGRESS"},
    {Operation::kRelation, "RELATION"},
};

struct IdentityName {
  ReplicaIdentity identity;
  std::string_view name;
};

constexpr IdentityName kIdentityNames[] = {
    {ReplicaIdentity::kDefault, "default"},
    {ReplicaIdentity::kIndex, "index"},
    {ReplicaIdentity::kFull, "full"},
    {ReplicaIdentity::kNothing, "nothing"},
};

}  // namespace

std::string_view OperationName(Operation operation) {
  for (const Name& row : kNames) {
    if (row.operation == operation) return row.name;
  }
  PMOVES_CHECK(false && "an operation without a name");
}

bool ParseOperation(std::string_view name, Operation* operation) {
  for (const Name& row : kNames) {
    if (row.name == name) {
      *operation = row.operation;
      return true;
    }
  }
  return false;
}

bool CarriesData(Operation operation) {
  return operation == Operation::kInsert || operation == Operation::kUpdate ||
         operation == Operation::kSnapshot;
}

bool MayCarryKeys(Operation operation) {
  return operation == Operation::kUpdate || operation == Operation::kDelete;
}

bool IsControl(Operation operation) {
  return operation == Operation::kProgress || operation == Operation::kRelation;
}

bool IsWithoutTable(Operation operation) { return operation == Operation::kProgress; }

std::string_view ReplicaIdentityName(ReplicaIdentity identity) {
  for (const IdentityName& row : kIdentityNames) {
    if (row.identity == identity) return row.name;
  }
  PMOVES_CHECK(false && "a replica identity without a name");
}

bool ParseReplicaIdentity(std::string_view name, ReplicaIdentity* identity) {
  for (const IdentityName& row : kIdentityNames) {
    if (row.name != name) continue;
    *identity = row.identity;
    return true;
  }
  return false;
}

}  // namespace pmoves::proto
