#include "proto/relation_body.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <utility>

#include "absl/strings/str_format.h"
#include "common/base/time_text.h"
#include "proto/body_token.h"
#include "proto/json_token.h"
#include "proto/message_codec.h"

namespace pmoves::proto {
namespace {

namespace ondemand = simdjson::ondemand;

enum ColumnMember { kName, kType, kOid, kKey, kNotNull };
constexpr std::string_view kColumnMembers[] = {"name", "type", "oid", "key", "notNull"};
constexpr unsigned kNeeded = 1u << kName | 1u << kType | 1u << kOid;

bool ReadColumnMember(ColumnMember member, ondemand::value value, RelationColumn* column) {
  switch (member) {
    case kName:
      return TakeText(value, &column->name) && !column->name.empty();
    case kType:
      return TakeText(value, &column->type) && !column->type.empty();
    case kOid:
      return TakeInteger(value, &column->type_oid);
    case kKey:
      return TakeBool(value, &column->key);
    case kNotNull:
      return TakeBool(value, &column->not_null);
  }
  return false;
}

bool ReadColumn(ondemand::object object, RelationColumn* column) {
  unsigned seen = 0;
  for (auto result : object) {
    ondemand::field field;
    if (std::move(result).get(field)) return false;
    std::string_view name;
    if (field.unescaped_key().get(name)) return false;
    const auto* const found = std::find(std::begin(kColumnMembers), std::end(kColumnMembers), name);
    if (found == std::end(kColumnMembers)) {
      if (!PassOver(field.value())) return false;
      continue;
    }
    const auto member = static_cast<ColumnMember>(found - std::begin(kColumnMembers));
    if ((seen & 1u << member) != 0 || !ReadColumnMember(member, field.value(), column)) {
      return false;
    }
    seen |= 1u << member;
  }
  return (seen & kNeeded) == kNeeded;
}

}  // namespace

bool ReadRelationColumns(ondemand::value value, std::vector<RelationColumn>* columns) {
  ondemand::array array;
  if (value.get_array().get(array)) return false;
  std::set<std::string, std::less<>> names;
  for (auto result : array) {
    ondemand::object object;
    if (std::move(result).get_object().get(object)) return false;
    if (!ReadColumn(object, &columns->emplace_back())) return false;
    if (!names.insert(columns->back().name).second) return false;
  }
  return !columns->empty();
}

std::string EncodeRelation(std::string_view source, std::string_view schema, std::string_view table,
                           int64_t commit_us, const RelationDefinition& relation) {
  BodyWriter head;
  head.Start(source, schema, table, Operation::kRelation);
  std::string body = head.Finish(commit_us, {}, {});
  body.pop_back();  // the closing brace
  body.append(R"(,"columns":[)");
  for (const RelationColumn& column : relation.columns) {
    body.append(R"({"name":)");
    AppendJsonString(column.name, &body);
    body.append(R"(,"type":)");
    AppendJsonString(column.type, &body);
    absl::StrAppendFormat(&body, R"(,"oid":%d)", column.type_oid);
    if (column.key) body.append(R"(,"key":true)");
    if (column.not_null) body.append(R"(,"notNull":true)");
    body.append("},");
  }
  if (body.back() == ',') body.pop_back();
  absl::StrAppendFormat(&body, R"(],"identity":"%s","fingerprint":)",
                        ReplicaIdentityName(relation.identity));
  AppendJsonString(relation.fingerprint, &body);
  body.push_back('}');
  return body;
}

}  // namespace pmoves::proto
