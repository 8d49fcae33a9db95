#include "publisher/core/value_token.h"

#include "proto/json_token.h"

namespace pmoves {
namespace {

constexpr uint32_t kBool = 16;
constexpr uint32_t kBytea = 17;

// int8, int2, int4, oid, float4, float8, numeric
bool IsNumber(uint32_t type_oid) {
  switch (type_oid) {
    case 20:
    case 21:
    case 23:
    case 26:
    case 700:
    case 701:
    case 1700:
      return true;
    default:
      return false;
  }
}

}  // namespace

void AppendValueToken(uint32_t type_oid, std::string_view text, std::string* token) {
  if (IsNumber(type_oid) && proto::IsScalarToken(text)) {
    token->append(text);
  } else if (type_oid == kBool) {
    token->append(text == "t" ? "true" : "false");
  } else if (type_oid == kBytea && text.substr(0, 2) == "\\x") {
    proto::AppendJsonString(text.substr(2), token);
  } else {
    proto::AppendJsonString(text, token);
  }
}

}  // namespace pmoves
