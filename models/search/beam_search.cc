// SPDX-License-Identifier: Apache-2.0
#include "models/search/beam_search.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

namespace lmserve {
namespace {

// Lower bound of the attention on a word, so that its logarithm is finite.
constexpr float kMinAttention = 1e-10f;

// The coverage of a source: sum_j ln min(1, attention[j]), where attention[j]
// is the total attention on source position j.
double Coverage(absl::Span<const float> attention) {
  double coverage = 0;
  for (float total : attention) {
    coverage += std::log(double{std::clamp(total, kMinAttention, 1.0f)});
  }
  return coverage;
}

// A hypothesis extended by one word.
struct Extension {
  size_t parent;
  ScoredWord word;
  double log_prob;
};

}  // namespace

// Asks for one word more than the beam if <unk>, which may be among the best
// words, is not allowed.
BeamSearch::BeamSearch(const LanguageModel& model,
                       const BeamSearchOptions& options, const std::byte* start,
                       absl::Span<const float> attention)
    : options_(options),
      state_size_(model.state_size()),
      end_(model.vocabulary().end_sentence()),
      unknown_(model.vocabulary().unknown()),
      k_(std::min<size_t>(options.beam + (options.allow_unknown ? 0 : 1),
                          model.vocabulary().size())),
      states_(start, start + state_size_) {
  live_.push_back({{}, {attention.begin(), attention.end()}, 0});
}

BeamSearch::Step BeamSearch::Next() {
  moves_.clear();
  asked_.clear();
  next_states_.resize(live_.size() * state_size_);
  for (size_t i = 0; i < live_.size(); ++i) {
    const std::byte* state = states_.data() + live_[i].parent * state_size_;
    const std::vector<WordId>& words = live_[i].hypothesis.words;
    if (!words.empty()) {
      std::byte* next = next_states_.data() + i * state_size_;
      moves_.push_back({state, absl::MakeConstSpan(words).last(1), next, {}});
      state = next;
    }
    asked_.push_back(state);
  }
  return {moves_, asked_, k_};
}

void BeamSearch::AddAttention(absl::Span<const float> attention) {
  const size_t size = attention.size() / live_.size();
  for (size_t i = 0; i < live_.size(); ++i) {
    std::vector<float>& total = live_[i].attention;
    total.resize(size);
    for (size_t j = 0; j < size; ++j) total[j] += attention[i * size + j];
  }
}

void BeamSearch::Take(absl::Span<const ScoredWord> best,
                      absl::Span<const float> attention) {
  if (options_.coverage_beta > 0) AddAttention(attention);
  std::vector<Extension> extensions;
  for (size_t i = 0; i < live_.size(); ++i) {
    for (const ScoredWord& word : best.subspan(i * k_, k_)) {
      if (word.word == unknown_ && !options_.allow_unknown) continue;
      if (std::isinf(word.log_prob)) continue;
      extensions.push_back(
          {i, word, live_[i].hypothesis.log_prob + word.log_prob});
    }
  }
  // A stable sort makes the order of equally probable extensions deterministic.
  std::stable_sort(extensions.begin(), extensions.end(),
                   [](const Extension& a, const Extension& b) {
                     return a.log_prob > b.log_prob;
                   });
  extensions.resize(
      std::min(extensions.size(), options_.beam - finished_.size()));
  std::vector<Live> live;
  for (const Extension& extension : extensions) {
    Live next = live_[extension.parent];
    next.parent = extension.parent;
    next.hypothesis.log_prob = extension.log_prob;
    next.hypothesis.log_probs.push_back(extension.word.log_prob);
    if (extension.word.word == end_) {
      Finish(std::move(next), true);
      continue;
    }
    next.hypothesis.words.push_back(extension.word.word);
    live.push_back(std::move(next));
  }
  const bool first = live_[0].hypothesis.words.empty();
  if (!first) states_.swap(next_states_);
  live_.clear();
  for (Live& next : live) {
    if (next.hypothesis.words.size() == options_.max_words) {
      Finish(std::move(next), false);
    } else {
      live_.push_back(std::move(next));
    }
  }
}

void BeamSearch::Finish(Live live, bool ended) {
  Hypothesis& hypothesis = live.hypothesis;
  const double length = static_cast<double>(hypothesis.log_probs.size());
  hypothesis.score =
      hypothesis.log_prob / std::pow(length, options_.length_alpha);
  if (options_.coverage_beta > 0) {
    hypothesis.score += options_.coverage_beta * Coverage(live.attention);
  }
  hypothesis.ended = ended;
  finished_.push_back(std::move(hypothesis));
}

std::vector<BeamSearch::Hypothesis> BeamSearch::Best(size_t count) const {
  std::vector<Hypothesis> best = finished_;
  std::stable_sort(best.begin(), best.end(),
                   [](const Hypothesis& a, const Hypothesis& b) {
                     if (a.ended != b.ended) return a.ended;
                     return a.score > b.score;
                   });
  best.resize(std::min(best.size(), count));
  return best;
}

}  // namespace lmserve
