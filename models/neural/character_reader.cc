// SPDX-License-Identifier: Apache-2.0
#include "models/neural/character_reader.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "models/neural/length_groups.h"
#include "models/neural/recurrent_reader.h"

namespace lmserve {
namespace {

// How many bytes of a long word are read at each of its ends.
constexpr size_t kEndBytes = 32;

}  // namespace

std::vector<WordId> CharactersOf(absl::string_view word) {
  std::vector<WordId> characters;
  characters.reserve(std::min(word.size(), 2 * kEndBytes));
  for (size_t i = 0; i < word.size(); ++i) {
    if (i >= kEndBytes && i + kEndBytes < word.size()) continue;
    characters.push_back(static_cast<unsigned char>(word[i]));
  }
  return characters;
}

absl::StatusOr<CharacterReader> CharacterReader::Create(
    const TensorFile& file) {
  const absl::StatusOr<WeightMatrix> embedding =
      ReadMatrix(file, kCharacterEmbeddingTensor, kCharacters, 0);
  if (!embedding.ok()) return embedding.status();
  const absl::StatusOr<RecurrentWeights> weights =
      ReadRecurrentWeights(file, embedding->cols, kCharactersPrefix);
  if (!weights.ok()) return weights.status();
  if (!weights->bidirectional) {
    return absl::InvalidArgumentError(
        "character reader: expected layers of two directions, found layers of "
        "one");
  }
  absl::StatusOr<std::vector<RecurrentLayer>> layers = CreateLayers(*weights);
  if (!layers.ok()) return layers.status();
  return CharacterReader(OwnedMatrix(*embedding), *std::move(layers));
}

size_t CharacterReader::outputs() const {
  return layers_.back().units() + layers_[layers_.size() - 2].units();
}

std::vector<float> CharacterReader::Read(
    absl::Span<const absl::string_view> words) const {
  absl::flat_hash_map<absl::string_view, size_t> distinct;
  std::vector<std::vector<WordId>> spellings;
  std::vector<size_t> lengths;
  for (absl::string_view word : words) {
    if (!distinct.emplace(word, spellings.size()).second) continue;
    spellings.push_back(CharactersOf(word));
    lengths.push_back(spellings.back().size());
  }
  const size_t width = outputs();
  std::vector<float> vectors(spellings.size() * width);
  RecurrentReader reader(layers_, /*bidirectional=*/true);
  ForEachLengthGroup(lengths, [&](absl::Span<const size_t> group) {
    const size_t steps = lengths[group[0]];
    if (steps == 0) return;
    std::vector<WordId> characters;
    for (size_t t = 0; t < steps; ++t) {
      for (size_t word : group) characters.push_back(spellings[word][t]);
    }
    reader.Read(embedding_->CopyRows(characters), steps, group.size());
    size_t column = 0;
    for (size_t layer = layers_.size() - 2; layer < layers_.size(); ++layer) {
      const size_t units = layers_[layer].units();
      for (size_t r = 0; r < group.size(); ++r) {
        std::copy_n(reader.last(layer).h.data() + r * units, units,
                    vectors.data() + group[r] * width + column);
      }
      column += units;
    }
  });
  std::vector<float> all(words.size() * width);
  for (size_t i = 0; i < words.size(); ++i) {
    std::copy_n(vectors.data() + distinct.at(words[i]) * width, width,
                all.data() + i * width);
  }
  return all;
}

}  // namespace lmserve
