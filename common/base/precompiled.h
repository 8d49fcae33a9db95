// What nearly every file includes anyway, compiled once per build: saves a third of the compile
// time. No file may rely on it: each includes what it uses (the tidy build compiles without it).
#ifndef PMOVES_COMMON_BASE_PRECOMPILED_H_
#define PMOVES_COMMON_BASE_PRECOMPILED_H_

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"

#endif  // PMOVES_COMMON_BASE_PRECOMPILED_H_
