// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TESTS_TESTING_TEST_MODEL_H_
#define LMSERVE_TESTS_TESTING_TEST_MODEL_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "models/cache/cache_options.h"
#include "models/language_model.h"
#include "models/model_files.h"
#include "tests/testing/ngram_models.h"

namespace lmserve {

// A model of any family, and what a store has of it.
struct TestModel {
  // Returns views of the files for CreateModel(). They are valid as long as the
  // TestModel.
  ModelFiles Files() const;

  std::string family;
  std::map<std::string, std::string> files;  // may be used by model in place
  std::unique_ptr<LanguageModel> model;
};

TestModel NgramTestModel(BuiltNgramModel built);

// Trains an n-gram model in the compact layout on a text with one sentence per
// line. Aborts the test program on an error.
TestModel CompactTestModel(std::string text, int order,
                           const EstimateOptions& options);

// Makes a model in the compact layout with values from a table. Aborts the test
// program on an error.
TestModel ValueTestModel(const TableModel& model, int quantize_bits);

// Creates a mixture. The members must have the same vocabulary, and the weights
// must sum to 1.
TestModel MixtureTestModel(std::vector<TestModel> members,
                           const std::vector<double>& weights);

// Creates a model with caches. Aborts the test program on an error.
TestModel CacheTestModel(TestModel member, const CacheOptions& options);

}  // namespace lmserve

#endif  // LMSERVE_TESTS_TESTING_TEST_MODEL_H_
