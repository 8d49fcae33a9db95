#include "publisher/core/relation_message.h"

#include <string_view>

#include "absl/strings/str_format.h"

namespace pmoves {
namespace {

// FNV-1a, 64 bits: the same in every build, and no secret depends on it.
class Hash {
 public:
  void Add(std::string_view text) {
    for (const char c : text) Byte(static_cast<unsigned char>(c));
    Byte(0xFF);  // no byte of UTF-8: so that ("ab", "c") is not ("a", "bc")
  }
  uint64_t value() const { return value_; }

 private:
  void Byte(unsigned char byte) { value_ = (value_ ^ byte) * 0x100000001B3; }
  uint64_t value_ = 0xCBF29CE484222325;
};

}  // namespace

proto::RelationDefinition DefinitionOf(const Relation& relation) {
  proto::RelationDefinition definition;
  definition.identity = relation.identity;
  Hash hash;
  hash.Add(absl::StrFormat("%d", relation.oid));
  hash.Add(proto::ReplicaIdentityName(relation.identity));
  for (const RelationColumn& column : relation.columns) {
    definition.columns.push_back(
        {column.name, column.type, column.type_oid, column.key, column.not_null});
    hash.Add(column.name);
    hash.Add(absl::StrFormat("%s %d %d %d", column.type, column.type_oid, column.key ? 1 : 0,
                             column.not_null ? 1 : 0));
  }
  definition.fingerprint = absl::StrFormat("%016x", hash.value());
  return definition;
}

}  // namespace pmoves
