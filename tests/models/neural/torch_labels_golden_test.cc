// SPDX-License-Identifier: Apache-2.0
//
// Compares taggers, classifiers and sentence vectors with PyTorch: with the
// same weights, the numbers must be the same.

#include "tests/models/neural/torch_labels_golden.h"

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "models/model_factory.h"
#include "models/neural/pooling.h"
#include "trainer/neural/network.h"
#include "trainer/neural/publish_network.h"

namespace lmserve {
namespace {

constexpr double kGoldenTolerance = 1e-5;

const std::vector<absl::string_view> kGoldenWords = {"the", "unseen", "cat",
                                                     ".", "the"};

// Number i of the tensor of this name, as in torch_labels_golden.py.
float Weight(const std::string& name, size_t i) {
  double sum = 0;
  for (char c : name) sum += static_cast<unsigned char>(c);
  return static_cast<float>(0.6 * std::sin(static_cast<double>(i) + 1.7 * sum));
}

AnyModel Make(absl::string_view family, const Network<float>& network) {
  std::vector<float> values(network.layout().size());
  for (const ParameterLayout::Parameter& p : network.layout().parameters()) {
    for (size_t i = 0; i < p.size(); ++i) {
      values[p.begin + i] = Weight(p.name, i);
    }
  }
  const std::string weights =
      MakeWeightsFile(network.layout(), values, network.Metadata());
  const ModelFiles files = {
      {"vocabulary.txt", "<unk>\n<s>\n</s>\nthe\na\ncat\n.\n"},
      {"labels.txt", "A\nB\nC\nD\n"},
      {"weights.safetensors", weights}};
  return CreateModel(family, files).value();
}

template <typename Options>
Options GoldenOptions(Cell cell) {
  Options options;
  options.vocabulary = 7;
  options.labels = 4;
  options.embedding = 5;
  options.stack.cell = cell;
  options.stack.units = 4;
  options.stack.layers = 2;
  options.stack.bidirectional = true;
  return options;
}

void ExpectNear(absl::Span<const float> found,
                absl::Span<const double> expected) {
  ASSERT_EQ(found.size(), expected.size());
  for (size_t i = 0; i < found.size(); ++i) {
    EXPECT_NEAR(found[i], expected[i], kGoldenTolerance) << i;
  }
}

// Returns the labels and checks ln P of all.
std::vector<size_t> CheckTagger(Cell cell, bool crf,
                                absl::Span<const double> expected) {
  auto options = GoldenOptions<TaggerNetworkOptions>(cell);
  options.character_embedding = 3;
  options.character_units = 2;
  options.crf = crf;
  const AnyModel model =
      Make(kTaggerFamily, *MakeTaggerNetwork<float>(options));
  std::vector<size_t> labels(kGoldenWords.size());
  std::vector<float> log_probs(labels.size() * 4);
  const TaggerModel::Sentence sentence = {kGoldenWords, absl::MakeSpan(labels),
                                          absl::MakeSpan(log_probs)};
  model.tagger()->Tag({&sentence, 1});
  ExpectNear(log_probs, expected);
  return labels;
}

void CheckClassifier(Cell cell, Pooling pooling,
                     absl::Span<const double> expected_vector,
                     absl::Span<const double> expected) {
  auto options = GoldenOptions<ClassifierNetworkOptions>(cell);
  options.pooling = pooling;
  const AnyModel model =
      Make(kClassifierFamily, *MakeClassifierNetwork<float>(options));
  const std::vector<WordId> words = {3, 0, 5, 6, 3};
  std::vector<float> vector(8), log_probs(4);
  const SentenceEncoder::Sentence encoded = {words, absl::MakeSpan(vector)};
  model.sentence_encoder()->Encode({&encoded, 1}, pooling);
  ExpectNear(vector, expected_vector);
  const ClassifierModel::Sentence sentence = {words, absl::MakeSpan(log_probs)};
  model.classifier()->Classify({&sentence, 1});
  ExpectNear(log_probs, expected);
}

TEST(TorchLabelsGoldenTest, Taggers) {
  CheckTagger(Cell::kLstm, false, kLstmTagger);
  CheckTagger(Cell::kGru, false, kGruTagger);
  EXPECT_EQ(absl::MakeConstSpan(CheckTagger(Cell::kLstm, true, kLstmCrf)),
            absl::MakeConstSpan(kLstmCrfLabels));
  EXPECT_EQ(absl::MakeConstSpan(CheckTagger(Cell::kGru, true, kGruCrf)),
            absl::MakeConstSpan(kGruCrfLabels));
}

TEST(TorchLabelsGoldenTest, ClassifiersAndVectors) {
  CheckClassifier(Cell::kLstm, Pooling::kMax, kLstmVector_max,
                  kLstmClassifier_max);
  CheckClassifier(Cell::kLstm, Pooling::kMean, kLstmVector_mean,
                  kLstmClassifier_mean);
  CheckClassifier(Cell::kLstm, Pooling::kLast, kLstmVector_last,
                  kLstmClassifier_last);
  CheckClassifier(Cell::kGru, Pooling::kMax, kGruVector_max,
                  kGruClassifier_max);
  CheckClassifier(Cell::kGru, Pooling::kMean, kGruVector_mean,
                  kGruClassifier_mean);
  CheckClassifier(Cell::kGru, Pooling::kLast, kGruVector_last,
                  kGruClassifier_last);
}

}  // namespace
}  // namespace lmserve
