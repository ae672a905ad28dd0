// SPDX-License-Identifier: Apache-2.0
#include "reranking/bayes_risk.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "reranking/bleu.h"
#include "reranking/chrf.h"
#include "reranking/unicode_text.h"

namespace lmserve {
namespace {

std::vector<NgramProfile> CountAll(absl::Span<const absl::string_view> texts,
                                   Utility utility) {
  std::vector<NgramProfile> counts;
  WordNumbers numbers;
  for (absl::string_view text : texts) {
    counts.push_back(utility == Utility::kChrf
                         ? CountCharacters(text)
                         : NgramProfile(numbers.Find(SplitAtUnicodeSpace(
                                            ToCodePoints(text))),
                                        BleuCounts::kOrder));
  }
  return counts;
}

double Compare(const NgramProfile& text, const NgramProfile& reference,
               Utility utility) {
  if (utility == Utility::kChrf) return Chrf(CountChrf(text, reference));
  return Bleu(CountBleu(text, reference, reference.total(1)),
              /*effective_order=*/true);
}

constexpr std::pair<absl::string_view, Utility> kUtilities[] = {
    {"bleu", Utility::kBleu}, {"chrf", Utility::kChrf}};

}  // namespace

absl::StatusOr<Utility> ParseUtility(absl::string_view name) {
  for (const auto& [known, utility] : kUtilities) {
    if (known == name) return utility;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("utility: expected bleu or chrf, found '", name, "'"));
}

std::vector<std::string> UtilityNames() {
  std::vector<std::string> names;
  for (const auto& entry : kUtilities) names.emplace_back(entry.first);
  return names;
}

BayesRisk::BayesRisk(absl::Span<const std::string> texts,
                     absl::Span<const double> scores, double scale,
                     Utility utility)
    : utility_(utility) {
  if (texts.empty()) return;
  const double best = *std::max_element(scores.begin(), scores.end());
  absl::flat_hash_map<absl::string_view, size_t> numbers;
  std::vector<absl::string_view> distinct;
  double sum = 0;
  for (size_t i = 0; i < texts.size(); ++i) {
    const auto [found, is_new] = numbers.emplace(texts[i], distinct.size());
    if (is_new) {
      distinct.push_back(texts[i]);
      probabilities_.push_back(0);
    }
    // Texts with the best score have weight 1 even if the score or the scale is
    // infinite.
    const double weight =
        scores[i] == best ? 1 : std::exp(scale * (scores[i] - best));
    number_.push_back(found->second);
    probabilities_[found->second] += weight;
    sum += weight;
  }
  for (double& probability : probabilities_) probability /= sum;
  counts_ = CountAll(distinct, utility);
  utilities_.resize(distinct.size());
}

void BayesRisk::Rate(size_t i) {
  for (size_t j = 0; j < counts_.size(); ++j) {
    if (probabilities_[j] == 0) continue;
    utilities_[i] +=
        probabilities_[j] * Compare(counts_[i], counts_[j], utility_);
  }
}

std::vector<double> BayesRisk::utilities() const {
  std::vector<double> utilities;
  for (size_t number : number_) utilities.push_back(utilities_[number]);
  return utilities;
}

std::vector<double> ExpectedUtilities(absl::Span<const std::string> texts,
                                      absl::Span<const double> scores,
                                      double scale, Utility utility) {
  BayesRisk risk(texts, scores, scale, utility);
  for (size_t i = 0; i < risk.size(); ++i) risk.Rate(i);
  return risk.utilities();
}

}  // namespace lmserve
