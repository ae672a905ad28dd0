#ifndef LMSERVE_TESTS_FUZZ_FUZZ_MODELS_H_
#define LMSERVE_TESTS_FUZZ_FUZZ_MODELS_H_

#include <memory>
#include <string>
#include <vector>

#include "model_store/model_store.h"

namespace lmserve {

// A model that is small enough to be mutated, as the bytes of its files.
struct FuzzModel {
  std::string name;
  std::string vocabulary;
  std::string ngram;
};

// One model of each rule for unseen words, and of each shape that the reader
// treats apart: order 1, a higher one, contexts with many children, none.
const std::vector<FuzzModel>& FuzzModels();

// A store that serves them all. One has the alias "prod"; the name of another
// is also that of a feature. Beside them stand the translation models de-en and
// en-de, and mt, a reranker of one of each kind.
const ModelStore& FuzzStore();

// A store of the tiny model alone, versions 1 and 2, that may be changed. It
// stays as the input before has left it.
ModelStore& FuzzAdminStore();

// Has it serve one version at least.
void LoadAdminModel();

}  // namespace lmserve

#endif  // LMSERVE_TESTS_FUZZ_FUZZ_MODELS_H_
