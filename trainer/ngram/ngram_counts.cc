// SPDX-License-Identifier: Apache-2.0
#include "trainer/ngram/ngram_counts.h"

#include <algorithm>
#include <atomic>
#include <numeric>
#include <thread>
#include <utility>

namespace lmserve {
namespace {

// Sorts the positions of a text by the words that start there: up to `order`
// words, and not beyond </s>.
class PositionSorter {
 public:
  PositionSorter(const Corpus& corpus, int order)
      : words_(corpus.words),
        end_(corpus.vocabulary.end_sentence()),
        order_(order),
        bucket_ends_(corpus.vocabulary.size()),
        positions_(corpus.words.size()) {}

  std::vector<uint32_t> Sort(int threads) {
    FillBuckets();
    std::atomic<size_t> next_bucket = 0;
    const auto work = [&] {
      std::vector<Item> items;
      size_t bucket;
      while ((bucket = next_bucket++) < bucket_ends_.size()) {
        SortBucket(bucket, items);
      }
    };
    std::vector<std::thread> helpers;
    for (int i = 1; i < threads; ++i) helpers.emplace_back(work);
    work();
    for (std::thread& helper : helpers) helper.join();
    return std::move(positions_);
  }

 private:
  // A position, with its second and third word as a sort key.
  struct Item {
    uint64_t key;
    uint32_t position;
  };

  // Groups the positions by their first word.
  void FillBuckets() {
    for (WordId word : words_) ++bucket_ends_[word];
    std::partial_sum(bucket_ends_.begin(), bucket_ends_.end(),
                     bucket_ends_.begin());
    std::vector<uint32_t> next(bucket_ends_.size());
    std::copy(bucket_ends_.begin(), bucket_ends_.end() - 1, next.begin() + 1);
    for (uint32_t i = 0; i < words_.size(); ++i) {
      positions_[next[words_[i]]++] = i;
    }
  }

  uint64_t Key(uint32_t position) const {
    if (words_[position] == end_) return 0;
    const WordId second = words_[position + 1];
    const WordId third = second == end_ ? 0 : words_[position + 2];
    return uint64_t{second} << 32 | third;
  }

  bool Less(const Item& a, const Item& b) const {
    if (a.key != b.key) return a.key < b.key;
    for (int k = 0; k < order_; ++k) {
      const WordId x = words_[a.position + k];
      const WordId y = words_[b.position + k];
      if (x != y) return x < y;
      if (x == end_) return false;
    }
    return false;
  }

  void SortBucket(size_t bucket, std::vector<Item>& items) {
    const uint32_t begin = bucket == 0 ? 0 : bucket_ends_[bucket - 1];
    const uint32_t end = bucket_ends_[bucket];
    if (order_ == 1 || bucket == end_) return;
    items.clear();
    for (uint32_t i = begin; i < end; ++i) {
      items.push_back({Key(positions_[i]), positions_[i]});
    }
    std::sort(items.begin(), items.end(),
              [this](const Item& a, const Item& b) { return Less(a, b); });
    for (uint32_t i = begin; i < end; ++i) {
      positions_[i] = items[i - begin].position;
    }
  }

  const std::vector<WordId>& words_;
  const WordId end_;
  const int order_;
  std::vector<uint32_t> bucket_ends_;
  std::vector<uint32_t> positions_;
};

// Builds the levels from the sorted positions.
class LevelBuilder {
 public:
  LevelBuilder(const Corpus& corpus, std::vector<uint32_t> positions, int order)
      : words_(corpus.words),
        end_(corpus.vocabulary.end_sentence()),
        size_(corpus.vocabulary.size()),
        order_(order),
        positions_(std::move(positions)),
        shared_(positions_.size()),
        levels_(order) {}

  std::vector<CountedLevel> Build() {
    for (size_t i = 0; i < positions_.size(); ++i) AddPosition(i);
    AddWordsBelow(size_);
    for (int k = 1; k < order_; ++k) {
      levels_[k - 1].children.push_back(levels_[k].size());
    }
    for (int k = 2; k <= order_; ++k) LinkSuffixes(k);
    return std::move(levels_);
  }

 private:
  // Counts the n-grams at sorted position i. N-grams that are longer than the
  // common prefix with the previous position are new.
  void AddPosition(size_t i) {
    const WordId* text = &words_[positions_[i]];
    const int shared = i == 0 ? 0 : Shared(text, &words_[positions_[i - 1]]);
    shared_[i] = shared;
    for (int k = 1; k <= order_; ++k) {
      if (k > shared) AddNgram(k, text[k - 1]);
      ++levels_[k - 1].counts.back();
      if (text[k - 1] == end_) break;
    }
  }

  // Returns the number of words that two positions have in common, up to </s>.
  int Shared(const WordId* a, const WordId* b) const {
    for (int k = 0; k < order_; ++k) {
      if (a[k] != b[k]) return k;
      if (a[k] == end_) return k + 1;
    }
    return order_;
  }

  void AddNgram(int k, WordId word) {
    if (k == 1) AddWordsBelow(word);
    Append(k, word);
  }

  // Adds the words below `end` to order 1, which also has words that do not
  // occur in the text.
  void AddWordsBelow(WordId end) {
    while (levels_[0].size() < end) Append(1, levels_[0].size());
  }

  void Append(int k, WordId word) {
    CountedLevel& level = levels_[k - 1];
    level.words.push_back(word);
    level.counts.push_back(0);
    if (k < order_) level.children.push_back(levels_[k].size());
  }

  // Sets the suffixes of order k. The suffix of an n-gram at a position of the
  // text is the n-gram of the next lower order at the next position.
  void LinkSuffixes(int k) {
    std::vector<uint32_t> below(words_.size());  // by position in the text
    ForEachPosition(k - 1, [&](uint32_t position, uint32_t ngram) {
      below[position] = ngram;
    });
    std::vector<uint32_t>& suffixes = levels_[k - 1].suffixes;
    suffixes.resize(levels_[k - 1].size());
    ForEachPosition(k, [&](uint32_t position, uint32_t ngram) {
      suffixes[ngram] = below[position + 1];
    });
  }

  // Calls visit(position, index of the n-gram of order k at that position).
  template <typename Visit>
  void ForEachPosition(int k, Visit visit) const {
    uint32_t next = 0;
    for (size_t i = 0; i < positions_.size(); ++i) {
      const WordId* text = &words_[positions_[i]];
      if (std::find(text, text + k - 1, end_) != text + k - 1) continue;
      if (k == 1) {
        visit(positions_[i], text[0]);
      } else {
        if (shared_[i] < k) ++next;
        visit(positions_[i], next - 1);
      }
    }
  }

  const std::vector<WordId>& words_;
  const WordId end_;
  const WordId size_;
  const int order_;
  const std::vector<uint32_t> positions_;
  std::vector<uint8_t> shared_;  // words in common with the previous position
  std::vector<CountedLevel> levels_;
};

}  // namespace

NgramCounts CountNgrams(const Corpus& corpus, int order, int threads) {
  NgramCounts counts;
  counts.begin_sentence = corpus.vocabulary.begin_sentence();
  std::vector<uint32_t> positions = PositionSorter(corpus, order).Sort(threads);
  counts.levels = LevelBuilder(corpus, std::move(positions), order).Build();
  return counts;
}

std::vector<uint32_t> AdjustedCounts(const NgramCounts& counts, int k) {
  const CountedLevel& level = counts.levels[k - 1];
  std::vector<uint32_t> adjusted(level.size(), 0);
  for (uint32_t suffix : counts.levels[k].suffixes) ++adjusted[suffix];
  if (k == 1) return adjusted;
  // The n-grams that start with <s> are adjacent.
  uint32_t begin = counts.begin_sentence;
  uint32_t end = begin + 1;
  for (int j = 1; j < k; ++j) {
    begin = counts.levels[j - 1].children[begin];
    end = counts.levels[j - 1].children[end];
  }
  std::copy(level.counts.begin() + begin, level.counts.begin() + end,
            adjusted.begin() + begin);
  return adjusted;
}

}  // namespace lmserve
