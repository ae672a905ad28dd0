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

double NaiveNgram::Recurse(Words context, const std::string& word) const {
  if (method_ == "modified-kneser-ney") return KneserNey(context, word);
  if (method_ == "katz") return Katz(context, word);
  const bool seen = !Followers(context).empty();
  const double count = Count(Join(context, word));
  const double sum = Sum(context);
  if (method_ == "stupid-back-off") {
    if (count > 0) return count / sum;
    return kAlpha * (context.empty() ? Uniform()
                                     : Recurse(Shorten(context), word));
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

// Chen and Goodman 1998, equations 22 to 26.
double NaiveNgram::KneserNey(const Words& context,
                             const std::string& word) const {
  const double below =
      context.empty() ? Uniform() : KneserNey(Shorten(context), word);
  double sum = 0;
  for (const std::string& next : Followers(context)) {
    sum += Adjusted(Join(context, next));
  }
  if (sum == 0) return below;
  const std::vector<double> n = CountsOfCounts(context.size() + 1, true);
  const double y = n[1] / (n[1] + 2 * n[2]);
  double d[4] = {0, 1 - 2 * y * n[2] / n[1], 2 - 3 * y * n[3] / n[2],
                 3 - 4 * y * n[4] / n[3]};
  if (n[1] == 0 || n[2] == 0 || n[3] == 0 || d[1] < 0 || d[2] < 0 || d[3] < 0) {
    d[1] = 0.5, d[2] = 1, d[3] = 1.5;
  }
  double gamma = 0;
  for (const std::string& next : Followers(context)) {
    gamma += d[std::min<int>(Adjusted(Join(context, next)), 3)];
  }
  const double count = Adjusted(Join(context, word));
  return (count - d[std::min<int>(count, 3)]) / sum + gamma / sum * below;
}

// Katz 1987 with counts up to 5, or as many as give factors in (0, 1].
double NaiveNgram::Katz(const Words& context, const std::string& word) const {
  const std::set<std::string> followers = Followers(context);
  if (followers.empty()) return Katz(Shorten(context), word);
  const std::vector<double> n = CountsOfCounts(context.size() + 1, false);
  std::vector<double> factor;
  for (int k = 5; k > 0 && factor.empty(); --k) {
    const double a = (k + 1) * n[k + 1] / n[1];
    for (int r = 1; r <= k; ++r) {
      const double d = ((r + 1) * n[r + 1] / n[r] / r - a) / (1 - a);
      if (!(d > 0 && d <= 1)) {
        factor.clear();
        break;
      }
      factor.push_back(d);
    }
  }
  const auto discounted = [&](const std::string& w) {
    const double c = Count(Join(context, w));
    return c <= factor.size() ? c * factor[c - 1] : c;
  };
  double sum = Sum(context), kept = 0, seen_below = 0;
  for (const std::string& w : followers) {
    kept += discounted(w);
    seen_below += context.empty() ? Uniform() : Katz(Shorten(context), w);
  }
  if (kept == sum) ++sum;
  if (followers.count(word) > 0) return discounted(word) / sum;
  const double below =
      context.empty() ? Uniform() : Katz(Shorten(context), word);
  return (1 - kept / sum) / (1 - seen_below) * below;
}

}  // namespace lmserve
