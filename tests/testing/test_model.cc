#include "tests/testing/test_model.h"

#include <utility>

#include "models/model_factory.h"

namespace lmserve {

ModelFiles TestModel::Files() const {
  return ModelFiles(files.begin(), files.end());
}

TestModel NgramTestModel(BuiltNgramModel built) {
  TestModel test;
  test.family = std::string(kNgramFamily);
  test.files[std::string(kVocabularyFile)] =
      std::string(built.model->vocabulary().text());
  // Moved, the bytes stay where the model reads them.
  test.files[std::string(kNgramFile)] = std::move(built.bytes);
  test.model = std::move(built.model);
  return test;
}

}  // namespace lmserve
