#include "tests/testing/neural_models.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "models/model_factory.h"
#include "models/neural/network_weights.h"
#include "trainer/corpus.h"
#include "trainer/line_reader.h"
#include "trainer/neural/publish_network.h"

namespace lmserve {
namespace {

constexpr uint64_t kSeed = 17;

// Sums of products of a typical size, however many they are of.
std::vector<float> RandomWeights(const ParameterLayout& layout) {
  Random random(kSeed, {});
  std::vector<float> values(layout.size());
  for (const ParameterLayout::Parameter& p : layout.parameters()) {
    const double range =
        p.is_matrix ? 1.5 / std::sqrt(static_cast<double>(p.cols)) : 0.5;
    for (size_t i = 0; i < p.size(); ++i) {
      values[p.begin + i] = static_cast<float>(random.Uniform(range));
    }
  }
  return values;
}

TestModel Serve(absl::string_view family, const std::string& vocabulary,
                const Network<float>& network, Precision precision) {
  const std::string floats = MakeWeightsFile(
      network.layout(), RandomWeights(network.layout()), network.Metadata());
  TestModel test;
  test.family = std::string(family);
  test.files[std::string(kVocabularyFile)] = vocabulary;
  test.files[std::string(kWeightsFile)] =
      ConvertWeightsFile(TensorFile::Parse(floats).value(), precision);
  test.model = CreateModel(test.family, test.Files()).value().TakeLeftToRight();
  return test;
}

// Sets what of the options the vocabulary tells.
template <typename Options>
Options Fit(Options options, const Vocabulary& vocabulary) {
  options.vocabulary = vocabulary.size();
  options.never = vocabulary.begin_sentence();
  return options;
}

// The numbers of a tensor of the file.
std::vector<float> ReadParameter(const TensorFile& file,
                                 const ParameterLayout::Parameter& p) {
  if (!p.is_matrix) return ReadVector(file, p.name, p.rows).value();
  const WeightMatrix matrix = ReadMatrix(file, p.name, p.rows, p.cols).value();
  std::vector<float> numbers(p.size());
  for (size_t r = 0; r < p.rows; ++r) {
    matrix.CopyRow(r, numbers.data() + r * p.cols);
  }
  return numbers;
}

}  // namespace

std::string VocabularyOf(std::string text) {
  Progress quiet("", /*quiet=*/true);
  const Corpus corpus = ReadCorpus(*LineReader::FromString(std::move(text)),
                                   CorpusOptions(), quiet)
                            .value();
  return std::string(corpus.vocabulary.text());
}

TestModel RecurrentTestModel(const std::string& vocabulary,
                             RecurrentNetworkOptions options,
                             Precision precision) {
  options = Fit(options, Vocabulary::Parse(vocabulary).value());
  return Serve(kRecurrentFamily, vocabulary,
               *MakeRecurrentNetwork<float>(options), precision);
}

TestModel WindowTestModel(const std::string& vocabulary,
                          WindowNetworkOptions options, Precision precision) {
  options = Fit(options, Vocabulary::Parse(vocabulary).value());
  return Serve(kWindowFamily, vocabulary, *MakeWindowNetwork<float>(options),
               precision);
}

NaiveNetwork NaiveNetwork::Recurrent(const TestModel& served,
                                     RecurrentNetworkOptions options) {
  options = Fit(options, served.model->vocabulary());
  return NaiveNetwork(MakeRecurrentNetwork<double>(options), served, 0);
}

NaiveNetwork NaiveNetwork::Window(const TestModel& served,
                                  WindowNetworkOptions options) {
  options = Fit(options, served.model->vocabulary());
  return NaiveNetwork(MakeWindowNetwork<double>(options), served,
                      options.window);
}

NaiveNetwork::NaiveNetwork(std::unique_ptr<Network<double>> network,
                           const TestModel& served, size_t window)
    : network_(std::move(network)), window_(window) {
  const TensorFile file =
      TensorFile::Parse(served.files.at(std::string(kWeightsFile))).value();
  for (const auto& p : network_->layout().parameters()) {
    const std::vector<float> numbers = ReadParameter(file, p);
    values_.insert(values_.end(), numbers.begin(), numbers.end());
  }
}

double NaiveNetwork::LogProbability(absl::Span<const WordId> history,
                                    WordId word) const {
  Batch batch;
  batch.streams = 1;
  batch.inputs.assign(history.begin(), history.end());
  if (window_ == 0) {
    batch.targets.assign(history.size(), kNoTarget);
    batch.targets.back() = word;
  } else {
    // What is missing in front is <s>.
    batch.inputs.insert(batch.inputs.begin(), window_, history.front());
    batch.inputs.erase(batch.inputs.begin(), batch.inputs.end() - window_);
    batch.targets = {word};
  }
  batch.steps = batch.inputs.size();
  return -network_->Run(values_.data(), batch, nullptr, nullptr);
}

}  // namespace lmserve
