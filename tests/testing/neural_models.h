#ifndef LMSERVE_TESTS_TESTING_NEURAL_MODELS_H_
#define LMSERVE_TESTS_TESTING_NEURAL_MODELS_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "models/bidirectional_model.h"
#include "models/neural/weight_matrix.h"
#include "models/translation_model.h"
#include "tests/testing/test_model.h"
#include "trainer/neural/network.h"

namespace lmserve {

// Small networks with random weights: all of them, biases too, and larger than
// those that training begins with, so that every one matters.

// The text of the vocabulary that a text has.
std::string VocabularyOf(std::string text);

// The vocabulary of the options is set to that of the text.
TestModel RecurrentTestModel(const std::string& vocabulary,
                             RecurrentNetworkOptions options,
                             Precision precision);
TestModel WindowTestModel(const std::string& vocabulary,
                          WindowNetworkOptions options, Precision precision);

// A bidirectional network with its files, which it reads in place.
struct BidirectionalTestModel {
  std::map<std::string, std::string> files;
  std::unique_ptr<BidirectionalModel> model;

  ModelFiles Files() const { return ModelFiles(files.begin(), files.end()); }
};
BidirectionalTestModel MakeBidirectionalTestModel(
    const std::string& vocabulary, RecurrentNetworkOptions options,
    Precision precision);

// A translation network, as the language model that it is once it has read a
// source; its files are a translation model's.
TestModel TranslationTestModel(const std::string& source_vocabulary,
                               const std::string& vocabulary,
                               TranslationNetworkOptions options,
                               Precision precision);

// The words of that source.
std::vector<WordId> TestSource(const Vocabulary& source_vocabulary);

// The language model that a translation model, which must outlive it, is once
// it has read that source.
std::unique_ptr<LanguageModel> ReadTestSource(const TranslationModel& model);

// Publishes a translation model between the words of two texts; returns the
// version.
uint64_t PublishTranslationModel(const std::string& store,
                                 absl::string_view name,
                                 std::string source_text, std::string text,
                                 bool attention = true);

// Publish an LSTM, or a bidirectional network, over the words of a text; return
// the version.
uint64_t PublishRecurrentModel(const std::string& store, absl::string_view name,
                               std::string text);
uint64_t PublishBidirectionalModel(const std::string& store,
                                   absl::string_view name, std::string text);

// A network in training, in double, with the weights of a served one.
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

  // ln P(word | history); histories begin with <s>.
  double LogProbability(absl::Span<const WordId> history, WordId word) const;

  // What a recurrent network makes, at a step, of a text with its markers:
  // ln P(word).
  double LogProbabilityAt(size_t step, absl::Span<const WordId> text,
                          WordId word) const;

 private:
  NaiveNetwork(std::unique_ptr<Network<double>> network,
               const std::map<std::string, std::string>& files, size_t window);

  std::unique_ptr<Network<double>> network_;
  std::vector<double> values_;
  size_t window_;                    // words that count; 0: all
  std::vector<WordId> source_ = {};  // of a translation network, as it reads it
};

}  // namespace lmserve

#endif  // LMSERVE_TESTS_TESTING_NEURAL_MODELS_H_
