// SPDX-License-Identifier: Apache-2.0
#include "tests/testing/naive_ngram.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace lmserve {
namespace {

constexpr double kDelta = 1;
constexpr double kAlpha = 0.4;

NaiveNgram::Words Join(NaiveNgram::Words context, const std::string& word) {
  context.push_back(word);
  return context;
}

NaiveNgram::Words Shorten(NaiveNgram::Words context) {
  context.erase(context.begin());
  return context;
}

}  // namespace

NaiveNgram::NaiveNgram(const std::vector<Words>& sentences, int order,
                       std::string method)
    : order_(order), method_(std::move(method)) {
  vocabulary_ = {"<unk>", "</s>"};
  for (const Words& sentence : sentences) {
    Words text = {"<s>"};
    text.insert(text.end(), sentence.begin(), sentence.end());
    text.push_back("</s>");
    vocabulary_.insert(sentence.begin(), sentence.end());
    for (size_t i = 0; i < text.size(); ++i) {
      for (size_t n = 1; n <= order_ && i + n <= text.size(); ++n) {
        const Words ngram(text.begin() + i, text.begin() + i + n);
        ++counts_[ngram];
        followers_[Words(ngram.begin(), ngram.end() - 1)].insert(ngram.back());
        predecessors_[Words(ngram.begin() + 1, ngram.end())].insert(ngram[0]);
      }
    }
  }
  followers_[{}].erase("<s>");
  for (size_t n = 1; n <= order_; ++n) {
    discounts_.push_back(method_ == "katz" ? KatzFactors(n)
                                           : KneserNeyDiscounts(n));
  }
}

double NaiveNgram::Probability(const Words& history,
                               const std::string& word) const {
  const size_t length = std::min(history.size(), order_ - 1);
  return Recurse(Words(history.end() - length, history.end()), word);
}

double NaiveNgram::Count(const Words& ngram) const {
  const auto found = counts_.find(ngram);
  return found == counts_.end() ? 0 : found->second;
}

double NaiveNgram::Adjusted(const Words& ngram) const {
  if (ngram.size() == order_ || ngram[0] == "<s>") return Count(ngram);
  const auto found = predecessors_.find(ngram);
  return found == predecessors_.end() ? 0 : found->second.size();
}

std::set<std::string> NaiveNgram::Followers(const Words& context) const {
  const auto found = followers_.find(context);
  return found == followers_.end() ? std::set<std::string>() : found->second;
}

double NaiveNgram::Sum(const Words& context) const {
  double sum = 0;
  for (const std::string& word : Followers(context)) {
    sum += Count(Join(context, word));
  }
  return sum;
}

std::vector<double> NaiveNgram::CountsOfCounts(size_t order,
                                               bool adjusted) const {
  std::vector<double> n(8);
  for (const auto& [ngram, count] : counts_) {
    if (ngram.size() != order || ngram == Words{"<s>"}) continue;
    const double c = adjusted ? Adjusted(ngram) : count;
    if (c > 0 && c < 8) ++n[c];
  }
  return n;
}

double NaiveNgram::Recurse(const Words& context,
                           const std::string& word) const {
  if (method_ == "modified-kneser-ney") return KneserNey(context, word);
  if (method_ == "katz") return Katz(context, word);
  const bool seen = !Followers(context).empty();
  const double count = Count(Join(context, word));
  const double sum = Sum(context);
  if (method_ == "stupid-back-off") {
    if (count > 0) return count / sum;
    return kAlpha *
           (context.empty() ? Uniform() : Recurse(Shorten(context), word));
  }
  if (!seen) return Recurse(Shorten(context), word);
  if (method_ == "maximum-likelihood") return count / sum;
  if (method_ == "additive") {
    return (count + kDelta) / (sum + kDelta * vocabulary_.size());
  }
  const double types = Followers(context).size();  // witten-bell
  const double below =
      context.empty() ? Uniform() : Recurse(Shorten(context), word);
  return (count + types * below) / (sum + types);
}

// Chen and Goodman 1998, equation 26. If it gives no valid discounts, they are
// 0.5, 1 and 1.5.
std::vector<double> NaiveNgram::KneserNeyDiscounts(size_t order) const {
  const std::vector<double> n = CountsOfCounts(order, /*adjusted=*/true);
  const double y = n[1] / (n[1] + 2 * n[2]);
  const std::vector<double> d = {0, 1 - 2 * y * n[2] / n[1],
                                 2 - 3 * y * n[3] / n[2],
                                 3 - 4 * y * n[4] / n[3]};
  const bool fits =
      n[1] > 0 && n[2] > 0 && n[3] > 0 && d[1] >= 0 && d[2] >= 0 && d[3] >= 0;
  return fits ? d : std::vector<double>{0, 0.5, 1, 1.5};
}

// Chen and Goodman 1998, equations 22 to 25.
double NaiveNgram::KneserNey(const Words& context,
                             const std::string& word) const {
  const double below =
      context.empty() ? Uniform() : KneserNey(Shorten(context), word);
  const std::vector<double>& d = discounts_[context.size()];
  double sum = 0, gamma = 0;
  for (const std::string& next : Followers(context)) {
    const double count = Adjusted(Join(context, next));
    sum += count;
    gamma += d[std::min<int>(count, 3)];
  }
  if (sum == 0) return below;
  const double count = Adjusted(Join(context, word));
  return (count - d[std::min<int>(count, 3)]) / sum + gamma / sum * below;
}

// Katz 1987, from equation 8 on. Discounts the counts up to k, the largest
// number up to 5 for which all factors are in (0, 1].
std::vector<double> NaiveNgram::KatzFactors(size_t order) const {
  const std::vector<double> n = CountsOfCounts(order, /*adjusted=*/false);
  for (int k = 5; k > 0; --k) {
    const double a = (k + 1) * n[k + 1] / n[1];
    std::vector<double> factors;
    for (int r = 1; r <= k; ++r) {
      const double d = ((r + 1) * n[r + 1] / n[r] / r - a) / (1 - a);
      if (d > 0 && d <= 1) factors.push_back(d);
    }
    if (factors.size() == static_cast<size_t>(k)) return factors;
  }
  return {};
}

double NaiveNgram::KatzDiscounted(const Words& ngram) const {
  const std::vector<double>& factors = discounts_[ngram.size() - 1];
  const double count = Count(ngram);
  const bool small = count > 0 && count <= factors.size();
  return small ? count * factors[count - 1] : count;
}

// Returns the divisor of the counts after a context: their sum, plus 1 if none
// of them is discounted, so that some probability remains for unseen words.
double NaiveNgram::KatzSum(const Words& context) const {
  const double sum = Sum(context);
  double kept = 0;
  for (const std::string& word : Followers(context)) {
    kept += KatzDiscounted(Join(context, word));
  }
  return kept == sum ? sum + 1 : sum;
}

NaiveNgram::KatzRest NaiveNgram::KatzLeft(const Words& context) const {
  const auto [found, is_new] = katz_rests_.try_emplace(context);
  if (!is_new) return found->second;
  const double sum = KatzSum(context);
  KatzRest rest = {1, 1};
  for (const std::string& word : Followers(context)) {
    rest.leftover -= KatzDiscounted(Join(context, word)) / sum;
    rest.unseen_below -=
        context.empty() ? Uniform() : Katz(Shorten(context), word);
  }
  return katz_rests_[context] = rest;
}

// If the seen words have all the probability of the shorter context, there is
// no unseen word to back off to. Then the leftover mass is distributed to the
// seen words in proportion to their probabilities.
double NaiveNgram::Katz(const Words& context, const std::string& word) const {
  if (Followers(context).empty()) return Katz(Shorten(context), word);
  const Words ngram = Join(context, word);
  const KatzRest rest = KatzLeft(context);
  const bool all_seen = rest.unseen_below < 1e-9;
  if (Count(ngram) > 0) {
    const double share = KatzDiscounted(ngram) / KatzSum(context);
    return all_seen ? share / (1 - rest.leftover) : share;
  }
  return rest.leftover / rest.unseen_below *
         (context.empty() ? Uniform() : Katz(Shorten(context), word));
}

}  // namespace lmserve
