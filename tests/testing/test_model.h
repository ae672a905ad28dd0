#ifndef LMSERVE_TESTS_TESTING_TEST_MODEL_H_
#define LMSERVE_TESTS_TESTING_TEST_MODEL_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "models/language_model.h"
#include "models/model_files.h"
#include "tests/testing/ngram_models.h"

namespace lmserve {

// A model of any family, with all that a store keeps of it.
struct TestModel {
  // The files as CreateModel() takes them; they live as long as the TestModel.
  ModelFiles Files() const;

  std::string family;
  std::map<std::string, std::string> files;  // model may read them in place
  std::unique_ptr<LanguageModel> model;
};

TestModel NgramTestModel(BuiltNgramModel built);

// The members must have one vocabulary, and weights that sum to 1.
TestModel MixtureTestModel(std::vector<TestModel> members,
                           const std::vector<double>& weights);

}  // namespace lmserve

#endif  // LMSERVE_TESTS_TESTING_TEST_MODEL_H_
