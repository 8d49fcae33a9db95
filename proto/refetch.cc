#include "proto/refetch.h"

#include <simdjson.h>

#include <optional>

#include "common/base/status.h"
#include "proto/json_token.h"

namespace pmoves::proto {
namespace {

namespace ondemand = simdjson::ondemand;

using Key = std::vector<std::pair<std::string, std::string>>;

absl::Status Malformed() {
  return absl::InvalidArgumentError("the refetch message is not a JSON object of the known form");
}

std::optional<std::string> TextOf(ondemand::value value) {
  std::string_view token = value.raw_json_token();
  const size_t last = token.find_last_not_of(" \t\r\n");
  token = token.substr(0, last == std::string_view::npos ? 0 : last + 1);
  std::string text;
  if (!IsStringToken(token) || !AppendTokenText(token, &text).ok()) return std::nullopt;
  return text;
}

bool ReadKey(ondemand::object object, Key* key) {
  for (auto result : object) {
    ondemand::field field;
    std::string_view name;
    if (std::move(result).get(field) || field.unescaped_key().get(name)) return false;
    std::string column(name);
    if (column.empty() || column.find('\0') != std::string::npos) return false;
    for (const auto& [earlier, text] : *key) {
      if (earlier == column) return false;
    }
    std::optional<std::string> text = TextOf(field.value());
    if (!text.has_value()) return false;
    key->emplace_back(std::move(column), *std::move(text));
  }
  return !key->empty();
}

// The members of both messages; null where one does not belong.
struct Members {
  RefetchRequest* row;
  std::string* outcome = nullptr;
  std::string* reason = nullptr;
};

bool ReadMember(std::string_view name, ondemand::value value, const Members& into,
                std::vector<std::string>* seen) {
  std::string* const target = name == "schema"    ? &into.row->schema
                              : name == "table"   ? &into.row->table
                              : name == "outcome" ? into.outcome
                              : name == "reason"  ? into.reason
                                                  : nullptr;
  if (target == nullptr && name != "key") return true;
  for (const std::string& earlier : *seen) {
    if (earlier == name) return false;
  }
  seen->emplace_back(name);
  if (target == nullptr) {
    ondemand::object object;
    return !value.get_object().get(object) && ReadKey(object, &into.row->key);
  }
  std::optional<std::string> text = TextOf(value);
  if (!text.has_value()) return false;
  *target = *std::move(text);
  return true;
}

absl::Status Read(std::string_view bytes, const Members& into) {
  const simdjson::padded_string padded(bytes);
  ondemand::parser parser;
  ondemand::document document;
  ondemand::object object;
  if (parser.iterate(padded).get(document) || document.get_object().get(object)) return Malformed();
  std::vector<std::string> seen;
  for (auto result : object) {
    ondemand::field field;
    std::string_view name;
    if (std::move(result).get(field) || field.unescaped_key().get(name)) return Malformed();
    const std::string copy(name);
    if (!ReadMember(copy, field.value(), into, &seen)) return Malformed();
  }
  if (document.current_location().error() != simdjson::OUT_OF_BOUNDS) return Malformed();
  if (into.row->schema.empty() || into.row->table.empty() || into.row->key.empty()) {
    return Malformed();
  }
  return absl::OkStatus();
}

void AppendMember(std::string_view name, std::string_view text, std::string* out) {
  out->append(out->empty() ? "{\"" : ",\"").append(name).append("\":");
  AppendJsonString(text, out);
}

std::string RowMembers(const RefetchRequest& row) {
  std::string json;
  AppendMember("schema", row.schema, &json);
  AppendMember("table", row.table, &json);
  return json.append(",\"key\":").append(EncodeKey(row.key));
}

}  // namespace

std::string EncodeKey(const Key& key) {
  std::string json = "{";
  for (const auto& [column, text] : key) {
    if (json.size() > 1) json.push_back(',');
    AppendJsonString(column, &json);
    json.push_back(':');
    AppendJsonString(text, &json);
  }
  json.push_back('}');
  return json;
}

absl::StatusOr<Key> DecodeKey(std::string_view bytes) {
  const simdjson::padded_string padded(bytes);
  ondemand::parser parser;
  ondemand::document document;
  ondemand::object object;
  Key key;
  if (parser.iterate(padded).get(document) || document.get_object().get(object) ||
      !ReadKey(object, &key) || document.current_location().error() != simdjson::OUT_OF_BOUNDS) {
    return Malformed();
  }
  return key;
}

std::string EncodeRefetchRequest(const RefetchRequest& request) {
  return RowMembers(request).append("}");
}

absl::StatusOr<RefetchRequest> DecodeRefetchRequest(std::string_view bytes) {
  RefetchRequest request;
  RETURN_IF_ERROR(Read(bytes, {.row = &request}));
  return request;
}

std::string EncodeRefetchAnswer(const RefetchAnswer& answer) {
  std::string json = RowMembers(answer.row);
  AppendMember("outcome", answer.accepted ? "accepted" : "refused", &json);
  if (!answer.accepted) AppendMember("reason", answer.reason, &json);
  return json.append("}");
}

absl::StatusOr<RefetchAnswer> DecodeRefetchAnswer(std::string_view bytes) {
  RefetchAnswer answer;
  std::string outcome;
  RETURN_IF_ERROR(Read(bytes, {.row = &answer.row, .outcome = &outcome, .reason = &answer.reason}));
  if (outcome != "accepted" && outcome != "refused") return Malformed();
  answer.accepted = outcome == "accepted";
  if (answer.accepted) answer.reason.clear();
  return answer;
}

}  // namespace pmoves::proto
