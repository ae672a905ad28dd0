// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODELS_NEURAL_CHARACTER_READER_H_
#define LMSERVE_MODELS_NEURAL_CHARACTER_READER_H_

#include <cstddef>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "models/neural/network_weights.h"
#include "models/neural/recurrent_layer.h"
#include "models/neural/weight_matrix.h"
#include "models/vocabulary.h"

namespace lmserve {

// The tensors of a character reader: an embedding, and recurrent layers whose
// names start with this prefix. See model_store/FORMAT.md.
inline constexpr absl::string_view kCharactersPrefix = "characters.";
inline constexpr absl::string_view kCharacterEmbeddingTensor =
    "characters.encoder.weight";

// The number of characters that a reader knows: the values of a byte.
inline constexpr size_t kCharacters = 256;

// Returns the characters of a word that a reader reads: the bytes of its UTF-8
// form (Gillick et al. 2016), so that no word has an unknown one. Of a word of
// more than 64 bytes, they are the first 32 and the last 32, which limits the
// time that a word takes. Pure.
std::vector<WordId> CharactersOf(absl::string_view word);

// Represents words by their spelling (Ling et al. 2015): deep bidirectional
// recurrent layers read the characters of a word, and its vector is
//
//   [last state of the forward layer; last state of the backward layer]
//
// of the last depth. A model can so tell words that it has never seen. The
// vector of an empty word is 0.
//
// Owns its packed weights. Immutable: any number of threads may use one
// instance.
class CharacterReader {
 public:
  // Reads the tensors whose names start with kCharactersPrefix. Fails as
  // ReadMatrix() does, and if the layers have one direction.
  static absl::StatusOr<CharacterReader> Create(const TensorFile& file);

  // The size of the vector of a word.
  size_t outputs() const;

  // Returns the vectors of the words, (words.size(), outputs). A word is read
  // once even if it occurs several times, and its vector has the same bits
  // whatever the other words are.
  std::vector<float> Read(absl::Span<const absl::string_view> words) const;

 private:
  CharacterReader(OwnedMatrix embedding, std::vector<RecurrentLayer> layers)
      : embedding_(std::move(embedding)), layers_(std::move(layers)) {}

  OwnedMatrix embedding_;  // (kCharacters, embedding size)
  std::vector<RecurrentLayer> layers_;
};

}  // namespace lmserve

#endif  // LMSERVE_MODELS_NEURAL_CHARACTER_READER_H_
