#ifndef LMSERVE_RERANKING_BAYES_RISK_H_
#define LMSERVE_RERANKING_BAYES_RISK_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "reranking/ngram_profile.h"

namespace lmserve {

// What makes texts alike: BLEU of a sentence whose words stand between white
// space, with those orders alone that it has; or chrF2. From 0 to 100.
enum class Utility { kBleu, kChrf };

// What each text is worth to somebody who believes that text j is right with
// the probability exp(scale s_j) / (sum over all k of exp(scale s_k)), s being
// the scores: the expectation of its utility, where the right one is the
// reference (Kumar and Byrne 2004). To choose the greatest is to run the
// minimum Bayes risk. Scores may be -infinity: such a text is right where all
// are so alone. Equal texts are compared once.
//
// To be found a part at a time, for it takes the time of reading every text as
// often as there are texts:
//
//   BayesRisk risk(texts, scores, 1, Utility::kBleu);
//   for (size_t i = 0; i < risk.size(); ++i) risk.Rate(i);
//   Use(risk.utilities());
//
// One thread at a time.
class BayesRisk {
 public:
  // Counts the n-grams of every text.
  BayesRisk(absl::Span<const std::string> texts,
            absl::Span<const double> scores, double scale, Utility utility);

  // How many different texts there are.
  size_t size() const { return counts_.size(); }

  // Compares one of them with all: takes the time of reading it as often as
  // there are texts, and every text once.
  void Rate(size_t i);

  // The expected utility of each text, in the order that they were given.
  // REQUIRES: each different one was rated once.
  std::vector<double> utilities() const;

 private:
  const Utility utility_;
  std::vector<size_t> number_;  // of each text, among the different ones
  // Of the different ones.
  std::vector<NgramProfile> counts_;
  std::vector<double> probabilities_;
  std::vector<double> worth_;
};

// All of it at once. Pure.
std::vector<double> ExpectedUtilities(absl::Span<const std::string> texts,
                                      absl::Span<const double> scores,
                                      double scale, Utility utility);

}  // namespace lmserve

#endif  // LMSERVE_RERANKING_BAYES_RISK_H_
