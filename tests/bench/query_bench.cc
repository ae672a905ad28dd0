// SPDX-License-Identifier: Apache-2.0
//
// Benchmarks of queries to the n-gram model itself, in each layout, on one
// thread. Items are words or states.

#include <benchmark/benchmark.h>

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "models/language_model.h"
#include "tests/bench/bench_data.h"

namespace lmserve {
namespace {

std::vector<std::byte> Start(const LanguageModel& model) {
  std::vector<std::byte> state(model.state_size());
  model.Start(state.data());
  return state;
}

// Scores a word and advances the state.
float ScoreWord(const LanguageModel& model, std::byte* state,
                const WordId& word) {
  float log_prob;
  const LanguageModel::Query query = {state, {&word, 1}, state, {&log_prob, 1}};
  model.Score({&query, 1});
  return log_prob;
}

// Scores one word per call, as a decoder with one hypothesis does.
void ScoreWords(benchmark::State& state, BenchData::Layout layout) {
  const BenchData& data = BenchData::Get();
  const LanguageModel& model = data.model(layout);
  const std::vector<std::byte> start = Start(model);
  std::vector<std::byte> context = start;
  for (auto _ : state) {
    for (const std::vector<WordId>& sentence : data.sentences()) {
      context = start;
      for (const WordId& word : sentence) {
        benchmark::DoNotOptimize(ScoreWord(model, context.data(), word));
      }
    }
  }
  state.SetItemsProcessed(state.iterations() * data.test_tokens());
}

// Scores several sentences per call.
void ScoreSentences(benchmark::State& state, BenchData::Layout layout) {
  const BenchData& data = BenchData::Get();
  const LanguageModel& model = data.model(layout);
  const std::vector<std::byte> start = Start(model);
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
      model.Score(all.subspan(i, state.range(0)));
    }
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations() * data.test_tokens());
}

// Scores one word in each of many independent contexts, like the batches of a
// decoder, so that caches do not help.
void ScoreScattered(benchmark::State& state, BenchData::Layout layout) {
  const BenchData& data = BenchData::Get();
  const LanguageModel& model = data.model(layout);
  std::vector<std::vector<std::byte>> contexts;
  std::vector<const WordId*> words;
  for (const std::vector<WordId>& sentence : data.sentences()) {
    std::vector<std::byte> context = Start(model);
    for (const WordId& word : sentence) {
      contexts.push_back(context);
      words.push_back(&word);
      ScoreWord(model, context.data(), word);
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
    model.Score(queries);
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations() * queries.size());
}

// Returns the states after every tenth word of the test text.
std::vector<std::vector<std::byte>> SampleStates(const BenchData& data,
                                                 const LanguageModel& model) {
  std::vector<std::vector<std::byte>> states;
  size_t i = 0;
  for (const std::vector<WordId>& sentence : data.sentences()) {
    std::vector<std::byte> context = Start(model);
    for (const WordId& word : sentence) {
      ScoreWord(model, context.data(), word);
      if (++i % 10 == 0) states.push_back(context);
    }
  }
  return states;
}

void TopK(benchmark::State& state, BenchData::Layout layout) {
  const BenchData& data = BenchData::Get();
  const LanguageModel& model = data.model(layout);
  const auto states = SampleStates(data, model);
  std::vector<ScoredWord> best(state.range(0));
  for (auto _ : state) {
    for (const std::vector<std::byte>& context : states) {
      const std::byte* row = context.data();
      model.TopK({&row, 1}, best.size(), absl::MakeSpan(best));
      benchmark::ClobberMemory();
    }
  }
  state.SetItemsProcessed(state.iterations() * states.size());
}

// Sorts the whole distribution, which TopK() avoids.
void TopKByFullScan(benchmark::State& state, BenchData::Layout layout) {
  const BenchData& data = BenchData::Get();
  const LanguageModel& model = data.model(layout);
  const auto states = SampleStates(data, model);
  std::vector<ScoredWord> best(state.range(0));
  size_t i = 0;
  for (auto _ : state) {
    const std::byte* row = states[i++ % states.size()].data();
    model.LanguageModel::TopK({&row, 1}, best.size(), absl::MakeSpan(best));
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations());
}

void Distribution(benchmark::State& state, BenchData::Layout layout) {
  const BenchData& data = BenchData::Get();
  const LanguageModel& model = data.model(layout);
  const auto states = SampleStates(data, model);
  std::vector<float> log_probs(model.vocabulary().size());
  size_t i = 0;
  for (auto _ : state) {
    const std::byte* row = states[i++ % states.size()].data();
    model.Distribution({&row, 1}, log_probs.data());
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations());
}

// Registers each benchmark in all layouts, one after the other.
const bool kRegistered = [] {
  using Run = void (*)(benchmark::State&, BenchData::Layout);
  const auto add = [](const char* name, Run run, std::vector<int64_t> sizes) {
    for (int i = 0; i < BenchData::kLayouts; ++i) {
      const auto layout = BenchData::Layout(i);
      auto* const bench = benchmark::RegisterBenchmark(
          absl::StrCat(name, "/", BenchData::Name(layout)).c_str(), run,
          layout);
      for (int64_t size : sizes) bench->Arg(size);
    }
  };
  add("ScoreWords", ScoreWords, {});
  add("ScoreSentences", ScoreSentences, {1, 8, 64, 1 << 20});
  add("ScoreScattered", ScoreScattered, {});
  add("TopK", TopK, {1, 10, 100});
  add("TopKByFullScan", TopKByFullScan, {10});
  add("Distribution", Distribution, {});
  return true;
}();

}  // namespace
}  // namespace lmserve
