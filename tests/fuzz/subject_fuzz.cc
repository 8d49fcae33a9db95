// Any bytes are one of our subjects (and then the only one of its table) or are refused; any two
// names make a subject that reads back. The same for applied positions.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/check.h"
#include "proto/subject.h"

namespace {

void CheckNames(std::string_view schema, std::string_view table) {
  using namespace pmoves::proto;
  const std::string subject = MakeSubject(schema, table, Operation::kDelete, "jetson-01");
  const auto parsed = ParseSubject(subject);
  // Names that Postgres cannot have (NUL, not UTF-8) are refused; whatever reads back is what was
  // written.
  if (parsed.ok()) PMOVES_CHECK(parsed->schema == schema && parsed->table == table);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace pmoves::proto;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (const auto subject = ParseSubject(bytes); subject.ok()) {
    PMOVES_CHECK(
        MakeSubject(subject->schema, subject->table, subject->operation, subject->source) == bytes);
  }
  if (size >= 2) {
    const size_t cut = 1 + data[0] % (size - 1);
    CheckNames(bytes.substr(0, cut), bytes.substr(cut));
  }
  if (const auto applied = DecodeApplied(bytes); applied.ok()) {
    const auto again = DecodeApplied(EncodeApplied(*applied));
    PMOVES_CHECK(again.ok() && *again == *applied);
  }
  return 0;
}
