// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_LOCAL_PYTHON_KENLM_MODEL_H_
#define LMSERVE_LOCAL_PYTHON_KENLM_MODEL_H_

#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "local/local_model.h"
#include "local/python/state.h"
#include "models/language_model.h"
#include "models/ngram/fast/ngram_model.h"

namespace lmserve::python {

// What KenLM returns for a word.
struct FullScore {
  float log_prob;    // log10
  int ngram_length;  // words of the n-gram that gave it; 0: not an n-gram model
  bool oov;          // the vocabulary does not have the word
};

// A left-to-right model with the conventions of the Python module of KenLM:
// log10 probabilities as floats, sums in float, <s> as a word with the
// probability that the file gives it, and the probability 0 as log10 -99. Texts
// are split at ASCII white space, where NUL does not count. Immutable: any
// number of threads may use one instance.
class KenlmModel {
 public:
  // FAILED_PRECONDITION if the model is of another kind.
  static absl::StatusOr<KenlmModel> Create(
      std::shared_ptr<const LocalModel> model);

  const LocalModel& model() const { return *model_; }
  const std::shared_ptr<const LocalModel>& shared() const { return model_; }

  // The order of an n-gram model; 1 for another one.
  int order() const { return std::max(1, model_->order()); }

  WordId Find(absl::string_view word) const { return vocabulary_->Find(word); }
  bool Contains(absl::string_view word) const { return Find(word) != unknown_; }

  // Write the state after <s>, and the one in which nothing was read. The
  // latter fails with FAILED_PRECONDITION for a network.
  void WriteStart(State* state) const;
  absl::Status WriteEmpty(State* state) const;

  // Reads a word; `in` and `out` may be the same. INVALID_ARGUMENT if `in` is a
  // state of another model.
  absl::StatusOr<FullScore> Read(const State& in, WordId word,
                                 State* out) const;

  // The scores of the words of a text and, if `end`, of </s>, read after <s> or
  // after nothing.
  absl::StatusOr<std::vector<FullScore>> ReadText(absl::string_view text,
                                                  bool begin, bool end) const;

  // The sum of the above.
  absl::StatusOr<float> Score(absl::string_view text, bool begin,
                              bool end) const;

 private:
  explicit KenlmModel(std::shared_ptr<const LocalModel> model);

  // Finds the words of a text; returns whether <s> is one of them.
  bool Split(absl::string_view text, std::vector<WordId>* words) const;
  // log10 of a probability that is not that of <s>.
  static float Log10(float natural);

  std::shared_ptr<const LocalModel> model_;
  const LanguageModel* reader_;
  const Vocabulary* vocabulary_;  // of the reader
  const NgramModel* ngram_;       // if the model is one, which needs no batch
  WordId begin_, end_, unknown_;
  size_t state_size_;
  uint64_t fingerprint_;
};

// Returns the number of words of a text for KenLM.
size_t CountKenlmWords(absl::string_view text);

}  // namespace lmserve::python

#endif  // LMSERVE_LOCAL_PYTHON_KENLM_MODEL_H_
