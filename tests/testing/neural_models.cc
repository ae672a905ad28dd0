#include "tests/testing/neural_models.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "model_store/publish.h"
#include "models/model_factory.h"
#include "models/neural/network_weights.h"
#include "models/neural/recurrent_bidirectional_model.h"
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

std::map<std::string, std::string> MakeFiles(const std::string& vocabulary,
                                             const Network<float>& network,
                                             Precision precision) {
  const std::string floats = MakeWeightsFile(
      network.layout(), RandomWeights(network.layout()), network.Metadata());
  return {{std::string(kVocabularyFile), vocabulary},
          {std::string(kWeightsFile),
           ConvertWeightsFile(TensorFile::Parse(floats).value(), precision)}};
}

TestModel Serve(absl::string_view family, const std::string& vocabulary,
                const Network<float>& network, Precision precision) {
  TestModel test;
  test.family = std::string(family);
  test.files = MakeFiles(vocabulary, network, precision);
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

RecurrentNetworkOptions SmallNetwork() {
  RecurrentNetworkOptions options;
  options.embedding = 6;
  options.stack.units = 5;
  options.stack.layers = 2;
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

BidirectionalTestModel MakeBidirectionalTestModel(
    const std::string& vocabulary, RecurrentNetworkOptions options,
    Precision precision) {
  options = Fit(options, Vocabulary::Parse(vocabulary).value());
  options.stack.bidirectional = true;
  BidirectionalTestModel test;
  test.files =
      MakeFiles(vocabulary, *MakeRecurrentNetwork<float>(options), precision);
  test.model = RecurrentBidirectionalModel::Create(
                   Vocabulary::Parse(vocabulary).value(),
                   test.files.at(std::string(kWeightsFile)))
                   .value();
  return test;
}

uint64_t PublishRecurrentModel(const std::string& store, absl::string_view name,
                               std::string text) {
  const TestModel made = RecurrentTestModel(VocabularyOf(std::move(text)),
                                            SmallNetwork(), Precision::kFloat);
  NewVersion version;
  version.family = made.family;
  version.files = made.Files();
  version.self_test = {"the cat"};
  return Publish(store, name, version).value();
}

uint64_t PublishBidirectionalModel(const std::string& store,
                                   absl::string_view name, std::string text) {
  const BidirectionalTestModel made = MakeBidirectionalTestModel(
      VocabularyOf(std::move(text)), SmallNetwork(), Precision::kFloat);
  NewVersion version;
  version.family = std::string(kBidirectionalFamily);
  version.files = made.Files();
  version.self_test = {"the cat"};
  return Publish(store, name, version).value();
}

NaiveNetwork NaiveNetwork::Bidirectional(const BidirectionalTestModel& served,
                                         RecurrentNetworkOptions options) {
  options = Fit(options, served.model->vocabulary());
  options.stack.bidirectional = true;
  return NaiveNetwork(MakeRecurrentNetwork<double>(options), served.files, 0);
}

NaiveNetwork NaiveNetwork::Recurrent(const TestModel& served,
                                     RecurrentNetworkOptions options) {
  options = Fit(options, served.model->vocabulary());
  return NaiveNetwork(MakeRecurrentNetwork<double>(options), served.files, 0);
}

NaiveNetwork NaiveNetwork::Window(const TestModel& served,
                                  WindowNetworkOptions options) {
  options = Fit(options, served.model->vocabulary());
  return NaiveNetwork(MakeWindowNetwork<double>(options), served.files,
                      options.window);
}

NaiveNetwork::NaiveNetwork(std::unique_ptr<Network<double>> network,
                           const std::map<std::string, std::string>& files,
                           size_t window)
    : network_(std::move(network)), window_(window) {
  const TensorFile file =
      TensorFile::Parse(files.at(std::string(kWeightsFile))).value();
  for (const auto& p : network_->layout().parameters()) {
    const std::vector<float> numbers = ReadParameter(file, p);
    values_.insert(values_.end(), numbers.begin(), numbers.end());
  }
}

double NaiveNetwork::LogProbability(absl::Span<const WordId> history,
                                    WordId word) const {
  if (window_ == 0) return LogProbabilityAt(history.size() - 1, history, word);
  Batch batch;
  batch.steps = window_;
  batch.streams = 1;
  batch.inputs.assign(history.begin(), history.end());
  // What is missing in front is <s>.
  batch.inputs.insert(batch.inputs.begin(), window_, history.front());
  batch.inputs.erase(batch.inputs.begin(), batch.inputs.end() - window_);
  batch.targets = {word};
  return -network_->Run(values_.data(), batch, nullptr, nullptr);
}

double NaiveNetwork::LogProbabilityAt(size_t step,
                                      absl::Span<const WordId> text,
                                      WordId word) const {
  Batch batch;
  batch.steps = text.size();
  batch.streams = 1;
  batch.inputs.assign(text.begin(), text.end());
  batch.targets.assign(text.size(), kNoTarget);
  batch.targets[step] = word;
  return -network_->Run(values_.data(), batch, nullptr, nullptr);
}

}  // namespace lmserve
