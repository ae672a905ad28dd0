// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TESTS_TRAINER_NEURAL_HIDDEN_WEIGHTS_H_
#define LMSERVE_TESTS_TRAINER_NEURAL_HIDDEN_WEIGHTS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "reranking/metric.h"
#include "trainer/tuning/nbest_evaluation.h"
#include "trainer/tuning/nbest_lists.h"

namespace lmserve {

// Returns a random number between -1 and 1.
inline double Uniform(std::mt19937_64& random) {
  return static_cast<double>(random() % 2001) / 1000 - 1;
}

// N-best lists of texts of ten words, some of which are right. The more words
// are right, the higher is the candidate's weighted sum of features under the
// hidden weights, up to some noise.
struct HiddenWeights {
  HiddenWeights(size_t lists_count, size_t candidates,
                const std::vector<double>& hidden, double noise,
                uint64_t seed) {
    std::mt19937_64 random(seed);
    for (size_t f = 0; f < hidden.size(); ++f) {
      lists.feature_names.push_back(std::string(1, static_cast<char>('a' + f)));
    }
    for (size_t i = 0; i < lists_count; ++i) {
      NbestList& list = lists.lists.emplace_back();
      list.id = std::to_string(i);
      for (size_t c = 0; c < candidates; ++c) {
        std::vector<double> features;
        for (size_t f = 0; f < hidden.size(); ++f) {
          features.push_back(10 * Uniform(random));
        }
        double value = 0;
        for (size_t f = 0; f < hidden.size(); ++f) {
          value += hidden[f] * features[f];
        }
        value += noise * Uniform(random);
        std::string text;
        for (int word = 0; word < 10; ++word) {
          text += value > word - 5 ? "right " : "wrong ";
        }
        list.candidates.push_back({text, features, {}});
      }
      references.push_back(
          {"right right right right right right right right "
           "right right"});
    }
  }

  NbestCounts Count() const { return {lists, references, *metric}; }

  double ScoreAt(const NbestCounts& counts,
                 const std::vector<double>& weights) const {
    return counts.Score(ChooseWeighted(lists, weights));
  }

  NbestLists lists;
  std::vector<std::vector<std::string>> references;
  std::unique_ptr<const Metric> metric = MakeMetric("wer", "none").value();
};

}  // namespace lmserve

#endif  // LMSERVE_TESTS_TRAINER_NEURAL_HIDDEN_WEIGHTS_H_
