// Runs a fuzz target without a fuzzer: over the golden vectors, every beginning of them, and random
// changes of their bytes from a fixed seed.
//
//   body_fuzz_test                 the test
//   body_fuzz_test FILE...         runs these inputs, for example one that a fuzzer found
//   body_fuzz_test --write FOLDER  writes the vectors as files, the first inputs of a real fuzzer
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "common/base/check.h"
#include "proto/refetch.h"
#include "proto/subject.h"
#include "tests/proto/vectors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

constexpr uint64_t kSeed = 20261122;
constexpr int kChangesPerInput = 400;

void Run(const std::string& input) {
  // Its own allocation of exactly this size, so that a sanitizer sees a read past the end.
  const std::vector<uint8_t> bytes(input.begin(), input.end());
  LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
}

std::vector<std::string> Corpus() {
  std::vector<std::string> inputs = pmoves::proto::WholeBodies();
  for (const auto& vector : pmoves::proto::LoadVectors()) {
    inputs.push_back(vector.subject);
    std::string lines;
    for (const auto& [name, value] : vector.headers)
      lines.append(name).append(": ").append(value).append("\n");
    inputs.push_back(lines);
  }
  inputs.push_back(
      pmoves::proto::EncodeApplied({"jetson-01", 3, pmoves::Lsn{26}, pmoves::Hlc{123}}));
  const pmoves::proto::RefetchRequest row{"public", "doc", {{"id", "7"}, {"a\"b", "\\x00 \n"}}};
  inputs.push_back(pmoves::proto::EncodeRefetchRequest(row));
  inputs.push_back(pmoves::proto::EncodeRefetchAnswer({row, true, ""}));
  inputs.push_back(pmoves::proto::EncodeRefetchAnswer({row, false, "no such table"}));
  return inputs;
}

void RunChanged(std::string input, std::mt19937_64* random) {
  for (uint64_t changes = (*random)() % 4 + 1; changes > 0 && !input.empty(); --changes) {
    const size_t at = (*random)() % input.size();
    switch ((*random)() % 4) {
      case 0:
        input[at] = static_cast<char>((*random)());
        break;
      case 1:
        input.erase(at, (*random)() % 8 + 1);
        break;
      case 2:
        input.insert(at, 1, "\"\\{}[],: 0-\xFF"[(*random)() % 13]);
        break;
      default:
        input.insert(at, input.substr((*random)() % input.size(), (*random)() % 40));
        break;
    }
  }
  Run(input);
}

int RunFiles(int count, char** paths) {
  for (int i = 0; i < count; ++i) {
    std::ifstream file(paths[i], std::ios::binary);
    PMOVES_CHECK(file.good());
    Run({std::istreambuf_iterator<char>(file), {}});
  }
  return 0;
}

int WriteFiles(const std::string& folder) {
  int number = 0;
  for (const std::string& input : Corpus()) {
    std::ofstream(folder + "/vector_" + std::to_string(number++), std::ios::binary) << input;
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 3 && std::string(argv[1]) == "--write") return WriteFiles(argv[2]);
  if (argc > 1) return RunFiles(argc - 1, argv + 1);
  std::mt19937_64 random(kSeed);
  const std::vector<std::string> corpus = Corpus();
  Run("");
  for (const std::string& input : corpus) {
    for (size_t size = 0; size <= input.size(); ++size) Run(input.substr(0, size));
    for (int i = 0; i < kChangesPerInput; ++i) RunChanged(input, &random);
  }
  std::printf("%zu inputs\n", corpus.size());
  return 0;
}
