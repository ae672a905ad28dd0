// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TESTS_TESTING_NAIVE_NGRAM_H_
#define LMSERVE_TESTS_TESTING_NAIVE_NGRAM_H_

#include <map>
#include <set>
#include <string>
#include <vector>

namespace lmserve {

// A naive reference for the smoothing methods: a direct and slow implementation
// of the equations in the papers, in double, recursively, from counts in maps.
// Models of the trainer must give the same probabilities. Not thread-safe.
class NaiveNgram {
 public:
  using Words = std::vector<std::string>;

  NaiveNgram(const std::vector<Words>& sentences, int order,
             std::string method);

  // Returns P(word | history). The history begins with <s>.
  double Probability(const Words& history, const std::string& word) const;

 private:
  double Recurse(const Words& context, const std::string& word) const;
  double KneserNey(const Words& context, const std::string& word) const;
  double Katz(const Words& context, const std::string& word) const;
  double KatzDiscounted(const Words& ngram) const;
  double KatzSum(const Words& context) const;
  // Katz 1987: the probability mass that the words seen after a context leave
  // for unseen words, and the mass that the shorter context gives to the unseen
  // words.
  struct KatzRest {
    double leftover, unseen_below;
  };
  KatzRest KatzLeft(const Words& context) const;
  double Uniform() const { return 1.0 / vocabulary_.size(); }

  double Count(const Words& ngram) const;
  double Adjusted(const Words& ngram) const;
  // Returns the words seen after a context.
  std::set<std::string> Followers(const Words& context) const;
  double Sum(const Words& context) const;
  // Returns n, where n[c] is the number of n-grams of an order with the count
  // c, either the adjusted count or the plain one.
  std::vector<double> CountsOfCounts(size_t order, bool adjusted) const;
  // Return, for one order, the discounts for the counts 0, 1, 2, and 3 or more,
  // or the factors of Katz for the counts 1, 2, ...
  std::vector<double> KneserNeyDiscounts(size_t order) const;
  std::vector<double> KatzFactors(size_t order) const;

  const size_t order_;
  const std::string method_;
  std::map<Words, double> counts_;
  std::map<Words, std::set<std::string>> followers_;
  std::map<Words, std::set<std::string>> predecessors_;
  std::set<std::string> vocabulary_;  // with <unk> and </s>, without <s>
  std::vector<std::vector<double>> discounts_;  // or factors, by order
  // A cache of KatzLeft(), which would otherwise be computed for every word.
  mutable std::map<Words, KatzRest> katz_rests_;
};

}  // namespace lmserve

#endif  // LMSERVE_TESTS_TESTING_NAIVE_NGRAM_H_
