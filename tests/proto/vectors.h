// The golden vectors of proto/vectors, and the way back from a decoded body to its bytes.
#ifndef PMOVES_TESTS_PROTO_VECTORS_H_
#define PMOVES_TESTS_PROTO_VECTORS_H_

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proto/change_message.h"
#include "proto/message_codec.h"

namespace pmoves::proto {

struct Vector {
  std::string name;
  std::string subject;
  std::vector<std::pair<std::string, std::string>> headers;  // in the order of the file
  std::string body;  // of this message: a fragment when it is a part

  std::optional<std::string_view> Header(std::string_view wanted) const;
  HeaderLookup Lookup() const;
  bool IsPart() const { return Header(kHeaderPart).has_value(); }
};

// All of proto/vectors, by file name. Stops the program when one cannot be read.
std::vector<Vector> LoadVectors();

// The bodies of LoadVectors; parts of a row are joined to one.
std::vector<std::string> WholeBodies();

// Writes a decoded body again.
std::string Rebuild(const Body& body);

// HeaderLookup over what EncodeHeaders made. `headers` must outlive the result.
HeaderLookup LookupIn(const Headers& headers);

}  // namespace pmoves::proto

#endif  // PMOVES_TESTS_PROTO_VECTORS_H_
