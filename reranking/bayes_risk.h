// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_RERANKING_BAYES_RISK_H_
#define LMSERVE_RERANKING_BAYES_RISK_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "reranking/ngram_profile.h"

namespace lmserve {

// The similarity of a text to a reference, from 0 to 100: sentence BLEU with
// effective order, where words are separated by white space; or chrF2.
enum class Utility { kBleu, kChrf };

// The utility that is named "bleu" or "chrf", and both names. INVALID_ARGUMENT
// for other names. Pure.
absl::StatusOr<Utility> ParseUtility(absl::string_view name);
std::vector<std::string> UtilityNames();

// Computes the expected utility of each text (Kumar and Byrne 2004): the mean
// of its utilities with each text j as the reference, weighted by the
// probability
//   exp(scale s_j) / (sum over all k of exp(scale s_k))
// where s are the scores. The text with the greatest expected utility has the
// minimum Bayes risk. A score may be -infinity: then the text has probability
// 0, unless all scores are -infinity. Equal texts are compared only once.
//
// The time is quadratic in the number of texts, so the caller computes one text
// at a time:
//
//   BayesRisk risk(texts, scores, 1, Utility::kBleu);
//   for (size_t i = 0; i < risk.size(); ++i) risk.Rate(i);
//   Use(risk.utilities());
//
// Must be used by one thread at a time.
class BayesRisk {
 public:
  // Counts the n-grams of every text. REQUIRES: there are as many scores as
  // texts.
  BayesRisk(absl::Span<const std::string> texts,
            absl::Span<const double> scores, double scale, Utility utility);

  // Returns the number of distinct texts.
  size_t size() const { return counts_.size(); }

  // Computes the expected utility of the distinct text i, in time proportional
  // to size() times its length plus the length of all texts.
  void Rate(size_t i);

  // Returns the expected utility of each text, in the order of the
  // constructor's texts. REQUIRES: Rate() was called once for every i below
  // size().
  std::vector<double> utilities() const;

 private:
  const Utility utility_;
  std::vector<size_t> number_;  // index of each text among the distinct ones
  // For each distinct text:
  std::vector<NgramProfile> counts_;
  std::vector<double> probabilities_;
  std::vector<double> utilities_;
};

// Returns the expected utility of each text; see BayesRisk. Pure.
std::vector<double> ExpectedUtilities(absl::Span<const std::string> texts,
                                      absl::Span<const double> scores,
                                      double scale, Utility utility);

}  // namespace lmserve

#endif  // LMSERVE_RERANKING_BAYES_RISK_H_
