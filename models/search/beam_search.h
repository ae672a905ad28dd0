#ifndef LMSERVE_MODELS_SEARCH_BEAM_SEARCH_H_
#define LMSERVE_MODELS_SEARCH_BEAM_SEARCH_H_

#include <cstddef>
#include <vector>

#include "absl/types/span.h"
#include "models/language_model.h"

namespace lmserve {

struct BeamSearchOptions {
  size_t beam = 5;           // hypotheses that are followed
  size_t max_words = 100;    // of a hypothesis, without </s>
  double length_alpha = 0;   // hypotheses are ranked by ln P / words^alpha
  double coverage_beta = 0;  // and, where it is not 0, by beta times coverage
  bool allow_unknown = false;
};

// Looks for the likeliest texts from a state (Graves 2012, Sutskever et al.
// 2014): follows the likeliest beginnings, as many as the beam is wide; each
// that ends with </s> makes it narrower by one. A beam as wide as there are
// texts finds the likeliest of all.
//
// A translation that leaves words of its source out can be told by attention:
// its coverage is, of the source's words and </s>, the sum of
//   ln min(1, a)
// where a is how much all of the hypothesis looks at the word (Wu et al. 2016,
// equation 14), but no less than 1e-10, so that a word that is not looked at
// does not rule it out. It ranks what was found; what is followed is the
// likeliest.
//
// It has no model: whoever runs it, alone or with others in a batch, moves and
// asks the states as Step tells. One thread at a time.
class BeamSearch {
 public:
  struct Hypothesis {
    std::vector<WordId> words;     // without </s>
    std::vector<float> log_probs;  // of the words and, if it ended, of </s>
    double log_prob = 0;           // their sum
    // log_prob / log_probs.size()^alpha + beta * coverage
    double score = 0;
    bool ended = false;  // with </s>; otherwise it was cut off
  };

  // Goes on from a state, which is copied. `looked_at` is how much each word of
  // the source was looked at on the way there; empty: not at all.
  BeamSearch(const LanguageModel& model, const BeamSearchOptions& options,
             const std::byte* start, absl::Span<const float> looked_at = {});

  // What to do next: to move states by their words, then to ask each state for
  // the k best words and, with a coverage_beta, for its attention. All of it
  // lasts until Take().
  struct Step {
    absl::Span<const LanguageModel::Query> moves;
    absl::Span<const std::byte* const> states;
    size_t k;
  };
  // REQUIRES: !done().
  Step Next();

  // Goes on from the best words of the states, (states, k), and their attention
  // (TranslationModel::Attend), (states, words of the source and </s>). Without
  // a coverage_beta it is not looked at.
  void Take(absl::Span<const ScoredWord> best,
            absl::Span<const float> attention = {});

  bool done() const { return live_.empty(); }

  // The best hypotheses that were found, best first: those that ended, then, of
  // equal standing, those that were cut off. REQUIRES: done().
  std::vector<Hypothesis> Best(size_t count) const;

 private:
  // A hypothesis on its way, whose last word its state has not read yet.
  struct Live {
    Hypothesis hypothesis;
    std::vector<float> looked_at;  // how much it has, of the source; or empty
    size_t parent;                 // whose state it goes on from, by its number
  };

  void AddAttention(absl::Span<const float> attention);
  void Finish(Live live, bool ended);

  const BeamSearchOptions options_;
  const size_t state_size_;
  const WordId end_, unknown_;
  const size_t k_;  // words to ask for
  std::vector<Live> live_;
  std::vector<Hypothesis> finished_;
  std::vector<std::byte> states_, next_states_;  // before and after the moves
  std::vector<LanguageModel::Query> moves_;
  std::vector<const std::byte*> asked_;
};

}  // namespace lmserve

#endif  // LMSERVE_MODELS_SEARCH_BEAM_SEARCH_H_
