// SPDX-License-Identifier: Apache-2.0
#include "tests/testing/naive_backoff.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_split.h"

namespace lmserve {
namespace {

NaiveBackoff::Words Join(NaiveBackoff::Words history, const std::string& word) {
  history.push_back(word);
  return history;
}

NaiveBackoff::Words Shorten(const NaiveBackoff::Words& history) {
  return {history.begin() + 1, history.end()};
}

}  // namespace

NaiveBackoff::Words NaiveBackoff::Split(absl::string_view text) {
  return absl::StrSplit(text, absl::ByAnyChar(" \n"), absl::SkipEmpty());
}

NaiveBackoff::NaiveBackoff(const Vocabulary& vocabulary,
                           const NgramTable& table) {
  // The n-grams of one order, in the order of the level.
  std::vector<Words> contexts = {{}};
  for (int k = 1; k <= table.order(); ++k) {
    const NgramLevel& level = table.levels[k - 1];
    std::vector<Words> ngrams;
    for (size_t c = 0; c < contexts.size(); ++c) {
      const size_t begin = k == 1 ? 0 : table.levels[k - 2].children[c];
      const size_t end =
          k == 1 ? level.size() : table.levels[k - 2].children[c + 1];
      for (size_t i = begin; i < end; ++i) {
        ngrams.push_back(
            Join(contexts[c], std::string(vocabulary.word(level.words[i]))));
        const double backoff =
            k == table.order() ? 1 : std::exp(double{level.backoffs[i]});
        ngrams_[ngrams.back()] = {std::exp(double{level.log_probs[i]}),
                                  backoff};
      }
    }
    contexts = ngrams;
  }
}

double NaiveBackoff::Probability(const Words& history,
                                 const std::string& word) const {
  const auto found = ngrams_.find(Join(history, word));
  if (found != ngrams_.end()) return found->second.prob;
  if (history.empty()) return 0;
  const auto context = ngrams_.find(history);
  const double backoff = context == ngrams_.end() ? 1 : context->second.backoff;
  return backoff * Probability(Shorten(history), word);
}

std::vector<std::string> NaiveBackoff::KnownWords() const {
  std::vector<std::string> words;
  for (const auto& [ngram, entry] : ngrams_) {
    if (ngram.size() == 1) words.push_back(ngram[0]);
  }
  return words;
}

std::vector<NaiveBackoff::Words> NaiveBackoff::OfOrder(size_t order) const {
  std::vector<Words> found;
  for (const auto& [ngram, entry] : ngrams_) {
    if (ngram.size() == order) found.push_back(ngram);
  }
  return found;
}

double NaiveBackoff::Sum(const Words& history) const {
  double sum = 0;
  for (const std::string& word : KnownWords()) {
    sum += Probability(history, word);
  }
  return sum;
}

void NaiveBackoff::SetBackoff(const Words& history) {
  double left = 1, left_below = 0;
  bool has_ngrams = false;
  for (const std::string& word : KnownWords()) {
    const auto found = ngrams_.find(Join(history, word));
    if (found != ngrams_.end()) {
      left -= found->second.prob;
      has_ngrams = true;
    } else {
      left_below += Probability(Shorten(history), word);
    }
  }
  if (left_below == 0) return;
  ngrams_[history].backoff = has_ngrams ? left / left_below : 1;
}

void NaiveBackoff::Normalize() {
  size_t order = 0;
  for (const auto& [ngram, entry] : ngrams_) {
    order = std::max(order, ngram.size());
  }
  for (size_t k = 1; k <= order; ++k) {
    for (const Words& history : OfOrder(k)) SetBackoff(history);
  }
}

void NaiveBackoff::Remove(const Words& ngram) {
  ngrams_.erase(ngram);
  SetBackoff(Words(ngram.begin(), ngram.end() - 1));
}

}  // namespace lmserve
