// SPDX-License-Identifier: Apache-2.0
#include "trainer/neural/character_layer.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "models/neural/character_reader.h"
#include "trainer/neural/embedding.h"

namespace lmserve {
namespace {

RecurrentStackOptions ReadsCharacters(RecurrentStackOptions stack,
                                      size_t embedding) {
  stack.prefix = std::string(kCharactersPrefix);
  stack.inputs = embedding;
  stack.bidirectional = true;
  return stack;
}

}  // namespace

template <typename T>
CharacterLayer<T>::CharacterLayer(size_t embedding, RecurrentStackOptions stack,
                                  std::shared_ptr<const Spellings> spellings,
                                  ParameterLayout* layout)
    : layers_(stack.layers),
      spellings_(std::move(spellings)),
      layout_(*layout),
      embedding_(layout->AddMatrix(std::string(kCharacterEmbeddingTensor),
                                   kCharacters, embedding)),
      stack_(ReadsCharacters(std::move(stack), embedding), layout) {}

template <typename T>
void CharacterLayer<T>::Initialize(T* values, Random* random) const {
  const auto embedding = layout_.View(values, embedding_);
  FillUniform(embedding, std::sqrt(3 / static_cast<double>(embedding.cols)),
              random);
  stack_.Initialize(values, random);
}

template <typename T>
std::vector<T> CharacterLayer<T>::Forward(const T* values,
                                          absl::Span<const WordId> words) {
  for (auto& [length, group] : groups_) group.words.clear();
  absl::flat_hash_map<WordId, std::pair<size_t, size_t>> places;
  places_.clear();
  words_.assign(words.begin(), words.end());
  for (WordId word : words) {
    const auto [place, is_new] = places.try_emplace(word);
    if (is_new) {
      const size_t length = (*spellings_)[word].size();
      auto found = groups_.find(length);
      if (found == groups_.end()) {
        found = groups_.emplace(length, Group{stack_, {}, {}}).first;
      }
      Group& group = found->second;
      place->second = {length, group.words.size()};
      group.words.push_back(word);
    }
    places_.push_back(place->second);
  }
  // The vectors of the words of each length, (words, outputs).
  std::map<size_t, std::vector<T>> vectors;
  const size_t width = outputs(), units = width / 2;
  for (auto& [length, group] : groups_) {
    const size_t rows = group.words.size();
    if (rows == 0) continue;
    std::vector<T>& to = vectors[length];
    to.resize(rows * width);
    if (length == 0) continue;
    group.characters.clear();
    for (size_t t = 0; t < length; ++t) {
      for (WordId word : group.words) {
        group.characters.push_back((*spellings_)[word][t]);
      }
    }
    auto state = group.stack.MakeState(rows);
    group.stack.Forward(
        values, length, rows,
        Embed<T>(layout_.View(values, embedding_), group.characters), &state,
        /*random=*/nullptr);
    for (size_t d = 0; d < 2; ++d) {
      const std::vector<T>& h = state.h[2 * (layers_ - 1) + d];
      for (size_t r = 0; r < rows; ++r) {
        std::copy_n(h.data() + r * units, units,
                    to.data() + r * width + d * units);
      }
    }
  }
  std::vector<T> all(words.size() * width);
  for (size_t i = 0; i < words.size(); ++i) {
    const auto& [length, row] = places_[i];
    std::copy_n(vectors[length].data() + row * width, width,
                all.data() + i * width);
  }
  return all;
}

template <typename T>
void CharacterLayer<T>::Backward(const T* values, absl::Span<const T> d_vectors,
                                 T* gradients) {
  const size_t width = outputs(), units = width / 2;
  std::map<size_t, std::vector<T>> d_of;  // by length, (words, outputs)
  for (size_t i = 0; i < places_.size(); ++i) {
    const auto& [length, row] = places_[i];
    std::vector<T>& d = d_of[length];
    d.resize(groups_.at(length).words.size() * width);
    for (size_t k = 0; k < width; ++k) {
      d[row * width + k] += d_vectors[i * width + k];
    }
  }
  for (const auto& [length, d] : d_of) {
    if (length == 0) continue;
    Group& group = groups_.at(length);
    const size_t rows = group.words.size();
    auto d_state = group.stack.MakeState(rows);
    for (size_t direction = 0; direction < 2; ++direction) {
      std::vector<T>& dh = d_state.h[2 * (layers_ - 1) + direction];
      for (size_t r = 0; r < rows; ++r) {
        std::copy_n(d.data() + r * width + direction * units, units,
                    dh.data() + r * units);
      }
    }
    const std::vector<T>& d_characters = group.stack.Backward(
        values, std::vector<T>(length * rows * width), &d_state, gradients);
    AddEmbeddingGradient<T>(group.characters, d_characters.data(),
                            layout_.View(gradients, embedding_));
  }
}

template class CharacterLayer<float>;
template class CharacterLayer<double>;

}  // namespace lmserve
