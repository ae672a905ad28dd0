#ifndef LMSERVE_TESTS_TESTING_NGRAM_MODELS_H_
#define LMSERVE_TESTS_TESTING_NGRAM_MODELS_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "models/ngram/ngram_model.h"
#include "models/ngram/ngram_table.h"
#include "trainer/ngram/estimate.h"

namespace lmserve {

// A hand-sized trigram model over 10 words: <unk> <s> </s> the a cat dog is
// small barks. Its ARPA text says all there is to know of it.
absl::string_view TinyArpa();

// A model with the bytes it reads.
struct BuiltNgramModel {
  std::string bytes;
  std::unique_ptr<NgramModel> model;
};

// Aborts the test program where the table or the text is wrong.
BuiltNgramModel BuildModel(Vocabulary vocabulary, const NgramTable& table);
BuiltNgramModel BuildFromArpa(absl::string_view arpa);

// Trains on a text, a sentence a line. The notes are those of the estimate.
struct TrainedNgramModel : BuiltNgramModel {
  std::vector<std::string> notes;
};
TrainedNgramModel TrainModel(std::string text, int order,
                             const EstimateOptions& options = {});

// Sentences of the demo corpus, a line each.
std::string DemoText(int sentences, uint64_t seed);

// Publishes the tiny model into a store; returns the version.
uint64_t PublishTinyModel(const std::string& store, absl::string_view name);

}  // namespace lmserve

#endif  // LMSERVE_TESTS_TESTING_NGRAM_MODELS_H_
