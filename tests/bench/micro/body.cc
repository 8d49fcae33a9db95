// Bodies: writing and reading, per row.
#include <benchmark/benchmark.h>

#include "common/base/check.h"
#include "proto/message_codec.h"
#include "publisher/core/wal2json_decoder.h"
#include "tests/bench/micro/rows.h"

namespace pmoves {
namespace {

// A body of as many jobs as fit a message, and the columns of one of them.
class Bodies {
 public:
  Bodies() : change_(*decoder_.Decode(payload_).value()) {}
  const WalChange& change() const { return change_; }
  std::string Write(proto::BodyWriter* writer, int64_t rows) const {
    writer->Start("jetson-01", "public", "jobs", proto::Operation::kInsert);
    for (int64_t i = 0; i < rows; ++i) writer->AddRow(change_.columns, {});
    return writer->Finish(kSomeCommitUs, {}, {});
  }

 private:
  std::string payload_ = Txn(0x1000).Insert("jobs", JobRow(1)).ChangePayloads()[0];
  Wal2JsonDecoder decoder_;
  const WalChange& change_;
};

void EncodeBody(benchmark::State& state) {
  const Bodies bodies;
  proto::BodyWriter writer;
  for (auto _ : state) benchmark::DoNotOptimize(bodies.Write(&writer, state.range(0)));
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(EncodeBody)->Arg(1)->Arg(500);

void ReadBody(benchmark::State& state) {
  const Bodies bodies;
  proto::BodyWriter writer;
  std::string bytes = bodies.Write(&writer, state.range(0));
  proto::BodyReader reader;
  proto::Body body;
  for (auto _ : state) PMOVES_CHECK(reader.Read(&bytes, &body).ok());
  state.SetItemsProcessed(state.iterations() * state.range(0));
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(bytes.size()));
}
BENCHMARK(ReadBody)->Arg(1)->Arg(500);

void EncodeHeaders(benchmark::State& state) {
  proto::Envelope envelope;
  envelope.source = "jetson-01";
  envelope.epoch = 1;
  envelope.origin = "7000000000000000000/1/pmoves_sync";
  envelope.writer = "0b9bb1d2-58d4-4d2d-a2f0-7a4f8d5f1c11";
  envelope.position = Lsn{0x16B374D848};
  envelope.previous = Lsn{0x16B374D000};
  envelope.hlc = Hlc{116000000000000000};
  envelope.last = true;
  for (auto _ : state) benchmark::DoNotOptimize(proto::EncodeHeaders(envelope));
}
BENCHMARK(EncodeHeaders);

}  // namespace
}  // namespace pmoves
