// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODELS_NGRAM_TEXT_BLOCKS_H_
#define LMSERVE_MODELS_NGRAM_TEXT_BLOCKS_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "absl/types/span.h"
#include "models/language_model.h"
#include "models/vocabulary.h"

namespace lmserve {

// Divides the texts of a batch into blocks of words that are looked up side by
// side. The base class of what scores a batch with one layout. A block has
// slots: one for each word and, before the words of a text, one for the context
// that they follow. Lives for one call of LanguageModel::Score().
class TextBlocks {
 public:
  // Slots of a block: enough look-ups to hide the latency of memory, few enough
  // that prefetched data stays in the cache.
  static constexpr int kSlots = 128;

  template <typename T>
  using Slots = std::array<T, kSlots>;

  void Run(absl::Span<const LanguageModel::Query> batch);

 protected:
  // A part of one text in the block, in the slots [begin, end). The slot before
  // `begin` holds the context of its first word.
  struct Piece {
    const LanguageModel::Query* query;
    size_t first_word;
    int begin, end;
  };

  explicit TextBlocks(size_t state_size) : state_size_(state_size) {}
  ~TextBlocks() = default;

  // Adds the context before a text.
  virtual void AddContext(int slot, const std::byte* state) = 0;
  // Adds words to the slots from `first` on.
  virtual void AddWords(int first, absl::Span<const WordId> words) = 0;
  // Moves the last slot to the first one, as the context of a text that
  // continues in the next block.
  virtual void KeepLastSlot() = 0;
  // Writes ln P of the words in the slots [0, used), by slot. The elements of
  // contexts are undefined.
  virtual void ScoreSlots(int used, float* log_probs) = 0;
  // Returns LanguageModel::Query::ngram_lengths of the word in a slot.
  // REQUIRES: wants_lengths() was true in ScoreSlots().
  virtual uint8_t NgramLength(int slot) const = 0;
  // Writes the state after the word in a slot.
  virtual void WriteState(int slot, std::byte* state) const = 0;

  // Whether a text of the block asks for the lengths of n-grams.
  bool wants_lengths() const { return wants_lengths_; }

  absl::Span<const Piece> pieces() const {
    return absl::MakeConstSpan(pieces_).subspan(0, piece_count_);
  }

 private:
  void Add(const LanguageModel::Query& query);
  void ScoreBlock();

  const size_t state_size_;
  int used_ = 0;  // number of slots in use
  int piece_count_ = 0;
  bool wants_lengths_ = false;
  std::array<Piece, kSlots / 2> pieces_;
};

}  // namespace lmserve

#endif  // LMSERVE_MODELS_NGRAM_TEXT_BLOCKS_H_
