// CopyRows: the rows of a group as COPY reads them, in its binary format or as text.
//
// In the flow:  batch (PlanMerge) -> CopyRows -> COPY (PgTarget)
// The binary format halves what a row costs the central server, which has nothing to parse.
// Invariant:    binary or text, the server stores the same value. Binary is written only of texts
// that every server reads the same way, such as PostgreSQL prints them under ISO dates; anything
// else the server has to judge, as text. Unlike text, binary is right only for the types that it
// was made for: the caller makes sure of Types(). Thread:       one worker. Pure.
// Source: PostgreSQL's documentation of COPY, File Formats; the types' receive functions.
#ifndef PMOVES_SUBSCRIBER_CORE_COPY_FORMAT_H_
#define PMOVES_SUBSCRIBER_CORE_COPY_FORMAT_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "subscriber/core/batch.h"
#include "subscriber/core/change.h"
#include "subscriber/core/target_table.h"

namespace pmoves {

enum class BinaryForm : uint8_t {
  kNone,  // only the server can read it
  kText,  // its bytes: text, varchar, char(n), json, enums
  kJsonb,
  kBytea,
  kBool,
  kInt2,
  kInt4,
  kInt8,
  kFloat4,
  kFloat8,
  kNumeric,
  kUuid,
  kDate,
  kTimestamp,
  kTimestamptz,
};

BinaryForm BinaryFormOf(const TargetColumn& column);

// Appends a field of the binary format: the length in bytes (int32, big-endian), then the value.
// False, and *out is as it was, if it is not certain what value of `form` the text is.
bool AppendBinaryField(BinaryForm form, std::string_view text, std::string* out);

// Each row: the written columns in the shape's order, then source, committed and version.
class CopyRows {
 public:
  // Both must live as long as this.
  CopyRows(const ChangeSet& set, const EffectGroup& group);

  const std::vector<Effect>& effects() const { return group_.effects; }
  // The oids of the types that the columns are taken to have.
  std::vector<uint32_t> Types() const;
  // The whole input of COPY ... (FORMAT binary). False, and *out is empty, if a value has no binary
  // form here or the values' texts are longer than `most_bytes` together.
  bool WriteBinary(size_t most_bytes, std::string* out) const;
  // Appends one line of COPY's text format, of one of effects().
  void AppendText(const Effect& effect, std::string* out);

 private:
  bool IsLonger(size_t most_bytes) const;
  bool AppendBinary(const Effect& effect, std::string* out) const;
  const Value& ValueAt(const Effect& effect, int written) const {
    return set_.values[effect.first_value + static_cast<size_t>(written)];
  }

  const ChangeSet& set_;
  const EffectGroup& group_;
  std::vector<BinaryForm> forms_;  // of the written columns
  int64_t committed_us_ = -1;      // of ...
  std::string committed_;          // ... this text
};

}  // namespace pmoves

#endif  // PMOVES_SUBSCRIBER_CORE_COPY_FORMAT_H_
