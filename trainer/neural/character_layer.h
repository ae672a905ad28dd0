// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_NEURAL_CHARACTER_LAYER_H_
#define LMSERVE_TRAINER_NEURAL_CHARACTER_LAYER_H_

#include <cstddef>
#include <map>
#include <memory>
#include <vector>

#include "absl/types/span.h"
#include "models/vocabulary.h"
#include "trainer/neural/parameters.h"
#include "trainer/neural/random.h"
#include "trainer/neural/recurrent_stack.h"

namespace lmserve {

// The CharacterReader of models/neural/character_reader.h, for training: the
// vectors of words that are computed from their characters. Words of the same
// length are read side by side. Keeps the values that Backward() needs. Not
// thread-safe.
template <typename T>
class CharacterLayer {
 public:
  // The characters of all words, by word.
  using Spellings = std::vector<std::vector<WordId>>;

  // Adds the parameters to the layout, which must outlive the object. Sets the
  // prefix, the inputs and the directions of the stack.
  CharacterLayer(size_t embedding, RecurrentStackOptions stack,
                 std::shared_ptr<const Spellings> spellings,
                 ParameterLayout* layout);

  // Sets the initial parameters. Embeddings are uniform in [-sqrt(3 / n),
  // sqrt(3 / n)), where n is their size (Ma and Hovy 2016).
  void Initialize(T* values, Random* random) const;

  // The size of the vector of a word.
  size_t outputs() const { return stack_.outputs(); }

  // Returns the vectors of the words, (words.size(), outputs). Each distinct
  // word is read once. Words are indices of the spellings.
  std::vector<T> Forward(const T* values, absl::Span<const WordId> words);

  // Adds dE/d(parameter) to the gradients, given dE/d(vectors) for the words of
  // the last Forward().
  void Backward(const T* values, absl::Span<const T> d_vectors, T* gradients);

 private:
  // The words of one length.
  struct Group {
    RecurrentStack<T> stack;
    std::vector<WordId> words;       // distinct
    std::vector<WordId> characters;  // (length, words)
  };

  const size_t layers_;
  const std::shared_ptr<const Spellings> spellings_;
  const ParameterLayout& layout_;
  const size_t embedding_;
  const RecurrentStack<T> stack_;
  std::map<size_t, Group> groups_;  // by length
  std::vector<WordId> words_;       // of the last Forward()
  // Where the vector of each of these words is: the length of the word and its
  // row in the group.
  std::vector<std::pair<size_t, size_t>> places_;
};

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_NEURAL_CHARACTER_LAYER_H_
