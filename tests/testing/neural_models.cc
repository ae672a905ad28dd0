// SPDX-License-Identifier: Apache-2.0
#include "tests/testing/neural_models.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "model_store/publish.h"
#include "models/labels.h"
#include "models/model_factory.h"
#include "models/neural/network_weights.h"
#include "models/neural/recurrent_bidirectional_model.h"
#include "text_io/line_reader.h"
#include "trainer/neural/load_network.h"
#include "trainer/neural/publish_network.h"
#include "trainer/text/corpus.h"

namespace lmserve {
namespace {

constexpr uint64_t kSeed = 17;

// Returns random weights, scaled so that the sums of products have a typical
// magnitude for any number of inputs.
std::vector<float> RandomWeights(const ParameterLayout& layout) {
  Random random(kSeed);
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

TranslationNetworkOptions Fit(TranslationNetworkOptions options,
                              const Vocabulary& source_vocabulary,
                              const Vocabulary& vocabulary) {
  options.source_vocabulary = source_vocabulary.size();
  options.vocabulary = vocabulary.size();
  options.never = vocabulary.begin_sentence();
  return options;
}

std::map<std::string, std::string> MakeTranslationFiles(
    const std::string& source_vocabulary, const std::string& vocabulary,
    TranslationNetworkOptions options, Precision precision) {
  options = Fit(options, Vocabulary::Parse(source_vocabulary).value(),
                Vocabulary::Parse(vocabulary).value());
  std::map<std::string, std::string> files =
      MakeFiles(vocabulary, *MakeTranslationNetwork<float>(options), precision);
  files[std::string(kSourceVocabularyFile)] = source_vocabulary;
  return files;
}

// The decoder of a translation model whose initial state is that for
// TestSource(). Owns the translation model if it is given `owned`.
class SourceReadingModel final : public LanguageModel {
 public:
  explicit SourceReadingModel(const TranslationModel& model,
                              std::unique_ptr<const AnyModel> owned = nullptr)
      : owned_(std::move(owned)),
        model_(model.decoder()),
        source_(model.Read(TestSource(model.source_vocabulary()))) {}

  const Vocabulary& vocabulary() const override { return model_.vocabulary(); }
  size_t state_size() const override { return model_.state_size(); }
  void Start(std::byte* state) const override { source_->Start(state); }
  void Score(absl::Span<const Query> batch) const override {
    model_.Score(batch);
  }
  void Distribution(absl::Span<const std::byte* const> states,
                    float* log_probs) const override {
    model_.Distribution(states, log_probs);
  }
  void TopK(absl::Span<const std::byte* const> states, size_t k,
            absl::Span<ScoredWord> best) const override {
    model_.TopK(states, k, best);
  }

 private:
  const std::unique_ptr<const AnyModel> owned_;
  const LanguageModel& model_;
  const std::unique_ptr<const TranslationModel::Source> source_;
};

// Sets the options that depend on the vocabulary.
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

// Returns the parameters of a network with the weights of a file.
std::vector<double> StoredParameters(
    const ParameterLayout& layout,
    const std::map<std::string, std::string>& files) {
  const TensorFile file =
      TensorFile::Parse(files.at(std::string(kWeightsFile))).value();
  const std::vector<float> values = ReadParameters(file, layout).value();
  return {values.begin(), values.end()};
}

// Sets the options that depend on the vocabulary and the labels.
template <typename Options>
Options FitLabels(Options options, absl::string_view vocabulary,
                  size_t labels) {
  options.vocabulary =
      Vocabulary::Parse(std::string(vocabulary)).value().size();
  options.labels = labels;
  return options;
}

LabelingTestModel ServeLabels(absl::string_view family,
                              const std::string& vocabulary,
                              const std::vector<std::string>& labels,
                              const Network<float>& network,
                              Precision precision) {
  LabelingTestModel test;
  test.family = std::string(family);
  test.files = MakeFiles(vocabulary, network, precision);
  test.files[std::string(kLabelsFile)] = FormatLabels(labels);
  test.model = std::make_unique<const AnyModel>(
      CreateModel(test.family, test.Files()).value());
  return test;
}

uint64_t PublishLabels(const std::string& store, absl::string_view name,
                       const LabelingTestModel& made) {
  NewVersion version;
  version.family = made.family;
  version.files = made.Files();
  version.self_test = {"the cat", "unseen"};
  return Publish(store, name, version).value();
}

}  // namespace

LabelingTestModel TaggerTestModel(const std::string& vocabulary,
                                  const std::vector<std::string>& labels,
                                  TaggerNetworkOptions options,
                                  Precision precision) {
  options = FitLabels(std::move(options), vocabulary, labels.size());
  return ServeLabels(kTaggerFamily, vocabulary, labels,
                     *MakeTaggerNetwork<float>(options), precision);
}

LabelingTestModel ClassifierTestModel(const std::string& vocabulary,
                                      const std::vector<std::string>& labels,
                                      ClassifierNetworkOptions options,
                                      Precision precision) {
  options = FitLabels(std::move(options), vocabulary, labels.size());
  return ServeLabels(kClassifierFamily, vocabulary, labels,
                     *MakeClassifierNetwork<float>(options), precision);
}

uint64_t PublishTagger(const std::string& store, absl::string_view name,
                       std::string text) {
  TaggerNetworkOptions options;
  options.embedding = 6;
  options.stack.units = 5;
  options.stack.bidirectional = true;
  options.character_embedding = 4;
  options.character_units = 3;
  options.crf = true;
  options.bio = true;
  return PublishLabels(store, name,
                       TaggerTestModel(VocabularyOf(std::move(text)),
                                       {"B-A", "I-A", "B-B", "I-B", "O"},
                                       options, Precision::kFloat));
}

uint64_t PublishClassifier(const std::string& store, absl::string_view name,
                           std::string text) {
  ClassifierNetworkOptions options;
  options.embedding = 6;
  options.stack.units = 5;
  options.stack.bidirectional = true;
  return PublishLabels(
      store, name,
      ClassifierTestModel(VocabularyOf(std::move(text)),
                          {"bad", "fair", "good"}, options, Precision::kFloat));
}

NaiveLabeler::NaiveLabeler(std::unique_ptr<Network<double>> network,
                           const std::map<std::string, std::string>& files,
                           std::shared_ptr<Spellings> spellings)
    : network_(std::move(network)),
      values_(StoredParameters(network_->layout(), files)),
      spellings_(std::move(spellings)) {}

NaiveLabeler NaiveLabeler::Tagger(const LabelingTestModel& served,
                                  TaggerNetworkOptions options) {
  auto spellings = std::make_shared<Spellings>();
  options = FitLabels(std::move(options), served.model->vocabulary().text(),
                      served.model->tagger()->labels().size());
  options.spellings = spellings;
  return NaiveLabeler(MakeTaggerNetwork<double>(options), served.files,
                      std::move(spellings));
}

NaiveLabeler NaiveLabeler::Classifier(const LabelingTestModel& served,
                                      ClassifierNetworkOptions options) {
  options = FitLabels(std::move(options), served.model->vocabulary().text(),
                      served.model->classifier()->labels().size());
  return NaiveLabeler(MakeClassifierNetwork<double>(options), served.files,
                      std::make_shared<Spellings>());
}

double NaiveLabeler::LogProbability(absl::Span<const absl::string_view> words,
                                    absl::Span<const WordId> ids,
                                    absl::Span<const WordId> labels) const {
  Batch batch;
  batch.steps = ids.size();
  batch.streams = 1;
  batch.inputs.assign(ids.begin(), ids.end());
  batch.targets.assign(labels.begin(), labels.end());
  spellings_->clear();
  for (absl::string_view word : words) {
    std::vector<WordId>& characters = spellings_->emplace_back();
    for (char c : word) characters.push_back(static_cast<unsigned char>(c));
    batch.spellings.push_back(batch.spellings.size());
  }
  return -network_->Run(values_.data(), batch, nullptr, nullptr);
}

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

TestModel TranslationTestModel(const std::string& source_vocabulary,
                               const std::string& vocabulary,
                               TranslationNetworkOptions options,
                               Precision precision) {
  TestModel test;
  test.family = std::string(kTranslationFamily);
  test.files = MakeTranslationFiles(source_vocabulary, vocabulary,
                                    std::move(options), precision);
  auto model = std::make_unique<const AnyModel>(
      CreateModel(test.family, test.Files()).value());
  const TranslationModel& translation = *model->translation();
  test.model =
      std::make_unique<SourceReadingModel>(translation, std::move(model));
  return test;
}

std::vector<WordId> TestSource(const Vocabulary& source_vocabulary) {
  std::vector<WordId> words;
  for (WordId word = 0; words.size() < 5; word = (word + 3)) {
    if (word == source_vocabulary.end_sentence()) continue;
    words.push_back(word % source_vocabulary.size());
  }
  return words;
}

std::unique_ptr<LanguageModel> ReadTestSource(const TranslationModel& model) {
  return std::make_unique<SourceReadingModel>(model);
}

uint64_t PublishTranslationModel(const std::string& store,
                                 absl::string_view name,
                                 std::string source_text, std::string text,
                                 bool attention) {
  TranslationNetworkOptions options;
  options.embedding = 6;
  options.units = 5;
  options.bidirectional = true;
  options.attention = attention;
  const std::map<std::string, std::string> files = MakeTranslationFiles(
      VocabularyOf(std::move(source_text)), VocabularyOf(std::move(text)),
      options, Precision::kFloat);
  NewVersion version;
  version.family = std::string(kTranslationFamily);
  version.files = ModelFiles(files.begin(), files.end());
  version.self_test = {"the cat"};
  version.self_test_sources = {"die katze"};
  return Publish(store, name, version).value();
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

NaiveNetwork NaiveNetwork::Translation(const TestModel& served,
                                       TranslationNetworkOptions options) {
  const Vocabulary source =
      Vocabulary::Parse(served.files.at(std::string(kSourceVocabularyFile)))
          .value();
  options = Fit(options, source, served.model->vocabulary());
  NaiveNetwork naive(MakeTranslationNetwork<double>(options), served.files, 0);
  naive.source_ = TestSource(source);
  if (options.reverse_source) {
    std::reverse(naive.source_.begin(), naive.source_.end());
  }
  naive.source_.push_back(source.end_sentence());
  return naive;
}

NaiveNetwork::NaiveNetwork(std::unique_ptr<Network<double>> network,
                           const std::map<std::string, std::string>& files,
                           size_t window)
    : network_(std::move(network)),
      values_(StoredParameters(network_->layout(), files)),
      window_(window) {}

double NaiveNetwork::LogProbability(absl::Span<const WordId> history,
                                    WordId word) const {
  if (window_ == 0) return LogProbabilityAt(history.size() - 1, history, word);
  Batch batch;
  batch.steps = window_;
  batch.streams = 1;
  batch.inputs.assign(history.begin(), history.end());
  // The window before the start of the history is filled with <s>.
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
  batch.sources = source_;
  return -network_->Run(values_.data(), batch, nullptr, nullptr);
}

}  // namespace lmserve
