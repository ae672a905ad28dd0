#ifndef LMSERVE_TESTS_TESTING_NEURAL_MODELS_H_
#define LMSERVE_TESTS_TESTING_NEURAL_MODELS_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "models/neural/weight_matrix.h"
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

// A network in training, in double, with the weights of a served one.
class NaiveNetwork {
 public:
  static NaiveNetwork Recurrent(const TestModel& served,
                                RecurrentNetworkOptions options);
  static NaiveNetwork Window(const TestModel& served,
                             WindowNetworkOptions options);

  // ln P(word | history); histories begin with <s>.
  double LogProbability(absl::Span<const WordId> history, WordId word) const;

 private:
  NaiveNetwork(std::unique_ptr<Network<double>> network,
               const TestModel& served, size_t window);

  std::unique_ptr<Network<double>> network_;
  std::vector<double> values_;
  size_t window_;  // words that count; 0: all
};

}  // namespace lmserve

#endif  // LMSERVE_TESTS_TESTING_NEURAL_MODELS_H_
