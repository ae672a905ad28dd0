// SPDX-License-Identifier: Apache-2.0
//
// Compares scoring the candidates of a list together, as Rerank does, with
// scoring them one by one: an LSTM (2 layers of 200 units) on 100-best lists.
// The lists are variants of a sentence if no real ones are available. The
// log-probabilities are bit-identical.
//
// Then measures Rerank itself, for new candidates and again with other weights,
// with this model and with an n-gram model.

#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "model_store/model_store.h"
#include "models/model_factory.h"
#include "models/neural/recurrent_model.h"
#include "models/text.h"
#include "reranking/nbest_line.h"
#include "server/handlers/rerank.h"
#include "tests/bench/bench_data.h"
#include "tests/server/handlers/test_serving_context.h"
#include "tests/testing/shared_data.h"
#include "tests/testing/temporary_directory.h"
#include "trainer/neural/network.h"
#include "trainer/neural/publish_network.h"
#include "trainer/neural/random.h"

namespace lmserve {
namespace {

using Clock = std::chrono::steady_clock;
using Lists = std::vector<std::vector<std::vector<WordId>>>;

constexpr WordId kWords = 10'000;
constexpr WordId kEnd = 2;

// Returns an arbitrary but fixed id for a word.
WordId IdOf(absl::string_view word) {
  return static_cast<WordId>(3 + std::hash<std::string>()(std::string(word)) %
                                     (kWords - 3));
}

Lists RealLists(const std::string& path) {
  Lists lists;
  std::string id;
  for (const std::string& text : ReadSharedLines(path)) {
    const NbestLine line = ParseNbestLine(text).value();
    if (lists.empty() || line.id != id) lists.emplace_back();
    id = line.id;
    std::vector<WordId>& words = lists.back().emplace_back();
    for (absl::string_view word : SplitWords(line.hypothesis)) {
      words.push_back(IdOf(word));
    }
    words.push_back(kEnd);
  }
  return lists;
}

// Returns lists of 25 words, where candidates differ in up to three words.
Lists MadeLists() {
  Random random(1);
  Lists lists(10);
  for (auto& list : lists) {
    std::vector<WordId> words(25);
    for (WordId& word : words) word = 3 + random.Below(kWords - 3);
    words.push_back(kEnd);
    for (int i = 0; i < 100; ++i) {
      list.push_back(words);
      for (int change = 0; change < 3; ++change) {
        list.back()[random.Below(25)] = 3 + random.Below(3);
      }
    }
  }
  return lists;
}

// A model with random weights, and its file.
struct Lstm {
  Lstm() {
    RecurrentNetworkOptions options;
    options.vocabulary = kWords;
    options.embedding = options.stack.units = 200;
    options.stack.cell = Cell::kLstm;
    options.stack.layers = 2;
    options.tied = true;
    const auto network = MakeRecurrentNetwork<float>(options);
    std::vector<float> values(network->layout().size());
    network->Initialize(1, values.data());
    bytes = MakeWeightsFile(network->layout(), values, network->Metadata());
    std::vector<std::string> words = {"<unk>", "<s>", "</s>"};
    while (words.size() < kWords) words.push_back(absl::StrCat(words.size()));
    model = RecurrentModel::Create(
                Vocabulary::Create(
                    std::vector<absl::string_view>(words.begin(), words.end()))
                    .value(),
                bytes)
                .value();
  }

  std::string bytes;
  std::unique_ptr<RecurrentModel> model;
};

// Returns ln P of all words of the candidates, computed in one call or in one
// call per candidate.
std::vector<float> ScoreList(const LanguageModel& model,
                             const std::vector<std::vector<WordId>>& list,
                             bool together) {
  std::vector<std::byte> start(model.state_size());
  model.Start(start.data());
  size_t words = 0;
  for (const auto& candidate : list) words += candidate.size();
  std::vector<float> log_probs(words);
  absl::Span<float> rest = absl::MakeSpan(log_probs);
  std::vector<LanguageModel::Query> batch;
  for (const auto& candidate : list) {
    batch.push_back(
        {start.data(), candidate, nullptr, rest.first(candidate.size())});
    rest.remove_prefix(candidate.size());
    if (together) continue;
    model.Score(batch);
    batch.clear();
  }
  if (together) model.Score(batch);
  return log_probs;
}

void RerankLists(benchmark::State& state) {
  const std::string path = SharedFile("data/nbest/europarl-en.dev.nbest.xz");
  const Lists lists = path.empty() ? MadeLists() : RealLists(path);
  const Lstm lstm;
  double together = 0, alone = 0;
  size_t next = 0, candidates = 0;
  for (auto _ : state) {
    const auto& list = lists[next++ % lists.size()];
    const auto start = Clock::now();
    const std::vector<float> one_call = ScoreList(*lstm.model, list, true);
    const auto middle = Clock::now();
    const std::vector<float> calls = ScoreList(*lstm.model, list, false);
    alone += std::chrono::duration<double>(Clock::now() - middle).count();
    together += std::chrono::duration<double>(middle - start).count();
    candidates += list.size();
    if (one_call != calls) state.SkipWithError("the scores differ");
  }
  state.SetLabel(path.empty() ? "made lists" : "Europarl, phrase-based");
  state.counters["candidates"] =
      static_cast<double>(candidates) / static_cast<double>(next);
  state.counters["ms_together"] = together / static_cast<double>(next) * 1e3;
  state.counters["share_of_one_by_one"] = together / alone;
}
BENCHMARK(RerankLists)->Unit(benchmark::kMillisecond)->Iterations(50);

// Returns a request for a list. Ids are mapped into smaller vocabularies.
lm::v1::RerankRequest RequestOf(const std::string& model, WordId vocabulary,
                                const std::vector<std::vector<WordId>>& list) {
  lm::v1::RerankRequest request;
  request.add_models(model);
  for (const auto& candidate : list) {
    auto& ids = *request.add_candidates()->mutable_text()->mutable_ids();
    for (WordId word : candidate) {
      if (word != kEnd) ids.add_ids(3 + (word - 3) % (vocabulary - 3));
    }
  }
  return request;
}

// Returns how long the answer took, and sets ln P of the candidates in the
// order of the list.
double TimeRerank(const TestServing& serving,
                  const lm::v1::RerankRequest& request,
                  std::vector<double>* log_probs) {
  lm::v1::RerankResponse response;
  const auto start = Clock::now();
  const absl::Status status = serving.Answer(HandleRerank, request, &response);
  const auto end = Clock::now();
  if (!status.ok()) return 0;
  log_probs->resize(request.candidates_size());
  for (const lm::v1::RankedCandidate& candidate : response.candidates()) {
    (*log_probs)[candidate.index()] = candidate.features(0);
  }
  return std::chrono::duration<double>(end - start).count();
}

void RerankAgain(benchmark::State& state, const std::string& store_path,
                 const std::string& model) {
  const std::string path = SharedFile("data/nbest/europarl-en.dev.nbest.xz");
  const Lists lists = path.empty() ? MadeLists() : RealLists(path);
  const auto store = ModelStore::Open(store_path).value();
  const WordId vocabulary = (*store->Get(model))->model().vocabulary().size();
  const Limits limits;
  const BatcherOptions one_thread = {.threads = 1};
  const TestServing remembering(*store, limits, one_thread, 64 << 20);
  const TestServing forgetful(*store, limits, one_thread, 0);
  double first = 0, again = 0;
  size_t next = 0, candidates = 0;
  for (auto _ : state) {
    lm::v1::RerankRequest request =
        RequestOf(model, vocabulary, lists[next++ % lists.size()]);
    std::vector<double> expected, found;
    TimeRerank(forgetful, request, &expected);
    first += TimeRerank(remembering, request, &found);
    if (found.empty() || found != expected) {
      state.SkipWithError("the scores differ");
    }
    candidates += expected.size();
    (*request.mutable_weights())[model] = 0.5;
    again += TimeRerank(remembering, request, &found);
    if (found != expected) state.SkipWithError("the scores differ");
  }
  state.SetLabel(path.empty() ? "made lists" : "Europarl, phrase-based");
  state.counters["candidates"] =
      static_cast<double>(candidates) / static_cast<double>(next);
  state.counters["ms_first"] = first / static_cast<double>(next) * 1e3;
  state.counters["ms_again"] = again / static_cast<double>(next) * 1e3;
  state.counters["share_of_first"] = again / first;
}

void RerankAgainLstm(benchmark::State& state) {
  const TemporaryDirectory store;
  const Lstm lstm;
  NetworkVersion version;
  version.family = std::string(kRecurrentFamily);
  version.weights = lstm.bytes;
  version.self_test = {"3 4"};
  PublishNetwork(store.path(), "lstm", lstm.model->vocabulary(), version)
      .value();
  RerankAgain(state, store.path(), "lstm");
}
BENCHMARK(RerankAgainLstm)->Unit(benchmark::kMillisecond)->Iterations(10);

void RerankAgainNgram(benchmark::State& state) {
  RerankAgain(state, BenchData::Get().store(),
              BenchData::Name(BenchData::kFast));
}
BENCHMARK(RerankAgainNgram)->Unit(benchmark::kMillisecond)->Iterations(10);

}  // namespace
}  // namespace lmserve
