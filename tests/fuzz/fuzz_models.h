// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TESTS_FUZZ_FUZZ_MODELS_H_
#define LMSERVE_TESTS_FUZZ_FUZZ_MODELS_H_

#include <memory>
#include <string>
#include <vector>

#include "model_store/model_store.h"
#include "tests/testing/test_model.h"

namespace lmserve {

// The files of a model that is small enough to be mutated.
struct FuzzModel {
  std::string name;
  std::string vocabulary;
  std::string ngram;
};

// Returns models with each rule for unseen words and with each shape that the
// reader handles separately: order 1, higher orders, contexts with and without
// many children.
const std::vector<FuzzModel>& FuzzModels();

// Returns a small LSTM.
TestModel FuzzNetwork();

// Returns a store that serves all of them. One has the alias "prod"; another
// has the same name as a feature. The store also serves the translation models
// de-en and en-de, the models tagger and classifier, and the reranker mt with
// one member of each kind.
const ModelStore& FuzzStore();

// Returns a store with versions 1 and 2 of the tiny model only, which inputs
// may change. It keeps the state in which the previous input left it.
ModelStore& FuzzAdminStore();

// Makes FuzzAdminStore() serve at least one version.
void LoadAdminModel();

}  // namespace lmserve

#endif  // LMSERVE_TESTS_FUZZ_FUZZ_MODELS_H_
