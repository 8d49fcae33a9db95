// The row that the micro benchmarks work on: one job of the GPU orchestrator, nine columns, about
// 330 bytes of values and names.
#ifndef PMOVES_TESTS_BENCH_MICRO_ROWS_H_
#define PMOVES_TESTS_BENCH_MICRO_ROWS_H_

#include <string>

#include "publisher/core/relation.h"
#include "tests/testing/builders.h"

namespace pmoves {

Cells JobRow(int number);
Relation JobsTable();

}  // namespace pmoves

#endif  // PMOVES_TESTS_BENCH_MICRO_ROWS_H_
