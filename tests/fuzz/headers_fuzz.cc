// Any headers, here lines of "Name: value", make an envelope or are refused; an envelope that was
// read is written as the same one.
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "common/base/check.h"
#include "proto/message_codec.h"
#include "tests/proto/vectors.h"

namespace {

std::map<std::string, std::string> ParseLines(std::string_view text) {
  std::map<std::string, std::string> headers;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(line.size() == text.size() ? line.size() : line.size() + 1);
    const size_t colon = line.find(": ");
    if (colon != std::string_view::npos)
      headers.emplace(line.substr(0, colon), line.substr(colon + 2));
  }
  return headers;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace pmoves::proto;
  const auto headers = ParseLines({reinterpret_cast<const char*>(data), size});
  const auto envelope = DecodeHeaders([&](const char* name) -> std::optional<std::string_view> {
    const auto found = headers.find(name);
    if (found == headers.end()) return std::nullopt;
    return found->second;
  });
  if (!envelope.ok()) return 0;
  const Headers written = EncodeHeaders(*envelope);
  const auto again = DecodeHeaders(LookupIn(written));
  PMOVES_CHECK(again.ok());
  PMOVES_CHECK(EncodeHeaders(*again) == written);
  return 0;
}
