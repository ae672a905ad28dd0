#include "reranking/bayes_risk.h"

#include <algorithm>
#include <cmath>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "reranking/bleu.h"
#include "reranking/chrf.h"
#include "reranking/ngram_profile.h"
#include "reranking/unicode_text.h"

namespace lmserve {
namespace {

// The different ones among some texts, and how probable each is.
struct DistinctTexts {
  std::vector<size_t> number;  // of each text
  std::vector<absl::string_view> texts;
  std::vector<double> probabilities;
};

DistinctTexts FindDistinct(absl::Span<const std::string> texts,
                           absl::Span<const double> scores, double scale) {
  const double best = *std::max_element(scores.begin(), scores.end());
  DistinctTexts distinct;
  absl::flat_hash_map<absl::string_view, size_t> numbers;
  double sum = 0;
  for (size_t i = 0; i < texts.size(); ++i) {
    const auto [found, is_new] =
        numbers.emplace(texts[i], distinct.texts.size());
    if (is_new) {
      distinct.texts.push_back(texts[i]);
      distinct.probabilities.push_back(0);
    }
    // Equal scores are as probable, infinite or not, and whatever the scale.
    const double weight =
        scores[i] == best ? 1 : std::exp(scale * (scores[i] - best));
    distinct.number.push_back(found->second);
    distinct.probabilities[found->second] += weight;
    sum += weight;
  }
  for (double& probability : distinct.probabilities) probability /= sum;
  return distinct;
}

// Those before what was counted when it was cancelled.
std::vector<NgramProfile> CountAll(absl::Span<const absl::string_view> texts,
                                   Utility utility,
                                   absl::FunctionRef<bool()> is_cancelled) {
  std::vector<NgramProfile> counts;
  WordNumbers numbers;
  for (absl::string_view text : texts) {
    if (is_cancelled()) break;
    counts.push_back(
        utility == Utility::kChrf
            ? CountCharacters(text)
            : NgramProfile(numbers.Of(SplitAtUnicodeSpace(ToCodePoints(text))),
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

}  // namespace

std::optional<std::vector<double>> ExpectedUtilities(
    absl::Span<const std::string> texts, absl::Span<const double> scores,
    double scale, Utility utility, absl::FunctionRef<bool()> is_cancelled) {
  if (texts.empty()) return std::vector<double>();
  const DistinctTexts distinct = FindDistinct(texts, scores, scale);
  const std::vector<NgramProfile> counts =
      CountAll(distinct.texts, utility, is_cancelled);
  if (counts.size() < distinct.texts.size()) return std::nullopt;
  std::vector<double> worth(counts.size());
  for (size_t i = 0; i < counts.size(); ++i) {
    if (is_cancelled()) return std::nullopt;
    for (size_t j = 0; j < counts.size(); ++j) {
      if (distinct.probabilities[j] == 0) continue;
      worth[i] +=
          distinct.probabilities[j] * Compare(counts[i], counts[j], utility);
    }
  }
  std::vector<double> utilities;
  for (size_t number : distinct.number) utilities.push_back(worth[number]);
  return utilities;
}

}  // namespace lmserve
