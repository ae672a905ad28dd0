// SPDX-License-Identifier: Apache-2.0
#include "models/ngram/text_blocks.h"

#include <algorithm>
#include <cstring>

namespace lmserve {

void TextBlocks::Run(absl::Span<const LanguageModel::Query> batch) {
  for (const LanguageModel::Query& query : batch) Add(query);
  ScoreBlock();
}

void TextBlocks::Add(const LanguageModel::Query& query) {
  if (query.words.empty()) {
    if (query.next_state != nullptr) {
      std::memmove(query.next_state, query.state, state_size_);
    }
    return;
  }
  if (used_ + 2 > kSlots) ScoreBlock();
  wants_lengths_ |= !query.ngram_lengths.empty();
  AddContext(used_++, query.state);
  size_t next = 0;
  for (;;) {
    const size_t count =
        std::min<size_t>(query.words.size() - next, kSlots - used_);
    const int end = used_ + static_cast<int>(count);
    pieces_[piece_count_++] = {&query, next, used_, end};
    AddWords(used_, query.words.subspan(next, count));
    used_ = end;
    next += count;
    if (next == query.words.size()) return;
    ScoreBlock();
    wants_lengths_ = !query.ngram_lengths.empty();
    KeepLastSlot();
    used_ = 1;
  }
}

void TextBlocks::ScoreBlock() {
  Slots<float> log_probs;
  ScoreSlots(used_, log_probs.data());
  for (const Piece& piece : pieces()) {
    const LanguageModel::Query& query = *piece.query;
    const size_t size = piece.end - piece.begin;
    if (!query.log_probs.empty()) {
      std::copy_n(&log_probs[piece.begin], size,
                  &query.log_probs[piece.first_word]);
    }
    if (!query.ngram_lengths.empty()) {
      for (size_t i = 0; i < size; ++i) {
        query.ngram_lengths[piece.first_word + i] =
            NgramLength(piece.begin + static_cast<int>(i));
      }
    }
    if (query.next_state != nullptr &&
        piece.first_word + size == query.words.size()) {
      WriteState(piece.end - 1, query.next_state);
    }
  }
  used_ = piece_count_ = 0;
  wants_lengths_ = false;
}

}  // namespace lmserve
