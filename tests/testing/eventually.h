// Eventually: the one loop that polls. And what else the servers of tests share.
//
// Thread: any.
#ifndef PMOVES_TESTS_TESTING_EVENTUALLY_H_
#define PMOVES_TESTS_TESTING_EVENTUALLY_H_

#include <chrono>
#include <fstream>
#include <functional>
#include <sstream>
#include <string>
#include <thread>

#include "absl/time/time.h"

namespace pmoves {

// Polls until `condition` holds; false after `limit`.
inline bool Eventually(const std::function<bool()>& condition,
                       absl::Duration limit = absl::Seconds(20)) {
  const auto deadline = std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(limit);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return condition();
    std::this_thread::sleep_for(std::chrono::milliseconds(2));  // between two looks
  }
  return true;
}

// The text of a file; "" when there is none.
inline std::string ReadFile(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

}  // namespace pmoves

#endif  // PMOVES_TESTS_TESTING_EVENTUALLY_H_
