// body_token: one value of a body, taken from simdjson and checked whole.
//
// In the flow:  body_reader.cc and relation_body.cc read every value through it.
// Invariant:    what is taken is one well-formed scalar with a separator behind it.
// Thread:       any. Pure.
#ifndef PMOVES_PROTO_BODY_TOKEN_H_
#define PMOVES_PROTO_BODY_TOKEN_H_

#include <simdjson.h>

#include <string>
#include <string_view>

#include "proto/decimal.h"
#include "proto/json_token.h"

namespace pmoves::proto {

// Takes a value that must be one well-formed scalar. simdjson On-Demand looks at a value only as
// far as it is asked to, so what stands there, and that a separator follows, is checked here.
inline bool TakeScalar(simdjson::ondemand::value value, std::string_view* token) {
  const std::string_view raw = value.raw_json_token();
  if (raw.empty()) return false;
  const char next = raw.data()[raw.size()];
  if (next != ',' && next != '}' && next != ']') return false;
  size_t size = raw.size();
  while (raw[size - 1] == ' ' || raw[size - 1] == '\n' || raw[size - 1] == '\r' ||
         raw[size - 1] == '\t')
    --size;
  *token = raw.substr(0, size);
  return IsScalarToken(*token);
}

// Takes a string; sets *out to what it stands for.
inline bool TakeText(simdjson::ondemand::value value, std::string* out) {
  std::string_view token;
  out->clear();
  return TakeScalar(value, &token) && token.front() == '"' && AppendTokenText(token, out).ok();
}

template <typename Integer>
bool TakeInteger(simdjson::ondemand::value value, Integer* out) {
  std::string_view token;
  return TakeScalar(value, &token) && ParseDecimal(token, out);
}

// Members that a later version may add are passed over, here and inside.
inline bool PassOver(simdjson::ondemand::value value) {
  const char first = value.raw_json_token().empty() ? '\0' : value.raw_json_token().front();
  std::string_view token;
  return first == '{' || first == '[' || TakeScalar(value, &token);
}

inline bool TakeBool(simdjson::ondemand::value value, bool* out) {
  std::string_view token;
  if (!TakeScalar(value, &token)) return false;
  *out = token == "true";
  return *out || token == "false";
}

}  // namespace pmoves::proto

#endif  // PMOVES_PROTO_BODY_TOKEN_H_
