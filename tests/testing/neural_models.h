// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TESTS_TESTING_NEURAL_MODELS_H_
#define LMSERVE_TESTS_TESTING_NEURAL_MODELS_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "models/any_model.h"
#include "models/bidirectional_model.h"
#include "models/neural/weight_matrix.h"
#include "models/translation_model.h"
#include "tests/testing/test_model.h"
#include "trainer/neural/network.h"

namespace lmserve {

// Small networks for tests. All of their weights and biases are random, and
// larger than the initial weights of training, so that each one matters.

// Returns vocabulary.txt for the words of a text.
std::string VocabularyOf(std::string text);

// Create models over a vocabulary, which is the contents of vocabulary.txt. The
// functions set the vocabulary size in the options.
TestModel RecurrentTestModel(const std::string& vocabulary,
                             RecurrentNetworkOptions options,
                             Precision precision);
TestModel WindowTestModel(const std::string& vocabulary,
                          WindowNetworkOptions options, Precision precision);

// A bidirectional network and its files, which it uses in place.
struct BidirectionalTestModel {
  std::map<std::string, std::string> files;
  std::unique_ptr<BidirectionalModel> model;

  ModelFiles Files() const { return ModelFiles(files.begin(), files.end()); }
};
BidirectionalTestModel MakeBidirectionalTestModel(
    const std::string& vocabulary, RecurrentNetworkOptions options,
    Precision precision);

// Creates a translation network. `model` is its decoder after reading
// TestSource(); `files` are those of the translation model.
TestModel TranslationTestModel(const std::string& source_vocabulary,
                               const std::string& vocabulary,
                               TranslationNetworkOptions options,
                               Precision precision);

// Returns the words of the source sentence that tests use.
std::vector<WordId> TestSource(const Vocabulary& source_vocabulary);

// Returns the decoder of a translation model after reading TestSource(). The
// translation model must outlive it.
std::unique_ptr<LanguageModel> ReadTestSource(const TranslationModel& model);

// Publishes a translation model whose vocabularies are the words of two texts.
// Returns the version.
uint64_t PublishTranslationModel(const std::string& store,
                                 absl::string_view name,
                                 std::string source_text, std::string text,
                                 bool attention = true);

// Publish an LSTM or a bidirectional network whose vocabulary is the words of a
// text. Return the version.
uint64_t PublishRecurrentModel(const std::string& store, absl::string_view name,
                               std::string text);
uint64_t PublishBidirectionalModel(const std::string& store,
                                   absl::string_view name, std::string text);

// A tagger or a classifier and its files, which it does not use after its
// creation.
struct LabelingTestModel {
  std::string family;
  std::map<std::string, std::string> files;
  std::unique_ptr<const AnyModel> model;

  ModelFiles Files() const { return ModelFiles(files.begin(), files.end()); }
};

// Create models with these labels. The functions set the sizes of the
// vocabulary and of the labels in the options.
LabelingTestModel TaggerTestModel(const std::string& vocabulary,
                                  const std::vector<std::string>& labels,
                                  TaggerNetworkOptions options,
                                  Precision precision);
LabelingTestModel ClassifierTestModel(const std::string& vocabulary,
                                      const std::vector<std::string>& labels,
                                      ClassifierNetworkOptions options,
                                      Precision precision);

// Publish a tagger with the labels B-A, I-A, B-B, I-B and O, a reader of
// characters, a CRF and BIO constraints, or a classifier with the labels bad,
// fair and good, whose vocabulary is the words of a text. Return the version.
uint64_t PublishTagger(const std::string& store, absl::string_view name,
                       std::string text);
uint64_t PublishClassifier(const std::string& store, absl::string_view name,
                           std::string text);

// A naive reference for a tagger or a classifier: the network of the trainer,
// in double, with the weights of the served one.
class NaiveLabeler {
 public:
  static NaiveLabeler Tagger(const LabelingTestModel& served,
                             TaggerNetworkOptions options);
  static NaiveLabeler Classifier(const LabelingTestModel& served,
                                 ClassifierNetworkOptions options);

  // Returns ln P of the labels, one a word or one in all, of a sentence without
  // constraints. `ids` are those of `words`.
  double LogProbability(absl::Span<const absl::string_view> words,
                        absl::Span<const WordId> ids,
                        absl::Span<const WordId> labels) const;

 private:
  using Spellings = std::vector<std::vector<WordId>>;

  NaiveLabeler(std::unique_ptr<Network<double>> network,
               const std::map<std::string, std::string>& files,
               std::shared_ptr<Spellings> spellings);

  std::unique_ptr<Network<double>> network_;
  std::vector<double> values_;
  std::shared_ptr<Spellings> spellings_;  // of the current sentence
};

// A naive reference for a served network: the network of the trainer, in
// double, with the weights of the served one.
class NaiveNetwork {
 public:
  static NaiveNetwork Bidirectional(const BidirectionalTestModel& served,
                                    RecurrentNetworkOptions options);
  static NaiveNetwork Recurrent(const TestModel& served,
                                RecurrentNetworkOptions options);
  static NaiveNetwork Window(const TestModel& served,
                             WindowNetworkOptions options);
  static NaiveNetwork Translation(const TestModel& served,
                                  TranslationNetworkOptions options);

  // Returns ln P(word | history). Histories begin with <s>.
  double LogProbability(absl::Span<const WordId> history, WordId word) const;

  // Returns ln P(word) that a recurrent network predicts at a step of a text,
  // which contains the markers <s> and </s>.
  double LogProbabilityAt(size_t step, absl::Span<const WordId> text,
                          WordId word) const;

 private:
  NaiveNetwork(std::unique_ptr<Network<double>> network,
               const std::map<std::string, std::string>& files, size_t window);

  std::unique_ptr<Network<double>> network_;
  std::vector<double> values_;
  size_t window_;  // number of words that a window network reads; 0: all
  // The source of a translation network, in the order in which it is read.
  std::vector<WordId> source_ = {};
};

}  // namespace lmserve

#endif  // LMSERVE_TESTS_TESTING_NEURAL_MODELS_H_
