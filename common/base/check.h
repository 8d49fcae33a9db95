// CHECK: an invariant of ours is broken, so stop. A restart is cheap, a wrong row is not.
//
// Never for bytes from outside (those give a Status) and never for a failed call (that gives one
// too). Prints file, line and the condition, and no values: a row value must not reach a log.
#ifndef PMOVES_COMMON_BASE_CHECK_H_
#define PMOVES_COMMON_BASE_CHECK_H_

#include <cstdio>
#include <cstdlib>

#define PMOVES_CHECK(condition)                                                              \
  do {                                                                                       \
    if (!(condition)) [[unlikely]] {                                                         \
      std::fprintf(stderr, "%s:%d: broken invariant: %s\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                                          \
    }                                                                                        \
  } while (false)

#endif  // PMOVES_COMMON_BASE_CHECK_H_
