// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_NGRAM_TEXT_GENERATOR_H_
#define LMSERVE_TRAINER_NGRAM_TEXT_GENERATOR_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "models/ngram/ngram_set.h"

namespace lmserve {

// Draws sentences from an n-gram model, much faster than from its
// distributions: to test programs with texts of any length. Immutable after
// Create(): thread-safe.
//
// The probability of an interpolated model is P(w | h) = u(w | h) + g(h) P(w |
// h'), where h' is h without its first word, and u(w | h) is 0 for words that
// were not seen after h. So the generator goes on to h' with the probability
// g(h), and otherwise draws a word from u. For models in which an n-gram has a
// smaller probability than g(h) P(w | h') this is an approximation.
class TextGenerator {
 public:
  // Fails with INVALID_ARGUMENT if the model has a floor or stupid back-off.
  // Where the model draws <unk>, one of `rare_words` made-up words is written,
  // whose frequencies follow Zipf's law; if it is 0, other words are drawn.
  static absl::StatusOr<std::unique_ptr<TextGenerator>> Create(
      const NgramSet& model, uint64_t rare_words);

  // Appends sentences, each with LF, of at least `words` words in all. The text
  // depends only on the seed and the number of the block. Returns the number of
  // words.
  uint64_t Generate(uint64_t seed, uint64_t block, uint64_t words,
                    std::string* text) const;

 private:
  // An n-gram, or the empty one.
  struct Node {
    uint32_t first_child = 0;  // its children end at that of the next node
    uint32_t link = 0;         // the longest proper suffix
    float stay = 0;            // 1 - g: the probability to draw a child
  };

  class Builder;
  class Random;

  explicit TextGenerator(const Vocabulary& vocabulary, uint64_t rare_words);

  // Returns the child of a node, or 0 if it does not exist.
  uint32_t FindChild(uint32_t node, WordId word) const;

  // Draws a word and advances the node.
  WordId Draw(Random& random, uint32_t* node) const;

  std::vector<std::string> words_;
  const uint64_t rare_words_;
  WordId unknown_ = 0;
  WordId begin_ = 0;
  WordId end_ = 0;
  // By n-gram. Node 0 is the empty n-gram; those of order 1 follow, and so on.
  std::vector<Node> nodes_;
  std::vector<WordId> last_words_;
  // The sum of u over the n-gram and its siblings before it, divided by the sum
  // over all of them.
  std::vector<float> cumulative_;
};

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_NGRAM_TEXT_GENERATOR_H_
