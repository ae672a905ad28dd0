// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_RERANKING_BLEU_H_
#define LMSERVE_RERANKING_BLEU_H_

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "reranking/ngram_profile.h"

namespace lmserve {

// BLEU (Papineni et al. 2002) as sacrebleu 2 computes it (Post 2018): n-grams
// of order 1 to 4, exponential smoothing and the closest reference length,
// which is the shorter one if two are equally close. Scores are from 0 to 100.
// All functions are pure.

// Returns the signature that sacrebleu prints with a score. Scores with
// different signatures must not be compared. `references` is the number of
// references per text; `tokenizer` is "13a" or "none".
std::string BleuSignature(int references, absl::string_view tokenizer);

// Splits a text into words like sacrebleu's tokenizer 13a (mteval-v13a).
std::vector<std::string> Tokenize13a(absl::string_view text);

// The counts that BLEU is computed from. Those of a corpus are the sum over its
// texts.
struct BleuCounts {
  static constexpr int kOrder = 4;

  // Matching n-grams by order. Each counts at most as often as it occurs in the
  // reference that contains it most often.
  std::array<uint64_t, kOrder> correct{};
  std::array<uint64_t, kOrder> total{};  // n-grams of the system's text
  uint64_t system_words = 0;
  uint64_t reference_words = 0;

  BleuCounts& operator+=(const BleuCounts& other);
  bool operator==(const BleuCounts& other) const = default;
};

// Counts the words of one text against one or more references.
BleuCounts CountBleu(absl::Span<const std::string> system,
                     absl::Span<const std::vector<std::string>> references);

// Like the function above, for profiles of word n-grams up to kOrder. For
// several references, `reference` is their union; see
// NgramProfile::MergeMaximum().
BleuCounts CountBleu(const NgramProfile& system, const NgramProfile& reference,
                     uint64_t reference_words);

// Returns the BLEU score. With `effective_order`, which sentence scores use,
// the score ignores orders of which the system's text has no n-gram.
double Bleu(const BleuCounts& counts, bool effective_order = false);

}  // namespace lmserve

#endif  // LMSERVE_RERANKING_BLEU_H_
