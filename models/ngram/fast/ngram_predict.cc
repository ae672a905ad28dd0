// SPDX-License-Identifier: Apache-2.0
//
// NgramModel::Distribution() and TopK(): prediction of the next word.
//
// The candidates for the next word after a context h are the children of h, the
// children of its suffix h' with the back-off weight of h added, and so on to
// the unigrams. A word that is in several of these lists gets its probability
// from the longest context. Each list is stored in the order of Likelier(), so
// merging the lists and skipping words that a longer context has yields the k
// best words after about k steps, whatever the size of the vocabulary. If
// longer contexts have too many of the words at the beginning of a list,
// computing the whole distribution takes less time, and its time is bounded.
//
// Tested by tests/conformance and tests/models/ngram/fast/ngram_model_test.cc.

#include <algorithm>
#include <vector>

#include "absl/base/macros.h"
#include "absl/container/flat_hash_set.h"
#include "models/ngram/fast/ngram_model.h"

namespace lmserve {
std::vector<NgramModel::Source> NgramModel::Sources(
    const Context& context) const {
  std::vector<Source> sources;
  sources.reserve(order());
  const bool stupid = rule() == UnseenRule::kStupid;
  float weight = 0;
  for (NodeId node = context.node;; node = file_.nodes[node].link) {
    if (stupid) {
      weight = StupidWeight(Remembered(context), file_.OrderOf(node));
    }
    sources.push_back({node, weight});
    if (node == kRoot) return sources;
    weight += file_.nodes[node].backoff;
  }
}

size_t NgramModel::SourceSize(const Source& source) const {
  return file_.nodes[source.node + 1].first_child -
         file_.nodes[source.node].first_child;
}

ScoredWord NgramModel::SourceWord(const Source& source, size_t i) const {
  const NodeId id = source.node == kRoot
                        ? 1 + file_.best_words[i]
                        : file_.nodes[source.node].first_child + i;
  return {file_.words[id], source.weight + file_.LogProb(id)};
}

void NgramModel::FillDistribution(const Context& context,
                                  float* log_probs) const {
  const bool floor = rule() == UnseenRule::kFloor && context.node != kRoot;
  std::vector<Source> sources = Sources(context);
  if (floor) {
    std::fill_n(log_probs, vocabulary_.size(),
                file_.nodes[context.node].backoff);
    log_probs[vocabulary_.begin_sentence()] = kImpossible;
    sources.resize(1);
  } else {
    const float weight = sources.back().weight;
    for (WordId w = 0; w < vocabulary_.size(); ++w) {
      log_probs[w] = weight + file_.LogProb(1 + w);
    }
    sources.pop_back();
  }
  for (auto source = sources.rbegin(); source != sources.rend(); ++source) {
    const NodeId end = file_.nodes[source->node + 1].first_child;
    for (NodeId id = file_.nodes[source->node].first_child; id < end; ++id) {
      log_probs[file_.words[id]] = source->weight + file_.LogProb(id);
    }
  }
}

// Iterates over the next words of a context, each word once, in order of
// descending probability. The order of words with equal probability is
// unspecified if they come from different lists, or if they are equal only
// because the weighted sum was rounded.
class NgramMerger {
 public:
  NgramMerger(const NgramModel& model, const NgramModel::Context& context)
      : model_(model),
        sources_(model.Sources(context)),
        most_skipped_(NgramModel::kMaxSkipped +
                      model.vocabulary().size() / 32) {
    heads_.resize(sources_.size());
    for (size_t s = 0; s < sources_.size(); ++s) ReadFrom(s, 0);
    ChooseLikeliest();
  }

  // Whether more than most_skipped_ words were skipped: another way is faster.
  bool IsSlow() const { return skipped_ > most_skipped_; }

  // Whether there are words left. False if IsSlow().
  bool HasNext() const { return likeliest_ < sources_.size(); }

  // Returns the current word. REQUIRES: HasNext().
  const ScoredWord& Next() const { return heads_[likeliest_].word; }

  void Advance() {
    ReadFrom(likeliest_, heads_[likeliest_].position + 1);
    ChooseLikeliest();
  }

 private:
  // The current word of a list and its position in the list.
  struct Head {
    ScoredWord word;
    size_t position;
  };

  // Moves the head of a list to the first word at or after `position` that no
  // longer context has.
  void ReadFrom(size_t source, size_t position) {
    const size_t size = model_.SourceSize(sources_[source]);
    Head& head = heads_[source];
    for (; position < size && !IsSlow(); ++position) {
      head.word = model_.SourceWord(sources_[source], position);
      if (!IsHidden(source, head.word.word)) break;
      ++skipped_;
    }
    head.position = position;
  }

  bool IsHidden(size_t source, WordId word) const {
    return std::any_of(sources_.begin(), sources_.begin() + source,
                       [&](const NgramModel::Source& longer) {
                         return model_.file_.FindChild(longer.node, word) !=
                                kRoot;
                       });
  }

  void ChooseLikeliest() {
    likeliest_ = sources_.size();
    if (IsSlow()) return;
    for (size_t s = 0; s < sources_.size(); ++s) {
      if (heads_[s].position == model_.SourceSize(sources_[s])) continue;
      if (!HasNext() || Likelier(heads_[s].word, heads_[likeliest_].word)) {
        likeliest_ = s;
      }
    }
  }

  const NgramModel& model_;
  const std::vector<NgramModel::Source> sources_;
  std::vector<Head> heads_;
  const size_t most_skipped_;
  size_t skipped_ = 0;
  size_t likeliest_ = 0;  // index of the list whose head is Next()
};

namespace {

// Adds up to `size` words that are not in *words yet, in ascending order of
// ids, all with the same log-probability.
void AddEquals(float log_prob, size_t size, WordId vocabulary,
               std::vector<ScoredWord>* words) {
  absl::flat_hash_set<WordId> taken;
  for (const ScoredWord& word : *words) taken.insert(word.word);
  size_t added = 0;
  for (WordId w = 0; w < vocabulary && added < size; ++w) {
    if (taken.contains(w)) continue;
    words->push_back({w, log_prob});
    ++added;
  }
}

// Copies the best words. REQUIRES: `words` contains the best.size() best words
// and all words with the same probability as the last of them.
void CopyBest(std::vector<ScoredWord> words, absl::Span<ScoredWord> best) {
  std::sort(words.begin(), words.end(), Likelier);
  std::copy_n(words.begin(), best.size(), best.begin());
}

}  // namespace

void NgramModel::FillTopK(const Context& context,
                          absl::Span<ScoredWord> best) const {
  std::vector<ScoredWord> words;
  words.reserve(best.size() + 1);
  NgramMerger merger(*this, context);
  for (; merger.HasNext(); merger.Advance()) {
    const ScoredWord& word = merger.Next();
    if (word.log_prob == kImpossible) break;
    if (words.size() >= best.size() &&
        word.log_prob < words[best.size() - 1].log_prob) {
      break;
    }
    words.push_back(word);
  }
  if (merger.IsSlow()) return SortDistribution(context, best);
  if (words.size() < best.size()) {
    AddEquals(kImpossible, best.size() - words.size(), vocabulary_.size(),
              &words);
  }
  CopyBest(std::move(words), best);
}

void NgramModel::SortDistribution(const Context& context,
                                  absl::Span<ScoredWord> best) const {
  std::vector<float> log_probs(vocabulary_.size());
  FillDistribution(context, log_probs.data());
  std::vector<ScoredWord> words(vocabulary_.size());
  for (WordId w = 0; w < vocabulary_.size(); ++w) words[w] = {w, log_probs[w]};
  std::partial_sort(words.begin(), words.begin() + best.size(), words.end(),
                    Likelier);
  std::copy_n(words.begin(), best.size(), best.begin());
}

void NgramModel::FillTopKFloor(NodeId context,
                               absl::Span<ScoredWord> best) const {
  const Source children = {context, 0};
  if (SourceSize(children) > kMaxSkipped) {
    return SortDistribution({context, 0}, best);
  }
  const size_t count = std::min(best.size(), SourceSize(children));
  std::vector<ScoredWord> words;
  for (size_t i = 0; i < count; ++i) words.push_back(SourceWord(children, i));
  const float floor = file_.nodes[context].backoff;
  const WordId begin = vocabulary_.begin_sentence();
  // Adds one word more than needed, because <s> may be among them.
  for (WordId w = 0; w < vocabulary_.size(); ++w) {
    if (words.size() > count + best.size()) break;
    if (file_.FindChild(context, w) != kRoot) continue;
    words.push_back({w, w == begin ? kImpossible : floor});
  }
  CopyBest(std::move(words), best);
}

void NgramModel::Distribution(absl::Span<const std::byte* const> states,
                              float* log_probs) const {
  for (size_t i = 0; i < states.size(); ++i) {
    FillDistribution(Read(states[i]), log_probs + i * vocabulary_.size());
  }
}

void NgramModel::TopK(absl::Span<const std::byte* const> states, size_t k,
                      absl::Span<ScoredWord> best) const {
  ABSL_ASSERT(k >= 1 && k <= vocabulary_.size());
  for (size_t i = 0; i < states.size(); ++i) {
    const Context context = Read(states[i]);
    const absl::Span<ScoredWord> row = best.subspan(i * k, k);
    if (rule() == UnseenRule::kFloor && context.node != kRoot) {
      FillTopKFloor(context.node, row);
    } else {
      FillTopK(context, row);
    }
  }
}

}  // namespace lmserve
