// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TESTS_TESTING_NGRAM_MODELS_H_
#define LMSERVE_TESTS_TESTING_NGRAM_MODELS_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "models/ngram/fast/ngram_model.h"
#include "models/ngram/ngram_table.h"
#include "trainer/ngram/estimate.h"
#include "trainer/text/corpus.h"

namespace lmserve {

// Returns the ARPA text of a tiny trigram model over 10 words: <unk> <s> </s>
// the a cat dog is small barks.
absl::string_view TinyArpa();

// A model and the bytes of ngram.bin, which it uses in place.
struct BuiltNgramModel {
  std::string bytes;
  std::unique_ptr<NgramModel> model;
};

// Build a model from a table or from ARPA text. Abort the test program on an
// error.
BuiltNgramModel BuildModel(Vocabulary vocabulary, const NgramTable& table);
BuiltNgramModel BuildFromArpa(absl::string_view arpa);

// Reads a text with one sentence per line. Aborts the test program on an error.
Corpus ReadTestCorpus(std::string text);

// A model as a table.
struct TableModel {
  Vocabulary vocabulary;
  NgramTable table;
};

// Trains a model on a text with one sentence per line.
TableModel TrainTable(std::string text, int order,
                      const EstimateOptions& options = {});

// Like TrainTable(), with smoothing by a method.
TableModel TrainTable(std::string text, int order, absl::string_view method);

// Reads a table from ARPA text. Aborts the test program on an error.
TableModel TableFromArpa(absl::string_view arpa);

// Trains a model as TrainTable() does. `notes` are those of the estimate.
struct TrainedNgramModel : BuiltNgramModel {
  std::vector<std::string> notes;
};
TrainedNgramModel TrainModel(std::string text, int order,
                             const EstimateOptions& options = {});

// Returns sentences of up to 8 random words, one per line. Words at the start
// of the list are more frequent.
std::string RandomText(uint64_t seed, const std::vector<std::string>& words,
                       int sentences);

// Returns sentences of the demo corpus, one per line.
std::string DemoText(int sentences, uint64_t seed);

// Publishes the model of TinyArpa() to a store. Returns the version.
uint64_t PublishTinyModel(const std::string& store, absl::string_view name);

}  // namespace lmserve

#endif  // LMSERVE_TESTS_TESTING_NGRAM_MODELS_H_
