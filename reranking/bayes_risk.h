#ifndef LMSERVE_RERANKING_BAYES_RISK_H_
#define LMSERVE_RERANKING_BAYES_RISK_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/types/span.h"

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
// Takes the time of reading every text as often as there are texts. Nothing
// comes back where `is_cancelled`, asked between texts, says so. Pure.
std::optional<std::vector<double>> ExpectedUtilities(
    absl::Span<const std::string> texts, absl::Span<const double> scores,
    double scale, Utility utility,
    absl::FunctionRef<bool()> is_cancelled = [] { return false; });

}  // namespace lmserve

#endif  // LMSERVE_RERANKING_BAYES_RISK_H_
