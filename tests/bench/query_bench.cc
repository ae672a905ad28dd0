// SPDX-License-Identifier: Apache-2.0
//
// Benchmarks of queries to the model itself, on one thread. Items are words or
// states.

#include <benchmark/benchmark.h>

#include <algorithm>
#include <vector>

#include "tests/bench/bench_data.h"

namespace lmserve {
namespace {

std::vector<std::byte> Start(const NgramModel& model) {
  std::vector<std::byte> state(model.state_size());
  model.Start(state.data());
  return state;
}

// Scores one word per call.
void ScoreWord(benchmark::State& state) {
  const BenchData& data = BenchData::Get();
  const std::vector<std::byte> start = Start(data.model());
  std::vector<std::byte> context = start;
  for (auto _ : state) {
    for (const std::vector<WordId>& sentence : data.sentences()) {
      context = start;
      for (WordId word : sentence) {
        benchmark::DoNotOptimize(data.model().ScoreWord(context.data(), word));
      }
    }
  }
  state.SetItemsProcessed(state.iterations() * data.test_tokens());
}
BENCHMARK(ScoreWord);

// Scores several sentences per call.
void ScoreSentences(benchmark::State& state) {
  const BenchData& data = BenchData::Get();
  const std::vector<std::byte> start = Start(data.model());
  std::vector<float> log_probs(data.test_tokens());
  std::vector<LanguageModel::Query> queries;
  size_t begin = 0;
  for (const std::vector<WordId>& sentence : data.sentences()) {
    queries.push_back(
        {start.data(), sentence, nullptr,
         absl::MakeSpan(log_probs).subspan(begin, sentence.size())});
    begin += sentence.size();
  }
  const absl::Span<const LanguageModel::Query> all = queries;
  for (auto _ : state) {
    for (size_t i = 0; i < all.size(); i += state.range(0)) {
      data.model().Score(all.subspan(i, state.range(0)));
    }
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations() * data.test_tokens());
}
BENCHMARK(ScoreSentences)->Arg(1)->Arg(8)->Arg(64)->Arg(1 << 20);

// Scores one word in each of many independent contexts, like the batches of a
// decoder, so that caches do not help.
void ScoreScattered(benchmark::State& state) {
  const BenchData& data = BenchData::Get();
  std::vector<std::vector<std::byte>> contexts;
  std::vector<const WordId*> words;
  for (const std::vector<WordId>& sentence : data.sentences()) {
    std::vector<std::byte> context = Start(data.model());
    for (const WordId& word : sentence) {
      contexts.push_back(context);
      words.push_back(&word);
      data.model().ScoreWord(context.data(), word);
    }
  }
  std::vector<float> log_probs(words.size());
  std::vector<LanguageModel::Query> queries;
  for (size_t i = 0; i < words.size(); ++i) {
    const size_t j = i * 7919 % words.size();
    queries.push_back(
        {contexts[j].data(), {words[j], 1}, nullptr, {&log_probs[i], 1}});
  }
  for (auto _ : state) {
    data.model().Score(queries);
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations() * queries.size());
}
BENCHMARK(ScoreScattered);

// Returns the states after every tenth word of the test text.
std::vector<std::vector<std::byte>> SampleStates(const BenchData& data) {
  std::vector<std::vector<std::byte>> states;
  size_t i = 0;
  for (const std::vector<WordId>& sentence : data.sentences()) {
    std::vector<std::byte> context = Start(data.model());
    for (WordId word : sentence) {
      data.model().ScoreWord(context.data(), word);
      if (++i % 10 == 0) states.push_back(context);
    }
  }
  return states;
}

void TopK(benchmark::State& state) {
  const BenchData& data = BenchData::Get();
  const auto states = SampleStates(data);
  std::vector<ScoredWord> best(state.range(0));
  for (auto _ : state) {
    for (const std::vector<std::byte>& context : states) {
      const std::byte* row = context.data();
      data.model().TopK({&row, 1}, best.size(), absl::MakeSpan(best));
      benchmark::ClobberMemory();
    }
  }
  state.SetItemsProcessed(state.iterations() * states.size());
}
BENCHMARK(TopK)->Arg(1)->Arg(10)->Arg(100);

// Sorts the whole distribution, which TopK() avoids.
void TopKByFullScan(benchmark::State& state) {
  const BenchData& data = BenchData::Get();
  const auto states = SampleStates(data);
  std::vector<ScoredWord> best(state.range(0));
  size_t i = 0;
  for (auto _ : state) {
    const std::byte* row = states[i++ % states.size()].data();
    data.model().LanguageModel::TopK({&row, 1}, best.size(),
                                     absl::MakeSpan(best));
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(TopKByFullScan)->Arg(10);

void Distribution(benchmark::State& state) {
  const BenchData& data = BenchData::Get();
  const auto states = SampleStates(data);
  std::vector<float> log_probs(data.model().vocabulary().size());
  size_t i = 0;
  for (auto _ : state) {
    const std::byte* row = states[i++ % states.size()].data();
    data.model().Distribution({&row, 1}, log_probs.data());
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(Distribution);

}  // namespace
}  // namespace lmserve
