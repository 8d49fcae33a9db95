// Decode and plan, per row.
#include <benchmark/benchmark.h>

#include "common/base/check.h"
#include "publisher/core/message_plan.h"
#include "publisher/core/wal2json_decoder.h"
#include "tests/bench/micro/rows.h"

namespace pmoves {
namespace {

std::string InsertPayload() { return Txn(0x1000).Insert("jobs", JobRow(1)).ChangePayloads()[0]; }

std::string UpdatePayload() {
  const Cells row = JobRow(1);
  return Txn(0x1000).Update("jobs", row, {row[0]}).ChangePayloads()[0];
}

void DecodePayload(benchmark::State& state, const std::string& payload) {
  Wal2JsonDecoder decoder;
  for (auto _ : state) {
    absl::StatusOr<const WalChange*> change = decoder.Decode(payload);
    PMOVES_CHECK(change.ok());
    benchmark::DoNotOptimize(*change);
  }
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(payload.size()));
}

void DecodeInsert(benchmark::State& state) { DecodePayload(state, InsertPayload()); }
BENCHMARK(DecodeInsert);

void DecodeUpdate(benchmark::State& state) { DecodePayload(state, UpdatePayload()); }
BENCHMARK(DecodeUpdate);

void DecodeBegin(benchmark::State& state) { DecodePayload(state, Txn(0x1000).BeginPayload()); }
BENCHMARK(DecodeBegin);

// Transactions of so many rows of one table; the messages are dropped.
void PlanRows(benchmark::State& state, const std::string& payload) {
  const int64_t rows_per_transaction = state.range(0);
  Wal2JsonDecoder decoder;
  const WalChange* const change = decoder.Decode(payload).value();
  const Relation relation = JobsTable();
  MessagePlan::Options options;
  options.source = "jetson-01";
  options.origin = "7000000000000000000/1/pmoves_sync";
  options.writer = "0b9bb1d2-58d4-4d2d-a2f0-7a4f8d5f1c11";
  MessagePlan plan(options, {}, {});
  uint64_t position = 0;
  int64_t row = 0;
  for (auto _ : state) {
    if (row == 0) plan.Begin(Lsn{++position}, 1, kSomeCommitUs);
    plan.Add(*change, relation);
    if (++row == rows_per_transaction) {
      plan.Commit();
      row = 0;
    }
    plan.ready().clear();
  }
}

void PlanInserts(benchmark::State& state) { PlanRows(state, InsertPayload()); }
BENCHMARK(PlanInserts)->Arg(1)->Arg(1000)->Arg(1000000);

void PlanUpdates(benchmark::State& state) { PlanRows(state, UpdatePayload()); }
BENCHMARK(PlanUpdates)->Arg(1)->Arg(1000);

}  // namespace
}  // namespace pmoves
