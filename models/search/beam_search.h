// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODELS_SEARCH_BEAM_SEARCH_H_
#define LMSERVE_MODELS_SEARCH_BEAM_SEARCH_H_

#include <cstddef>
#include <vector>

#include "absl/types/span.h"
#include "models/language_model.h"

namespace lmserve {

struct BeamSearchOptions {
  size_t beam = 5;           // number of hypotheses that are extended
  size_t max_words = 100;    // maximum length of a hypothesis, without </s>
  double length_alpha = 0;   // exponent of the length normalization
  double coverage_beta = 0;  // weight of the coverage; 0: not computed
  bool allow_unknown = false;
};

// Searches for the most probable texts that start from a state (Graves 2012,
// Sutskever et al. 2014). In each step it keeps the `beam` most probable
// hypotheses. A hypothesis that ends with </s> is finished and reduces the
// width of the beam by one. A beam as wide as the number of possible texts
// finds the most probable text.
//
// Finished hypotheses are ranked by (Wu et al. 2016, equation 14)
//
//   score = ln P / length^length_alpha + coverage_beta * coverage
//   coverage = sum_j ln min(1, a_j)
//
// where length counts the words and </s>, and a_j is the attention on position
// j of the source (its words and </s>), summed over the words of the
// hypothesis. The coverage is low for a translation that leaves out words of
// its source. a_j is at least 1e-10, so that a position without attention does
// not exclude a hypothesis. The search itself extends the most probable
// hypotheses, whatever their coverage.
//
// The search does not own or call a model: its caller runs the queries of each
// Step, alone or in a batch with those of other searches. Not thread-safe.
class BeamSearch {
 public:
  struct Hypothesis {
    std::vector<WordId> words;     // without </s>
    std::vector<float> log_probs;  // of the words and, if ended, of </s>
    double log_prob = 0;           // the sum of log_probs
    double score = 0;              // see the class comment
    bool ended = false;            // with </s>; false: cut off at max_words
  };

  // Starts from a state, which is copied. `attention` is the attention on each
  // position of the source, summed over the words that led to the state; empty
  // means 0 everywhere.
  BeamSearch(const LanguageModel& model, const BeamSearchOptions& options,
             const std::byte* start, absl::Span<const float> attention = {});

  // The work that the caller does next: score `moves`, which advances states,
  // then compute the k best words of each of `states` and, if coverage_beta is
  // not 0, its attention. The views are valid until Take().
  struct Step {
    absl::Span<const LanguageModel::Query> moves;
    absl::Span<const std::byte* const> states;
    size_t k;
  };
  // REQUIRES: !done().
  Step Next();

  // Continues with the results of the last Step: the best words, of shape
  // (states, k), and the attention from TranslationModel::Attend(), of shape
  // (states, source words + 1). Ignores the attention if coverage_beta is 0.
  void Take(absl::Span<const ScoredWord> best,
            absl::Span<const float> attention = {});

  bool done() const { return live_.empty(); }

  // Returns up to `count` hypotheses: first those that ended with </s>, then
  // those that were cut off; each group in order of descending score.
  // REQUIRES: done().
  std::vector<Hypothesis> Best(size_t count) const;

 private:
  // An unfinished hypothesis. Its last word is not yet part of a state.
  struct Live {
    Hypothesis hypothesis;
    std::vector<float> attention;  // total on each source position, or empty
    size_t parent;  // index of the state before the last word, in states_
  };

  void AddAttention(absl::Span<const float> attention);
  void Finish(Live live, bool ended);

  const BeamSearchOptions options_;
  const size_t state_size_;
  const WordId end_, unknown_;
  const size_t k_;  // number of best words to ask for, for each state
  std::vector<Live> live_;
  std::vector<Hypothesis> finished_;
  std::vector<std::byte> states_, next_states_;  // before and after `moves`
  std::vector<LanguageModel::Query> moves_;
  std::vector<const std::byte*> asked_;
};

}  // namespace lmserve

#endif  // LMSERVE_MODELS_SEARCH_BEAM_SEARCH_H_
