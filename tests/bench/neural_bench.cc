// SPDX-License-Identifier: Apache-2.0
//
// Benchmarks of neural networks. The reported share is the time that oneDNN's
// packed matrix products of the same shapes take in the same run, divided by
// the time of the whole computation.

#include <benchmark/benchmark.h>
#include <sys/resource.h>

#include <chrono>
#include <cstring>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "models/neural/kernels.h"
#include "models/neural/linear.h"
#include "models/neural/products.h"
#include "models/neural/recurrent_model.h"
#include "trainer/neural/network.h"
#include "trainer/neural/optimizer.h"
#include "trainer/neural/publish_network.h"

namespace lmserve {
namespace {

using Clock = std::chrono::steady_clock;

double Seconds(Clock::duration duration) {
  return std::chrono::duration<double>(duration).count();
}

double PeakMegabytes() {
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1e3;
}

std::vector<float> RandomFloats(size_t n, uint64_t seed) {
  Random random(seed);
  std::vector<float> values(n);
  for (float& value : values) value = static_cast<float>(random.Uniform(0.1));
  return values;
}

// Matrix products of one shape, (rows, inputs) by (inputs, outputs), each with
// its own weights.
struct Product {
  size_t rows, inputs, outputs;
  size_t times;
};

// Returns the shortest time in seconds of packed products of these shapes, run
// one after the other.
double ProductSeconds(const std::vector<Product>& products) {
  std::vector<std::unique_ptr<const Linear>> linears;
  size_t inputs = 0, outputs = 0;
  for (const Product& p : products) {
    const std::vector<float> weights = RandomFloats(p.inputs * p.outputs, 1);
    for (size_t i = 0; i < p.times; ++i) {
      linears.push_back(
          Linear::Create(WeightMatrix::Of(weights, p.outputs, p.inputs), {})
              .value());
    }
    inputs = std::max(inputs, p.rows * p.inputs);
    outputs = std::max(outputs, p.rows * p.outputs);
  }
  const std::vector<float> x = RandomFloats(inputs, 2);
  std::vector<float> y(outputs);
  LinearScratch scratch;
  double best = 1e9;
  const auto start = Clock::now();
  while (best == 1e9 || Seconds(Clock::now() - start) < 1) {
    const auto begin = Clock::now();
    size_t next = 0;
    for (const Product& p : products) {
      for (size_t i = 0; i < p.times; ++i) {
        linears[next++]->Apply(x.data(), p.rows, y.data(), &scratch);
      }
    }
    best = std::min(best, Seconds(Clock::now() - begin));
  }
  return best;
}

RecurrentNetworkOptions Lstm(WordId vocabulary, size_t units) {
  RecurrentNetworkOptions options;
  options.vocabulary = vocabulary;
  options.embedding = units;
  options.stack.cell = Cell::kLstm;
  options.stack.units = units;
  options.stack.layers = 2;
  options.tied = true;
  options.carry_state = true;
  return options;
}

std::vector<WordId> RandomWords(size_t n, WordId vocabulary, uint64_t seed) {
  Random random(seed);
  std::vector<WordId> words(n);
  for (WordId& word : words) {
    word = static_cast<WordId>(3 + random.Below(vocabulary - 3));
  }
  return words;
}

// One update of an LSTM (2 layers, 10,000 words) with 20 streams of 35 words on
// one thread.
void TrainLstm(benchmark::State& state) {
  constexpr size_t kWords = 10'000, kStreams = 20, kSteps = 35;
  constexpr size_t kRows = kStreams * kSteps;
  const auto units = static_cast<size_t>(state.range(0));
  const auto precision = static_cast<ProductPrecision>(state.range(1));
  if (precision == ProductPrecision::kBf16 && !HasBf16Products()) {
    return state.SkipWithError("the processor has no bf16");
  }
  RecurrentNetworkOptions options = Lstm(kWords, units);
  options.stack.products = precision;
  const auto network = MakeRecurrentNetwork<float>(options);
  const ParameterLayout& layout = network->layout();
  Optimizer optimizer(OptimizerKind::kSgd, 0, layout);
  std::vector<float> values(layout.size()), gradients(layout.size());
  network->Initialize(1, values.data());
  const Batch batch = {kSteps, kStreams, RandomWords(kRows, kWords, 1),
                       RandomWords(kRows, kWords, 2)};
  const double products = ProductSeconds({
      {kRows, units, 4 * units, 2},              // x W_ih, both layers
      {kStreams, units, 4 * units, 2 * kSteps},  // h W_hh, per step
      {kStreams, 4 * units, units, 2 * kSteps},  // and back
      {kRows, 4 * units, units, 2},              // dx
      {4 * units, kRows, units, 4},              // dW_ih, dW_hh
      {kRows, units, kWords, 1},                 // the logits
      {kRows, kWords, units, 1},                 // and back
      {kWords, kRows, units, 1},                 // dW
  });
  uint64_t step = 0;
  const auto update = [&] {
    std::fill(gradients.begin(), gradients.end(), 0.0f);
    Random random(1, RandomPurpose::kDropout, {step});
    const Network<float>::Backward backward = {1.0f / kRows, gradients.data()};
    network->Run(values.data(), batch, &random, &backward);
    benchmark::DoNotOptimize(SumOfSquares(gradients));
    optimizer.Step({0.1, 1, ++step}, gradients.data(), 0, values.size(),
                   values.data());
  };
  update();  // compiles the products
  const auto start = Clock::now();
  for (auto _ : state) update();
  const double seconds =
      Seconds(Clock::now() - start) / static_cast<double>(state.iterations());
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * kRows));
  state.counters["share_of_fp32_products"] = products / seconds;
  state.counters["peak_MB"] = PeakMegabytes();
}
BENCHMARK(TrainLstm)
    ->ArgNames({"units", "bf16"})
    ->ArgsProduct({{200, 650}, {0, 1}})
    ->Unit(benchmark::kMillisecond);

// Returns the file of an LSTM (2 layers of 650 units, 33,278 words) with
// weights of the given precision.
struct ServedLstm {
  explicit ServedLstm(Precision precision) {
    const auto network = MakeRecurrentNetwork<float>(Lstm(kWords, kUnits));
    std::vector<float> values(network->layout().size());
    network->Initialize(1, values.data());
    bytes = MakeWeightsFile(network->layout(), values, {});
    bytes = ConvertWeightsFile(TensorFile::Parse(bytes).value(), precision);
    std::vector<std::string> words = {"<unk>", "<s>", "</s>"};
    while (words.size() < kWords) words.push_back(absl::StrCat(words.size()));
    model = RecurrentModel::Create(
                Vocabulary::Create(
                    std::vector<absl::string_view>(words.begin(), words.end()))
                    .value(),
                bytes)
                .value();
  }

  static constexpr WordId kWords = 33'278;
  static constexpr size_t kUnits = 650;

  std::string bytes;
  std::unique_ptr<RecurrentModel> model;
};

// Returns the products that the model computes for one word of each text.
std::vector<Product> ScoringProducts(size_t streams) {
  constexpr size_t kUnits = ServedLstm::kUnits;
  constexpr size_t kBlock = 2048;  // outputs, as in the output layer
  return {
      {streams, kUnits, 4 * kUnits, size_t{2} * 2},
      {streams, kUnits, kBlock, ServedLstm::kWords / kBlock},
      {streams, kUnits, ServedLstm::kWords % kBlock, 1},
  };
}

// Scores different texts in one call.
void ScoreLstm(benchmark::State& state) {
  const auto precision = static_cast<Precision>(state.range(0));
  const auto streams = static_cast<size_t>(state.range(1));
  constexpr size_t kSteps = 16;
  const ServedLstm lstm(precision);
  const std::vector<WordId> words =
      RandomWords(streams * kSteps, ServedLstm::kWords, 1);
  std::vector<std::byte> start(lstm.model->state_size());
  lstm.model->Start(start.data());
  std::vector<float> log_probs(words.size());
  std::vector<LanguageModel::Query> batch;
  for (size_t i = 0; i < streams; ++i) {
    batch.push_back(
        {start.data(), absl::MakeConstSpan(words).subspan(i * kSteps, kSteps),
         nullptr, absl::MakeSpan(log_probs).subspan(i * kSteps, kSteps)});
  }
  const double products = kSteps * ProductSeconds(ScoringProducts(streams));
  const auto begin = Clock::now();
  for (auto _ : state) lstm.model->Score(batch);
  const double seconds =
      Seconds(Clock::now() - begin) / static_cast<double>(state.iterations());
  state.SetItemsProcessed(
      static_cast<int64_t>(state.iterations() * words.size()));
  state.SetLabel(std::string(PrecisionName(precision)));
  state.counters["share_of_fp32_products"] = products / seconds;
  state.counters["peak_MB"] = PeakMegabytes();
}
BENCHMARK(ScoreLstm)
    ->ArgNames({"precision", "texts"})
    ->ArgsProduct({{0, 1, 2}, {1, 8, 64}})
    ->Unit(benchmark::kMillisecond);

// Scores a text word by word, as a single decoder does.
void ScoreLstmWordByWord(benchmark::State& state) {
  const ServedLstm lstm(static_cast<Precision>(state.range(0)));
  const std::vector<WordId> words = RandomWords(100, ServedLstm::kWords, 1);
  std::vector<std::byte> text(lstm.model->state_size());
  lstm.model->Start(text.data());
  const double products = ProductSeconds(ScoringProducts(1));
  size_t t = 0;
  float log_prob = 0;
  const auto begin = Clock::now();
  for (auto _ : state) {
    const LanguageModel::Query query = {text.data(),
                                        {&words[t++ % words.size()], 1},
                                        text.data(),
                                        {&log_prob, 1}};
    lstm.model->Score({&query, 1});
  }
  const double seconds =
      Seconds(Clock::now() - begin) / static_cast<double>(state.iterations());
  state.SetItemsProcessed(state.iterations());
  state.SetLabel(
      std::string(PrecisionName(static_cast<Precision>(state.range(0)))));
  state.counters["share_of_fp32_products"] = products / seconds;
}
BENCHMARK(ScoreLstmWordByWord)
    ->ArgName("precision")
    ->DenseRange(0, 2)
    ->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace lmserve
