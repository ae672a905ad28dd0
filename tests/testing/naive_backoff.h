// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TESTS_TESTING_NAIVE_BACKOFF_H_
#define LMSERVE_TESTS_TESTING_NAIVE_BACKOFF_H_

#include <map>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "models/ngram/ngram_table.h"
#include "models/vocabulary.h"

namespace lmserve {

// A naive reference for back-off models: n-grams of strings in a map, and the
// definition of back-off as a recursion, in double. Not thread-safe.
class NaiveBackoff {
 public:
  using Words = std::vector<std::string>;

  struct Entry {
    double prob;
    double backoff;
  };

  // Returns the words of a text, which are separated by white space.
  static Words Split(absl::string_view text);

  NaiveBackoff() = default;
  NaiveBackoff(const Vocabulary& vocabulary, const NgramTable& table);

  // Returns P(word | history).
  double Probability(const Words& history, const std::string& word) const;

  // Returns the sum of P(w | history) over all words.
  double Sum(const Words& history) const;

  // Sets the back-off weights so that every distribution sums to 1, by the
  // definition, from the shortest histories up. Leaves those that have no
  // effect, because every word that is possible has an n-gram.
  void Normalize();

  // Removes an n-gram and sets only the back-off weight of its history again.
  void Remove(const Words& ngram);

  std::map<Words, Entry>& ngrams() { return ngrams_; }
  const std::map<Words, Entry>& ngrams() const { return ngrams_; }

  // Returns the words of the vocabulary: the n-grams of order 1.
  std::vector<std::string> KnownWords() const;

  // Returns the n-grams of an order.
  std::vector<Words> OfOrder(size_t order) const;

 private:
  void SetBackoff(const Words& history);

  std::map<Words, Entry> ngrams_;
};

}  // namespace lmserve

#endif  // LMSERVE_TESTS_TESTING_NAIVE_BACKOFF_H_
