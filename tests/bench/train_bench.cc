// SPDX-License-Identifier: Apache-2.0
//
// Benchmark of training: the process lm_trainer, from a text file to a
// published version.

#include <benchmark/benchmark.h>

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
  state.counters["bytes/ngram"] =
      double(data.loaded().file_bytes()) / data.ngrams();
}
BENCHMARK(Train)->Iterations(1)->UseManualTime()->Unit(benchmark::kSecond);

// Loads a version with full verification, as the server does when it starts.
void Load(benchmark::State& state) {
  const BenchData& data = BenchData::Get();
  for (auto _ : state) {
    benchmark::DoNotOptimize(LoadModel(data.store(), "bench", 1).value());
  }
  state.SetBytesProcessed(state.iterations() * data.loaded().file_bytes());
}
BENCHMARK(Load)->Unit(benchmark::kMillisecond)->UseRealTime();

}  // namespace
}  // namespace lmserve
