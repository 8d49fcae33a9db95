// Any bytes are a question for a row, or its answer, or are refused; what was read is written as
// the same one.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "common/base/check.h"
#include "proto/refetch.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace pmoves::proto;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (const auto request = DecodeRefetchRequest(bytes); request.ok()) {
    const auto again = DecodeRefetchRequest(EncodeRefetchRequest(*request));
    PMOVES_CHECK(again.ok() && *again == *request);
    const auto key = DecodeKey(EncodeKey(request->key));
    PMOVES_CHECK(key.ok() && *key == request->key);
  }
  if (const auto answer = DecodeRefetchAnswer(bytes); answer.ok()) {
    const auto again = DecodeRefetchAnswer(EncodeRefetchAnswer(*answer));
    PMOVES_CHECK(again.ok() && *again == *answer);
  }
  return 0;
}
