// Any bytes are a body or are refused; a body that was read can be written, and then stays the same
// for ever.
#include <cstddef>
#include <cstdint>
#include <string>

#include "common/base/check.h"
#include "proto/message_codec.h"
#include "tests/proto/vectors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace pmoves::proto;
  static BodyReader reader;
  static Body body;
  std::string bytes(reinterpret_cast<const char*>(data), size);
  if (!reader.Read(&bytes, &body).ok()) return 0;
  for (const auto* columns : {&body.data_columns, &body.key_columns}) {
    for (const RawColumn& column : *columns) {
      std::string text;
      PMOVES_CHECK(AppendTokenText(column.name, &text).ok());
      PMOVES_CHECK(AppendTokenText(column.value, &text).ok());
    }
  }
  std::string written = Rebuild(body);
  const std::string copy = written;
  PMOVES_CHECK(reader.Read(&written, &body).ok());
  PMOVES_CHECK(Rebuild(body) == copy);
  return 0;
}
