// SPDX-License-Identifier: Apache-2.0
#include "trainer/tuning/nbest_evaluation.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

namespace lmserve {
namespace {

// Returns a random number below `count`. std::uniform_int_distribution is not
// used because its results differ between standard libraries.
size_t Draw(std::mt19937_64& random, size_t count) {
  return static_cast<size_t>(random() % count);
}

double Mean(absl::Span<const double> values) {
  return std::accumulate(values.begin(), values.end(), 0.0) /
         static_cast<double>(values.size());
}

size_t FindGreatest(absl::Span<const double> values) {
  return std::max_element(values.begin(), values.end()) - values.begin();
}

// Returns the weighted sum of the features of each candidate.
std::vector<double> WeightedSums(const NbestList& list,
                                 absl::Span<const double> weights) {
  std::vector<double> sums;
  for (const NbestCandidate& candidate : list.candidates) {
    sums.push_back(std::inner_product(weights.begin(), weights.end(),
                                      candidate.features.begin(), 0.0));
  }
  return sums;
}

// Returns half the width of the interval that contains 95 % of the values.
double Interval(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t outside = values.size() / 40;
  return (values[values.size() - outside - 1] - values[outside]) / 2;
}

// Returns the probability that a sample's difference deviates from the mean
// difference by at least `difference`.
double PValue(absl::Span<const double> system,
              absl::Span<const double> baseline, double difference) {
  std::vector<double> differences;
  for (size_t i = 0; i < system.size(); ++i) {
    differences.push_back(std::abs(system[i] - baseline[i]));
  }
  const double mean = Mean(differences);
  const auto more =
      std::count_if(differences.begin(), differences.end(),
                    [&](double d) { return d - mean >= std::abs(difference); });
  return static_cast<double>(more + 1) /
         static_cast<double>(differences.size() + 1);
}

}  // namespace

NbestCounts::NbestCounts(const NbestLists& lists,
                         absl::Span<const std::vector<std::string>> references,
                         const Metric& metric)
    : metric_(metric) {
  for (size_t i = 0; i < lists.lists.size(); ++i) {
    std::vector<Metric::Counts>& counts = counts_.emplace_back();
    for (const NbestCandidate& candidate : lists.lists[i].candidates) {
      counts.push_back(metric.Count(candidate.text, references[i]));
    }
  }
}

double NbestCounts::Score(const NbestChoice& choice) const {
  Metric::Counts sum;
  for (size_t i = 0; i < choice.size(); ++i) {
    AddCounts(counts_[i][choice[i]], &sum);
  }
  return metric_.Score(sum);
}

double NbestCounts::ScoreOf(const NbestChoice& choice,
                            absl::Span<const size_t> sentences) const {
  Metric::Counts sum;
  for (size_t i : sentences) AddCounts(counts_[i][choice[i]], &sum);
  return metric_.Score(sum);
}

NbestChoice ChooseFirst(const NbestLists& lists) {
  return NbestChoice(lists.lists.size(), 0);
}

NbestChoice ChooseRandom(const NbestLists& lists, uint64_t seed) {
  std::mt19937_64 random(seed);
  NbestChoice choice;
  for (const NbestList& list : lists.lists) {
    choice.push_back(Draw(random, list.candidates.size()));
  }
  return choice;
}

NbestChoice ChooseWeighted(const NbestLists& lists,
                           absl::Span<const double> weights) {
  NbestChoice choice;
  for (const NbestList& list : lists.lists) {
    choice.push_back(FindGreatest(WeightedSums(list, weights)));
  }
  return choice;
}

NbestChoice ChooseMinimumRisk(const NbestLists& lists,
                              absl::Span<const double> weights, double scale,
                              Utility utility) {
  NbestChoice choice;
  for (const NbestList& list : lists.lists) {
    std::vector<std::string> texts;
    for (const NbestCandidate& candidate : list.candidates) {
      texts.push_back(candidate.text);
    }
    choice.push_back(FindGreatest(
        ExpectedUtilities(texts, WeightedSums(list, weights), scale, utility)));
  }
  return choice;
}

NbestChoice ChooseOracle(const NbestCounts& counts) {
  const Metric& metric = counts.metric();
  NbestChoice choice;
  Metric::Counts sum;
  for (size_t i = 0; i < counts.size(); ++i) {
    const auto list = counts.of_list(i);
    const auto best = std::min_element(
        list.begin(), list.end(), [&](const auto& a, const auto& b) {
          return metric.IsBetter(metric.SentenceScore(a),
                                 metric.SentenceScore(b));
        });
    choice.push_back(best - list.begin());
    AddCounts(*best, &sum);
  }
  double score = metric.Score(sum);
  for (bool changed = true; changed;) {
    changed = false;
    for (size_t i = 0; i < counts.size(); ++i) {
      const auto list = counts.of_list(i);
      for (size_t c = 0; c < list.size(); ++c) {
        Metric::Counts other = sum;
        for (size_t k = 0; k < other.size(); ++k) {
          other[k] += list[c][k] - list[choice[i]][k];
        }
        const double other_score = metric.Score(other);
        if (!metric.IsBetter(other_score, score)) continue;
        sum = other;
        score = other_score;
        choice[i] = c;
        changed = true;
      }
    }
  }
  return choice;
}

std::vector<NbestRow> CompareChoices(
    const NbestCounts& counts,
    absl::Span<const std::pair<std::string, NbestChoice>> choices,
    size_t samples, uint64_t seed) {
  std::vector<std::vector<double>> scores(choices.size());
  std::mt19937_64 random(seed);
  std::vector<size_t> sentences(counts.size());
  for (size_t sample = 0; sample < samples; ++sample) {
    for (size_t& sentence : sentences) sentence = Draw(random, counts.size());
    for (size_t i = 0; i < choices.size(); ++i) {
      scores[i].push_back(counts.ScoreOf(choices[i].second, sentences));
    }
  }
  std::vector<NbestRow> rows;
  for (size_t i = 0; i < choices.size(); ++i) {
    const double score = counts.Score(choices[i].second);
    const double p_value =
        i == 0 ? 1 : PValue(scores[i], scores[0], score - rows[0].score);
    rows.push_back({choices[i].first, score, Mean(scores[i]),
                    Interval(scores[i]), p_value});
  }
  return rows;
}

}  // namespace lmserve
