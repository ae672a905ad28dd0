// SPDX-License-Identifier: Apache-2.0
#include "trainer/ngram/interpolate.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"

namespace lmserve {
namespace {

// The words of vocabularies are valid and include the markers, so their union
// is a vocabulary.
Vocabulary UnionOf(absl::Span<const NgramUnion::Model> models) {
  std::vector<absl::string_view> words;
  absl::flat_hash_set<absl::string_view> known;
  for (const NgramUnion::Model& model : models) {
    for (WordId id = 0; id < model.vocabulary->size(); ++id) {
      const absl::string_view word = model.vocabulary->word(id);
      if (known.insert(word).second) words.push_back(word);
    }
  }
  return Vocabulary::Create(words).value();
}

}  // namespace

NgramUnion::NgramUnion(absl::Span<const Model> models, double share)
    : vocabulary_(std::make_unique<Vocabulary>(UnionOf(models))) {
  for (const Model& model : models) {
    Member& member = members_.emplace_back(model);
    for (WordId id = 0; id < model.vocabulary->size(); ++id) {
      member.union_ids.push_back(vocabulary_->Find(model.vocabulary->word(id)));
    }
    for (WordId id = 0; id < vocabulary_->size(); ++id) {
      const absl::string_view word = vocabulary_->word(id);
      member.ids.push_back(model.vocabulary->Find(word));
      member.is_known.push_back(model.vocabulary->Contains(word));
    }
    member.unknown = vocabulary_->size() - model.vocabulary->size();
    if (member.unknown == 0) continue;
    member.log_kept = std::log1p(-share);
    member.log_share = std::log(share / member.unknown);
  }
}

double NgramUnion::Advance(const Member& member, WordId unknown,
                           NgramPlace* state, WordId word) {
  const double log_prob = member.tree.Advance(state, member.ids[word]);
  if (!member.is_known[word]) return log_prob + member.log_share;
  return word == unknown ? log_prob + member.log_kept : log_prob;
}

std::vector<float> NgramUnion::Score(size_t m,
                                     absl::Span<const WordId> text) const {
  const WordId begin = vocabulary_->begin_sentence();
  const WordId unknown = vocabulary_->unknown();
  std::vector<float> log_probs;
  NgramPlace state;
  for (WordId word : text) {
    if (word == begin) {
      state = {};
      Advance(members_[m], unknown, &state, word);
    } else {
      log_probs.push_back(
          static_cast<float>(Advance(members_[m], unknown, &state, word)));
    }
  }
  return log_probs;
}

// Builds the table of an interpolation. Lives for one call of Interpolate().
class NgramInterpolator {
 public:
  NgramInterpolator(const NgramUnion& models, absl::Span<const double> weights)
      : models_(models),
        weights_(weights),
        unknown_(models.vocabulary().unknown()) {
    for (const NgramUnion::Member& member : models.members_) {
      order_ = std::max(order_, member.tree.order());
    }
    table_.levels.resize(order_);
    steps_.resize(order_);
  }

  NgramTable Run() {
    AddChildren(0, std::vector<Place>(models_.size(), Place{{}, true}));
    for (int k = 1; k < order_; ++k) {
      table_.levels[k - 1].children.push_back(table_.levels[k].size());
    }
    return std::move(table_);
  }

 private:
  // Where a member is after the words of a context.
  struct Place {
    NgramPlace state;
    // Whether the member has the context itself as an n-gram, so that the state
    // is this n-gram.
    bool is_exact;
  };

  // What is needed for the children of one context at a time, by depth.
  struct Step {
    std::vector<WordId> words;
    std::vector<Place> places;  // after a child
  };

  // Adds the n-grams that extend a context of `depth` words, and theirs.
  // Contexts are visited in the order of their levels.
  void AddChildren(int depth, absl::Span<const Place> places) {
    Step& step = steps_[depth];
    CollectWords(depth, places, &step.words);
    for (WordId word : step.words) {
      step.places.assign(places.begin(), places.end());
      AddNgram(depth + 1, word, &step.places);
      if (depth + 1 < order_) AddChildren(depth + 1, step.places);
    }
  }

  // Sets *words to the last words of the n-grams that any member has after a
  // context, in ascending order.
  void CollectWords(int depth, absl::Span<const Place> places,
                    std::vector<WordId>* words) const {
    words->clear();
    if (depth == 0) {
      words->resize(models_.vocabulary().size());
      std::iota(words->begin(), words->end(), WordId{0});
      return;
    }
    for (size_t m = 0; m < places.size(); ++m) {
      const NgramUnion::Member& member = models_.members_[m];
      if (!places[m].is_exact || depth >= member.tree.order()) continue;
      for (WordId word : member.tree.ChildWords(places[m].state)) {
        words->push_back(member.union_ids[word]);
      }
    }
    std::sort(words->begin(), words->end());
    words->erase(std::unique(words->begin(), words->end()), words->end());
  }

  // Adds the n-gram of order k of a context and a word, and advances the places
  // of the context to it.
  void AddNgram(int k, WordId word, std::vector<Place>* places) {
    double prob = 0, backoff = 0;
    for (size_t m = 0; m < places->size(); ++m) {
      const NgramUnion::Member& member = models_.members_[m];
      Place& place = (*places)[m];
      prob += weights_[m] * std::exp(NgramUnion::Advance(member, unknown_,
                                                         &place.state, word));
      place.is_exact =
          place.is_exact && member.is_known[word] && place.state.order == k;
      backoff +=
          weights_[m] *
          (place.is_exact ? std::exp(member.tree.Backoff(place.state)) : 1.0);
    }
    NgramLevel& level = table_.levels[k - 1];
    level.words.push_back(word);
    level.log_probs.push_back(static_cast<float>(std::log(prob)));
    if (k == order_) return;
    // A first value, for weights that RecomputeBackoffs() cannot determine.
    level.backoffs.push_back(static_cast<float>(std::log(backoff)));
    level.children.push_back(table_.levels[k].size());
  }

  const NgramUnion& models_;
  const absl::Span<const double> weights_;
  const WordId unknown_;
  int order_ = 1;
  std::vector<Step> steps_;
  NgramTable table_;
};

absl::StatusOr<NormalizedTable> NgramUnion::Interpolate(
    absl::Span<const double> weights) const {
  uint64_t total = 0;
  for (const Member& member : members_) {
    for (const NgramLevel& level : member.table.levels) total += level.size();
  }
  if (total > std::numeric_limits<uint32_t>::max()) {
    return absl::ResourceExhaustedError(
        "too many n-grams for 32-bit ids: prune the models first");
  }
  NormalizedTable result;
  result.table = NgramInterpolator(*this, weights).Run();
  result.scaled = RecomputeBackoffs(&result.table);
  return result;
}

}  // namespace lmserve
