// SPDX-License-Identifier: Apache-2.0
#include "trainer/ngram/text_generator.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"

namespace lmserve {
namespace {

// Longer sentences are ended, in case that a model never ends one.
constexpr uint64_t kMaxSentenceWords = 1000;

}  // namespace

// SplitMix64.
class TextGenerator::Random {
 public:
  Random(uint64_t seed, uint64_t block) : state_(seed) {
    state_ = Next() ^ (block * 0xD1342543DE82EF95);
  }

  // A number from 0 to 1, without 1.
  double Uniform() { return static_cast<double>(Next() >> 11) * 0x1p-53; }

 private:
  uint64_t Next() {
    uint64_t x = state_ += 0x9E3779B97F4A7C15;
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9;
    x = (x ^ x >> 27) * 0x94D049BB133111EB;
    return x ^ x >> 31;
  }

  uint64_t state_;
};

// Copies the n-grams of a model, order by order.
class TextGenerator::Builder {
 public:
  Builder(const NgramSet& model, TextGenerator& generator)
      : model_(model), generator_(generator) {}

  absl::Status Build() {
    nodes().emplace_back();
    generator_.last_words_.push_back(0);
    generator_.cumulative_.push_back(0);
    probabilities_.push_back(1);
    backoffs_.push_back(1);
    for (int k = 1; k <= model_.order(); ++k) {
      Collect(k);
      if (nodes().size() + ngrams_.size() >=
          std::numeric_limits<uint32_t>::max()) {
        return absl::ResourceExhaustedError(
            "expected a model of at most 2^32 n-grams, found more");
      }
      AddLevel(k);
    }
    level_begins_.push_back(nodes().size());
    // The n-grams of the highest order have no children; the last node ends
    // those of the node before it.
    nodes().emplace_back();
    for (uint32_t i = level_begins_[model_.order() - 1]; i < nodes().size();
         ++i) {
      nodes()[i].first_child = nodes().size() - 1;
    }
    return absl::OkStatus();
  }

 private:
  struct Ngram {
    uint32_t context;
    WordId word;
    float probability;
    float backoff;
  };

  std::vector<Node>& nodes() { return generator_.nodes_; }

  // Collects the n-grams of order k with the nodes of their contexts, sorted.
  void Collect(int k) {
    ngrams_.clear();
    std::vector<WordId> path;
    uint32_t context = 0;
    model_.ForEach(k, [&](const NgramSet::Ngram& ngram) {
      const absl::Span<const WordId> words =
          ngram.words.subspan(0, ngram.words.size() - 1);
      if (!std::equal(words.begin(), words.end(), path.begin(), path.end())) {
        path.assign(words.begin(), words.end());
        context = 0;
        for (WordId word : path) context = generator_.FindChild(context, word);
      }
      ngrams_.push_back({context, ngram.words.back(), std::exp(ngram.log_prob),
                         std::exp(ngram.backoff)});
    });
    std::sort(
        ngrams_.begin(), ngrams_.end(), [](const Ngram& a, const Ngram& b) {
          return std::pair(a.context, a.word) < std::pair(b.context, b.word);
        });
  }

  void AddLevel(int k) {
    level_begins_.push_back(nodes().size());
    // All contexts of order k - 1, those without children included.
    uint32_t context = k == 1 ? 0 : level_begins_[k - 2];
    const uint32_t contexts_end = nodes().size();
    size_t i = 0;
    for (; context < contexts_end; ++context) {
      nodes()[context].first_child = nodes().size();
      const uint32_t first = nodes().size();
      double sum = 0;
      for (; i < ngrams_.size() && ngrams_[i].context == context; ++i) {
        sum += AddNgram(context, ngrams_[i]);
        generator_.cumulative_.push_back(static_cast<float>(sum));
      }
      for (uint32_t child = first; child < nodes().size(); ++child) {
        generator_.cumulative_[child] /= static_cast<float>(sum);
      }
      Node& node = nodes()[context];
      const bool has_children = nodes().size() > first && sum > 0;
      node.stay = context == 0   ? 1
                  : has_children ? std::max(0.0f, 1 - backoffs_[context])
                                 : 0;
    }
    // Until order k + 1 is added, this ends the children of the last context.
    if (nodes().size() > contexts_end) {
      nodes()[contexts_end].first_child = nodes().size();
    }
  }

  // Adds an n-gram and returns its u.
  double AddNgram(uint32_t context, const Ngram& ngram) {
    double below = 0;
    uint32_t link = 0;
    if (context != 0) {
      // P(w | h') of the longest suffix that the model has.
      uint32_t suffix = nodes()[context].link;
      double factor = 1;
      while ((link = generator_.FindChild(suffix, ngram.word)) == 0 &&
             suffix != 0) {
        factor *= backoffs_[suffix];
        suffix = nodes()[suffix].link;
      }
      below = factor * probabilities_[link];
    }
    Node node;
    node.link = link;
    nodes().push_back(node);
    generator_.last_words_.push_back(ngram.word);
    probabilities_.push_back(ngram.probability);
    backoffs_.resize(nodes().size(), 1);
    backoffs_.back() = ngram.backoff;
    const bool is_left_out =
        ngram.word == generator_.begin_ ||
        (ngram.word == generator_.unknown_ && generator_.rare_words_ == 0);
    return is_left_out
               ? 0
               : std::max(0.0,
                          ngram.probability -
                              (context == 0 ? 0 : backoffs_[context] * below));
  }

  const NgramSet& model_;
  TextGenerator& generator_;
  std::vector<Ngram> ngrams_;           // of one order
  std::vector<uint32_t> level_begins_;  // the first node of each order
  std::vector<float> probabilities_;    // by node
  std::vector<float> backoffs_;         // by node
};

absl::StatusOr<std::unique_ptr<TextGenerator>> TextGenerator::Create(
    const NgramSet& model, uint64_t rare_words) {
  if (model.rule() != UnseenRule::kBackOff) {
    return absl::InvalidArgumentError(
        "expected a model with back-off weights, found one with a floor or "
        "stupid back-off");
  }
  std::unique_ptr<TextGenerator> generator(
      new TextGenerator(model.vocabulary(), rare_words));
  absl::Status status = Builder(model, *generator).Build();
  if (!status.ok()) return status;
  return generator;
}

TextGenerator::TextGenerator(const Vocabulary& vocabulary, uint64_t rare_words)
    : rare_words_(rare_words),
      unknown_(vocabulary.unknown()),
      begin_(vocabulary.begin_sentence()),
      end_(vocabulary.end_sentence()) {
  for (WordId id = 0; id < vocabulary.size(); ++id) {
    words_.emplace_back(vocabulary.word(id));
  }
}

uint32_t TextGenerator::FindChild(uint32_t node, WordId word) const {
  const auto begin = last_words_.begin() + nodes_[node].first_child;
  const auto end = last_words_.begin() + nodes_[node + 1].first_child;
  const auto found = std::lower_bound(begin, end, word);
  return found == end || *found != word ? 0 : found - last_words_.begin();
}

WordId TextGenerator::Draw(Random& random, uint32_t* node) const {
  uint32_t context = *node;
  double number = random.Uniform();
  while (number >= nodes_[context].stay) {
    number = random.Uniform();
    context = nodes_[context].link;
  }
  const auto begin = cumulative_.begin() + nodes_[context].first_child;
  const auto end = cumulative_.begin() + nodes_[context + 1].first_child;
  const auto wanted = static_cast<float>(number / nodes_[context].stay);
  auto found = std::upper_bound(begin, end, wanted);
  // Rounding may leave the last sum below 1.
  if (found == end) found = std::lower_bound(begin, end, *(end - 1));
  const uint32_t drawn = found - cumulative_.begin();
  // A longer context may have the word as well.
  uint32_t longest = 0;
  while (*node != context &&
         (longest = FindChild(*node, last_words_[drawn])) == 0) {
    *node = nodes_[*node].link;
  }
  *node = longest == 0 ? drawn : longest;
  return last_words_[drawn];
}

uint64_t TextGenerator::Generate(uint64_t seed, uint64_t block, uint64_t words,
                                 std::string* text) const {
  Random random(seed, block);
  uint64_t written = 0;
  while (written < words) {
    // The node of <s> is the child of the root, which has all words.
    uint32_t node = nodes_[0].first_child + begin_;
    uint64_t in_sentence = 0;
    while (in_sentence < kMaxSentenceWords) {
      const WordId word = Draw(random, &node);
      if (word == end_) break;
      if (in_sentence++ > 0) text->push_back(' ');
      if (word == unknown_) {
        // Log-uniform numbers: the frequency of the n-th is in proportion to
        // 1 / n.
        const double rank = std::exp(
            random.Uniform() * std::log(static_cast<double>(rare_words_)));
        absl::StrAppend(text, "rare", static_cast<uint64_t>(rank));
      } else {
        text->append(words_[word]);
      }
    }
    if (in_sentence > 0) text->push_back('\n');
    written += in_sentence;
  }
  return written;
}

}  // namespace lmserve
