// HostPort: "host:port" and "[v6]:port" taken apart. Thread: any. Pure.
#ifndef PMOVES_COMMON_IO_HOST_PORT_H_
#define PMOVES_COMMON_IO_HOST_PORT_H_

#include <string>

namespace pmoves {

struct HostPort {
  std::string host;  // without brackets
  std::string port;
};

// The port is what stands behind the last ':'; both are empty-able, nothing is checked (config does
// that).
inline HostPort SplitHostPort(const std::string& text) {
  const size_t colon = text.rfind(':');
  HostPort out{text.substr(0, colon), colon == std::string::npos ? "" : text.substr(colon + 1)};
  if (out.host.size() > 1 && out.host.front() == '[' && out.host.back() == ']') {
    out.host = out.host.substr(1, out.host.size() - 2);
  }
  return out;
}

}  // namespace pmoves

#endif  // PMOVES_COMMON_IO_HOST_PORT_H_
