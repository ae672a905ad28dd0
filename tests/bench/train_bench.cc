// SPDX-License-Identifier: Apache-2.0
//
// Benchmark of training: the process lm_trainer, from a text file to a
// published version.

#include <benchmark/benchmark.h>

#include "absl/strings/str_cat.h"
#include "tests/bench/bench_data.h"

namespace lmserve {
namespace {

void Train(benchmark::State& state) {
  const BenchData& data = BenchData::Get();
  for (auto _ : state) state.SetIterationTime(data.training_seconds());
  state.SetItemsProcessed(data.training_tokens());
  state.SetLabel(data.corpus());
  state.counters["peak_MB"] = data.training_peak_bytes() / 1e6;
  state.counters["ngrams"] = data.ngrams();
}
BENCHMARK(Train)->Iterations(1)->UseManualTime()->Unit(benchmark::kSecond);

// Loads a version with full verification, as the server does when it starts.
void Load(benchmark::State& state, BenchData::Layout layout) {
  const BenchData& data = BenchData::Get();
  const char* const name = BenchData::Name(layout);
  for (auto _ : state) {
    benchmark::DoNotOptimize(LoadModel(data.store(), name, 1).value());
  }
  const auto bytes = double(data.loaded(layout).file_bytes());
  state.SetBytesProcessed(state.iterations() * int64_t(bytes));
  state.counters["bytes/ngram"] = bytes / double(data.ngrams());
}

const bool kRegistered = [] {
  for (int i = 0; i < BenchData::kLayouts; ++i) {
    const auto layout = BenchData::Layout(i);
    benchmark::RegisterBenchmark(
        absl::StrCat("Load/", BenchData::Name(layout)).c_str(), Load, layout)
        ->Unit(benchmark::kMillisecond)
        ->UseRealTime();
  }
  return true;
}();

}  // namespace
}  // namespace lmserve
