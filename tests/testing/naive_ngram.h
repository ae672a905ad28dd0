#ifndef LMSERVE_TESTS_TESTING_NAIVE_NGRAM_H_
#define LMSERVE_TESTS_TESTING_NAIVE_NGRAM_H_

#include <map>
#include <set>
#include <string>
#include <vector>

namespace lmserve {

// The smoothing methods written down once more, as slowly and plainly as their
// equations stand in the papers: in double, from counts in maps, by recursion.
// What the trainer and the serving structure make together must equal it. One
// thread at a time.
class NaiveNgram {
 public:
  using Words = std::vector<std::string>;

  NaiveNgram(const std::vector<Words>& sentences, int order,
             std::string method);

  // P(word | history), the history as read so far, <s> first.
  double Probability(const Words& history, const std::string& word) const;

 private:
  double Recurse(Words context, const std::string& word) const;
  double KneserNey(const Words& context, const std::string& word) const;
  double Katz(const Words& context, const std::string& word) const;
  double KatzDiscounted(const Words& ngram) const;
  double KatzSum(const Words& context) const;
  // What the words seen after a context leave, and what those not seen have
  // below.
  struct KatzRest {
    double leftover, unseen_below;
  };
  KatzRest KatzLeft(const Words& context) const;
  double Uniform() const { return 1.0 / vocabulary_.size(); }

  double Count(const Words& ngram) const;
  double Adjusted(const Words& ngram) const;
  // The words seen after a context.
  std::set<std::string> Followers(const Words& context) const;
  double Sum(const Words& context) const;
  // n[c]: how many n-grams of an order have the count c, adjusted or not.
  std::vector<double> CountsOfCounts(size_t order, bool adjusted) const;
  // Of one order: the discounts for 0, 1, 2, and 3 or more, or Katz's factors.
  std::vector<double> KneserNeyDiscounts(size_t order) const;
  std::vector<double> KatzFactors(size_t order) const;

  const size_t order_;
  const std::string method_;
  std::map<Words, double> counts_;
  std::map<Words, std::set<std::string>> followers_;
  std::map<Words, std::set<std::string>> predecessors_;
  std::set<std::string> vocabulary_;  // with <unk> and </s>, without <s>
  std::vector<std::vector<double>> discounts_;  // or factors, by order
  // Those of the contexts asked for so far; else they would be found again for
  // every word.
  mutable std::map<Words, KatzRest> katz_rests_;
};

}  // namespace lmserve

#endif  // LMSERVE_TESTS_TESTING_NAIVE_NGRAM_H_
